package study

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/estimate/effect"
	"utfall/estimate/panel"
	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/internal/sim"
	"utfall/study/release"
	"utfall/table"
)

// Ten municipalities in which two people each have influence 1, one of them alone in his
// cluster, the other with the one of the next municipality (so that five clusters of two
// cross the borders); the municipalities have influence 2. Summed by municipality people
// give 10·2² = 40, by their clusters 10·1 + 5·2² = 30, by both 20; the error of .3 grows by
// (10/9·40 + 30 - 20)/30. The products are 10·2·2 = 40, in units of .3/√30 and .4/√40.
func TestJointErrorByHand(t *testing.T) {
	l := &levels{people: map[string]float64{}, places: map[string]float64{}, own: map[string]float64{}, both: map[string]float64{}}
	for g := range 10 {
		m := fmt.Sprint("in/", g)
		l.people[m], l.places[m] = 2, 2
		l.own[fmt.Sprint("a", g)]++
		l.own[fmt.Sprint("b", g/2)]++
		l.both[fmt.Sprint(m, "/a", g)]++
		l.both[fmt.Sprint(m, "/b", g/2)]++
	}
	j, ok := l.join(0.3, 0.4)
	require.True(t, ok)
	reftest.Agree(t, "error", j.se, 0.3*math.Sqrt((400.0/9+10)/30), 13)
	reftest.Agree(t, "covariance", j.covariance, 0.3/math.Sqrt(30)*0.4/math.Sqrt(40)*40, 13)
	require.Equal(t, 9.0, j.df)
	delete(l.places, "in/3")
	_, ok = l.join(0.3, 0.4)
	require.False(t, ok, "nine municipalities are shared")
}

// bothLevels are 40 municipalities, half of them treated, whose shocks are in the change
// of each of 20 people and in that of the whole; half of the inhabitants of a treated
// municipality take part and gain 1, so that the municipality gains 1/2.
func bothLevels(t testing.TB, seed uint64, q Reconcile) analysisResult {
	t.Helper()
	s := num.NewStream(seed, "both-levels", 0)
	f := &panel.Frame{Level: 0.95}
	people := &estimate.Frame{Level: 0.95}
	var place []string
	for g := range 40 {
		treated := g%2 == 0
		shock, name := s.Normal(), fmt.Sprintf("m%02d", g)
		first := 0
		gain := 0.0
		if treated {
			first, gain = 2, 1
		}
		level := s.Normal()
		f.Unit, f.Time, f.Cohort = append(f.Unit, name, name), append(f.Time, 1, 2), append(f.Cohort, first, first)
		f.Y = append(f.Y, level, level+shock+gain/2+0.1*s.Normal())
		for range 20 {
			people.Unit = append(people.Unit, fmt.Sprint(len(people.Unit)))
			people.Y, people.Treated = append(people.Y, shock+gain+s.Normal()), append(people.Treated, treated)
			place = append(place, name)
		}
	}
	gt, err := panel.GroupTime{Method: panel.Regression, Workers: 1}.Fit(t.Context(), f)
	require.NoError(t, err)
	few, err := gt.Infer(t.Context(), panel.Simple, panel.FewOptions{Method: panel.FewCR2, Level: 0.95, Workers: 1})
	require.NoError(t, err)
	res, err := effect.Difference{Vcov: "hc1"}.Fit(t.Context(), people)
	require.NoError(t, err)
	column, err := table.New(table.NewText(table.Field{Name: "municipality"}, place, nil))
	require.NoError(t, err)
	rows := make([]int, len(place))
	for i := range rows {
		rows[i] = i
	}
	st := &state{spec: &Spec{Level: 0.95, Analyses: []Analysis{{Name: "people", Effect: &Effect{Cohort: "c"}}, {Name: "places", DID: &DID{}}}}, policy: (&Spec{}).Disclosure.Policy(),
		cohorts: map[string]*built{"c": {table: column}}}
	on := release.Basis{Treated: 400, Control: 400, DF: math.Inf(1)}
	st.results = []analysisResult{
		{spec: &st.spec.Analyses[0], numbers: []found{{term: "att", e: res.Estimates[0], basis: on}}, fitted: &fitted{people, res, rows}},
		{spec: &st.spec.Analyses[1], numbers: []found{{term: "overall", e: few.Terms[len(few.Terms)-1].Estimate, basis: on}}, own: &panelFit{f, gt}},
	}
	q.Individual, q.Municipal, q.TakeUp = "people", "places", 0.5
	q.defaults(st.spec, nil)
	r, err := st.reconcile(&Analysis{Name: "levels", Reconcile: &q})
	require.NoError(t, err)
	return r
}

// 400 times: the difference is 0. The sum of both errors covers it nearly always, since what
// moves a municipality moves its people; joined by municipality they cover it in .95.
func TestJointErrorsCover(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	const reps = 400 * sim.Factor
	var joint, sum [reps]bool
	num.ForEach(reps, 2, func(i int) {
		covers := func(q Reconcile) bool {
			ci := bothLevels(t, uint64(i)+1, q).numbers[0].e.CI
			return ci.Lo <= 0 && ci.Hi >= 0
		}
		joint[i] = covers(Reconcile{Place: "municipality"})
		if i < reps/4 {
			sum[i] = covers(Reconcile{})
		}
	})
	share := func(v []bool) float64 {
		n := 0.0
		for _, x := range v {
			n += indicator(x)
		}
		return n / float64(len(v))
	}
	j, a := share(joint[:]), share(sum[:reps/4])
	t.Logf("joint %.3f, sum %.3f", j, a)
	require.InDelta(t, 0.95, j, sim.Band(reps), "joint")
	require.GreaterOrEqual(t, a, 0.98, "sum")
}

// The result says which errors it has; what cannot be joined is added, and that is said.
func TestJointErrorsSayWhatTheyAre(t *testing.T) {
	r := bothLevels(t, 3, Reconcile{Place: "municipality"})
	require.Equal(t, "reconcile-joint", r.numbers[0].e.CI.Method)
	_, words, _ := (&Reconcile{}).words(nil, &r)
	require.Equal(t, "reconcile-joint", words)
	require.Equal(t, "reconcile-joint", r.notes[len(r.notes)-1].Code)
	any := bothLevels(t, 3, Reconcile{})
	require.Less(t, r.numbers[0].e.SE, any.numbers[0].e.SE)
	require.Equal(t, any.numbers[0].e.Value, r.numbers[0].e.Value)
	r = reconciled(t, Reconcile{TakeUp: 0.05, Place: "municipality"}, nil) // keeps no influence
	ofPlaces := func(n found) bool {
		return slices.ContainsFunc(n.notes, func(n table.Note) bool { return n.Code == "counts-of-municipalities" })
	}
	for i, places := range []bool{true, false, true, false, true} { // difference, implied, municipal, individual, needed
		require.Equal(t, places, ofPlaces(r.numbers[i]), r.numbers[i].term)
	}
	require.Equal(t, "reconcile-any", r.numbers[0].e.CI.Method)
	require.Equal(t, []string{"reconcile-joint-missing", "reconcile-reasons", "reconcile-any"}, []string{r.notes[0].Code, r.notes[1].Code, r.notes[2].Code})
	for term, kind := range map[string]panel.Aggregation{"overall": panel.Simple, "dynamic:overall": panel.Dynamic, "event=-2": panel.Dynamic, "group=2004": panel.Group, "time=2004": panel.Calendar, "group=2004,time=2006": "none"} {
		require.Equal(t, kind, termKind(term), term)
	}
}

const jointStudy = `utfall: 1
name: levels
seed: 3
data:
  people: {kind: flat, path: people.csv, columns: [{name: id, type: integer, role: unit, required: true}, {name: t, type: integer}, {name: m, type: text}, {name: other, type: text}, {name: y, type: number}]}
  places: {kind: flat, path: places.csv, columns: [{name: m, type: text, role: unit, required: true}, {name: year, type: integer, role: time, required: true}, {name: first, type: integer}, {name: y, type: number}]}
cohorts:
  - {name: c, base: people, id: id, treatment: t}
analyses:
  - {name: people, effect: {cohort: c, outcome: y}}
  - {name: places, did: {data: places, unit: m, time: year, cohort: first, outcome: y}}
  - {name: levels, reconcile: {individual: people, municipal: places, term: "dynamic:overall", take_up: 0.5, place: m}}
`

// reconcileKeys are the keys of the joint error.
var reconcileKeys = []keyCase{
	{"analyses.reconcile.place", "place: m}", "place: other}", ""}, {"analyses.reconcile.place", ", place: m", "", ""}, {"analyses.reconcile.place", "place: m}", "place: nothing}", "nothing"},
	{"analyses.reconcile.errors", "place: m}", "place: m, errors: any}", "go together"}, {"analyses.reconcile.errors", "place: m}", "errors: joint}", "go together"},
}

func TestJointErrorKeys(t *testing.T) {
	dir := t.TempDir()
	var people, places strings.Builder
	people.WriteString("id,t,m,other,y\n")
	places.WriteString("m,year,first,y\n")
	for g := range 30 {
		s := num.NewStream(8, "joint-study", uint64(g))
		shock, treated, first := s.Normal(), 0, 0
		if g%2 == 0 {
			treated, first = 1, 2002
		}
		for year := 2000; year < 2004; year++ {
			y := s.Normal() / 4
			if year >= 2002 {
				y += shock
			}
			fmt.Fprintf(&places, "m%d,%d,%d,%g\n", g, year, first, y)
		}
		for i := range 12 {
			fmt.Fprintf(&people, "%d,%d,m%d,m%d,%g\n", 12*g+i+1, treated, g, (7*g+i)%30, shock+s.Normal())
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "people.csv"), []byte(people.String()), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "places.csv"), []byte(places.String()), 0o600))
	tryKeys(t, dir, jointStudy, reconcileKeys)
}
