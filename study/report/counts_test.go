package report

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/lang"
	"utfall/study/release"
)

// A number about comparison people alone stands under them.
func TestCountsStandUnderTheirGroup(t *testing.T) {
	for term, want := range map[string][2]string{"time=3,group=control": {"–", "100"}, "time=3,group=treated": {"100", "–"}} {
		e, _ := release.Policy{}.Estimate("x", estimate.Estimate{Term: term, Value: 1}, release.Basis{Single: true, Treated: 100, DF: math.Inf(1)})
		treated, control := counts(lang.EN, e)
		require.Equal(t, want, [2]string{treated, control})
	}
	e, _ := release.Policy{}.Estimate("x", estimate.Estimate{Term: "overall", Value: 1}, release.Basis{Treated: 100, Control: 50, DF: math.Inf(1)})
	treated, control := counts(lang.EN, e)
	require.Equal(t, [2]string{"100", "50"}, [2]string{treated, control})
}
