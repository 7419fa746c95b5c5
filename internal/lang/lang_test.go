package lang_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/lang"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]lang.Lang{
		"sv": lang.SV, "SV": lang.SV, "sv_SE.UTF-8": lang.SV, "sv-SE": lang.SV, "sv@euro": lang.SV,
		"en": lang.EN, "en_GB": lang.EN, " en ": lang.EN,
	} {
		got, err := lang.Parse(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for _, in := range []string{"", "C", "POSIX", "svenska", "de_DE.UTF-8", "_sv"} {
		_, err := lang.Parse(in)
		require.ErrorIs(t, err, lang.ErrUnknownLanguage, in)
	}
	require.Equal(t, lang.EN, lang.FromEnvironment("C.UTF-8"))
	require.Equal(t, lang.SV, lang.FromEnvironment("sv_SE.UTF-8"))
}

func TestNumbers(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct{ what, got, want string }{
		{"sv number", lang.SV.Number(-1234567.5, 2), "−1\u00a0234\u00a0567,50"},
		{"en number", lang.EN.Number(-1234567.5, 2), "−1,234,567.50"},
		{"three digits have no mark", lang.SV.Number(999, 0), "999"},
		{"four digits have one", lang.EN.Number(1000, 0), "1,000"},
		{"rounds over a mark", lang.EN.Number(999.9, 0), "1,000"},
		{"never −0", lang.SV.Number(-0.04, 1), "0,0"},
		{"never −0 for the zero itself", lang.EN.Number(math.Copysign(0, -1), 0), "0"},
		{"nan", lang.SV.Number(nan, 2), "–"},
		{"inf", lang.EN.Number(-inf, 2), "−∞"},
		{"signed up", lang.SV.Signed(0.25, 2), "+0,25"},
		{"signed down", lang.SV.Signed(-0.25, 2), "−0,25"},
		{"signed zero", lang.SV.Signed(0.001, 2), "0,00"},
		{"signed nan", lang.SV.Signed(nan, 2), "–"},
		{"signed inf", lang.SV.Signed(inf, 2), "+∞"},
		{"int", lang.SV.Int(-28500), "−28\u00a0500"},
		{"int en", lang.EN.Int(1000000), "1,000,000"},
		{"least int", lang.EN.Int(math.MinInt64), "−9,223,372,036,854,775,808"},
		{"significant small", lang.SV.Significant(0.0012345, 3), "0,00123"},
		{"significant large", lang.EN.Significant(123456, 3), "123,000"},
		{"significant carries", lang.EN.Significant(9.996, 3), "10.0"},
		{"significant keeps zeros", lang.EN.Significant(2, 3), "2.00"},
		{"significant tiny", lang.SV.Significant(-1.234e-9, 3), "−1,23\u00a0×\u00a010⁻⁹"},
		{"significant zero", lang.EN.Significant(0, 3), "0"},
		{"percent sv", lang.SV.Percent(0.1234, 1), "12,3\u00a0%"},
		{"percent en", lang.EN.Percent(0.1234, 1), "12.3%"},
		{"percent nan", lang.EN.Percent(nan, 1), "–"},
		{"points sv", lang.SV.PercentPoints(-0.023, 1), "−2,3\u00a0procentenheter"},
		{"points en", lang.EN.PercentPoints(-0.023, 1), "−2.3\u00a0percentage points"},
		{"interval sv", lang.SV.Interval(-0.5, 1.25, 1), "−0,5\u00a0till\u00a01,2"},
		{"interval en", lang.EN.Interval(-0.5, 1.25, 2), "−0.50\u00a0to\u00a01.25"},
		{"interval without bounds", lang.EN.Interval(nan, 1, 2), "–"},
		{"percent interval", lang.SV.PercentInterval(0.012, 0.034, 1), "1,2\u00a0till\u00a03,4\u00a0%"},
		{"p sv", lang.SV.PValue(0.0123), "0,012"},
		{"p tiny", lang.SV.PValue(1e-30), "<0,001"},
		{"p at the edge", lang.EN.PValue(0.001), "0.001"},
		{"p nan", lang.EN.PValue(nan), "–"},
	} {
		require.Equal(t, c.want, c.got, c.what)
	}
}

func TestAnd(t *testing.T) {
	require.Equal(t, "", lang.SV.And(nil))
	require.Equal(t, "a", lang.SV.And([]string{"a"}))
	require.Equal(t, "a och b", lang.SV.And([]string{"a", "b"}))
	require.Equal(t, "a, b and c", lang.EN.And([]string{"a", "b", "c"}))
}
