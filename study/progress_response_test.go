package study

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/cohort"
)

// handAnswers are 40 people a group, all alike, of whom 30 participants and 20 comparison people answered again.
func handAnswers() (*state, *answers, *progressUnits, *Headlines) {
	const n = 80
	b := &built{spec: &Cohort{}, paths: &cohort.Paths{States: []string{"low", "high"}, After: 13, Code: make([]int8, n*13)}}
	u := &progressUnits{b: b}
	w := &answers{before: mat.NewDense(n, 2, nil), after: mat.NewDense(n, 2, nil)}
	for i := range n {
		treated := i < n/2
		b.treated, u.id, u.person, u.zero = append(b.treated, treated), append(u.id, fmt.Sprintf("u%02d", i)), append(u.person, fmt.Sprint(i)), append(u.zero, 0)
		w.unit, w.again = append(w.unit, i), append(w.again, treated && i < 30 || !treated && i < n/2+20)
		w.before.SetRow(i, []float64{2, math.NaN()})
		w.after.SetRow(i, []float64{3, float64(i)})
	}
	s := &state{spec: &Spec{Level: .95}, ladders: map[string]*Ladder{"l": {Steps: map[string]int{"low": 1, "high": 2}}}}
	return s, w, u, &Headlines{Ladder: "l", Assessments: &Assessments{Items: []string{"a", "b"}, After: 12, Window: 1}}
}

// By hand: people of a group are alike, so that each who answered again stands for 40/30 participants or 40/20 comparison people,
// times the weight of the design.
func TestAnswersStandInByHand(t *testing.T) {
	s, w, u, p := handAnswers()
	s.ctx = t.Context()
	x, err := s.standIn(w, u, p)
	require.NoError(t, err)
	rows, weight, notes := x.rows, x.weight, x.notes
	require.Len(t, rows, 50)
	for at, k := range rows {
		want := 2.0
		if u.b.treated[k] {
			want = 4.0 / 3
		}
		require.InDelta(t, want, weight[at], 1e-9)
	}
	require.Equal(t, map[string]any{"persons": 30, "largest": 2.0}, notes[0].Args)
	both := w.pick(rows)
	require.Equal(t, 30, both.unit[29+1]-10, "the first comparison person")
	require.InDelta(t, 40.0, both.after.At(30, 1), 0)
	require.Len(t, notes, 1)

	// Half of the comparison people are on the higher step, and of those only 5 of 20 answered again: they count more.
	for i := 60; i < 80; i++ {
		u.b.paths.Code[i*13+12] = 1
		w.again[i] = i < 65
	}
	for i := 40; i < 60; i++ {
		w.again[i] = i < 55
	}
	x, err = s.standIn(w, u, p)
	require.NoError(t, err)
	rows, weight = x.rows, x.weight
	sum := map[bool]float64{}
	for at, k := range rows {
		if !u.b.treated[k] {
			sum[k >= 60] += weight[at]
		}
	}
	require.InDelta(t, 20, sum[false], 1e-6)
	require.InDelta(t, 20, sum[true], 1e-6)

	// Design weights multiply; weight 0 takes no part; with everybody's answers nothing is weighed.
	u.b.weight = make([]float64, 80)
	for i := range 79 {
		u.b.weight[i], w.again[i] = float64(1+i%2), true
	}
	w.again[79] = true
	x, err = s.standIn(w, u, p)
	require.NoError(t, err)
	rows, weight, notes = x.rows, x.weight, x.notes
	require.Len(t, rows, 79)
	require.Equal(t, 2.0, weight[1])
	require.Empty(t, notes)
}

// By hand: of 20 comparison people on each of two steps 15 and 5 answered again, 1 on the lower and 3 on the higher step. The mean of those
// who answered at the start is 2, and as step decides everything each of them, whether they answered again or not, moves it by
// (1 − 2)/40 or (3 − 2)/40: with the weights known those who did not answer would have no error to give. Variance 40/40² where clusters are
// people, and G/(G − 1) of it, G = 80, where the cluster is stated.
func TestErrorsHoldTheModelOfTheAnswersByHand(t *testing.T) {
	s, w, u, p := handAnswers()
	s.ctx = t.Context()
	for i := 40; i < 80; i++ {
		if i >= 60 {
			u.b.paths.Code[i*13+12] = 1
		}
		w.again[i] = i < 55 || i >= 60 && i < 65
	}
	x, err := s.standIn(w, u, p)
	require.NoError(t, err)
	known := mat.NewDense(len(x.rows), 1, nil)
	for at, k := range x.rows {
		if k >= 40 {
			y := 1.0
			if k >= 60 {
				y = 3
			}
			known.Set(at, 0, x.weight[at]*(y-2)/40)
		}
	}
	inf, cov, err := x.carry(w, u, known)
	require.NoError(t, err)
	for k := range 80 {
		want := 0.0
		if k >= 60 {
			want = 1.0 / 40
		} else if k >= 40 {
			want = -1.0 / 40
		}
		require.InDelta(t, want, inf.At(k, 0), 1e-9, k)
	}
	require.InDelta(t, 1.0/40, cov.At(0, 0), 1e-9)
	require.InDelta(t, 1.0/40, w.ofUnits(u, inf, 0)[79], 1e-9)
	u.b.cluster = identity(80)
	_, cov, err = x.carry(w, u, known)
	require.NoError(t, err)
	require.InDelta(t, 1.0/40*80/79, cov.At(0, 0), 1e-9)
}

// Who started since is read from the participations: of the register, unit by unit.
func TestStartedSince(t *testing.T) {
	s := opened(t, progressData(t), progressStudy(t))
	a := &s.spec.Analyses[0]
	u, err := newProgressUnits(s.cohorts[a.Progress.Cohort])
	require.NoError(t, err)
	w := &answers{}
	for i := range u.id {
		w.unit = append(w.unit, i)
	}
	got, err := s.startedBy(w, u, 13)
	require.NoError(t, err)
	f, err := os.Open(filepath.Join(s.o.DataDir, "participations.csv"))
	require.NoError(t, err)
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma = ';'
	lines, err := r.ReadAll()
	require.NoError(t, err)
	starts := map[string][]int{}
	for _, l := range lines[1:] {
		d := strings.Split(l[3], "-")
		y, err := strconv.Atoi(d[0])
		require.NoError(t, err)
		m, err := strconv.Atoi(d[1])
		require.NoError(t, err)
		starts[l[0]] = append(starts[l[0]], 12*y+m-1)
	}
	some := 0
	for i := range u.id {
		want := false
		for _, m := range starts[u.person[i]] {
			want = want || m > u.zero[i] && m <= u.zero[i]+13
		}
		require.Equal(t, want, got[i])
		if want && !u.b.treated[i] {
			some++
		}
	}
	require.Positive(t, some)
}
