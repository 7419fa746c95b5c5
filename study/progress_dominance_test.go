package study

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate/progress"
	"utfall/internal/lang"
	"utfall/study/release"
)

// The sentence that participants are higher, whatever points the steps have, rests on the tests at all times: it says the largest
// p-value, and it is not there where one test does not reject or one number is withheld.
func TestDominanceSentenceRestsOnTheTest(t *testing.T) {
	s := &state{lang: lang.EN, spec: &Spec{Level: .95}}
	p := &Headlines{At: []int{12, 24}}
	say := func(first, second progress.Dominance, shown bool) string {
		r := &analysisResult{spec: &Analysis{Name: "a"}, own: &progressResult{dominance: []progress.Dominance{first, second}}}
		s.bundle = &assembled{findings: map[string]release.Estimate{}}
		for _, d := range []progress.Dominance{first, second} {
			term := map[float64]string{12: "dominance,time=12", 24: "dominance,time=24"}[d.Time]
			s.bundle.findings["a/"+term+"/largest-share-difference"] = release.Estimate{Number: d.Estimate(term, .95), Shown: shown}
		}
		return s.dominanceSays(r, p)
	}
	one := progress.Dominance{Time: 12, Stat: -2, P: .0228, Shown: true}
	two := progress.Dominance{Time: 24, Stat: -3, P: .00135, Shown: true}
	require.Contains(t, say(one, two, true), "p-value 0.023")
	require.Empty(t, say(one, two, false), "withheld")
	two.Shown, two.P = false, .2
	require.Empty(t, say(one, two, true))
	require.Empty(t, say(one, progress.Dominance{Time: 18, P: .001, Shown: true}, true), "a time is missing")
}

// At or below the step 3 of 100 participants and 40 of 100 comparison people: the 3 are withheld. Nobody is no cell.
func TestDominanceOfFewIsWithheld(t *testing.T) {
	b := release.Basis{Treated: 100, Control: 100, DF: 1000}
	p := release.Policy{MinCount: 10, RoundTo: 5}
	for share, shown := range map[float64]bool{.03: false, .97: false, 0: true, .3: true} {
		d := progress.Dominance{Largest: share - .4, Stat: -2, P: .02, AtOrBelow: [2]float64{.4, share}}
		re, _ := p.Estimate("x", d.Estimate("x", .95), dominanceBasis(b, d))
		require.Equal(t, shown, re.Shown, "share %v", share)
	}
}
