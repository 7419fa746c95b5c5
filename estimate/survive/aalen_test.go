package survive

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

func mustFit(t testing.TB, e AalenJohansen, s *Spells) *estimate.Result {
	t.Helper()
	res, err := e.Fit(t.Context(), s)
	require.NoError(t, err)
	return res
}

// four people: 1 A 0–2 → B 2–4; 2 A 0–4; 3 B 0–3 → A 3–4; 4 A 0–2; all then censored.
func four() *Spells {
	return &Spells{
		Person: []int{0, 0, 1, 2, 2, 3}, From: []int{0, 1, 0, 1, 0, 0}, To: []int{1, Censored, Censored, 0, Censored, Censored},
		Start: []float64{0, 2, 0, 0, 3, 0}, Stop: []float64{2, 4, 4, 3, 4, 2},
		States: []string{"A", "B"}, ID: []string{"1", "2", "3", "4"}, Level: 0.95,
	}
}

// By hand. p(0) = (3/4, 1/4). At 2, three at risk in A (4 leaves observation at 2, after
// the move), one moves: p = (1/2, 1/2). At 3, two at risk in B, one moves: p = (3/4, 1/4).
// A component of φ, persons 1, 2 and 4, 3:
//
//	t=0   ±: 1/16, 1/16, −3/16      (B component is the negative throughout)
//	t=2   φ_A·2/3 + (3/4)/3·(e − (2/3, 1/3)):  −1/8, 1/8, −1/8
//	t=3   φ_A + φ_B/2 + (1/2)/2·(e − (1/2, 1/2)) in B:  −3/16, 1/16, 1/16
//
// Mean time in A to 4 is 2·3/4 + 1/2 + 3/4 = 11/4 and 2φ(0) + φ(2) + φ(3) is
// −3/16, 5/16, −7/16.
func TestAalenJohansenByHand(t *testing.T) {
	res := mustFit(t, AalenJohansen{At: []float64{3}, Tau: 4}, four())
	want := []struct {
		term      string
		value, se float64
		inf       []float64
	}{
		{"time=3,state=A", 0.75, math.Sqrt(12) / 16, []float64{-3, 1, 1, 1}},
		{"time=3,state=B", 0.25, math.Sqrt(12) / 16, []float64{3, -1, -1, -1}},
		{"state=A", 2.75, math.Sqrt(108) / 16, []float64{-3, 5, -7, 5}},
		{"state=B", 1.25, math.Sqrt(108) / 16, []float64{3, -5, 7, -5}},
	}
	require.Len(t, res.Estimates, len(want))
	for q, w := range want {
		e := res.Estimates[q]
		require.Equal(t, w.term, e.Term)
		reftest.Agree(t, w.term, e.Value, w.value, 14)
		reftest.Agree(t, w.term+" se", e.SE, w.se, 14)
		for i, x := range w.inf {
			reftest.Near(t, w.term+" influence", res.Influence.At(i, q), x/16, 1e-15)
		}
	}
	// Logit interval of 3/4 by hand: odds 3·e^{±1.959964·se/(3/16)}.
	u := math.Exp(1.959963984540054 * math.Sqrt(12) / 16 / (3.0 / 16))
	reftest.Agree(t, "lo", res.Estimates[0].CI.Lo, 3/u/(1+3/u), 13)
	reftest.Agree(t, "hi", res.Estimates[0].CI.Hi, 3*u/(1+3*u), 13)
	moves := res.Details["transitions"].([]Transition)
	require.Equal(t, []Transition{{From: "A", To: "B", Count: 1, Weight: 1}, {From: "B", To: "A", Count: 1, Weight: 1}}, moves)
}

// history draws spells with late entry, ties, an absorbing state 3, weights and groups.
func history(seed uint64, n int, whole, late, weighted bool) *Spells {
	s := &Spells{States: []string{"a", "b", "c", "d"}, GroupNames: []string{"x", "y"}, Level: 0.95}
	if weighted {
		s.Weight.Kind = estimate.Sampling
	}
	step := func(st *num.Stream) float64 {
		if whole {
			return float64(1 + st.Intn(5))
		}
		return 4 * st.Exp()
	}
	for p := range n {
		st := num.NewStream(seed, "history", uint64(p))
		s.ID = append(s.ID, fmt.Sprintf("id%05d", p))
		s.Group = append(s.Group, st.Intn(2))
		if weighted {
			s.Weight.Values = append(s.Weight.Values, 0.2+2*st.Float())
		}
		now, start := st.Intn(3), 0.0
		if late && st.Bernoulli(0.3) {
			start = step(st)
		}
		end := start + 12 + 3*step(st)
		for {
			stop, to := start+step(st), (now+1+st.Intn(3))%4
			if stop >= end {
				stop, to = end, Censored
			}
			s.Person, s.From, s.To = append(s.Person, p), append(s.From, now), append(s.To, to)
			s.Start, s.Stop = append(s.Start, start), append(s.Stop, stop)
			if to == Censored || to == 3 {
				break
			}
			now, start = to, stop
		}
	}
	return s
}

// forward is the recursion of METHODS.md, person by person, with nothing saved.
func forward(s *Spells, group int, tau float64) (mean []float64, phi map[int][]float64) {
	K := len(s.States)
	w := func(p int) float64 {
		if s.Weight.Values == nil {
			return 1
		}
		return s.Weight.Values[p]
	}
	times := []float64{0}
	first := map[int]int{}
	for r, p := range s.Person {
		if s.Group[p] != group {
			continue
		}
		if f, ok := first[p]; !ok || s.Start[r] < s.Start[f] {
			first[p] = r
		}
		if s.To[r] >= 0 && s.Stop[r] <= tau {
			times = append(times, s.Stop[r])
		}
	}
	slices.Sort(times)
	times = slices.Compact(times)
	p, w0 := make([]float64, K), 0.0
	for i, r := range first {
		if s.Start[r] == 0 {
			p[s.From[r]] += w(i)
			w0 += w(i)
		}
	}
	for j := range p {
		p[j] /= w0
	}
	cur := map[int][]float64{}
	phi, mean = map[int][]float64{}, make([]float64, K)
	for i, r := range first {
		cur[i], phi[i] = make([]float64, K), make([]float64, K)
		if s.Start[r] == 0 {
			for j := range K {
				cur[i][j] = -w(i) * p[j] / w0
			}
			cur[i][s.From[r]] += w(i) / w0
		}
	}
	for k, t := range times {
		if k > 0 {
			y, P := make([]float64, K), make([][]float64, K)
			for h := range P {
				P[h] = make([]float64, K)
			}
			for r, i := range s.Person {
				if s.Group[i] == group && s.Start[r] < t && t <= s.Stop[r] {
					y[s.From[r]] += w(i)
					to := s.From[r]
					if s.Stop[r] == t && s.To[r] >= 0 {
						to = s.To[r]
					}
					P[s.From[r]][to] += w(i)
				}
			}
			for h := range P {
				for j := range K {
					if y[h] > 0 {
						P[h][j] /= y[h]
					} else if h == j {
						P[h][j] = 1
					}
				}
			}
			mul := func(x []float64) []float64 {
				out := make([]float64, K)
				for h := range K {
					for j := range K {
						out[j] += x[h] * P[h][j]
					}
				}
				return out
			}
			for i := range cur {
				cur[i] = mul(cur[i])
			}
			for r, i := range s.Person {
				if h := s.From[r]; s.Group[i] == group && s.Start[r] < t && t <= s.Stop[r] {
					to := h
					if s.Stop[r] == t && s.To[r] >= 0 {
						to = s.To[r]
					}
					for j := range K {
						cur[i][j] -= w(i) * p[h] / y[h] * P[h][j]
					}
					cur[i][to] += w(i) * p[h] / y[h]
				}
			}
			p = mul(p)
		}
		d := tau - t
		if k+1 < len(times) {
			d = times[k+1] - t
		}
		for j := range K {
			mean[j] += d * p[j]
			for i := range cur {
				phi[i][j] += d * cur[i][j]
			}
		}
	}
	return mean, phi
}

// The backward sweep gives what the plain forward recursion gives, also with late entry and weights.
func TestInfluenceIsTheForwardRecursion(t *testing.T) {
	for seed := range uint64(8) {
		s := history(seed, 60, seed%2 == 0, seed%4 >= 2, seed >= 4)
		const tau = 11.5
		res := mustFit(t, AalenJohansen{Tau: tau}, s)
		for g := range 2 {
			mean, phi := forward(s, g, tau)
			for j := range s.States {
				q := g*len(s.States) + j
				reftest.Near(t, "mean time", res.Estimates[q].Value, mean[j], 1e-12)
				for i := range s.ID {
					want := 0.0
					if s.Group[i] == g {
						want = phi[i][j]
					}
					reftest.Near(t, "influence", res.Influence.At(i, q), want, 1e-13)
				}
			}
		}
	}
}

// In blocks of one functional the sweep gives the same bytes.
func TestInfluencesInBlocks(t *testing.T) {
	s := history(3, 80, false, true, true)
	o, err := Occupy(s, 11)
	require.NoError(t, err)
	cost := func(k, from, to int, c []float64) {
		for q := from; q < to; q++ {
			c[q%4*(to-from)+q-from] += o[0].Duration(k, float64(3+q))
		}
	}
	whole := o[0].Influences(8, 2, cost)
	parts := make([]float64, len(whole))
	for q := range 8 {
		o[0].sweep(parts, 8, q, q+1, 1, cost)
	}
	require.Equal(t, whole, parts)
}

func TestFollowUpEnds(t *testing.T) {
	s := four()
	_, err := AalenJohansen{Tau: 5}.Fit(t.Context(), s)
	require.ErrorIs(t, err, estimate.ErrNotIdentified)
	require.ErrorContains(t, err, "choose tau of at most 4")
	res := mustFit(t, AalenJohansen{At: []float64{4.5}}, s)
	require.True(t, math.IsNaN(res.Estimates[0].Value) && math.IsNaN(res.Estimates[0].SE))
	require.Equal(t, 2.75, res.Estimates[2].Value)
	require.Equal(t, 4.0, res.Details["tau"])
	require.Contains(t, codes(res), "beyond-follow-up")
	require.Contains(t, codes(res), "tau-default")
	two := four()
	two.Group, two.GroupNames = []int{0, 1, 1, 0}, []string{"x", "y"}
	two.Stop[1], two.Stop[5] = 3.25, 3
	require.Equal(t, 3.25, mustFit(t, AalenJohansen{}, two).Details["tau"])
	two.Group = []int{1, 0, 0, 1}
	require.Equal(t, 3.25, mustFit(t, AalenJohansen{}, two).Details["tau"])
	// When everybody is absorbed nothing is unknown later on.
	d := &Spells{
		Person: []int{0, 1}, From: []int{0, 0}, To: []int{1, 1}, Start: []float64{0, 0}, Stop: []float64{1, 2},
		States: []string{"alive", "dead"}, ID: []string{"1", "2"}, Level: 0.95,
	}
	res = mustFit(t, AalenJohansen{At: []float64{9}, Tau: 10}, d)
	require.Equal(t, 1.0, res.Estimates[1].Value)
	require.Equal(t, 1.5, res.Estimates[2].Value)
	require.Contains(t, codes(res), "boundary")
	require.Zero(t, res.Estimates[1].CI.Level)
	// One state loses its risk set while it holds probability.
	u := four()
	u.Stop[1] = 2.5
	u.Stop[3], u.Start[4] = 2.25, 2.25
	u.To[3] = 0
	require.Contains(t, codes(mustFit(t, AalenJohansen{Tau: 4}, u)), "state-unobserved")
	u = four()
	u.From, u.To = []int{0, 1, 0, 1, 0, 0}, []int{1, Censored, 1, 0, Censored, Censored}
	require.Contains(t, codes(mustFit(t, AalenJohansen{Tau: 4}, u)), "ends-in-transient")
}

// Weights whose sums round: when everybody leaves, nothing is left, exactly.
func TestEverybodyLeavesExactly(t *testing.T) {
	for seed := range uint64(20) {
		s := &Spells{States: []string{"in", "out", "gone"}, Level: 0.95, Weight: estimate.Weights{Kind: estimate.Sampling}}
		f := &Times{Level: 0.95}
		for i := range 40 {
			st := num.NewStream(seed, "leave", uint64(i))
			s.ID, s.Person = append(s.ID, fmt.Sprintf("%02d", i)), append(s.Person, i)
			s.From, s.To = append(s.From, 0), append(s.To, 1+i%2)
			s.Start, s.Stop = append(s.Start, 0), append(s.Stop, float64(1+st.Intn(3)))
			s.Weight.Values = append(s.Weight.Values, st.Exp())
			f.Event = append(f.Event, true)
		}
		require.Zero(t, mustFit(t, AalenJohansen{At: []float64{3}, Tau: 4}, s).Estimates[0].Value)
		f.Unit, f.Time, f.Weight = slices.Clone(s.ID), slices.Clone(s.Stop), s.Weight
		for i := range 10 { // who enter later keep the sums from starting at 3
			f.Unit, f.Event = append(f.Unit, "x"+s.ID[i]), append(f.Event, true)
			f.Time, f.Weight.Values = append(f.Time, float64(7+i%3)), append(f.Weight.Values, s.Weight.Values[i])
		}
		f.Entry = append(make([]float64, 40), 4, 5, 4, 5, 6, 4, 4, 6, 4, 5)
		require.Zero(t, mustKM(t, KaplanMeier{At: []float64{3}}, f).Estimates[0].Value)
	}
}
