package study

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"utfall/cohort"
	"utfall/internal/lang"
	"utfall/internal/num"
	"utfall/study/release"
	"utfall/table"
)

// simulated is a person of the simulated register: x decides who takes part and what becomes of a person; steps are the months of a ladder of
// three steps, climbed faster by participants in their first year; trait is what the questions ask about, before and after.
type simulated struct {
	x      float64
	in     bool
	older  bool
	steps  [simMonths]int8
	trait  [2]float64
	answer [2][]float64
	again  bool
}

const simMonths, simYear, simTau = 25, 12, 24

// simPerson draws a person; force, unless it is negative, decides what becomes of somebody, whether they take part or not.
func simPerson(st *num.Stream, force int) (p simulated, takesPart bool) {
	p = simulated{x: st.Normal(), older: st.Bernoulli(.5)}
	takesPart = st.Bernoulli(simLogit(-1.1 + .6*p.x))
	if p.in = takesPart; force >= 0 {
		p.in = force == 1
	}
	w := 0.0
	if p.in {
		w = 1
	}
	step := 0
	if st.Bernoulli(.25) {
		step = 1
	}
	for m := range simMonths {
		p.steps[m] = int8(step)
		effect := 0.0
		if m < simYear {
			effect = .6 * w
		}
		up, down := simLogit(-2.5+.4*p.x+effect), simLogit(-3-.3*p.x)
		switch u := st.Float(); {
		case u < up:
			step = min(step+1, 2)
		case u > 1-down:
			step = max(step-1, 0)
		}
	}
	late := float64(p.steps[simYear])
	p.trait[0] = .4*p.x + math.Sqrt(.84)*st.Normal()
	p.trait[1] = .75*p.trait[0] + .1 + .25*w + .2*(late-.7) + .6*st.Normal()
	mean := 0.0
	for k := range p.answer {
		for j := range 4 {
			y := 0.0
			for c := range 3 {
				if u := st.Float(); (1.2+.3*float64(j))*(p.trait[k]-1.1*float64(c-1)-.1*float64(j))+math.Log(u/(1-u)) > 0 {
					y = float64(c + 1)
				}
			}
			p.answer[k] = append(p.answer[k], y)
			if k == 0 {
				mean += y / 4
			}
		}
	}
	p.again = st.Bernoulli(simLogit(-.3 + .4*w + .7*late + .4*(mean-1.5)))
	return p, takesPart
}

func simLogit(v float64) float64 { return 1 / (1 + math.Exp(-v)) }

// simStudy is the study's state with a register of n people, as the cohort's design leaves it.
func simStudy(ctx testing.TB, rep, n int, design Cohort) (*state, *Analysis, *progressUnits, error) {
	states := []string{"low", "middle", "high"}
	q := &Assessments{Data: "answers", Rater: "self", After: simYear, Window: 1, Model: "graded", MIC: .5, Draws: 20}
	a := &Analysis{Name: "a", Progress: &Headlines{Cohort: "c", Ladder: "l", Tau: simTau, SelfSupport: []string{"high"}, Assessments: q,
		Forecast: &Forecast{OlderTo: "2010-12", AsOf: "2013-07", At: simYear, Within: simTau, Run: 6, Background: []string{"x"}, Folds: 5}}}
	design.Name, design.Treatment, design.ID = "c", "in", cohort.PersonColumn
	design.Propensity, design.Balance = &cohort.PropensitySpec{Covariates: []string{"x"}, Link: "logit"}, []string{"x"}
	s := &state{ctx: ctx.Context(), spec: &Spec{Level: .95, Seed: 1, Analyses: []Analysis{*a}}, o: Options{Workers: 1}, lang: lang.EN, cohorts: map[string]*built{},
		ladders: map[string]*Ladder{"l": {Steps: map[string]int{"low": 1, "middle": 2, "high": 3}}}}
	s.policy = release.Policy{}
	var id, person []string
	var x, in []float64
	var zero []int64
	var date []int32
	var item []int32
	var value []float64
	var who []string
	paths := &cohort.Paths{States: states, After: simMonths}
	from := [2]int{2010*12 + 5, 2012*12 + 5}
	for i := range n {
		p, _ := simPerson(num.NewStream(uint64(rep), "progress-sim", uint64(i)), -1)
		name := fmt.Sprintf("p%06d", i)
		z := from[1]
		if p.older {
			z = from[0]
		}
		id, person, x, zero = append(id, name), append(person, name), append(x, p.x), append(zero, int64(z))
		in = append(in, 0)
		if p.in {
			in[i] = 1
		}
		paths.Code = append(paths.Code, p.steps[:]...)
		for k := range p.answer {
			if k == 1 && !p.again {
				continue
			}
			for j, v := range p.answer[k] {
				who, item, value = append(who, name), append(item, int32(j)), append(value, v)
				date = append(date, int32(time.Date(0, time.Month(z+k*simYear+1), 1, 0, 0, 0, 0, time.UTC).Unix()/86400))
			}
		}
	}
	field := func(name string) table.Field { return table.Field{Name: name} }
	t, err := table.New(table.NewText(field(cohort.UnitColumn), id, nil), table.NewText(field(cohort.PersonColumn), person, nil), table.NewInteger(field(cohort.ZeroColumn), zero, nil),
		table.NewFloat(field("x"), x, nil), table.NewFloat(field("in"), in, nil))
	require.NoError(ctx, err)
	for j := range 4 {
		q.Items = append(q.Items, fmt.Sprint("q", j+1))
	}
	items, err := table.NewCategory(field("item"), item, q.Items, nil)
	require.NoError(ctx, err)
	self, err := table.NewCategory(field("rater"), make([]int32, len(item)), []string{"self"}, nil)
	require.NoError(ctx, err)
	asked, err := table.New(table.NewText(field("person"), who, nil), table.NewDate(field("date"), date, nil), items, self, table.NewFloat(field("value"), value, nil))
	require.NoError(ctx, err)
	s.data = map[string]*dataset{"answers": {table: asked}}
	b := &built{spec: &design, before: t, table: t, rows: identity(n), beforeRows: identity(n)}
	if b.beforeIn, err = marks(t, "in"); err != nil {
		return nil, nil, nil, err
	}
	b.treated = b.beforeIn
	switch {
	case design.Match != nil:
		err = s.match(b, t)
	case design.Weight != nil:
		err = s.weigh(b, t)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	b.paths = paths.Take(b.rows)
	s.cohorts["c"] = b
	u, err := newProgressUnits(b)
	return s, a, u, err
}
