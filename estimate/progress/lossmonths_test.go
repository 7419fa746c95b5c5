package progress

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/num"
	"utfall/internal/sim"
)

// A is lost after two months with the social office, where B stays and C does not: B counts double in month 2, where A, B and C are
// three people again. Months 2 + (1 + 1 + 2) + 3 = 9, changes 2 (B) + 1 (C) = 3: 3/(9/12) = 4 a year. Without weights 2/(8/12) = 3.
func TestReweighedBouncingByHand(t *testing.T) {
	m := inMonths("ss", "ssf", "sff")
	for weighed, want := range map[bool]float64{false: 3, true: 4} {
		r, err := Bouncing{Authority: offices, MinPerArm: 1, ReweighLoss: weighed}.Fit(t.Context(), m)
		require.NoError(t, err)
		require.InDelta(t, want, find(t, r, "authority-changes,overall").Value, 1e-14)
		require.Equal(t, []float64{2}, r.Details["events"].(map[string][]float64)["authority-changes"], "counts are of people")
		require.Equal(t, []float64{8}, r.Details["months"])
	}
}

// A run of two months, known a month after it began. B is lost in s after month 1, where A and C stay: they count 3/2 from month 2 on, D
// counts 1. A's run begins in month 2, with A, C and D at risk: (3/2)/(3/2 + 3/2 + 1) = .375, which is 1.5 of the 4 people; without weights 1/3.
func TestReweighedStableExitByHand(t *testing.T) {
	m := manyMonths(10, "ssww", "ss", "ssss", "ffff")
	for weighed, want := range map[bool]float64{false: 1.0 / 3, true: .375} {
		r, err := StableExit{Authority: offices, Run: 2, At: []float64{1, 2}, ReweighLoss: weighed}.Fit(t.Context(), m)
		require.NoError(t, err)
		require.Zero(t, find(t, r, "time=1,cause=stable").Value)
		require.InDelta(t, want, find(t, r, "time=2,cause=stable").Value, 1e-14)
		n, _ := r.Influence.Dims()
		require.Equal(t, []int{40, 40}, []int{n, r.N.Units})
		require.Equal(t, 40, r.Details["counts"].([]survive.CauseCount)[0].Units)
	}
}

// B is lost in w after month 2, where A, C, D and E are in w, too: they count 5/4 in month 3. A month after the exit A, B and C (in month 2)
// count 1 and D and E (in month 3) 5/4: E is back, (5/4)/(11/2) = 5/22. Two months after it A and C count 5/4, A is back:
// 5/22 + 17/22/2 = 27/44. Without weights 1/5 + 4/5/2 = .6.
func TestReweighedReturnByHand(t *testing.T) {
	m := manyMonths(10, "swws", "sww", "swww", "sswn", "sfws")
	for weighed, want := range map[bool][2]float64{false: {.2, .6}, true: {5.0 / 22, 27.0 / 44}} {
		r, err := Return{Authority: offices, At: []float64{1, 2}, ReweighLoss: weighed}.Fit(t.Context(), m)
		require.NoError(t, err)
		require.InDelta(t, want[0], find(t, r, "time=1,cause=return").Value, 1e-14)
		require.InDelta(t, want[1], find(t, r, "time=2,cause=return").Value, 1e-14)
	}
}

func manyMonths(n int, rows ...string) *Months {
	var all []string
	for range n {
		all = append(all, rows...)
	}
	return inMonths(all...)
}

// Of B, C and D, all in s when A was lost there, B is lost next, in s, where C still is: C counts 4/3·2, D, elsewhere by then, 4/3. They
// are the four.
func TestLossWeightsByHand(t *testing.T) {
	w, lost, err := inMonths("s", "ss", "sss", "sfs").LossWeights()
	require.NoError(t, err)
	require.Equal(t, 2, lost)
	require.InDeltaSlice(t, []float64{0, 0, 8.0 / 3, 4.0 / 3}, w, 1e-14)
	_, _, err = (&Months{}).LossWeights()
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
}

// The weights are those of survive.ReweighLoss, with moves on whole months and losses half a month after the last one.
func TestMonthWeightsAreThoseOfSpells(t *testing.T) {
	m := randomMonths(21, 400, 24)
	m.Weight = estimate.Weights{Kind: estimate.Matching}
	sp := &survive.Spells{States: m.States, GroupNames: []string{"0", "1"}, Level: .95, Weight: estimate.Weights{Kind: estimate.Matching}}
	var order []int32
	for _, i := range byUnit(m.Unit) {
		order = append(order, int32(i))
	}
	for i, u := range m.Unit {
		m.Weight.Values = append(m.Weight.Values, 1+float64(i%3))
		sp.ID, sp.Group, sp.Weight.Values = append(sp.ID, u), append(sp.Group, m.group(i)), append(sp.Weight.Values, m.Weight.Values[i])
		code := m.seen(i)
		for k := 0; k < len(code); {
			from := k
			for k < len(code) && code[k] == code[from] {
				k++
			}
			to, stop := survive.Censored, float64(k)-.5
			if k < len(code) {
				to, stop = int(code[k]), float64(k)
			}
			sp.Person, sp.From, sp.To = append(sp.Person, i), append(sp.From, int(code[from])), append(sp.To, to)
			sp.Start, sp.Stop = append(sp.Start, float64(from)), append(sp.Stop, stop)
		}
	}
	w := m.lossWeights(order)
	r, err := survive.ReweighLoss(sp)
	require.NoError(t, err)
	require.InDelta(t, r.Largest, w.largest, 1e-12)
	compared := 0
	for q, piece := range r.Spells.Person {
		i := r.Owner[piece]
		for k := int(math.Ceil(r.Spells.Start[q])); float64(k) < r.Spells.Stop[q]; k++ {
			require.InDelta(t, r.Spells.Weight.Values[piece]/m.Weight.Values[i], w.of(i)[k], 1e-12)
			compared++
		}
	}
	require.Greater(t, compared, 5000)
}

// Where nobody is lost the weights change nothing, the errors of incidences only by the G/(G − 1) of people as clusters; the order of
// people and the workers change no byte.
func TestReweighedMonthsRelations(t *testing.T) {
	whole := inMonths(d12Rows(3, 300)...)
	fits := func(m *Months, weighed bool, workers int) []*estimate.Result {
		var out []*estimate.Result
		for _, fit := range []func() (*estimate.Result, error){
			func() (*estimate.Result, error) {
				return Bouncing{Authority: offices, ReweighLoss: weighed, Workers: workers}.Fit(t.Context(), m)
			},
			func() (*estimate.Result, error) {
				return StableExit{Authority: offices, Benefit: 1, At: []float64{12, 20}, ReweighLoss: weighed, Workers: workers}.Fit(t.Context(), m)
			},
			func() (*estimate.Result, error) {
				return Return{Authority: offices, At: []float64{6}, ReweighLoss: weighed, Workers: workers}.Fit(t.Context(), m)
			},
		} {
			r, err := fit()
			require.NoError(t, err)
			out = append(out, r)
		}
		return out
	}
	plain, weighed := fits(whole, false, 1), fits(whole, true, 1)
	for k := range plain {
		for j, e := range plain[k].Estimates {
			x := weighed[k].Estimates[j]
			require.Equal(t, e.Term, x.Term)
			require.InDelta(t, e.Value, x.Value, 1e-12)
			if e.SE > 0 {
				require.InEpsilon(t, e.SE, x.SE, .003, e.Term)
			}
		}
		require.NotContains(t, noteCodes(plain[k].Notes), "loss-reweighed")
		require.Contains(t, noteCodes(weighed[k].Notes), "loss-reweighed")
	}
	m := randomMonths(5, 300, 40)
	order := make([]int, len(m.Unit))
	for i := range order {
		order[i] = (i * 7) % len(order)
	}
	a, b := fits(m, true, 1), fits(m.take(order), true, 4)
	for k := range a {
		require.Equal(t, fmt.Sprint(a[k].Estimates), fmt.Sprint(b[k].Estimates))
	}
}

// leaving draws the months of people who move between authorities and work, and loses them by the state that they are in: those with
// the employment office, who move most, are lost often, those at work seldom.
func leaving(seed uint64, rep, n, length int, loss bool) *Months {
	const social, insurance, employment, work, dead = 0, 1, 2, 4, 5
	gone := [6]float64{social: .01, insurance: .02, employment: .09, work: .003}
	m := &Months{States: []string{"s", "f", "e", "n", "w", "x"}, Length: length, Code: make([]int8, 0, n*length)}
	m.Level = .95
	for i := range n {
		m.Unit, m.Treated = append(m.Unit, fmt.Sprintf("p%04d", i)), append(m.Treated, i%2 == 0)
		st, ends := num.NewStream(seed, "leaving", uint64(rep*n+i)), num.NewStream(seed, "leaving/loss", uint64(rep*n+i))
		state, lost := st.Intn(3), false
		for range length {
			if lost {
				m.Code = append(m.Code, -1)
				continue
			}
			m.Code = append(m.Code, int8(state))
			lost = loss && ends.Bernoulli(gone[state])
			move := .08
			if state == employment {
				move = .45
			}
			switch u := st.Float(); {
			case state == dead || u > .998:
				state = dead
			case state == work && u < .03:
				state = st.Intn(3)
			case state == employment && u < .10, state < employment && u < .02:
				state = work
			case state != work && u < .02+move:
				state = st.Intn(3)
			}
		}
	}
	return m
}

// Loss that depends on the state: without weights the rate of changes and the share who support themselves are biased; with weights
// they are those of everybody followed to the end, and the intervals hold.
func TestReweighedMonthsSimulation(t *testing.T) {
	if testing.Short() {
		t.Skip("simulation")
	}
	reps := 400 * sim.Factor
	const n, length = 400, 26
	terms := []string{"authority-changes,group=1", "time=18,cause=stable,group=1", "time=9,cause=return,group=1"}
	type draw [3][3]estimate.Estimate // whole, plain, weighed
	draws := make([]draw, reps)
	num.ForEach(reps, 0, func(r int) {
		for k := range 3 {
			m := leaving(78, r, n, length, k > 0)
			b, err := Bouncing{Authority: offices, ReweighLoss: k == 2, Workers: 1}.Fit(t.Context(), m)
			if err == nil {
				draws[r][k][0] = find(t, b, terms[0])
				b, err = StableExit{Authority: offices, Run: 6, Benefit: 1, At: []float64{18}, ReweighLoss: k == 2, Workers: 1}.Fit(t.Context(), m)
			}
			if err == nil {
				draws[r][k][1] = find(t, b, terms[1])
				b, err = Return{Authority: offices, At: []float64{9}, ReweighLoss: k == 2, Workers: 1}.Fit(t.Context(), m)
			}
			if err == nil {
				draws[r][k][2] = find(t, b, terms[2])
			} else {
				t.Error(err)
			}
		}
	})
	require.False(t, t.Failed())
	for q, name := range terms {
		R := float64(reps)
		var truth, plain, weighed, square, se, covered, apart float64
		for _, d := range draws {
			truth, plain, weighed, square, se = truth+d[0][q].Value/R, plain+d[1][q].Value/R, weighed+d[2][q].Value/R, square+d[2][q].Value*d[2][q].Value/R, se+d[2][q].SE/R
			apart += (d[1][q].Value - d[0][q].Value) * (d[1][q].Value - d[0][q].Value) / R
		}
		for _, d := range draws {
			if d[2][q].CI.Lo <= truth && truth <= d[2][q].CI.Hi {
				covered += 1 / R
			}
		}
		sd := math.Sqrt(square - weighed*weighed)
		t.Logf("%s: whole %.4f, plain %.4f, weighed %.4f, SD %.4f, mean SE %.4f", name, truth, plain, weighed, sd, se)
		sim.Share(t, "loss by state: "+name, covered, reps)
		if q < 2 { // who comes back is lost as others are: nothing is biased
			require.Greater(t, math.Abs(plain-truth), 5*math.Sqrt((apart-(plain-truth)*(plain-truth))/R), name)
		}
		require.InDelta(t, truth, weighed, 4*sd/math.Sqrt(R), name) // the truth has an error of its own
		require.InDelta(t, 1, se/sd, .13, name)
		require.InDelta(t, .95, covered, sim.Band(reps), name)
	}
}
