package survive

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/num"
)

// fickle draws histories over three states; with memory those who began in a go on to b, and those who began in b to c, wherever they are.
func fickle(seed uint64, n int, memory float64, end float64) *Spells {
	s := &Spells{States: []string{"a", "b", "c"}, Level: 0.95}
	for p := range n {
		st := num.NewStream(seed, "fickle", uint64(p))
		s.ID = append(s.ID, fmt.Sprintf("p%05d", p))
		now, start := st.Intn(2), 0.0
		first := now
		for start < end {
			stop, to := start+math.Ceil(st.Exp()/.25), (now+1+st.Intn(2))%3
			if goal := 1 + first; now != goal && st.Bernoulli(memory) {
				to = goal
			}
			if stop >= end {
				stop, to = end, Censored
			}
			s.Person, s.From, s.To = append(s.Person, p), append(s.From, now), append(s.To, to)
			s.Start, s.Stop = append(s.Start, start), append(s.Stop, stop)
			now, start = to, stop
		}
	}
	return s
}

func term(t *testing.T, r *estimate.Result, name string) estimate.Estimate {
	t.Helper()
	for _, e := range r.Estimates {
		if e.Term == name {
			return e
		}
	}
	t.Fatalf("no term %q", name)
	return estimate.Estimate{}
}

// Nobody is censored before 20: the landmark estimate is the share among those in the state at 8, with the error of a share.
func TestLandmarkWithoutCensoringIsAShare(t *testing.T) {
	s := fickle(1, 200, .5, 20)
	r, err := Landmark{State: "b", Time: 8, At: []float64{15}, Tau: 19}.Fit(t.Context(), s)
	require.NoError(t, err)
	at := func(p int, time float64) int {
		for i := range s.Person {
			if s.Person[i] == p && s.Start[i] <= time && time < s.Stop[i] {
				return s.From[i]
			}
		}
		return -1
	}
	var in, c float64
	for p := range s.ID {
		if at(p, 8) == 1 {
			in++
			if at(p, 15) == 2 {
				c++
			}
		}
	}
	e := term(t, r, "from=b@8,time=15,state=c")
	require.InDelta(t, c/in, e.Value, 1e-12)
	require.InDelta(t, math.Sqrt(e.Value*(1-e.Value)/in), e.SE, 1e-12)
	require.Equal(t, map[string]int{"": int(in)}, r.Details["landmark_persons"])
	n, _ := r.Influence.Dims()
	require.Equal(t, len(s.ID), n)
	for p := range s.ID {
		if at(p, 8) != 1 {
			require.Zero(t, r.Influence.At(p, 0))
		}
	}
	sum := 0.0
	for _, x := range []string{"a", "b", "c"} {
		sum += term(t, r, "from=b@8,state="+x).Value
	}
	require.InDelta(t, 11, sum, 1e-9, "months from 8 to 19")
	require.Equal(t, 19.0, r.Details["tau"])
	require.Equal(t, 8.0, r.Details["curve"].([]Curve)[0].Times[0])
}

func TestLandmarkAtTheStart(t *testing.T) {
	s := fickle(2, 120, 0, 20)
	r, err := Landmark{State: "a", At: []float64{10}, Tau: 12}.Fit(t.Context(), s)
	require.NoError(t, err)
	only := &Spells{States: s.States, Level: s.Level}
	first := map[int]int{}
	for i, p := range s.Person {
		if s.Start[i] == 0 {
			first[p] = s.From[i]
		}
	}
	number := map[int]int{}
	for i, p := range s.Person {
		if first[p] != 0 {
			continue
		}
		if _, ok := number[p]; !ok {
			number[p] = len(only.ID)
			only.ID = append(only.ID, s.ID[p])
		}
		only.Person, only.From, only.To = append(only.Person, number[p]), append(only.From, s.From[i]), append(only.To, s.To[i])
		only.Start, only.Stop = append(only.Start, s.Start[i]), append(only.Stop, s.Stop[i])
	}
	w, err := AalenJohansen{At: []float64{10}, Tau: 12}.Fit(t.Context(), only)
	require.NoError(t, err)
	for k, e := range w.Estimates {
		require.Equal(t, "from=a@0,"+e.Term, r.Estimates[k].Term)
		require.Equal(t, e.Value, r.Estimates[k].Value)
		require.Equal(t, e.CI, r.Estimates[k].CI)
	}
}

func TestLandmarkRefusals(t *testing.T) {
	s := fickle(2, 120, 0, 20)
	for what, e := range map[string]Landmark{
		"state": {State: "x", Time: 3}, "time": {State: "a", Time: -1}, "at": {State: "a", Time: 3, At: []float64{3}}, "tau": {State: "a", Time: 3, Tau: 2},
	} {
		_, err := e.Fit(t.Context(), s)
		require.ErrorIs(t, err, estimate.ErrInvalidFrame, what)
	}
	_, err := Landmark{State: "a", Time: 3, MinPersons: 100}.Fit(t.Context(), s)
	require.ErrorIs(t, err, estimate.ErrTooFew)
	s.GroupNames = []string{"c", "t"}
	for p := range s.ID {
		s.Group = append(s.Group, p%2)
	}
	r, err := Landmark{State: "a", Time: 3, MinPersons: 5, At: []float64{7}}.Fit(t.Context(), s)
	require.NoError(t, err)
	require.Contains(t, codes(r), "landmark-selected")
	term(t, r, "from=a@3,time=7,state=b,contrast=t-c")
}

// One move a → b, ten persons, five of whom were in each state at 1. Moves at 2 (a first-a person), 3 (a first-b person), 4 (a first-a
// person); all ten are in a from 1.5 on. Z = in a at 1: shares 5/10, 4/9, 4/8: U = (1 − ½) + (0 − 4/9) + (1 − ½) = 5/9,
// V = ¼ + 20/81 + ¼ (one move a time: no finite factor).
func TestMarkovScoreByHand(t *testing.T) {
	s := &Spells{States: []string{"a", "b"}, Level: 0.95}
	end := map[int]float64{0: 2, 5: 3, 1: 4}
	for p := range 10 {
		s.ID = append(s.ID, fmt.Sprint("p", p))
		add := func(from, to int, start, stop float64) {
			s.Person, s.From, s.To, s.Start, s.Stop = append(s.Person, p), append(s.From, from), append(s.To, to), append(s.Start, start), append(s.Stop, stop)
		}
		start := 0.0
		if p >= 5 {
			add(1, 0, 0, 1.5)
			start = 1.5
		}
		if stop, moves := end[p]; moves {
			add(0, 1, start, stop)
			add(1, Censored, stop, 9)
		} else {
			add(0, Censored, start, 9)
		}
	}
	r, err := MarkovTest{At: []float64{1}, Draws: 99}.Fit(t.Context(), s)
	require.NoError(t, err)
	cells := r.Details["cells"].([]MarkovCell)
	require.Equal(t, "move=a->b", cells[0].Move)
	require.InDelta(t, 5.0/9/math.Sqrt(.5+20.0/81), cells[0].Z, 1e-12)
	require.InDelta(t, -cells[0].Z, cells[1].Z, 1e-12)
	require.Equal(t, 3, cells[0].Moves)
	require.Equal(t, 5, cells[0].Persons)
	require.InDelta(t, math.Abs(cells[0].Z), term(t, r, "move=a->b").Value, 1e-12)
}

// Without memory about 5 % are rejected, with memory most.
func TestMarkovTestSeesMemory(t *testing.T) {
	reps := 60
	if testing.Short() {
		reps = 25
	}
	rejected := map[float64]int{}
	for _, memory := range []float64{0, .8} {
		for r := range reps {
			s := fickle(uint64(100+r), 150, memory, 24)
			m, err := MarkovTest{At: []float64{4, 8, 12}, Draws: 199, Seed: uint64(r)}.Fit(t.Context(), s)
			require.NoError(t, err)
			if m.Estimates[len(m.Estimates)-1].Test.P <= .05 {
				rejected[memory]++
			}
		}
	}
	t.Logf("rejected of %d: %v", reps, rejected)
	require.LessOrEqual(t, float64(rejected[0])/float64(reps), .05+3*math.Sqrt(.05*.95/float64(reps)))
	require.GreaterOrEqual(t, float64(rejected[.8])/float64(reps), .7)
}

func TestMarkovTestRelationsAndRefusals(t *testing.T) {
	s := fickle(3, 100, .3, 24)
	s.GroupNames = []string{"c", "t"}
	for p := range s.ID {
		s.Group = append(s.Group, p%2)
	}
	e := MarkovTest{At: []float64{4, 8}, Draws: 99, Seed: 5, Workers: 1}
	base, err := e.Fit(t.Context(), s)
	require.NoError(t, err)
	turned := *s
	turned.Person, turned.From, turned.To, turned.Start, turned.Stop = nil, nil, nil, nil, nil
	for i := len(s.Person) - 1; i >= 0; i-- {
		turned.Person, turned.From, turned.To = append(turned.Person, s.Person[i]), append(turned.From, s.From[i]), append(turned.To, s.To[i])
		turned.Start, turned.Stop = append(turned.Start, s.Start[i]), append(turned.Stop, s.Stop[i])
	}
	e.Workers = 8
	again, err := e.Fit(t.Context(), &turned)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(base.Estimates), fmt.Sprint(again.Estimates))
	e.Seed = 6
	other, err := e.Fit(t.Context(), s)
	require.NoError(t, err)
	require.NotEqual(t, fmt.Sprint(base.Estimates), fmt.Sprint(other.Estimates))
	require.Equal(t, base.Estimates[0].Value, other.Estimates[0].Value)
	one := *s
	one.Group, one.GroupNames = nil, nil
	e.Seed = 5
	pooled, err := e.Fit(t.Context(), &one)
	require.NoError(t, err)
	require.NotEqual(t, base.Estimates[0].Value, pooled.Estimates[0].Value, "groups are strata")

	_, err = MarkovTest{}.Fit(t.Context(), s)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	_, err = MarkovTest{At: []float64{4}, Draws: 5}.Fit(t.Context(), s)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
	_, err = MarkovTest{At: []float64{23.5}}.Fit(t.Context(), fickle(3, 6, 0, 24))
	require.ErrorIs(t, err, estimate.ErrTooFew)
	one.Weight = estimate.Weights{Kind: estimate.Matching, Values: make([]float64, len(s.ID))}
	_, err = e.Fit(t.Context(), &one)
	require.ErrorIs(t, err, estimate.ErrWeights)
	one.Weight = estimate.Weights{}
	one.Cluster = make([]int, len(s.ID))
	_, err = e.Fit(t.Context(), &one)
	require.ErrorIs(t, err, estimate.ErrInvalidFrame)
}
