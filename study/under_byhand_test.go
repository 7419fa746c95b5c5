package study

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/cohort"
	"utfall/internal/lang"
	"utfall/study/release"
	"utfall/table"
)

// byHand is a run with one cohort without a design: a letter is a state, a dot a month that nobody saw; each path stands for
// as many people as its number says, and value is the column "score".
type handPath struct {
	treated bool
	people  int
	months  string
	score   float64
}

func byHand(t *testing.T, paths ...handPath) *state {
	t.Helper()
	states := []string{}
	for _, p := range paths {
		for _, c := range p.months {
			if name := string(c); c != '.' && !slices.Contains(states, name) {
				states = append(states, name)
			}
		}
	}
	slices.Sort(states)
	b := &built{spec: &Cohort{Name: "c", ID: cohort.UnitColumn, TimeZero: &TimeZero{}}, paths: &cohort.Paths{States: states, After: len(paths[0].months)}}
	var id []string
	var zero []int64
	var score []float64
	for _, p := range paths {
		for range p.people {
			id = append(id, fmt.Sprintf("p%03d", len(id)))
			zero, score = append(zero, 600), append(score, p.score)
			b.treated = append(b.treated, p.treated)
			for _, c := range p.months {
				b.paths.Code = append(b.paths.Code, int8(slices.Index(states, string(c))))
			}
		}
	}
	var err error
	b.table, err = table.New(table.NewText(table.Field{Name: cohort.UnitColumn}, id, nil), table.NewText(table.Field{Name: cohort.PersonColumn}, id, nil),
		table.NewInteger(table.Field{Name: cohort.ZeroColumn}, zero, nil), table.NewFloat(table.Field{Name: "score"}, score, nil))
	require.NoError(t, err)
	return &state{ctx: t.Context(), spec: &Spec{Level: 0.95, Seed: 1}, o: Options{Workers: 1}, lang: lang.EN, cohorts: map[string]*built{"c": b}}
}

func numberOf(t *testing.T, r analysisResult, address string) found {
	t.Helper()
	for _, n := range r.numbers {
		if n.term+"/"+string(n.e.Measure) == address {
			require.Equal(t, n.term, n.e.Term)
			return n
		}
	}
	t.Fatalf("no number %s", address)
	return found{}
}

// Participants come at 2. Of comparison people a third comes at 1, the others never: the pair is won with 2/3 and lost with 1/3. With
// a threshold of 2 months the third is undecided, and goes to the score, which is higher among comparison people.
func TestPairsByHand(t *testing.T) {
	s := byHand(t, handPath{true, 30, "aawwwwww", 5}, handPath{false, 10, "awwwwwww", 7}, handPath{false, 20, "aaaaaaaa", 0})
	ask := func(threshold float64, better string) analysisResult {
		r, err := s.pairs(&Analysis{Name: "p", Pairs: &Pairs{Cohort: "c", Horizon: 6, Outcomes: []PairOutcome{
			{Name: "w", States: []string{"w"}, Stable: 2, Better: "earlier", Threshold: threshold}, {Name: "score", Outcome: "score", Better: better},
		}}})
		require.NoError(t, err)
		require.Equal(t, "association", r.kind)
		return r
	}
	value := func(r analysisResult, address string) float64 { return numberOf(t, r, address).e.Value }
	r := ask(0, "more")
	require.InDelta(t, 1.0/3, value(r, "overall/net-benefit"), 1e-12)
	require.InDelta(t, 2.0/3, value(r, "overall/win-probability"), 1e-12)
	require.InDelta(t, 2.0/3, value(r, "outcome=w,part=won/share-of-pairs"), 1e-12)
	require.InDelta(t, 0, value(r, "outcome=score,part=lost/share-of-pairs"), 1e-12)
	r = ask(2, "more")
	require.InDelta(t, 1.0/3, value(r, "outcome=w,part=left/share-of-pairs"), 1e-12)
	require.InDelta(t, 1.0/3, value(r, "outcome=score,part=lost/share-of-pairs"), 1e-12)
	require.InDelta(t, 1.0/3, value(r, "overall/net-benefit"), 1e-12)
	require.InDelta(t, 1, value(ask(2, "less"), "overall/net-benefit"), 1e-12)
	// All participants come by 4, which would name them: nothing of these numbers may be shown.
	require.Equal(t, &release.Arms{Treated: 30, Control: 10}, numberOf(t, r, "overall/net-benefit").basis.Events)
	// Too few of a group.
	few := byHand(t, handPath{true, 10, "aawww", 5}, handPath{false, 20, "aaaaa", 0})
	r, err := few.pairs(&Analysis{Pairs: &Pairs{Cohort: "c", Outcomes: []PairOutcome{{Name: "score", Outcome: "score", Better: "more"}}}})
	require.NoError(t, err)
	require.NotNil(t, r.numbers[0].not)
}

// Of 30 participants 2 have any months, of 40 comparison people 20: the shares of pairs would name the 2. Differences too small to
// decide a pair are none; numbers that are all different have nobody few.
func TestPairsThatFewDecideAreWithheld(t *testing.T) {
	ask := func(threshold float64, paths ...handPath) release.Estimate {
		s := byHand(t, paths...)
		r, err := s.pairs(&Analysis{Name: "p", Pairs: &Pairs{Cohort: "c", Outcomes: []PairOutcome{{Name: "score", Outcome: "score", Better: "more", Threshold: threshold}}}})
		require.NoError(t, err)
		n := numberOf(t, r, "outcome=score,part=won/share-of-pairs")
		require.Equal(t, n.basis, numberOf(t, r, "overall/net-benefit").basis)
		out, _ := release.Policy{}.Estimate("p", n.e, n.basis)
		return out
	}
	few := ask(0, handPath{true, 28, "aa", 0}, handPath{true, 1, "aa", 3}, handPath{true, 1, "aa", 5}, handPath{false, 20, "aa", 0}, handPath{false, 20, "aa", 4})
	require.False(t, few.Shown)
	require.Equal(t, release.EventCell, few.Why)
	require.True(t, ask(0, handPath{true, 15, "aa", 0}, handPath{true, 15, "aa", 3}, handPath{false, 20, "aa", 0}, handPath{false, 20, "aa", 4}).Shown)
	near := []handPath{{true, 14, "aa", 0}, {true, 14, "aa", 1}, {true, 2, "aa", 9}, {false, 20, "aa", 0}, {false, 20, "aa", 4}}
	require.True(t, ask(1, near...).Shown)
	require.False(t, ask(2, near...).Shown)
	var apart []handPath
	for i := range 60 {
		apart = append(apart, handPath{i%2 == 0, 1, "aa", float64(i) + 0.5})
	}
	require.True(t, ask(0, apart...).Shown)
}

// Participants come back to b at 1 and 3: 2 times. Of comparison people half die at 1 and half come at 2 and 4: 1 time on average,
// where counting the dead as lost would say 2. Who is not seen at 0 takes no part.
func TestRecurrentByHand(t *testing.T) {
	s := byHand(t, handPath{true, 20, "ababa", 0}, handPath{false, 10, "adddd", 0}, handPath{false, 10, "aabab", 0}, handPath{false, 3, ".....", 0}, handPath{true, 3, "ddddd", 0})
	r, err := s.recurrent(&Analysis{Name: "r", Recurrent: &Recurrent{Cohort: "c", States: []string{"b"}, Terminal: []string{"d"}, At: []int{2, 4}}})
	require.NoError(t, err)
	n := numberOf(t, r, "time=4/mean-cumulative-count-difference")
	require.InDelta(t, 1, n.e.Value, 1e-12)
	require.Equal(t, n, r.numbers[0])
	require.InDelta(t, .5, numberOf(t, r, "time=2,group=control/mean-cumulative-count").e.Value, 1e-12)
	require.InDelta(t, 2, numberOf(t, r, "time=4/mean-cumulative-count-ratio").e.Value, 1e-12)
	require.Equal(t, release.Arms{Treated: 20, Control: 10}, *n.basis.Events) // in months 3 and 4
	require.Equal(t, 20, n.basis.Treated)
	require.True(t, slices.ContainsFunc(r.notes, func(n table.Note) bool { return n.Code == "not-followed" && n.Args["rows"] == 6 }))
	own := r.own.(*timeToCurves)
	require.InDeltaSlice(t, []float64{0, 1, 1, 2, 2}, own.arms[1].value, 1e-12)
	require.InDeltaSlice(t, []float64{0, 0, .5, .5, 1}, own.arms[0].value, 1e-12)
	// Without the terminal state nobody dies out of it: 20 comparison people, 10 of them with 2.
	r, err = s.recurrent(&Analysis{Name: "r", Recurrent: &Recurrent{Cohort: "c", States: []string{"b"}, At: []int{4}}})
	require.NoError(t, err)
	require.InDelta(t, 1, numberOf(t, r, "time=4,group=control/mean-cumulative-count").e.Value, 1e-12)
	require.False(t, math.IsNaN(numberOf(t, r, "treated/log-rate-ratio").e.Value))
}

// In state a in month 1 are 20 of each group; 15 and 5 of them are in w in month 3. Those who are in w without having been in a then
// do not count.
func TestLandmarkByHand(t *testing.T) {
	s := byHand(t, handPath{true, 15, "baaww", 0}, handPath{true, 5, "aaaaa", 0}, handPath{true, 9, "bbbww", 0},
		handPath{false, 5, "aaaww", 0}, handPath{false, 15, "baaab", 0}, handPath{false, 9, "wwwww", 0})
	r, err := s.landmark(&Analysis{Name: "l", Landmark: &Landmark{Cohort: "c", State: "a", Month: 1, To: "w", At: []int{3}, Tau: 4}})
	require.NoError(t, err)
	require.Equal(t, "association", r.kind)
	n := r.numbers[0]
	require.Equal(t, "time=3", n.term)
	require.InDelta(t, .5, n.e.Value, 1e-12)
	require.Equal(t, release.Arms{Treated: 15, Control: 5}, *n.basis.Events)
	require.Equal(t, 20, n.basis.Treated)
	require.Equal(t, release.Arms{Treated: 29, Control: 29}, n.basis.Cohort)
	require.InDelta(t, .75, numberOf(t, r, "time=3,group=treated/occupation-probability").e.Value, 1e-12)
	require.InDelta(t, .75-.25, numberOf(t, r, "months/restricted-mean-time-difference").e.Value, 1e-12) // from 3 to 4
	// Fewer than 15 in the state.
	r, err = s.landmark(&Analysis{Name: "l", Landmark: &Landmark{Cohort: "c", State: "b", Month: 1, To: "w", At: []int{3}, Tau: 4, Markov: []int{1}, Draws: 99}})
	require.NoError(t, err)
	require.NotNil(t, r.numbers[0].not)
	require.Len(t, r.numbers, 3)
	// The test sees one row of each person.
	b := s.cohorts["c"]
	sp, err := s.cohortSpells(b, &States{})
	require.NoError(t, err)
	person := make([]string, len(sp.ID))
	for i := range person {
		person[i] = fmt.Sprint(i / 2)
	}
	own, out := oneRowEach(sp, 1, person, 3)
	require.Equal(t, 14, out) // 29 rows of 15 people
	require.Len(t, own.ID, 15)
	require.NoError(t, own.Check())
}

// ab against aa: everybody of a group alike, so that all distance goes with the group; a change more, and all of the entropy.
func TestSequencesByHand(t *testing.T) {
	s := byHand(t, handPath{true, 20, "abb", 0}, handPath{false, 20, "aaa", 0}, handPath{false, 2, "aa.", 0})
	b := s.cohorts["c"]
	b.cluster = identity(42)
	ask := func(q Sequences) analysisResult {
		q.Cohort, q.Distance = "c", or(q.Distance, "hamming")
		r, err := s.sequences(&Analysis{Name: "s", Sequences: &q})
		require.NoError(t, err)
		require.Equal(t, "description", r.kind)
		return r
	}
	r := ask(Sequences{To: 2, Permutations: 199, People: 100})
	n := r.numbers[0]
	require.Equal(t, 1.0, n.e.Value)
	require.Equal(t, 1.0/200, n.e.Test.P)
	require.Equal(t, release.Arms{Treated: 20, Control: 22}, n.basis.Cohort)
	require.InDelta(t, 1, numberOf(t, r, "changes/mean-difference").e.Value, 1e-12)
	h := (math.Log(3) - 2*math.Log(2)/3) / math.Log(2)
	require.InDelta(t, h, numberOf(t, r, "entropy/mean-difference").e.Value, 1e-12)
	few, _ := s.policy.Mean("", h, 20)
	two, _ := few.Value.Float()
	require.NotEqual(t, h, two)
	require.Equal(t, two, numberOf(t, r, "entropy,group=treated/mean").e.Value, "the mean of a group is shown like all of them")
	require.Equal(t, 0.0, numberOf(t, r, "complexity,group=control/mean").e.Value)
	require.True(t, slices.ContainsFunc(r.notes, func(n table.Note) bool { return n.Code == "not-seen-throughout" && n.Args["rows"] == 2 }))
	// Everybody in one state all the time: nothing to tell groups apart by, and each measure is what it is.
	r = ask(Sequences{To: 2, Permutations: 199, People: 100, Merge: map[string]string{"b": "a"}})
	require.NotNil(t, numberOf(t, r, "discrepancy/"+string(discrepancyR2)).not)
	for _, name := range sequenceMeasures() {
		require.InDelta(t, 0, numberOf(t, r, name+"/mean-difference").e.Value, 1e-12, name)
		require.Nil(t, numberOf(t, r, name+"/mean-difference").not, name)
	}
	// Two rows of one person: no labels to exchange.
	b.cluster[1] = 0
	r = ask(Sequences{To: 2, Permutations: 199, People: 100})
	require.True(t, math.IsNaN(r.numbers[0].e.Test.P))
	require.Equal(t, "no-permutation", r.numbers[0].notes[0].Code)
	// Sets of one of each: within them the labels turn, so that 2 of 2 ^ 20 draws are as large.
	b.whole, b.set = true, make([]int, 42)
	for i := range b.set {
		b.set[i] = i % 20
	}
	b.set[40], b.set[41] = 20, 21
	r = ask(Sequences{To: 2, Permutations: 199, People: 100})
	require.Equal(t, 1.0/200, r.numbers[0].e.Test.P)
	// A sample takes whole sets.
	d, err := s.sequenceMonths(b, &Sequences{To: 2})
	require.NoError(t, err)
	chosen := s.sequenceSample(b, d, 11, 5)
	require.Len(t, chosen, 10)
	in := map[int]int{}
	for _, k := range chosen {
		in[b.set[d.rows[k]]]++
	}
	for _, n := range in {
		require.Equal(t, 2, n)
	}
	// Weights that differ.
	b.weight = make([]float64, 42)
	for i := range b.weight {
		b.weight[i] = 1 + float64(i%2)
	}
	require.NotNil(t, ask(Sequences{To: 2, Permutations: 99, People: 100}).numbers[0].not)
}

// All 20 who begin in a come to b at 1 and to w at 3, but 10 of them are lost in a; 20 are in b throughout. Of those seen in b a third
// goes on; of all it is half: those who stay in a count for those who were lost in it.
func TestLossIsReweighedByHand(t *testing.T) {
	s := byHand(t, handPath{true, 10, "abbww", 0}, handPath{true, 10, "a....", 0}, handPath{true, 20, "bbbbb", 0}, handPath{false, 20, "bbbbb", 0})
	for reweigh, want := range map[bool]float64{false: 1.0 / 3, true: .5} {
		st := &States{Cohort: "c", At: []float64{3}, Tau: 4, Ladder: map[string]int{"a": 1, "b": 1, "w": 2}, ReweighLoss: reweigh}
		r, err := s.states(&Analysis{Name: "s", States: st})
		require.NoError(t, err)
		n := numberOf(t, r, "time=3,state=w,group=treated/occupation-probability")
		require.InDelta(t, want, n.e.Value, 1e-12)
		require.InDelta(t, want, numberOf(t, r, "net-months/net-months").e.Value, 1e-12) // from 3 to 4
		require.InDelta(t, want, r.states.occ[1].P[3][slices.Index(r.states.states, "w")], 1e-12)
		require.Equal(t, 30, r.states.occ[1].AtRisk[3]) // people, not pieces of their histories
		require.Equal(t, reweigh, slices.ContainsFunc(r.notes, func(n table.Note) bool { return n.Code == "loss-reweighed" && n.Args["persons"] == 10 }))
	}
}

// Where no analysis of states says it, the headlines say on which step 100 people of each group are.
func TestDestinationsOfTheHeadlines(t *testing.T) {
	s := byHand(t, handPath{true, 30, "aaw", 0}, handPath{true, 10, "aaa", 0}, handPath{false, 20, "aaw", 0}, handPath{false, 20, "aaa", 0})
	s.policy = release.Policy{MinCount: 10, RoundTo: 5}
	s.ladders = map[string]*Ladder{"l": {Steps: map[string]int{"a": 1, "w": 3}, Labels: map[int]Text{3: {"en": "Work"}}}}
	p := &Analysis{Name: "p", Progress: &Headlines{Cohort: "c", Ladder: "l", Tau: 2}}
	st := &Analysis{Name: "s", States: &States{Cohort: "c", At: []float64{1}}}
	s.results = []analysisResult{{spec: p}}
	out := s.destinations(func([]release.Withheld) {})
	require.Len(t, out, 1)
	require.Equal(t, []string{"step 3", "step 1"}, out[0].states)
	shown := s.reportDestination(out[0])
	require.Equal(t, "Work", shown.Names["step 3"])
	v, ok := out[0].treated.Classes[0].Value.Float()
	require.True(t, ok)
	require.InDelta(t, .75, v, .005)
	s.results = []analysisResult{{spec: p}, {spec: st}}
	out = s.destinations(func([]release.Withheld) {})
	require.Len(t, out, 1)
	require.Equal(t, 1, out[0].at)
}
