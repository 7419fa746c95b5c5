package progress

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/estimate/combine"
	"utfall/estimate/sensitivity"
	"utfall/estimate/survive"
	"utfall/internal/num"
	"utfall/internal/sim"
)

// The designs D1 to D17 and where they are tested: METHODS.md, Known-truth designs. Here are those that belong to no method alone.

func truthReps() int {
	if testing.Short() {
		return 50
	}
	return 200 * sim.Factor
}

// d4 is design D4: 600 people of a first score below −.5, and the mean of those.
func d4(rep int) (p *Persons, change []float64, before float64) {
	const n, cut, noise = 600, -.5, .7
	p = &Persons{Level: .95}
	for i := 0; len(change) < n; i++ {
		st := num.NewStream(4, "d4", uint64(rep)<<32|uint64(i))
		trait := st.Normal()
		first, second := trait+noise*st.Normal(), trait+noise*st.Normal()
		if first >= cut {
			continue
		}
		p.Unit, p.Treated = append(p.Unit, fmt.Sprintf("p%06d", i)), append(p.Treated, st.Bernoulli(.5))
		change, before = append(change, second-first), before+first/n
	}
	return p, change, before
}

// D4: people are picked for a low score of reliability 1/1.49 = .671; nothing has any effect. The group improves by .43 all the same,
// which is what [RegressionToMean] says; against comparison people picked alike the net share improved is 0 with its coverage.
func TestD4RegressionToTheMean(t *testing.T) {
	reps := truthReps()
	var gain, expected, covered, within float64
	for rep := range reps {
		p, change, before := d4(rep)
		r, err := BeyondChange{SDC: 1}.Fit(t.Context(), p, change)
		require.NoError(t, err)
		if ci := r.Estimates[0].CI; ci.Lo <= 0 && ci.Hi >= 0 {
			covered += 1 / float64(reps)
		}
		for _, e := range r.Estimates[1:] {
			if e.Term == "group=1" && e.Measure == NetImproved && e.CI.Lo > 0 {
				within += 1 / float64(reps)
			}
		}
		gain += num.Sum(change) / float64(len(change)*reps)
		expected += RegressionToMean(1/1.49, 0, before) / float64(reps)
	}
	t.Logf("gain without any effect %.3f, expected %.3f; coverage of the difference %.3f; 'improvement' within participants %.2f", gain, expected, covered, within)
	require.InDelta(t, .432, gain, .01)
	require.InDelta(t, expected, gain, .01)
	require.InDelta(t, .95, covered, 3.09*math.Sqrt(.95*.05/float64(reps)))
	require.Greater(t, within, .95, "without a comparison everybody seems to improve")
}

// d9 is design D9: who is missing, and by how much they differ in each arm from those who are not.
func d9(rep, n int) (f *estimate.Frame, missing []bool, delta [2]float64) {
	f = &estimate.Frame{Level: .95}
	var sum, count [2][2]float64 // by missing, arm
	for i := range n {
		st := num.NewStream(9, "d9", uint64(rep)<<32|uint64(i))
		w := float64(i % 2)
		y := .3*w + st.Normal()
		gone := st.Bernoulli(logistic(-1.5 - .8*y + .5*w))
		k := 0
		if gone {
			k = 1
		}
		sum[k][i%2] += y
		count[k][i%2]++
		f.Unit, f.Y, f.Treated, missing = append(f.Unit, fmt.Sprintf("p%06d", i)), append(f.Y, y), append(f.Treated, w == 1), append(missing, gone)
	}
	for a := range 2 {
		delta[a] = sum[1][a]/count[1][a] - sum[0][a]/count[0][a]
	}
	return f, missing, delta
}

// D9: who answers hangs on the answer: P(missing) = logit(−1.5 − .8y + .5W), effect .30. Those who answer give .34 or so; the shifts of
// those who do not, if they were known (about −.7), give the truth.
func TestD9NotAtRandom(t *testing.T) {
	const n = 4000
	reps := truthReps() / 2
	var known, shifted, shift [2]float64
	for rep := range reps {
		f, missing, delta := d9(rep, n)
		r, err := sensitivity.Tipping{Missing: missing}.Fit(t.Context(), f)
		require.NoError(t, err)
		value := map[string]float64{}
		for _, e := range r.Estimates {
			value[e.Term] = e.Value
		}
		for a := range 2 {
			shift[a] += delta[a] / float64(reps)
		}
		v := value["known"] + value["arm=treated"]*delta[1] - value["arm=control"]*delta[0]
		for k, x := range [2]float64{value["known"], value["known"] * value["known"]} {
			known[k] += x / float64(reps)
		}
		for k, x := range [2]float64{v, v * v} {
			shifted[k] += x / float64(reps)
		}
	}
	sd := math.Sqrt((shifted[1] - shifted[0]*shifted[0]) / float64(reps))
	t.Logf("answers only %.3f; shifted by %.2f and %.2f: %.3f", known[0], shift[1], shift[0], shifted[0])
	require.InDelta(t, .30, shifted[0], 3.5*sd)
	require.Greater(t, known[0], .30+2*sd, "answers alone are too good")
	require.InDelta(t, -.7, shift[0], .12)
}

// d15 is design D15: 80 associations and their true effects.
func d15(rep int) (*combine.Effects, []float64) {
	const k = 80
	f, truth := &combine.Effects{Level: .95}, make([]float64, k)
	for i := range k {
		st := num.NewStream(15, "d15", uint64(rep)<<32|uint64(i))
		truth[i] = .1 + .15*st.Normal()
		se := .12 + .23*st.Float()
		f.Unit, f.Y, f.Variance = append(f.Unit, fmt.Sprintf("f%02d", i)), append(f.Y, truth[i]+se*st.Normal()), append(f.Variance, se*se)
	}
	return f, truth
}

// D15: 80 associations whose effects are N(.1, .15²), known with errors of .12 to .35. The best of the raw numbers is overstated by .5 and more,
// the best of the shrunken ones by about nothing; of the raw first eight a third truly are. So there is no league table.
func TestD15Associations(t *testing.T) {
	reps := truthReps()
	var raw, shrunk, right float64
	for rep := range reps {
		f, truth := d15(rep)
		r, err := combine.Meta{}.Fit(t.Context(), f)
		require.NoError(t, err)
		better := make([]float64, len(truth))
		for _, e := range r.Estimates {
			for i, u := range f.Unit {
				if e.Term == "unit="+u {
					better[i] = e.Value
				}
			}
		}
		first := func(v []float64) []int {
			order := make([]int, len(truth))
			for i := range order {
				order[i] = i
			}
			slices.SortFunc(order, func(a, b int) int {
				if v[a] > v[b] {
					return -1
				}
				return 1
			})
			return order
		}
		a, b, c := first(f.Y), first(better), first(truth)
		raw += (f.Y[a[0]] - truth[a[0]]) / float64(reps)
		shrunk += (better[b[0]] - truth[b[0]]) / float64(reps)
		for _, i := range a[:8] {
			if slices.Contains(c[:8], i) {
				right += 1 / float64(8*reps)
			}
		}
	}
	t.Logf("raw best overstated by %.3f, shrunken by %.3f; truly among the first eight %.2f", raw, shrunk, right)
	require.Greater(t, raw, .45)
	require.InDelta(t, 0, shrunk, .03)
	require.InDelta(t, .34, right, .05)
}

// D17: names of states on one step, spells cut at any month, and time before the start that nobody's ladder counts change nothing.
func TestD17Invariance(t *testing.T) {
	s := far(117, 0, 60, d1, nil)
	ladder := Ladder{"0": 0, "1": 1, "2": 2, "3": 3, "4": 3, "5": 5}
	e := NetMonths{Ladder: ladder, Tau: 12, At: []float64{6, 12}}
	base := mustFit(t, e, s)
	renamed := *s
	renamed.States = []string{"0", "1", "2", "4", "3", "5"}
	require.Equal(t, fmt.Sprint(base.Estimates), fmt.Sprint(mustFit(t, e, &renamed).Estimates))

	cut := survive.Spells{States: s.States, ID: s.ID, Group: s.Group, GroupNames: s.GroupNames, Level: s.Level}
	for i := range s.Person {
		st := num.NewStream(17, "cut", uint64(i))
		start := s.Start[i]
		for start < s.Stop[i] {
			stop, to := min(s.Stop[i], start+float64(1+st.Intn(4))), s.From[i]
			if stop == s.Stop[i] {
				to = s.To[i]
			}
			cut.Person, cut.From, cut.To = append(cut.Person, s.Person[i]), append(cut.From, s.From[i]), append(cut.To, to)
			cut.Start, cut.Stop = append(cut.Start, start), append(cut.Stop, stop)
			start = stop
		}
	}
	require.Greater(t, len(cut.Person), len(s.Person))
	require.Equal(t, fmt.Sprint(base.Estimates), fmt.Sprint(mustFit(t, e, &cut).Estimates))

	// Three months on one step for everybody before: no net months in them, and the rest as before.
	later := survive.Spells{States: append(slices.Clone(s.States), "before"), ID: s.ID, Group: s.Group, GroupNames: s.GroupNames, Level: s.Level}
	for i := range s.Person {
		if s.Start[i] == 0 {
			later.Person, later.From, later.To = append(later.Person, s.Person[i]), append(later.From, 6), append(later.To, s.From[i])
			later.Start, later.Stop = append(later.Start, 0), append(later.Stop, 3)
		}
		later.Person, later.From, later.To = append(later.Person, s.Person[i]), append(later.From, s.From[i]), append(later.To, s.To[i])
		later.Start, later.Stop = append(later.Start, s.Start[i]+3), append(later.Stop, s.Stop[i]+3)
	}
	shifted := Ladder{"before": 0}
	for k, v := range ladder {
		shifted[k] = v
	}
	r := mustFit(t, NetMonths{Ladder: shifted, Tau: 15, At: []float64{9, 15}}, &later)
	for k, x := range base.Estimates {
		require.InDelta(t, x.Value, r.Estimates[k].Value, 1e-12)
		require.InDelta(t, x.SE, r.Estimates[k].SE, 1e-12)
	}
}
