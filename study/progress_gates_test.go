package study

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate/progress"
	"utfall/internal/lang"
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
