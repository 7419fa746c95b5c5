package study

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate/progress"
	"utfall/internal/lang"
	"utfall/study/release"
)

// A gate that counts people shows its count as every count is shown: rounded, and two dots where it is too small.
func TestGatesShowReleasedCounts(t *testing.T) {
	s := &state{policy: Disclosure{MinCount: 10, RoundTo: 5}.Policy(), lang: lang.SV}
	arm := progress.ArmSize(3032, 4000)
	require.Equal(t, "3\u00a0030", s.progressGate(arm).Value)
	require.Equal(t, 3030.0, s.gateNotes([]progress.Gate{arm})[0].Args["value"])

	few := progress.EventCount(7)
	require.Equal(t, "..", s.progressGate(few).Value)
	require.NotContains(t, s.gateNotes([]progress.Gate{few})[0].Args, "value")
	require.Equal(t, 10.0, s.gateNotes([]progress.Gate{few})[0].Args["limit"])

	require.Equal(t, "0", s.progressGate(progress.Overlaps(0)).Value, "nobody is no secret")
	require.Equal(t, "0,72", s.progressGate(progress.Response(0.7249, 0.8)).Value)
}

// What the gates of the response were decided by gives back who did not answer: it is told where they are many in both groups.
func TestResponseGatesDoNotCountTheFew(t *testing.T) {
	s := &state{policy: Disclosure{MinCount: 10, RoundTo: 5}.Policy(), lang: lang.EN}
	many := responseGates(release.Arms{Treated: 100, Control: 100}, release.Arms{Treated: 90, Control: 85}, 10)
	require.Equal(t, 0.85, s.gateNotes(many)[0].Args["value"])
	require.Equal(t, 0.05, s.gateNotes(many)[1].Args["value"])
	for _, again := range []release.Arms{{Treated: 91, Control: 85}, {Treated: 85, Control: 91}, {Treated: 100, Control: 50}} {
		few := responseGates(release.Arms{Treated: 100, Control: 100}, again, 10)
		for k, g := range few {
			require.NotContains(t, s.gateNotes(few)[k].Args, "value")
			require.Equal(t, "–", s.progressGate(g).Value)
			require.Equal(t, again.Control < 60, g.Status == progress.NotMet, "the verdict stands")
		}
	}
}

// A forecast that nobody could be tried on is not wider for it, and that is not said.
func TestUnconfirmedSaysByHowMuch(t *testing.T) {
	require.Equal(t, "forecast-untried", unconfirmedNote(0).Code)
	require.Equal(t, 0.0224, unconfirmedNote(0.0223886892859966).Args["widened"])
}
