package report

import (
	"math"
	"strings"

	"utfall/estimate"
	"utfall/internal/lang"
)

// gauge writes the numbers of one finding: on the scale of the reader, with one
// number of decimals for the value and both bounds.
type gauge struct {
	lang     lang.Lang
	unit     Unit
	ratio    bool // exp of a log measure; 1 means no difference
	decimals int
	step     float64 // numbers are rounded to multiples of it, 0 = decimals alone
}

// newGauge chooses the decimals: those of the unit, and more where rounding would
// show a bound of an interval as 0 that is not 0, or two bounds as one.
func newGauge(l lang.Lang, u Unit, e estimate.Estimate) gauge {
	g := gauge{lang: l, unit: u, ratio: strings.HasPrefix(string(e.Measure), "log-")}
	switch {
	case g.ratio:
		g.decimals = 2
	case u == Kronor && widest(e) < 100:
		g.decimals = plainDecimals(e)
	case u == Kronor:
		// Three digits of the widest number: a report that gives single kronor of an
		// uncertain thousand pretends to know them.
		g.step = math.Pow(10, math.Max(math.Floor(math.Log10(widest(e)))-2, 0))
	case u == PValue:
		g.decimals = 3
	case u == PercentagePoints || u == Percent || u == Months:
		g.decimals = 1
	case u == Points:
		g.decimals = 2
	default:
		g.decimals = plainDecimals(e)
	}
	if math.IsNaN(e.CI.Lo) || math.IsNaN(e.CI.Hi) {
		return g
	}
	for most := g.decimals + 3; g.decimals < most && g.hides(e.CI); {
		if g.step > 1 {
			g.step /= 10
			continue
		}
		g.step = 0
		g.decimals++
	}
	return g
}

// hides reports whether the written interval says something else about zero than the
// interval does.
func (g gauge) hides(ci estimate.Interval) bool {
	null := 0.0
	if g.ratio {
		null = 1
	}
	lo, hi := g.rounded(ci.Lo), g.rounded(ci.Hi)
	return (ci.Lo != 0 && lo == null) || (ci.Hi != 0 && hi == null) || (ci.Lo != ci.Hi && lo == hi)
}

func (g gauge) rounded(v float64) float64 {
	p := math.Pow(10, float64(g.decimals))
	return math.Round(g.scale(v)*p) / p
}

// plainDecimals gives three significant digits to the widest of value and bounds.
func plainDecimals(e estimate.Estimate) int {
	return min(max(2-int(math.Floor(math.Log10(widest(e)))), 0), 6)
}

// widest is the largest of value and bounds in size, 1 where there is none.
func widest(e estimate.Estimate) float64 {
	w := 0.0
	for _, v := range []float64{e.Value, e.CI.Lo, e.CI.Hi} {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			w = math.Max(w, math.Abs(v))
		}
	}
	if w == 0 {
		return 1
	}
	return w
}

func (g gauge) scale(v float64) float64 {
	switch {
	case g.ratio:
		return math.Exp(v)
	case g.unit == PercentagePoints || g.unit == Percent:
		return 100 * v
	case g.step > 0:
		return math.Round(v/g.step) * g.step
	}
	return v
}

// plain writes the number alone, signed one with its sign.
func (g gauge) plain(v float64) string {
	if g.unit == PValue {
		return g.lang.PValue(v)
	}
	return g.lang.Number(g.scale(v), g.decimals)
}

func (g gauge) signed(v float64) string { return g.mark(v, g.lang.Signed(g.scale(v), g.decimals)) }

func (g gauge) mark(v float64, signed string) string {
	if g.ratio {
		return g.plain(v)
	}
	return signed
}

// with writes a number with its unit: "3,5 procentenheter", "1 månad", "×1,35".
func (g gauge) with(v float64) string { return g.name(g.plain(v), v) }

func (g gauge) signedWith(v float64) string { return g.name(g.signed(v), v) }

// amount is the size of a difference with its unit.
func (g gauge) amount(v float64) string { return g.with(math.Abs(v)) }

func (g gauge) name(number string, v float64) string {
	if math.IsNaN(v) {
		return number
	}
	switch {
	case g.ratio:
		return number
	case g.unit == Plain || g.unit == PValue || g.unit == "":
		return number
	case g.unit == Percent:
		if g.lang == lang.SV {
			return number + "\u00a0%"
		}
		return number + "%"
	}
	return number + "\u00a0" + g.lang.Text("report.unit-"+string(g.unit))
}

// interval writes both bounds with the unit once.
func (g gauge) interval(lo, hi float64) string {
	if math.IsNaN(lo) || math.IsNaN(hi) {
		return g.lang.Interval(lo, hi, g.decimals)
	}
	return g.name(g.lang.Interval(g.scale(lo), g.scale(hi), g.decimals), hi)
}

// bounds writes both bounds without unit, for tables whose column names it.
func (g gauge) bounds(lo, hi float64) string {
	return g.lang.Interval(g.scale(lo), g.scale(hi), g.decimals)
}

// level writes a number that is itself a level, not a difference: a proportion is a
// percentage then.
func (g gauge) level(v float64) string {
	if g.unit == PercentagePoints {
		g.unit = Percent
	}
	return g.with(v)
}
