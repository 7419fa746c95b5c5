package lang

import (
	"math"
	"strconv"
	"strings"
)

const (
	minus     = "\u2212" // a hyphen is no minus sign
	noBreak   = "\u00a0"
	undefined = "\u2013" // a number that does not exist
)

// Number writes v with a fixed number of decimals: "−1 234,50" in Swedish,
// "−1,234.50" in English. A value that rounds to zero has no sign; NaN is an en dash.
func (l Lang) Number(v float64, decimals int) string {
	if s, ok := notFinite(v); ok {
		return s
	}
	return l.fixed(strconv.FormatFloat(v, 'f', max(decimals, 0), 64))
}

// Signed is Number with a plus sign before a value that rounds to more than zero.
func (l Lang) Signed(v float64, decimals int) string {
	s := l.Number(v, decimals)
	if math.IsNaN(v) || strings.HasPrefix(s, minus) || !strings.ContainsAny(s, "123456789∞") {
		return s
	}
	return "+" + s
}

// Int writes a whole number with thousands marks.
func (l Lang) Int(n int) string { return l.fixed(strconv.Itoa(n)) }

// Significant writes v rounded to so many significant digits (at least 1). Values
// below 1e-6 or from 1e15 up are written with a power of ten.
func (l Lang) Significant(v float64, digits int) string {
	if s, ok := notFinite(v); ok {
		return s
	}
	digits = max(digits, 1)
	if v == 0 {
		return "0"
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'e', digits-1, 64), "e")
	e, _ := strconv.Atoi(exponent)
	if e < -6 || e >= 15 {
		return l.fixed(mantissa) + noBreak + "×" + noBreak + "10" + superscript(e)
	}
	rounded, _ := strconv.ParseFloat(mantissa+"e"+exponent, 64)
	return l.fixed(strconv.FormatFloat(rounded, 'f', max(digits-1-e, 0), 64))
}

// Percent writes a proportion as a percentage: 0.123 is "12,3 %" in Swedish and
// "12.3%" in English.
func (l Lang) Percent(v float64, decimals int) string {
	if math.IsNaN(v) {
		return undefined
	}
	return l.Number(100*v, decimals) + l.percentSign()
}

// PercentPoints writes a difference of proportions: −0.023 is
// "−2,3 procentenheter", "−2.3 percentage points".
func (l Lang) PercentPoints(v float64, decimals int) string {
	if math.IsNaN(v) {
		return undefined
	}
	unit := "percentage points"
	if l == SV {
		unit = "procentenheter"
	}
	return l.Number(100*v, decimals) + noBreak + unit
}

// Interval writes two bounds: "−0,5 till 1,2", "−0.5 to 1.2". A word, because a dash
// between two numbers reads as a minus sign.
func (l Lang) Interval(lo, hi float64, decimals int) string {
	if math.IsNaN(lo) || math.IsNaN(hi) {
		return undefined
	}
	return l.Number(lo, decimals) + l.between() + l.Number(hi, decimals)
}

// PercentInterval writes two proportions as an interval of percentages: "1,2 till 3,4 %".
func (l Lang) PercentInterval(lo, hi float64, decimals int) string {
	if math.IsNaN(lo) || math.IsNaN(hi) {
		return undefined
	}
	return l.Number(100*lo, decimals) + l.between() + l.Number(100*hi, decimals) + l.percentSign()
}

// PValue writes a p-value with three decimals, and one below 0.001 as "<0.001".
func (l Lang) PValue(p float64) string {
	if !math.IsNaN(p) && p < 0.001 {
		return "<" + l.Number(0.001, 3)
	}
	return l.Number(p, 3)
}

func (l Lang) between() string {
	if l == SV {
		return noBreak + "till" + noBreak
	}
	return noBreak + "to" + noBreak
}

func (l Lang) percentSign() string {
	if l == SV {
		return noBreak + "%"
	}
	return "%"
}

// fixed turns strconv's plain decimal notation into the language's.
func (l Lang) fixed(s string) string {
	digits, negative := strings.CutPrefix(s, "-")
	whole, fraction, hasFraction := strings.Cut(digits, ".")
	mark, point := ",", "."
	if l == SV {
		mark, point = noBreak, ","
	}
	var b strings.Builder
	if negative && strings.Trim(digits, "0.") != "" {
		b.WriteString(minus)
	}
	for i, r := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteString(mark)
		}
		b.WriteRune(r)
	}
	if hasFraction {
		b.WriteString(point)
		b.WriteString(fraction)
	}
	return b.String()
}

func notFinite(v float64) (string, bool) {
	switch {
	case math.IsNaN(v):
		return undefined, true
	case math.IsInf(v, 1):
		return "∞", true
	case math.IsInf(v, -1):
		return minus + "∞", true
	}
	return "", false
}

func superscript(n int) string {
	return strings.NewReplacer("-", "⁻", "0", "⁰", "1", "¹", "2", "²", "3", "³", "4", "⁴",
		"5", "⁵", "6", "⁶", "7", "⁷", "8", "⁸", "9", "⁹").Replace(strconv.Itoa(n))
}
