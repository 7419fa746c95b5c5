package survive

import (
	"context"
	"fmt"
	"math"
	"sort"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// Competing are times to the first of several kinds of event, one row a unit. Event of
// the times is nil: Cause says whether there was one.
type Competing struct {
	Stratified
	Cause      []int // n: index into CauseNames, or [Censored]
	CauseNames []string
}

// Check reports the first breach of the contract, as [Times.Check] does.
func (f *Competing) Check() error {
	_, err := f.times()
	return err
}

// times are the times to an event of any cause.
func (f *Competing) times() (*Stratified, error) {
	n := len(f.Time)
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", estimate.ErrInvalidFrame, fmt.Sprintf(format, a...))
	}
	switch {
	case f.Event != nil:
		return nil, bad("both events and causes are given; the cause says whether there was an event")
	case len(f.Cause) != n:
		return nil, bad("%d causes for %d times", len(f.Cause), n)
	case len(f.CauseNames) == 0:
		return nil, fmt.Errorf("%w: no event of any cause", estimate.ErrTooFew)
	}
	if err := distinct("cause", f.CauseNames); err != nil {
		return nil, bad("%v", err)
	}
	t := f.Stratified
	t.Event = make([]bool, n)
	for i, c := range f.Cause {
		if c != Censored && (c < 0 || c >= len(f.CauseNames)) {
			return nil, bad("cause number of row %d is not the number of a cause", i+1)
		}
		t.Event[i] = c != Censored
	}
	return &t, t.Check()
}

// CumulativeIncidence estimates the probability of an event of each cause by a time, in
// each group, where the other causes preclude it (Aalen and Johansen):
//
//	F_c(t) = Σ_{t_k ≤ t} S(t_k−)·d_ck/Y_k
//
// with d_ck the weight of events of cause c at t_k, Y_k the weight at risk just before it
// and S Kaplan–Meier's curve of events of any cause. The standard error is from the
// influence function (METHODS.md; factor G/(G−1) with clusters, none without), the
// interval is on the logit scale.
//
// Estimates: term time=T,cause=C[,group=G], measure cumulative-incidence; group by group,
// times ascending, causes as named. Details: counts ([]CauseCount), vcov. Strata are not used: an error.
//
// Errors: those of [Competing.Check]; [estimate.ErrWeights] for frequency weights with
// clusters; [estimate.ErrTooFew] for a group without rows of weight above 0, or one cluster.
//
// Source: Aalen and Johansen 1978; Kalbfleisch and Prentice 1980.
type CumulativeIncidence struct {
	At      []float64 // times to report, ≥ 0, no duplicates; nil reports every event time of each group
	Workers int       // goroutines; 0 means all cores. Never changes a result
}

// A CauseCount is a row of details.counts: units with an event of the cause.
type CauseCount struct {
	Group  string `json:"group,omitempty"`
	Cause  string `json:"cause"`
	Units  int    `json:"units"` // of the group
	Events int    `json:"events"`
}

// Fit estimates from competing events, which it does not change.
func (e CumulativeIncidence) Fit(ctx context.Context, f *Competing) (*estimate.Result, error) {
	res, err := e.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("cumulative incidence: %w", err)
	}
	return res, nil
}

func (e CumulativeIncidence) fit(ctx context.Context, f *Competing) (*estimate.Result, error) {
	if err := checkTimes(e.At); err != nil {
		return nil, err
	}
	times, err := f.times()
	if err != nil {
		return nil, err
	}
	switch {
	case f.Stratum != nil:
		return nil, fmt.Errorf("%w: strata have no part in cumulative incidences; make groups of them", estimate.ErrInvalidFrame)
	case f.Weight.Kind == estimate.Frequency && f.Cluster != nil:
		return nil, fmt.Errorf("%w: frequency weights with clusters; write one unit a row", estimate.ErrWeights)
	}
	curves, err := times.curves(e.Workers)
	if err != nil {
		return nil, err
	}
	order, err := idOrder(f.Unit)
	if err != nil {
		return nil, err
	}
	x := cifFit{CumulativeIncidence: e, f: f, order: active(f.Weight.Values, order), res: &estimate.Result{
		Method: "cif", InfluenceUnit: f.Unit, Fit: estimate.Convergence{Converged: true}, Notes: weightNote(f.Weight),
	}}
	var counts []CauseCount
	for _, c := range curves {
		g := newCIF(c, f)
		x.add(g)
		for j, name := range f.CauseNames {
			counts = append(counts, CauseCount{Group: c.group, Cause: name, Units: len(c.rows), Events: g.events[j]})
		}
		x.res.N.Units += len(c.rows)
		x.res.N.Events += c.eventsTo(len(c.time))
	}
	if err := x.errors(ctx); err != nil {
		return nil, err
	}
	sayFewClusters(x.res)
	x.res.Details = map[string]any{"counts": counts, "vcov": vcovName(x.res.N.Clusters)}
	if dropped := len(f.Time) - x.res.N.Units; dropped > 0 {
		x.res.Notes = append(x.res.Notes, table.Note{
			Code: "zero-weight", Text: "Rows with weight 0 take no part.", Args: map[string]any{"rows": dropped},
		})
	}
	return x.res, nil
}

// cif is the estimate of one group: values at 0 (index 0) and from each event time on.
type cif struct {
	c      *kmCurve
	f      *Competing
	rate   [][]float64 // by cause and step: d_ck/Y_k
	all    []float64   // by step: d_k/Y_k
	scale  []float64   // by step: S(t_k−)/Y_k
	value  [][]float64 // by cause and step: F_c
	events []int       // by cause
}

func newCIF(c *kmCurve, f *Competing) *cif {
	m, C := len(c.time)+1, len(f.CauseNames)
	g := &cif{c: c, f: f, all: make([]float64, m), scale: make([]float64, m), events: make([]int, C)}
	for range C {
		g.rate, g.value = append(g.rate, make([]float64, m)), append(g.value, make([]float64, m))
	}
	for _, i := range c.rows {
		if j := f.Cause[i]; j != Censored {
			g.events[j]++
			g.rate[j][c.place[c.rank[i]].step] += f.weight(i)
		}
	}
	for r := range c.distinct {
		p := &c.place[r]
		if p.event == 0 {
			continue
		}
		s, y := p.step, p.risk
		if p.event == p.number {
			y = p.die
		}
		g.scale[s] = c.surv[s-1] / y
		g.all[s] = p.die / y
		for j := range C {
			g.rate[j][s] /= y
			g.value[j][s] = g.value[j][s-1] + float64(c.surv[s-1]*g.rate[j][s])
		}
	}
	return g
}

// cifColumn is one reported number.
type cifColumn struct {
	g           *cif
	cause, step int
	skip        bool // the number does not exist
}

type cifFit struct {
	CumulativeIncidence
	f       *Competing
	order   []int32
	res     *estimate.Result
	columns []cifColumn
}

// add appends the numbers of a group, without their errors.
func (x *cifFit) add(g *cif) {
	at := x.At
	if at == nil {
		at = g.c.time
	}
	at = append([]float64(nil), at...)
	sort.Float64s(at)
	for _, t := range at {
		s := sort.Search(len(g.c.time), func(i int) bool { return g.c.time[i] > t })
		beyond := t > g.c.last && g.c.surv[s] > 0
		if beyond {
			x.res.Notes = append(x.res.Notes, table.Note{
				Code: "beyond-follow-up", Text: "Nobody of the group is observed at this time any more, so its number does not exist.",
				Args: map[string]any{"time": t, "group": g.c.group, "last": g.c.last},
			})
		}
		for j, name := range x.f.CauseNames {
			term := "time=" + FormatTime(t) + ",cause=" + name
			if g.c.group != "" {
				term += ",group=" + g.c.group
			}
			v := g.value[j][s]
			if beyond {
				v = math.NaN()
			}
			x.columns = append(x.columns, cifColumn{g: g, cause: j, step: s, skip: beyond})
			x.res.Estimates = append(x.res.Estimates, estimate.Estimate{Term: term, Measure: CumulativeIncidenceMeasure, Value: v})
		}
	}
}

// errors fills in standard errors, block of columns by block, so that many times cost no more memory than a few.
func (x *cifFit) errors(ctx context.Context) error {
	res, n, m := x.res, len(x.f.Time), len(x.columns)
	if m == 0 {
		res.Notes = append(res.Notes, table.Note{Code: "no-events", Text: "There is no event, so there is no time to report; ask for times with at."})
		return nil
	}
	block := min(m, max(1, influenceLimit/n))
	boundary := 0
	for from := 0; from < m; from += block {
		if err := ctx.Err(); err != nil {
			return err
		}
		to := min(from+block, m)
		inf := mat.NewDense(n, to-from, nil)
		for q := from; q < to; q++ {
			x.columns[q].influence(inf, q-from, x.Workers)
		}
		v, clusters, err := variances(inf, x.order, x.f.Cluster, x.Workers)
		if err != nil {
			return err
		}
		res.N.Clusters = clusters
		for q := from; q < to; q++ {
			e := &res.Estimates[q]
			se := math.Sqrt(v[q-from])
			if x.columns[q].skip {
				se = math.NaN()
			}
			if se == 0 {
				boundary++
			}
			*e = level(e.Term, e.Measure, e.Value, se, Logit(e.Value, se, x.f.Level))
		}
		switch {
		case block < m:
			res.InfluenceUnit = nil
		case m <= maxCovariance:
			if res.Cov, _, err = Covariance(inf, x.order, x.f.Cluster, x.Workers); err != nil {
				return err
			}
			fallthrough
		default:
			res.Influence = inf
		}
	}
	if block < m {
		res.Notes = append(res.Notes, table.Note{
			Code: "influence-omitted", Text: "The influence function is left out for this many rows and times; ask for fewer times to get it.",
			Args: map[string]any{"rows": n, "estimates": m},
		})
	}
	if res.Cov == nil {
		res.Notes = append(res.Notes, covarianceNote(m))
	}
	if boundary > 0 {
		res.Notes = append(res.Notes, table.Note{
			Code: "boundary", Text: "Some estimates are exactly on the boundary of what is possible, or constant; their standard error is 0 and says nothing.",
			Args: map[string]any{"estimates": boundary, "of": m},
		})
	}
	return nil
}

// influence writes one column. Backward over the steps, v is the probability of the cause
// by the reported time for somebody who has had no event yet; an event of the cause then
// adds scale·(1−v), another scale·(0−v), and being at risk takes their expectation away.
func (q cifColumn) influence(dst *mat.Dense, col, workers int) {
	g, c, f := q.g, q.g.c, q.g.c.f
	gain, drift := make([]float64, q.step+1), make([]float64, q.step+1)
	v := 0.0
	for s := q.step; s > 0; s-- {
		gain[s] = -g.scale[s] * v
		drift[s] = g.scale[s] * (g.rate[q.cause][s] - float64(g.all[s]*v))
		v = float64(v*(1-g.all[s])) + g.rate[q.cause][s]
	}
	for s := 1; s <= q.step; s++ {
		drift[s] += drift[s-1]
	}
	num.ForChunks(len(c.rows), workers, func(_, lo, hi int) {
		for _, i := range c.rows[lo:hi] {
			own, in := int(c.place[c.rank[i]].step), 0
			if f.Entry != nil {
				in = int(c.place[c.rank[len(f.Time)+int(i)]].step)
			}
			w := f.weight(i)
			if f.Weight.Kind == estimate.Frequency {
				w = math.Sqrt(w)
			}
			x := drift[min(in, q.step)] - drift[min(own, q.step)]
			if f.Event[i] && own <= q.step {
				x += gain[own]
				if g.f.Cause[i] == q.cause {
					x += g.scale[own]
				}
			}
			dst.Set(int(i), col, w*x)
		}
	})
}
