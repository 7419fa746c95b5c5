package study

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate/progress"
	"utfall/internal/lang"
	"utfall/study/release"
	"utfall/table"
)

// leavingOf is a run by hand: d is left by nobody and stands on the step of a, below b and w.
func leavingOf(t *testing.T, tau int, paths ...handPath) (*state, *progressUnits, *Ladder, progress.NetMonths) {
	t.Helper()
	s := byHand(t, paths...)
	l := &Ladder{Steps: map[string]int{"a": 1, "b": 2, "d": 1, "w": 5}, Absorbing: []string{"d"}}
	u, err := newProgressUnits(s.cohorts["c"])
	require.NoError(t, err)
	ladder, err := l.of(u.b.paths.States)
	require.NoError(t, err)
	return s, u, l, progress.NetMonths{Ladder: ladder, Tau: float64(tau), Workers: 1}
}

// rowsOf are the rows, the check and the notes of a run by hand, with the headline's own number first.
func rowsOf(t *testing.T, tau int, paths ...handPath) (map[string]found, progress.OrderCheck, []string) {
	t.Helper()
	s, u, l, net := leavingOf(t, tau, paths...)
	p := u.b.paths
	res, err := net.Fit(t.Context(), s.pathSpells(u, identity(len(u.id)), 0, p.After, p.States, identity(len(p.States))))
	require.NoError(t, err)
	own, r := &progressResult{ladder: l, notes: map[string][]table.Note{}}, &analysisResult{}
	check, err := s.leaving(r, u, own, net, release.Basis{Treated: u.sizes.Treated, Control: u.sizes.Control, DF: math.Inf(1)}, res.Details["order"].(progress.OrderCheck))
	require.NoError(t, err)
	rows := map[string]found{"": {e: res.Estimates[0]}}
	for _, n := range r.numbers {
		require.Equal(t, n.term, n.e.Term)
		rows[strings.TrimPrefix(n.term, "net-months,leaving=")] = n
	}
	var codes []string
	for _, n := range own.notes[termMonths] {
		codes = append(codes, n.Code)
	}
	return rows, check, codes
}

// Of 40 participants on b half die at 2. Of 80 comparison people on a half stay, a quarter works from 2 on and a quarter dies at 1. The
// first two months are won whichever way they count. In each of the two others, with d as a: (0 − 1/4 + 1/2 − 1/4 + 1/4)/2 = 1/8; on the
// last step b against 3/4 a and 1/4 w: 1/2; lowest: (−3/4 + 1/2)/2 = −1/8; not followed, b against 2/3 a and 1/3 w: 1/3.
func TestLeavingByHand(t *testing.T) {
	rows, check, notes := rowsOf(t, 4, handPath{true, 20, "bbdddd", 0}, handPath{true, 20, "bbbbbb", 0},
		handPath{false, 40, "aaaaaa", 0}, handPath{false, 20, "aawwww", 0}, handPath{false, 20, "addddd", 0})
	for how, want := range map[string]float64{"": 2.25, leaveLastStep: 3, leaveLowest: 1.75, leaveCensored: 2 + 2.0/3} {
		require.InDelta(t, want, rows[how].e.Value, 1e-12, how)
		require.Equal(t, "net-months", string(rows[how].e.Measure))
	}
	require.Positive(t, rows[leaveCensored].e.SE)
	require.Len(t, rows, 4)
	require.Equal(t, release.Arms{Treated: 20, Control: 20}, *rows[leaveLowest].basis.Events)
	require.Equal(t, progress.NotChecked, check.Verdict, "they are no declared orders")
	require.Len(t, check.Orders, 4)
	require.Empty(t, notes)
	require.Equal(t, "leaving-censored", rows[leaveCensored].notes[0].Code)
}

// The data of some leavers end early, those of the others go on: they stay on their last step, and do not say that others stay.
func TestLeavingStaysWhenDataEnd(t *testing.T) {
	rows, _, _ := rowsOf(t, 4, handPath{true, 20, "bdd...", 0}, handPath{true, 20, "bbbwww", 0}, handPath{false, 20, "add...", 0}, handPath{false, 20, "aaaaaa", 0})
	// Participants b, from 3 half b (who left) and half w; comparison people a all along: 4 months won.
	require.InDelta(t, 4, rows[leaveLastStep].e.Value, 1e-12)
	require.InDelta(t, 4, rows[leaveCensored].e.Value, 1e-12)
	// On the lowest step: month 0 won; then half d against half d and half a, the other half won: −1/4 + 1/2.
	require.InDelta(t, 1+3*.25, rows[leaveLowest].e.Value, 1e-12)
}

// Where nobody left there are no rows, and all three ways are the headline itself; so is the lowest step where the ladder has it already.
func TestLeavingOfNobodyIsTheHeadline(t *testing.T) {
	paths := []handPath{{true, 20, "abbwbb", 0}, {true, 20, "aabbbd", 0}, {false, 30, "aaabbb", 0}, {false, 20, "aabaab", 0}}
	rows, check, notes := rowsOf(t, 5, paths...)
	require.Len(t, rows, 1, "at the horizon it is too late to matter")
	require.Len(t, check.Orders, 1)
	require.Empty(t, notes)
	s, u, l, net := leavingOf(t, 5, paths...)
	for _, how := range []string{leaveLastStep, leaveLowest, leaveCensored} {
		e, err := s.leavingMonths(how, u, l, leaversOf(u, l, 5), net)
		require.NoError(t, err)
		require.Equal(t, rows[""].e.Value, e.Value, how)
		require.Equal(t, rows[""].e.SE, e.SE, how)
	}
	s, u, l, net = leavingOf(t, 4, handPath{true, 20, "abdddd", 0}, handPath{true, 20, "aawwww", 0}, handPath{false, 20, "aaaaaa", 0}, handPath{false, 20, "bbdddd", 0})
	l.Steps["d"], net.Ladder["d"] = 0, 0
	p := u.b.paths
	res, err := net.Fit(t.Context(), s.pathSpells(u, identity(len(u.id)), 0, p.After, p.States, identity(len(p.States))))
	require.NoError(t, err)
	e, err := s.leavingMonths(leaveLowest, u, l, leaversOf(u, l, 4), net)
	require.NoError(t, err)
	require.Equal(t, res.Estimates[0].Value, e.Value)
}

// Two thirds of the participants die at 1: as a that is 1 + 7/3 months more, below all 1 + 7·(1/3 − 1/2) = −1/6. No direction word.
func TestLeavingJoinsTheOrders(t *testing.T) {
	rows, check, notes := rowsOf(t, 8, handPath{true, 40, "bddddddddd", 0}, handPath{true, 20, "bbbbbbbbbb", 0},
		handPath{false, 60, "aaaaaaaaaa", 0}, handPath{false, 20, "addddddddd", 0})
	require.InDelta(t, 1+7.0/3, rows[""].e.Value, 1e-12)
	require.InDelta(t, -1.0/6, rows[leaveLowest].e.Value, 1e-12)
	require.Equal(t, progress.Disagree, check.Verdict)
	require.Equal(t, progress.NoDirection, progress.Orders(check).Consequence)
	require.Equal(t, []string{"leaving-sensitive"}, notes)

	// Declared orders that agree stay in agreement, and those that do not stay so.
	same := progress.OrderResult{NetMonths: 1}
	for _, v := range []progress.Verdict{progress.Agree, progress.Disagree, progress.NotChecked} {
		require.Equal(t, v, progress.OrderCheck{Verdict: v, Orders: []progress.OrderResult{same}}.With(same).Verdict)
	}
}

// Nine who left in a group, or nine of twenty whom a row places elsewhere, are too few: nothing of them is shown, nor is it in the gate.
func TestLeavingOfFewIsWithheld(t *testing.T) {
	shown := func(paths ...handPath) bool {
		rows, check, notes := rowsOf(t, 8, paths...)
		require.Len(t, rows, 4)
		out := map[bool]int{}
		for _, how := range []string{leaveLastStep, leaveLowest, leaveCensored} {
			n := rows[how]
			re, _ := release.Policy{}.Estimate("x", n.e, n.basis)
			out[re.Shown]++
		}
		require.Len(t, out, 1, "all or none")
		if out[false] > 0 {
			require.Equal(t, progress.NotChecked, check.Verdict)
			require.Len(t, check.Orders, 1)
			require.Equal(t, []string{"leaving-few"}, notes)
		}
		return out[true] > 0
	}
	rest := []handPath{{true, 40, "bbbbbbbbbb", 0}, {false, 60, "aaaaaaaaaa", 0}}
	with := func(more ...handPath) []handPath { return append(slices.Clone(rest), more...) }
	require.True(t, shown(with(handPath{true, 10, "bddddddddd", 0}, handPath{false, 10, "addddddddd", 0})...))
	require.False(t, shown(with(handPath{true, 9, "bddddddddd", 0}, handPath{false, 10, "addddddddd", 0})...))
	require.False(t, shown(with(handPath{true, 10, "bddddddddd", 0}, handPath{false, 9, "addddddddd", 0})...))
	require.False(t, shown(with(handPath{true, 10, "bddddddddd", 0})...), "nobody in one group")
	// Of 20 who left 9 did so from b: the last step and the headline differ by them.
	require.False(t, shown(with(handPath{true, 9, "bddddddddd", 0}, handPath{true, 11, "addddddddd", 0}, handPath{false, 10, "addddddddd", 0})...))
	// All participants but nine.
	require.False(t, shown(handPath{true, 9, "bbbbbbbbbb", 0}, handPath{true, 40, "bddddddddd", 0}, rest[1], handPath{false, 10, "addddddddd", 0}))
}

// Who has left in the first month stays on the step held before the start; without one, on the declared step, and is counted.
func TestLeavingBeforeTheStart(t *testing.T) {
	paths := []handPath{{true, 20, "bdddd", 0}, {true, 20, "abbbb", 0}, {false, 20, ".dddd", 0}, {false, 40, "aaaaa", 0}}
	s, u, l, net := leavingOf(t, 3, paths...)
	u.b.paths.Before, u.b.paths.After = 1, 4
	who := leaversOf(u, l, 3)
	require.Equal(t, []int{40, 40, 20}, []int{who.all, who.at0, who.unplaced})
	e, err := s.leavingMonths(leaveLastStep, u, l, who, net)
	require.NoError(t, err)
	require.InDelta(t, 3, e.Value, 1e-12, "b against a and the step of a")
	e, err = s.leavingMonths(leaveCensored, u, l, who, net)
	require.NoError(t, err)
	require.InDelta(t, 3, e.Value, 1e-12)
}

// The rows reach the report of a register in both languages, and which states the ladder calls absorbing matters.
func TestProgressLeavingReachesTheReport(t *testing.T) {
	dir := copied(t, progressData(t))
	text := monthsOnly(t)
	asked := func() (*state, string) {
		s := opened(t, dir, text)
		b := s.cohorts["deltagare"]
		end := slices.Index(b.paths.States, "age-pension")
		require.GreaterOrEqual(t, end, 0)
		width := b.paths.Before + b.paths.After
		for i := range b.treated { // enough of both groups retire after six months
			if row := b.paths.Code[i*width+b.paths.Before : (i+1)*width]; i%3 == 0 && !slices.ContainsFunc(row, func(c int8) bool {
				return c >= 0 && slices.Contains([]string{"death", "emigration"}, b.paths.States[c])
			}) {
				for m := 6; m < len(row) && row[m] >= 0; m++ {
					row[m] = int8(end)
				}
			}
		}
		page := ""
		for _, in := range []lang.Lang{lang.SV, lang.EN} {
			s.lang, s.results = in, nil
			require.NoError(t, s.estimate())
			for _, f := range s.spec.Analyses[0].Progress.findings(s, &s.results[0]) {
				for _, row := range f.Rows {
					page += row.Label + "\n"
				}
			}
			require.NotContains(t, page, "[[")
		}
		return s, page
	}
	s, page := asked()
	for _, in := range []lang.Lang{lang.SV, lang.EN} {
		for _, how := range []string{leaveLastStep, leaveLowest, leaveCensored} {
			require.Contains(t, page, in.Text("study.progress-term-leaving-"+how))
		}
	}
	require.True(t, s.bundle.findings["progress/net-months,leaving=last-step/net-months"].Shown)
	edit(t, dir, "ladder.yaml", func(s string) string {
		s = strings.Replace(s, "absorbing: [death, emigration, age-pension]", "absorbing: [death]", 1)
		return strings.Replace(s, "authorities:\n", "authorities:\n  emigration: nobody\n  age-pension: nobody\n", 1)
	})
	other, _ := asked()
	require.NotEqual(t, s.bundle.findings["progress/net-months,leaving=last-step/net-months"], other.bundle.findings["progress/net-months,leaving=last-step/net-months"], "which states are absorbing matters")
}
