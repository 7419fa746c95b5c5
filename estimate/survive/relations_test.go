package survive

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// What must not matter does not change a byte: workers, row order, person order, splits of spells.
func TestNothingThatCarriesNoInformationMatters(t *testing.T) {
	for seed := range uint64(4) {
		s := history(10+seed, 70, seed%2 == 0, true, seed >= 2)
		e := AalenJohansen{At: []float64{0, 5, 10}, Tau: 11, Workers: 1}
		base := mustFit(t, e, s)
		e.Workers = 8
		many := mustFit(t, e, s)
		require.Equal(t, base.Influence, many.Influence)
		require.Equal(t, base.Cov, many.Cov)
		st := num.NewStream(seed, "shuffle", 0)
		rows, people := permutation(st, len(s.Person)), permutation(st, len(s.ID))
		x := &Spells{States: s.States, GroupNames: s.GroupNames, Level: s.Level, Weight: estimate.Weights{Kind: s.Weight.Kind}}
		place := make([]int, len(people))
		for i, p := range people {
			place[p] = i
			x.ID, x.Group = append(x.ID, s.ID[p]), append(x.Group, s.Group[p])
			if s.Weight.Values != nil {
				x.Weight.Values = append(x.Weight.Values, s.Weight.Values[p])
			}
		}
		for _, r := range rows {
			cuts := []float64{s.Start[r], s.Stop[r]}
			if st.Bernoulli(0.5) {
				cuts = []float64{s.Start[r], s.Start[r] + (s.Stop[r]-s.Start[r])*0.4, s.Stop[r]}
			}
			for k := 1; k < len(cuts); k++ {
				to := s.From[r]
				if k == len(cuts)-1 {
					to = s.To[r]
				}
				x.Person, x.From, x.To = append(x.Person, place[s.Person[r]]), append(x.From, s.From[r]), append(x.To, to)
				x.Start, x.Stop = append(x.Start, cuts[k-1]), append(x.Stop, cuts[k])
			}
		}
		other := mustFit(t, e, x)
		for q, est := range base.Estimates {
			o := other.Estimates[q]
			require.Equal(t, est.Term, o.Term)
			require.Equal(t, math.Float64bits(est.Value), math.Float64bits(o.Value), est.Term)
			require.Equal(t, math.Float64bits(est.SE), math.Float64bits(o.SE), est.Term)
			for i, p := range people {
				require.Equal(t, base.Influence.At(p, q), other.Influence.At(i, q))
			}
		}
		require.Equal(t, base.Details, other.Details)
	}
}

func permutation(st *num.Stream, n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	for i := n - 1; i > 0; i-- {
		j := st.Intn(i + 1)
		p[i], p[j] = p[j], p[i]
	}
	return p
}

func TestInvariants(t *testing.T) {
	for seed := range uint64(6) {
		s := history(20+seed, 90, seed%2 == 0, seed%3 == 0, seed >= 3)
		res := mustFit(t, AalenJohansen{At: []float64{2, 7}, Tau: 11}, s)
		K := len(s.States)
		for g := range 2 {
			for a, total := range []float64{1, 1, 11} {
				var v float64
				for j := range K {
					v += res.Estimates[g*3*K+a*K+j].Value
				}
				reftest.Agree(t, "sum over states", v, total, 13)
			}
		}
		for q := range res.Estimates {
			var sum, sq float64
			for i := range s.ID {
				sum += res.Influence.At(i, q)
				sq += res.Influence.At(i, q) * res.Influence.At(i, q)
			}
			reftest.Near(t, "influence adds up to 0", sum, 0, 1e-12)
			reftest.Agree(t, "se is the root of its squares", res.Estimates[q].SE, math.Sqrt(sq), 12)
			reftest.Agree(t, "covariance", res.Cov.At(q, q), sq, 12)
		}
		// Contrast: difference of the groups, errors of independent groups.
		for q := range 3 * K {
			x, y, d := res.Estimates[q], res.Estimates[3*K+q], res.Estimates[6*K+q]
			reftest.Near(t, "contrast", d.Value, y.Value-x.Value, 1e-14)
			reftest.Agree(t, "contrast se", d.SE, math.Hypot(x.SE, y.SE), 12)
			for i := range s.ID {
				require.Equal(t, res.Influence.At(i, 3*K+q)-res.Influence.At(i, q), res.Influence.At(i, 6*K+q))
			}
		}
		require.Equal(t, "time=2,state=a,contrast=y-x", res.Estimates[6*K].Term)
		require.Equal(t, estimate.RiskDifference, res.Estimates[6*K].Measure)
		require.Equal(t, RestrictedMeanTimeDifference, res.Estimates[8*K].Measure)
	}
}

// Options must matter, and scales must not: weights ×7; a shift of the horizon; a cluster of two.
func TestWeightsAndClusters(t *testing.T) {
	s := history(31, 80, true, false, true)
	base := mustFit(t, AalenJohansen{Tau: 11}, s)
	scaled := *s
	scaled.Weight = estimate.Weights{Kind: estimate.Matching}
	for _, w := range s.Weight.Values {
		scaled.Weight.Values = append(scaled.Weight.Values, 7*w)
	}
	for q, e := range mustFit(t, AalenJohansen{Tau: 11}, &scaled).Estimates {
		reftest.Agree(t, e.Term, e.Value, base.Estimates[q].Value, 12)
		reftest.Agree(t, e.Term, e.SE, base.Estimates[q].SE, 11)
	}
	plain := *s
	plain.Weight = estimate.Weights{}
	require.NotEqual(t, base.Estimates[0].Value, mustFit(t, AalenJohansen{Tau: 11}, &plain).Estimates[0].Value)
	clustered := *s
	for i := range s.ID {
		clustered.Cluster = append(clustered.Cluster, i/2)
	}
	res := mustFit(t, AalenJohansen{Tau: 11}, &clustered)
	require.Equal(t, 40, res.N.Clusters)
	for q, e := range res.Estimates {
		var v float64
		for c := range 40 {
			x := base.Influence.At(2*c, q) + base.Influence.At(2*c+1, q)
			v += x * x
		}
		reftest.Agree(t, e.Term+" clustered", e.SE, math.Sqrt(v*40/39), 12)
	}
	// A person of weight 0 is not there.
	zero := *s
	zero.Weight.Values = append([]float64(nil), s.Weight.Values...)
	zero.Weight.Values[5] = 0
	res = mustFit(t, AalenJohansen{Tau: 11}, &zero)
	require.Equal(t, 79, res.N.Units)
	require.Contains(t, codes(res), "zero-weight")
	require.Contains(t, codes(res), "weights-fixed")
	require.Zero(t, res.Influence.At(5, 0))
}

func codes(res *estimate.Result) (c []string) {
	for _, n := range res.Notes {
		c = append(c, n.Code)
	}
	return c
}

// With one way out the probability of the first state is Kaplan–Meier's, and so is its error.
func TestOneWayOutIsKaplanMeier(t *testing.T) {
	f := kmTimes(300, true)
	s := &Spells{States: []string{"in", "out"}, ID: f.Unit, Level: 0.95, Stop: f.Time, Start: make([]float64, 300)}
	for i, e := range f.Event {
		s.Person, s.From, s.To = append(s.Person, i), append(s.From, 0), append(s.To, Censored)
		if e {
			s.To[i] = 1
		}
	}
	at := []float64{1, 6, 20, 45}
	aj := mustFit(t, AalenJohansen{At: at, Tau: 45}, s)
	km, err := KaplanMeier{At: at}.Fit(t.Context(), f)
	require.NoError(t, err)
	for a := range at {
		reftest.Agree(t, "value", aj.Estimates[2*a].Value, km.Estimates[a].Value, 13)
		reftest.Agree(t, "greenwood", aj.Estimates[2*a].SE, km.Estimates[a].SE, 12)
		for i := range f.Unit {
			reftest.Near(t, "influence", aj.Influence.At(i, 2*a), km.Influence.At(i, a), 1e-15)
		}
	}
}

// Details and notes are ready for JSON, also where numbers do not exist.
func TestDetailsAreJSON(t *testing.T) {
	f := six()
	f.Event[5] = false
	for _, res := range []*estimate.Result{
		mustFit(t, AalenJohansen{At: []float64{4.5}}, four()),
		mustKM(t, KaplanMeier{At: []float64{0, 7}}, f),
		mustKM(t, KaplanMeier{}, six()),
	} {
		_, err := json.Marshal([]any{res.Details, res.Notes})
		require.NoError(t, err)
	}
}
