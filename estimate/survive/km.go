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

// KaplanMeier estimates the survival function S(t) = P(T > t) of each group:
//
//	S(t) = Π_{t_k ≤ t} (1 − d_k/Y_k)
//
// with d_k the weight of events at t_k and Y_k the weight at risk just before it.
// Events come before censorings at the same time. The standard error is of S(t):
// Greenwood's, or from the influence function with sampling or matching weights or
// clusters (METHODS.md; factor G/(G−1) with clusters, none without).
//
// Estimates: term time=T[,group=G], measure survival, group by group, times ascending
// as asked. Details: quantiles ([]Quantile), counts ([]RiskCount), vcov.
//
// Errors: those of [Times.Check]; [estimate.ErrWeights] for frequency weights with
// clusters; [estimate.ErrTooFew] for a group without rows of weight above 0, or one cluster.
//
// Source: Kaplan and Meier 1958; Greenwood 1926; Brookmeyer and Crowley 1982.
type KaplanMeier struct {
	Conf    string    // scale of the intervals: "log" (also ""), "plain" or "loglog"
	At      []float64 // times to report, ≥ 0, no duplicates; nil reports every event time of each group
	Workers int       // goroutines; 0 means all cores. Never changes a result
}

// A Quantile is a row of details.quantiles: the time by which the share Q has had the event.
// A bound or value that is not reached is nil.
type Quantile struct {
	Group string   `json:"group,omitempty"`
	Q     float64  `json:"q"`
	Value *float64 `json:"value"`
	Lo    *float64 `json:"conf_low"`
	Hi    *float64 `json:"conf_high"`
}

// A RiskCount is a row of details.counts. AtRisk counts those at risk just before the
// time, Events and Censored those since the time reported before it (that time left out, this one included).
type RiskCount struct {
	Group    string  `json:"group,omitempty"`
	Time     float64 `json:"time"`
	AtRisk   int     `json:"at_risk"`
	Weight   float64 `json:"at_risk_weight"`
	Events   int     `json:"events"`
	Censored int     `json:"censored"`
}

// influenceLimit is the number of cells up to which the influence matrix is stored.
const influenceLimit = 1 << 25

// Fit estimates from times, which it does not change.
func (e KaplanMeier) Fit(ctx context.Context, f *Times) (*estimate.Result, error) {
	res, err := e.fit(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("kaplan-meier: %w", err)
	}
	return res, nil
}

func (e KaplanMeier) fit(ctx context.Context, f *Times) (*estimate.Result, error) {
	switch e.Conf {
	case "", "log", "plain", "loglog":
	default:
		return nil, fmt.Errorf("unknown interval scale %q: log, plain or loglog", e.Conf)
	}
	if err := checkTimes(e.At); err != nil {
		return nil, err
	}
	if err := f.Check(); err != nil {
		return nil, err
	}
	if f.Weight.Kind == estimate.Frequency && f.Cluster != nil {
		return nil, fmt.Errorf("%w: frequency weights with clusters; write one unit a row", estimate.ErrWeights)
	}
	curves, err := f.curves(e.Workers)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	res := &estimate.Result{
		Method: "kaplan-meier", InfluenceUnit: f.Unit,
		Fit: estimate.Convergence{Converged: true}, Notes: weightNote(f.Weight),
	}
	k := kmFit{KaplanMeier: e, f: f, curves: curves, res: res, z: num.StudentQuantile(f.Level, math.Inf(1))}
	k.estimates()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := k.influence(); err != nil {
		return nil, err
	}
	return res, nil
}

type kmFit struct {
	KaplanMeier
	f      *Times
	curves []*kmCurve
	res    *estimate.Result
	steps  [][]int // by group and reported time: the number of event times up to it
	z      float64 // half-width factor of the intervals
}

func (k *kmFit) estimates() {
	res := k.res
	var counts []RiskCount
	var quantiles []Quantile
	clusters := 0
	zero := 0
	for _, c := range k.curves {
		at := k.At
		if at == nil {
			at = c.time
		}
		at = append([]float64(nil), at...)
		sort.Float64s(at)
		steps := make([]int, len(at))
		events, left := 0, 0
		for a, t := range at {
			s := sort.Search(len(c.time), func(i int) bool { return c.time[i] > t })
			steps[a] = s
			n, w := c.atRisk(t)
			row := RiskCount{Group: c.group, Time: t, AtRisk: n, Weight: w, Events: c.eventsTo(s) - events, Censored: c.censoredTo(t) - left}
			events, left = events+row.Events, left+row.Censored
			counts = append(counts, row)
			term := "time=" + FormatTime(t)
			if c.group != "" {
				term += ",group=" + c.group
			}
			surv, se := c.surv[s], c.se[s]
			switch {
			case surv == 0:
				zero++
			case t > c.last:
				surv, se = math.NaN(), math.NaN()
				res.Notes = append(res.Notes, table.Note{
					Code: "beyond-follow-up", Text: "Nobody of the group is observed at this time any more, so its number does not exist.",
					Args: map[string]any{"time": t, "group": c.group, "last": c.last},
				})
			}
			res.Estimates = append(res.Estimates, level(term, estimate.Survival, surv, se, k.interval(surv, se)))
		}
		k.steps = append(k.steps, steps)
		quantiles = append(quantiles, k.quantiles(c)...)
		res.N.Units += len(c.rows)
		res.N.Events += c.eventsTo(len(c.time))
		clusters = max(clusters, c.clusters)
		if c.lateAfterZero > 0 {
			res.Notes = append(res.Notes, table.Note{
				Code: "late-entry-zero", Text: "The curve reached 0 while later entrants were still to come: with so few at risk early on, start the clock later.",
				Args: map[string]any{"group": c.group, "entering": c.lateAfterZero},
			})
		}
	}
	if zero > 0 {
		res.Notes = append(res.Notes, table.Note{
			Code: "survival-zero", Text: "Where the curve is 0 a standard error does not exist.", Args: map[string]any{"estimates": zero},
		})
	}
	if dropped := len(k.f.Time) - res.N.Units; dropped > 0 {
		res.Notes = append(res.Notes, table.Note{
			Code: "zero-weight", Text: "Rows with weight 0 take no part.", Args: map[string]any{"rows": dropped},
		})
	}
	vcov := "greenwood"
	if k.f.robust() {
		vcov = vcovName(clusters)
	}
	res.N.Clusters = clusters
	sayFewClusters(res)
	res.Details = map[string]any{"quantiles": quantiles, "counts": counts, "vcov": vcov}
}

// interval is the interval of a survival probability on the chosen scale.
func (k *kmFit) interval(s, se float64) estimate.Interval {
	ci := estimate.Interval{Lo: math.NaN(), Hi: math.NaN(), Level: k.f.Level, Method: k.Conf}
	if k.Conf == "" {
		ci.Method = "log"
	}
	switch u := k.z * se; {
	case math.IsNaN(u):
		ci.Level = 0
	case s == 1:
		ci.Lo, ci.Hi = 1, 1
	case ci.Method == "plain":
		ci.Lo, ci.Hi = max(0, s-u), min(1, s+u)
	case ci.Method == "log":
		ci.Lo, ci.Hi = s*math.Exp(-u/s), min(1, s*math.Exp(u/s))
	default:
		x := u / (s * math.Log(s))
		ci.Lo, ci.Hi = math.Pow(s, math.Exp(-x)), math.Pow(s, math.Exp(x))
	}
	return ci
}

// quantiles inverts the curve and its band at the quartiles.
func (k *kmFit) quantiles(c *kmCurve) []Quantile {
	lo, hi := make([]float64, len(c.surv)), make([]float64, len(c.surv))
	num.ForChunks(len(c.surv), k.Workers, func(_, from, to int) {
		for s := from; s < to; s++ {
			ci := k.interval(c.surv[s], c.se[s])
			lo[s], hi[s] = ci.Lo, ci.Hi
		}
	})
	var out []Quantile
	for _, q := range []float64{0.25, 0.5, 0.75} {
		out = append(out, Quantile{Group: c.group, Q: q, Value: c.invert(c.surv, q), Lo: c.invert(lo, q), Hi: c.invert(hi, q)})
	}
	return out
}

// invert returns the first time at which a decreasing step function is 1−q or less; the
// midpoint of the stretch on which it equals 1−q. Steps without a value are passed over.
func (c *kmCurve) invert(y []float64, q float64) *float64 {
	const tol = 1e-9 // equality of a product of fractions with 1−q
	for s := range y {
		if math.IsNaN(y[s]) || y[s] > 1-q+tol {
			continue
		}
		t := c.stepTime(s)
		if y[s] >= 1-q-tol {
			end := c.last
			for r := s + 1; r < len(y); r++ {
				if !math.IsNaN(y[r]) && y[r] < 1-q-tol {
					end = c.stepTime(r)
					break
				}
			}
			t = (t + end) / 2
		}
		return &t
	}
	return nil
}

// influence stores the influence matrix and covariance where they are not too large.
func (k *kmFit) influence() error {
	res, n, m := k.res, len(k.f.Time), len(k.res.Estimates)
	if m == 0 {
		res.Notes = append(res.Notes, table.Note{Code: "no-events", Text: "There is no event, so there is no time to report; ask for times with at."})
		return nil
	}
	if n > influenceLimit/m {
		res.InfluenceUnit = nil
		res.Notes = append(res.Notes, table.Note{
			Code: "influence-omitted", Text: "The influence function is left out for this many rows and times; ask for fewer times to get it.",
			Args: map[string]any{"rows": n, "estimates": m},
		})
	} else {
		res.Influence = mat.NewDense(n, m, nil)
		from := 0
		for g, c := range k.curves {
			c.influence(res.Influence, from, k.steps[g], k.Workers)
			from += len(k.steps[g])
		}
	}
	if m > maxCovariance {
		res.Notes = append(res.Notes, covarianceNote(m))
		return nil
	}
	if k.f.robust() {
		if res.Influence == nil {
			return nil
		}
		order, err := idOrder(k.f.Unit)
		if err != nil {
			return err
		}
		res.Cov, _, err = Covariance(res.Influence, active(k.f.Weight.Values, order), k.f.Cluster, k.Workers)
		return err
	}
	res.Cov = mat.NewSymDense(m, nil)
	from := 0
	for g, c := range k.curves {
		for a, s := range k.steps[g] {
			for b, r := range k.steps[g][:a+1] {
				res.Cov.SetSym(from+a, from+b, c.surv[s]*c.surv[r]*c.green[min(s, r)])
			}
		}
		from += len(k.steps[g])
	}
	return nil
}
