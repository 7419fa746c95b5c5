package ingest

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNumbers(t *testing.T) {
	const nbsp, narrow, minus = "\u00a0", "\u202f", "\u2212"
	for _, c := range []struct {
		text string
		mark byte
		want float64
		code string
	}{
		{"0", '.', 0, ""}, {"-0", '.', 0, ""}, {"1", '.', 1, ""}, {"+1", '.', 1, ""}, {"-1.5", '.', -1.5, ""}, {minus + "1,5", ',', -1.5, ""},
		{".5", '.', 0.5, ""}, {"5.", '.', 5, ""}, {"007", '.', 7, ""}, {"1e3", '.', 1000, ""}, {"1E-3", '.', 0.001, ""}, {"1e+05", '.', 100000, ""},
		{"1 234", ',', 1234, ""}, {"1" + nbsp + "234,5", ',', 1234.5, ""}, {"1" + narrow + "234" + narrow + "567", '.', 1234567, ""},
		{"0.1", '.', 0.1, ""}, {"123456789.123456789", '.', 123456789.123456789, ""}, {"9007199254740993", '.', 9007199254740992, ""},
		{"1.7976931348623157e308", '.', math.MaxFloat64, ""}, {"5e-324", '.', 5e-324, ""}, {"1e-400", '.', 0, ""},
		{"0.30000000000000004", '.', 0.30000000000000004, ""}, {"123456789012345678901234567890", '.', 1.2345678901234568e29, ""},
		{"1e400", '.', 0, "overflow"}, {"-1e400", '.', 0, "overflow"}, {"1e99999999999", '.', 0, "overflow"},
		{"", '.', 0, "not-a-number"}, {"-", '.', 0, "not-a-number"}, {".", '.', 0, "not-a-number"}, {"1,5", '.', 0, "not-a-number"}, {"1.5", ',', 0, "not-a-number"},
		{"1,234.5", '.', 0, "not-a-number"}, {"1.234,5", ',', 0, "not-a-number"}, {"12 34", '.', 0, "not-a-number"}, {"1234 567", '.', 0, "not-a-number"},
		{"1  234", '.', 0, "not-a-number"}, {"1 234 ", '.', 0, "not-a-number"}, {"1 2345", '.', 0, "not-a-number"}, {"0x1p3", '.', 0, "not-a-number"}, {"0x10", '.', 0, "not-a-number"},
		{"1_000", '.', 0, "not-a-number"}, {"Inf", '.', 0, "not-a-number"}, {"-inf", '.', 0, "not-a-number"}, {"NaN", '.', 0, "not-a-number"}, {"infinity", '.', 0, "not-a-number"},
		{"4O", '.', 0, "not-a-number"}, {"1e", '.', 0, "not-a-number"}, {"1e5.5", '.', 0, "not-a-number"}, {"1-", '.', 0, "not-a-number"}, {"--1", '.', 0, "not-a-number"},
		{"1.2.3", '.', 0, "not-a-number"}, {"١", '.', 0, "not-a-number"}, {"1\x00", '.', 0, "not-a-number"}, {"$5", '.', 0, "not-a-number"}, {"5%", '.', 0, "not-a-number"},
	} {
		v, code := parseNumber([]byte(c.text), c.mark)
		require.Equal(t, c.code, code, "%q", c.text)
		require.Equal(t, c.want, v, "%q", c.text)
		require.False(t, math.Signbit(v) && v == 0, "%q", c.text)
	}
}

func TestIntegers(t *testing.T) {
	for _, c := range []struct {
		text string
		want int64
		code string
	}{
		{"9007199254740993", 9007199254740993, ""}, {"9223372036854775807", math.MaxInt64, ""}, {"-9223372036854775808", math.MinInt64, ""},
		{"5,0", 5, ""}, {"5,00", 5, ""}, {"1e+05", 100000, ""}, {"1,5e1", 15, ""}, {"100e-2", 1, ""}, {"0e99", 0, ""}, {"1 000", 1000, ""}, {"\u22127", -7, ""},
		{"9223372036854775808", 0, "overflow"}, {"-9223372036854775809", 0, "overflow"}, {"1e19", 0, "overflow"}, {"1e99999", 0, "overflow"}, {"123456789012345678901", 0, "overflow"},
		{"5,5", 0, "not-a-whole-number"}, {"1e-1", 0, "not-a-whole-number"}, {"4O", 0, "not-a-whole-number"}, {"", 0, "not-a-whole-number"}, {"0x10", 0, "not-a-whole-number"},
	} {
		v, code := parseInteger([]byte(c.text), ',')
		require.Equal(t, c.code, code, "%q", c.text)
		require.Equal(t, c.want, v, "%q", c.text)
	}
}

// Every float64 that Go writes comes back bit by bit: exponents and digits of all sizes.
func TestNumbersRoundTrip(t *testing.T) {
	x := uint64(88172645463325252)
	for range 20000 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		v := math.Float64frombits(x)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		for _, f := range []byte{'g', 'e'} {
			text := strconv.FormatFloat(v, f, -1, 64)
			got, code := parseNumber([]byte(strings.Replace(text, ".", ",", 1)), ',')
			require.Empty(t, code, text)
			require.Equal(t, v, got, text)
		}
	}
}

func TestDates(t *testing.T) {
	for _, c := range []struct {
		text string
		want string
	}{
		{"2015-01-31", "2015-01-31"}, {"20160229", "2016-02-29"}, {"1969-12-31", "1969-12-31"}, {"2000-02-29", "2000-02-29"}, {"9999-12-31", "9999-12-31"}, {"1000-01-01", "1000-01-01"},
		{"2015-01-31 00:00:00", "2015-01-31"}, {"2015-01-31T00:00:00Z", "2015-01-31"}, {"2015-01-31 00:00:00.000", "2015-01-31"},
		{"2015-02-30", ""}, {"1900-02-29", ""}, {"2015-13-01", ""}, {"2015-00-01", ""}, {"2015-01-00", ""}, {"2015-1-1", ""}, {"15-01-31", ""}, {"31/01/2015", ""}, {"2015/01/31", ""},
		{"2015-01-31 12:00:00", ""}, {"2015-01-31 00:00:01", ""}, {"0999-01-01", ""}, {"", ""}, {"201501", ""}, {"2015-01", ""}, {"2015-01-31x", ""}, {"42005", ""},
	} {
		d, ok := parseDate([]byte(c.text))
		require.Equal(t, c.want != "", ok, c.text)
		if ok {
			require.Equal(t, c.want, time.Unix(int64(d)*86400, 0).UTC().Format("2006-01-02"), c.text)
		}
	}
	for text, want := range map[string]string{"2015-03": "2015-03-01", "201503": "2015-03-01", "2015-03-01": "2015-03-01", "2015-03-02": "", "2015-13": "", "2015": "", "03-2015": ""} {
		d, ok := parseMonth([]byte(text))
		require.Equal(t, want != "", ok, text)
		if ok {
			require.Equal(t, want, time.Unix(int64(d)*86400, 0).UTC().Format("2006-01-02"), text)
		}
	}
	// every day of 1000 to 9999 counts one more than the day before
	want := epochDays(1000, 1, 1)
	require.Equal(t, int32(time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()/86400), want)
	for y := 1000; y < 10000; y++ {
		for m := 1; m <= 12; m++ {
			for d := 1; d <= monthDays(y, m); d++ {
				if got := epochDays(y, m, d); got != want {
					t.Fatalf("%d-%d-%d is day %d, want %d", y, m, d, got, want)
				}
				want++
			}
		}
	}
}

func TestBooleans(t *testing.T) {
	for text, want := range map[string]int{"1": 1, "0": 0, "TRUE": 1, "False": 0, "ja": 1, "NEJ": 0, "SANT": 1, "falskt": 0, "yes": 1, "no": 0, "2": -1, "t": -1, "": -1, "janej": -1, "true!!!": -1} {
		v, ok := parseBoolean([]byte(text))
		require.Equal(t, want >= 0, ok, text)
		require.Equal(t, want == 1, v, text)
	}
}

// FuzzNumber: what we accept is what arbitrary-precision arithmetic says it is.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"1", "-1,5", "1 234,5", "1e400", "0x1", "9007199254740993", "1_0", "\u22121", "1e-330", "12345678901234567890,5e3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, code := parseNumber([]byte(s), ',')
		n, icode := parseInteger([]byte(s), ',')
		if code != "" {
			require.NotEmpty(t, icode)
			return
		}
		text := strings.NewReplacer("\u2212", "-", " ", "", "\u00a0", "", "\u202f", "", ",", ".").Replace(s)
		require.Empty(t, strings.Trim(text, "0123456789.eE+-"), "%q accepted", s)
		want, err := strconv.ParseFloat(text, 64)
		require.NoError(t, err, s)
		require.Equal(t, want+0, v, s)
		if icode == "" && len(text) < 40 && !strings.ContainsAny(text, "eE") {
			r, ok := new(big.Rat).SetString(text)
			require.True(t, ok)
			require.True(t, r.IsInt() && r.Num().IsInt64() && r.Num().Int64() == n, s)
		}
	})
}

// FuzzDate: an accepted date is the one Go's own parser reads.
func FuzzDate(f *testing.F) {
	for _, s := range []string{"2015-01-31", "20150131", "2015-01-31T00:00:00Z", "2015-02-30", "201501", "2015-01"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := parseDate([]byte(s))
		if !ok {
			return
		}
		layout := "2006-01-02"
		if len(s) == 8 {
			layout = "20060102"
		}
		want, err := time.Parse(layout, s[:len(layout)])
		require.NoError(t, err, s)
		require.Equal(t, want.Unix()/86400, int64(d), s)
		if m, ok := parseMonth([]byte(s)); ok && len(s) != 8 {
			require.Equal(t, 1, time.Unix(int64(m)*86400, 0).UTC().Day())
		}
	})
}
