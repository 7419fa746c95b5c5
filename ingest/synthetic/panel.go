package synthetic

import (
	"math"
	"strconv"

	"utfall/internal/num"
)

// nOutcomes is the number of municipal outcomes; their columns are municipalOutcomes.
const nOutcomes = 4

var municipalOutcomes = [nOutcomes]string{"sickness_benefit_share", "disability_benefit_share", "work_share", "social_assistance_share"}

// An outcome process: level + a common path + a trend that follows unemployment in
// 2003 + noise, and for members the effect. Shares in per cent.
var outcomeProcess = [nOutcomes]struct {
	level, spread, slope, trend, noise, perYear float64
}{
	{level: 6.5, spread: 0.70, slope: -0.02, trend: -0.030, noise: 0.16, perYear: -0.060},
	{level: 6.0, spread: 0.90, slope: -0.06, trend: 0.025, noise: 0.14, perYear: 0.045},
	{level: 33.0, spread: 3.00, slope: 0.10, trend: -0.140, noise: 0.70, perYear: 0.350},
	{level: 4.0, spread: 0.80, slope: 0.01, trend: 0.020, noise: 0.16, perYear: 0.025},
}

// ruleShift is the national break in 2016, the same for every municipality.
var ruleShift = [nOutcomes]float64{-0.35, 0.10, 0.40, 0.15}

// municipalEffect is the effect on outcome k in a municipality that has been a
// member since first, in a year: it grows for ten years with exposure and is larger
// in early cohorts.
//
//	τ = scenario · scale · (1.5 - (first-2005)/14) · perYear · min(year-first+1, 10)
func municipalEffect(sc *scenario, p *place, k, year int) float64 {
	if !p.memberIn(year) || sc.municipal[k] == 0 {
		return 0
	}
	cohort := 1.5 - float64(p.firstYear-2005)/14
	exposure := float64(min(year-p.firstYear+1, 10))
	return sc.municipal[k] * p.scale * cohort * outcomeProcess[k].perYear * exposure
}

// panelValue is outcome k in a year as municipalities.csv shows it, before rounding.
func (g *geography) panelValue(sc *scenario, i, k, year int, unit, noise float64) float64 {
	c := outcomeProcess[k]
	t := float64(year - panelFirst)
	y := c.level + float64(c.spread*unit) + float64(c.slope*t) + float64(c.trend*g.places[i].z*t) + float64(c.noise*noise)
	y += 0.25 * c.noise * math.Sin(0.9*t+float64(k)) // the business cycle, common to all
	if year >= ruleYear {
		y += ruleShift[k]
	}
	return math.Max(0, y+municipalEffect(sc, &g.places[i], k, year))
}

const municipalHeader = "municipality;name;county;year;forbund;member;first_year;population;unemployment_2003;" +
	"sickness_benefit_share;disability_benefit_share;work_share;social_assistance_share"

// panel returns municipalities.csv: one row per municipality and year 2003 to 2022.
func (g *geography) panel(sc *scenario) []byte {
	b := append([]byte(municipalHeader), '\n')
	for i := range g.places {
		p := &g.places[i]
		rng := num.NewStream(g.seed, "municipality", uint64(i))
		var unit [nOutcomes]float64
		for k := range unit {
			unit[k] = clamp(rng.Normal(), 3)
		}
		for year := panelFirst; year <= panelLast; year++ {
			b = append(b, p.code...)
			b = append(append(b, ";Kommun "...), p.code...)
			b = append(append(b, ';'), p.code[:2]...)
			b = strconv.AppendInt(append(b, ';'), int64(year), 10)
			b = append(b, ';')
			if f := g.forbundOf(p, year); f >= 0 {
				b = append(b, forbundName(f)...)
				b = append(b, ";1;"...)
			} else {
				b = append(b, ";0;"...)
			}
			b = strconv.AppendInt(b, int64(p.firstYear), 10)
			growth := 1 + 0.004*float64(year-panelFirst)
			b = strconv.AppendInt(append(b, ';'), int64(math.Round(float64(p.population)*growth)), 10)
			b = appendDecimal(append(b, ';'), int64(math.Round(p.unemployment*1000)), 3)
			for k := range municipalOutcomes {
				y := g.panelValue(sc, i, k, year, unit[k], rng.Normal())
				b = appendDecimal(append(b, ';'), int64(math.Round(y*1000)), 3)
			}
			b = append(b, '\n')
		}
	}
	return b
}

// appendDecimal writes n/10^places with a decimal comma; n is not negative.
func appendDecimal(b []byte, n int64, places int) []byte {
	scale := int64(1)
	for range places {
		scale *= 10
	}
	b = strconv.AppendInt(b, n/scale, 10)
	b = append(b, ',')
	rest := n % scale
	for scale /= 10; scale > 0; scale /= 10 {
		b = append(b, byte('0'+rest/scale%10))
	}
	return b
}

// payerShares is the law's split of a förbund's money: half state, a quarter each.
var payerShares = [3]struct {
	name    string
	quarter int64
}{{"state", 2}, {"region", 1}, {"municipality", 1}}

const costPerStart = 24_000 // SEK per started participation, before a förbund's own price level

// costs returns costs.csv from the number of participations started per förbund and year.
func (g *geography) costs(started []int64, years int) []byte {
	b := []byte("forbund;year;payer;amount\n")
	for f := range peakForbund {
		price := math.Exp(0.15 * clamp(num.NewStream(g.seed, "price", uint64(f)).Normal(), 2.5))
		for y := range years {
			n := started[f*years+y]
			if n == 0 {
				continue
			}
			quarter := int64(math.Round(float64(n) * costPerStart * price * 100 / 4))
			for _, share := range payerShares {
				b = append(b, forbundName(f)...)
				b = strconv.AppendInt(append(b, ';'), int64(FirstYear+y), 10)
				b = append(append(b, ';'), share.name...)
				b = appendDecimal(append(b, ';'), quarter*share.quarter, 2)
				b = append(b, '\n')
			}
		}
	}
	return b
}
