package survive

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// AalenJohansen estimates, for each group of people followed through states, the
// probability p_j(t) of being in each state at given times and the restricted mean
// time m_j(τ) = ∫_0^τ p_j(t)dt in each state:
//
//	p(t) = p(0)·Π_{t_k ≤ t} (I + dA(t_k)),  dA_hj(t_k) = moves h→j at t_k / at risk in h
//
// with the weights of the persons in both counts, and standard errors from the
// influence function (METHODS.md; no finite-sample factor without clusters, G/(G−1)
// with). The Markov property is not needed. Intervals: logit for probabilities, normal
// for times and contrasts; score intervals (Wilson; Newcombe's hybrid for contrasts) where a share of a group is
// less than five errors from 0 or 1.
//
// Estimates, in this order, group by group: term time=T,state=S[,group=G] with measure
// occupation-probability for each time and state; state=S[,group=G] with measure
// restricted-mean-time. With two groups A and B (in the order of GroupNames) then
// time=T,state=S,contrast=B-A with measure risk-difference and state=S,contrast=B-A with
// measure restricted-mean-time-difference.
//
// Details: states, tau, transitions ([]Transition), curve ([]Curve), vcov.
//
// Errors: those of [Spells.Check]; [estimate.ErrNotIdentified] if nobody starts at
// 0, or if Tau lies beyond the last observation of a group; [estimate.ErrTooFew].
type AalenJohansen struct {
	At      []float64 // times of the probabilities, ≥ 0, no duplicates; may be empty
	Tau     float64   // horizon of the mean times; 0 takes the longest that all groups allow
	Workers int       // goroutines; 0 means all cores. Never changes a result
}

// A Transition is a row of details.transitions.
type Transition struct {
	Group  string  `json:"group,omitempty"`
	From   string  `json:"from"`
	To     string  `json:"to"`
	Count  int     `json:"count"`
	Weight float64 `json:"weight"`
}

// A Curve is a row of details.curve: the probabilities of the states from each time
// to the next. More than 500 steps are thinned to 500 equal intervals.
type Curve struct {
	Group string      `json:"group,omitempty"`
	Times []float64   `json:"times"`
	P     [][]float64 `json:"probabilities"`
}

// Fit estimates from spells, which it does not change.
func (e AalenJohansen) Fit(ctx context.Context, s *Spells) (*estimate.Result, error) {
	res, err := e.fit(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("state occupation: %w", err)
	}
	return res, nil
}

func (e AalenJohansen) fit(ctx context.Context, s *Spells) (*estimate.Result, error) {
	if err := checkTimes(e.At); err != nil {
		return nil, err
	}
	h, err := s.histories()
	if err != nil {
		return nil, err
	}
	res := &estimate.Result{
		Method: "aalen-johansen", InfluenceUnit: s.ID,
		Fit: estimate.Convergence{Converged: true}, Notes: weightNote(s.Weight),
	}
	tau := e.Tau
	switch {
	case tau == 0:
		tau = s.lastCommon(h)
		res.Notes = append(res.Notes, table.Note{
			Code: "tau-default", Text: "The horizon was not given; the last time at which every group is still observed was taken.",
			Args: map[string]any{"tau": tau},
		})
	case !(tau > 0) || math.IsInf(tau, 1):
		return nil, fmt.Errorf("tau %v must be finite and above 0", tau)
	}
	horizon := tau
	for _, t := range e.At {
		horizon = max(horizon, t)
	}
	groups, err := s.occupy(h, horizon)
	if err != nil {
		return nil, err
	}
	for _, o := range groups {
		if !o.Observed(tau) {
			return nil, fmt.Errorf("%w: nobody%s is observed after time %s, so mean times to tau %s do not exist; choose tau of at most %s",
				estimate.ErrNotIdentified, o.where(), FormatTime(o.Last), FormatTime(tau), FormatTime(o.Last))
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f := ajFit{s: s, h: h, groups: groups, at: e.At, tau: tau, workers: e.Workers, res: res}
	f.influence()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := f.estimates(); err != nil {
		return nil, err
	}
	f.describe()
	return res, nil
}

// lastCommon is the smallest over groups of the last time anybody is observed.
func (s *Spells) lastCommon(h *histories) float64 {
	last := make([]float64, max(1, len(s.GroupNames)))
	for p := range s.ID {
		g := 0
		if s.Group != nil {
			g = s.Group[p]
		}
		if s.Weight.Values == nil || s.Weight.Values[p] > 0 {
			last[g] = max(last[g], h.stop[h.offset[p+1]-1])
		}
	}
	tau := math.Inf(1)
	for _, t := range last {
		if t > 0 { // a group without anybody is refused by name later
			tau = min(tau, t)
		}
	}
	return tau
}

type ajFit struct {
	s       *Spells
	h       *histories
	groups  []*Occupation
	at      []float64
	tau     float64
	workers int
	res     *estimate.Result
}

// perGroup is the number of estimates of a group: states × (times + 1).
func (f *ajFit) perGroup() int { return len(f.s.States) * (len(f.at) + 1) }

// influence fills the matrix: the columns of each group, then those of the contrast.
func (f *ajFit) influence() {
	K, m := len(f.s.States), f.perGroup()
	cols := m * len(f.groups)
	contrast := len(f.groups) == 2
	if contrast {
		cols += m
	}
	f.res.Influence = mat.NewDense(len(f.s.ID), cols, nil)
	for g, o := range f.groups {
		index := make([]int, len(f.at))
		for a, t := range f.at {
			index[a] = o.Index(t)
		}
		inf := o.Influences(m, f.workers, func(k, from, to int, c []float64) {
			for q := from; q < to; q++ {
				a, j := q/K, q%K
				switch {
				case a == len(f.at):
					c[j*(to-from)+q-from] += o.Duration(k, f.tau)
				case index[a] == k:
					c[j*(to-from)+q-from]++
				}
			}
		})
		for a, t := range f.at {
			if !o.Observed(t) {
				for r := range o.Persons {
					for j := range K {
						inf[r*m+a*K+j] = math.NaN()
					}
				}
			}
		}
		num.ForChunks(len(o.Persons), f.workers, func(_, lo, hi int) {
			for r := lo; r < hi; r++ {
				row := f.res.Influence.RawRowView(o.Persons[r])
				copy(row[g*m:], inf[r*m:(r+1)*m])
				if contrast {
					sign := float64(2*g - 1)
					for q := range m {
						row[2*m+q] = sign * inf[r*m+q]
					}
				}
			}
		})
	}
}

func (f *ajFit) estimates() error {
	se, err := f.errors()
	if err != nil {
		return err
	}
	K := len(f.s.States)
	values, persons := make([][]float64, len(f.groups)), make([]float64, len(f.groups))
	// share is the number of a group as a share of all: of the time to the horizon where it is a time.
	share := func(g, q int) (rareShare, float64) {
		span := 1.0
		if q >= len(f.at)*K {
			span = f.tau
		}
		return rareShare{value: values[g][q] / span, se: se[g*f.perGroup()+q] / span, n: persons[g]}, span
	}
	for g, o := range f.groups {
		persons[g] = f.s.effective(o.Persons)
		for a := range len(f.at) + 1 {
			v := o.MeanTime(f.tau)
			if a < len(f.at) {
				v = append([]float64(nil), o.At(f.at[a])...)
				if !o.Observed(f.at[a]) {
					for j := range v {
						v[j] = math.NaN()
					}
				}
			}
			values[g] = append(values[g], v...)
		}
		for q, v := range values[g] {
			term := f.term(q, "group", o.Group)
			sd := se[g*f.perGroup()+q]
			if q < len(f.at)*K {
				f.res.Estimates = append(f.res.Estimates, level(term, estimate.Occupation, v, sd, Logit(v, sd, f.s.Level)))
				continue
			}
			r, span := share(g, q)
			ci := groupScore(estimate.Wald("", "", v, sd, math.Inf(1), f.s.Level).CI, r, span)
			f.res.Estimates = append(f.res.Estimates, level(term, estimate.RestrictedMeanTime, v, sd, ci))
		}
	}
	if len(f.groups) == 2 {
		name := f.groups[1].Group + "-" + f.groups[0].Group
		for q := range f.perGroup() {
			measure := estimate.RiskDifference
			if q >= len(f.at)*K {
				measure = RestrictedMeanTimeDifference
			}
			e := estimate.Wald(f.term(q, "contrast", name), measure, values[1][q]-values[0][q], se[2*f.perGroup()+q], math.Inf(1), f.s.Level)
			a, span := share(0, q)
			b, _ := share(1, q)
			hybridScore(&e, a, b, span)
			f.res.Estimates = append(f.res.Estimates, e)
		}
	}
	return nil
}

// errors sets the covariance and returns the standard errors.
func (f *ajFit) errors() ([]float64, error) {
	_, cols := f.res.Influence.Dims()
	order := f.s.active(f.h.order)
	var variance []float64
	if cols <= maxCovariance {
		cov, groups, err := Covariance(f.res.Influence, order, f.s.Cluster, f.workers)
		if err != nil {
			return nil, err
		}
		f.res.Cov, f.res.N.Clusters = cov, groups
		for a := range cols {
			variance = append(variance, cov.At(a, a))
		}
	} else {
		v, groups, err := variances(f.res.Influence, order, f.s.Cluster, f.workers)
		if err != nil {
			return nil, err
		}
		variance, f.res.N.Clusters = v, groups
		f.res.Notes = append(f.res.Notes, covarianceNote(cols))
	}
	sayFewClusters(f.res)
	for a, v := range variance {
		variance[a] = math.Sqrt(v)
	}
	return variance, nil
}

func covarianceNote(cols int) table.Note {
	return table.Note{
		Code: "covariance-omitted", Text: "The joint covariance is left out for this many estimates; it follows from the influence function.",
		Args: map[string]any{"estimates": cols, "limit": maxCovariance},
	}
}

func (f *ajFit) term(q int, key, name string) string {
	K := len(f.s.States)
	term := "state=" + f.s.States[q%K]
	if a := q / K; a < len(f.at) {
		term = "time=" + FormatTime(f.at[a]) + "," + term
	}
	if name != "" {
		term += "," + key + "=" + name
	}
	return term
}
