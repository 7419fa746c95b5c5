package synthetic

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"strings"

	"utfall/internal/num"
)

// municipalityCodes are the 290 codes of Statistics Sweden: county (two digits), then the rest.
const municipalityCodes = `0114 0115 0117 0120 0123 0125 0126 0127 0128 0136 0138 0139 0140 0160 0162 0163 0180 0181 0182 0183 0184 0186 0187 0188 0191 0192
0305 0319 0330 0331 0360 0380 0381 0382 0428 0461 0480 0481 0482 0483 0484 0486 0488 0509 0512 0513 0560 0561 0562 0563 0580 0581 0582 0583 0584 0586
0604 0617 0642 0643 0662 0665 0680 0682 0683 0684 0685 0686 0687 0760 0761 0763 0764 0765 0767 0780 0781
0821 0834 0840 0860 0861 0862 0880 0881 0882 0883 0884 0885 0980 1060 1080 1081 1082 1083
1214 1230 1231 1233 1256 1257 1260 1261 1262 1263 1264 1265 1266 1267 1270 1272 1273 1275 1276 1277 1278 1280 1281 1282 1283 1284 1285 1286 1287 1290 1291 1292 1293
1315 1380 1381 1382 1383 1384 1401 1402 1407 1415 1419 1421 1427 1430 1435 1438 1439 1440 1441 1442 1443 1444 1445 1446 1447 1452 1460 1461 1462 1463 1465 1466
1470 1471 1472 1473 1480 1481 1482 1484 1485 1486 1487 1488 1489 1490 1491 1492 1493 1494 1495 1496 1497 1498 1499
1715 1730 1737 1760 1761 1762 1763 1764 1765 1766 1780 1781 1782 1783 1784 1785 1814 1860 1861 1862 1863 1864 1880 1881 1882 1883 1884 1885
1904 1907 1960 1961 1962 1980 1981 1982 1983 1984 2021 2023 2026 2029 2031 2034 2039 2061 2062 2080 2081 2082 2083 2084 2085
2101 2104 2121 2132 2161 2180 2181 2182 2183 2184 2260 2262 2280 2281 2282 2283 2284 2303 2305 2309 2313 2321 2326 2361 2380
2401 2403 2404 2409 2417 2418 2421 2422 2425 2460 2462 2463 2480 2481 2482 2505 2506 2510 2513 2514 2518 2521 2523 2560 2580 2581 2582 2583 2584`

// The panel of municipalities, and how many of the 290 are members at the end of
// each year: the published counts of 2011 (213), 2012 (221), 2016 (247), early 2019
// (260) and 2022 (273), with the years between filled in. See METHODS.md §6.
const (
	panelFirst = 2003
	panelLast  = 2022
	peakForbund,
	lastForbund = 83, 75
)

var members = map[int]int{
	2005: 25, 2006: 60, 2007: 100, 2008: 140, 2009: 170, 2010: 195, 2011: 213, 2012: 221,
	2014: 231, 2015: 239, 2016: 247, 2017: 253, 2018: 260, 2019: 273,
}

// mergers are the years in which förbund disappear into a neighbour in the same county.
var mergers = map[int]int{2020: 3, 2021: 3, 2022: 2}

// lateEntry is a place in the order of entry, in 2008, that the first of no county comes after.
const lateEntry = 120

// loneSize is the least population of a municipality that is a county of its own.
const loneSize = 57_000

// A place is a municipality.
type place struct {
	code         string
	county       int // index
	population   int
	unemployment float64 // per cent of the labour force in 2003; drives entry and trends
	z            float64 // the same, standardised over the 290
	firstYear    int     // first year as a member; 0 = never
	forbund      int     // number of the förbund before any merger; -1 if never a member
	scale        float64 // size of the municipality's own effect, mean about 1
}

func (p *place) memberIn(year int) bool { return p.firstYear > 0 && year >= p.firstYear }

// A geography is everything drawn above the level of persons.
type geography struct {
	places   []place
	counties []string
	cum      []float64 // cumulated share of the population
	pull     []float64 // county term of the hazard of participation
	jobs     []float64 // county term of finding work
	merged   [][]int   // per year from panelFirst: förbund each number belongs to
	effect   []float64 // per förbund: deviation of effect strength
	seed     uint64
}

func newGeography(seed uint64) *geography {
	g := &geography{seed: seed}
	rng := num.NewStream(seed, "geography", 0)
	for _, code := range strings.Fields(municipalityCodes) {
		if k := len(g.counties); k == 0 || g.counties[k-1] != code[:2] {
			g.counties = append(g.counties, code[:2])
			g.pull = append(g.pull, clamp(0.15*rng.Normal(), 0.5))
			g.jobs = append(g.jobs, clamp(0.10*rng.Normal(), 0.3))
		}
		size := math.Exp(9.65 + float64(0.85*rng.Normal()))
		g.places = append(g.places, place{
			code: code, county: len(g.counties) - 1, forbund: -1,
			population:   int(math.Round(clamp(size, 900_000))),
			unemployment: 5.2 + float64(1.4*clamp(rng.Normal(), 2.5)),
			scale:        1 + float64(0.15*clamp(rng.Normal(), 3)),
		})
	}
	for i := range g.places {
		alone := (i == 0 || g.places[i-1].county != g.places[i].county) &&
			(i == len(g.places)-1 || g.places[i+1].county != g.places[i].county)
		if alone {
			g.places[i].population = max(g.places[i].population, loneSize)
		}
	}
	g.standardise()
	g.rollOut(rng)
	g.group()
	g.merge()
	total := 0.0
	for i := range g.places {
		total += float64(g.places[i].population)
		g.cum = append(g.cum, total)
	}
	for i := range g.cum {
		g.cum[i] /= total
	}
	for range peakForbund {
		g.effect = append(g.effect, 0.20*clamp(rng.Normal(), 2.5))
	}
	return g
}

func clamp(x, bound float64) float64 { return math.Max(-bound, math.Min(bound, x)) }

func (g *geography) standardise() {
	var sum, squares float64
	n := float64(len(g.places))
	for i := range g.places {
		g.places[i].unemployment = math.Round(g.places[i].unemployment*1000) / 1000
		sum += g.places[i].unemployment
	}
	mean := sum / n
	for i := range g.places {
		d := g.places[i].unemployment - mean
		squares += float64(d * d)
	}
	for i := range g.places {
		g.places[i].z = (g.places[i].unemployment - mean) / math.Sqrt(squares/n)
	}
}

// rollOut gives each municipality its first year: those with more unemployment in
// 2003 tend to be early, with enough chance in it that every cohort overlaps with
// those who come later or never.
func (g *geography) rollOut(rng *num.Stream) {
	score := make([]float64, len(g.places))
	order := make([]int, len(g.places))
	for i := range g.places {
		score[i] = float64(0.6*g.places[i].z) + float64(0.8*rng.Normal())
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(score[b], score[a]) })
	for c := range g.counties { // every county has a member early, or its people could never take part
		at := slices.IndexFunc(order, func(i int) bool { return g.places[i].county == c })
		if i := order[at]; at >= lateEntry {
			order = slices.Insert(slices.Delete(order, at, at+1), lateEntry, i)
		}
	}
	done := 0
	for year := panelFirst; year <= panelLast; year++ {
		for ; done < members[year]; done++ {
			g.places[order[done]].firstYear = year
		}
	}
}

// group deals the members of each county, in order of entry, to the county's share
// of the 83 förbund: the first to enter found them.
func (g *geography) group() {
	byCounty := make([][]int, len(g.counties))
	for i := range g.places {
		if g.places[i].firstYear > 0 {
			c := g.places[i].county
			byCounty[c] = append(byCounty[c], i)
		}
	}
	number := 0
	for c, share := range forbundShares(byCounty) {
		list := byCounty[c]
		slices.SortStableFunc(list, func(a, b int) int { return cmp.Compare(g.places[a].firstYear, g.places[b].firstYear) })
		for k, i := range list {
			g.places[i].forbund = number + k%share
		}
		number += share
	}
}

// forbundShares splits the 83 förbund over counties in proportion to members, at least one each.
func forbundShares(byCounty [][]int) []int {
	total := 0
	for _, list := range byCounty {
		total += len(list)
	}
	shares := make([]int, len(byCounty))
	given := 0
	for c, list := range byCounty {
		shares[c] = max(1, len(list)*peakForbund/total)
		given += shares[c]
	}
	for given != peakForbund { // move towards the exact proportion, largest gap first
		best, gap, step := 0, math.Inf(-1), 1
		if given > peakForbund {
			step = -1
		}
		for c, list := range byCounty {
			d := float64(step) * (float64(len(list)*peakForbund)/float64(total) - float64(shares[c]))
			if d > gap && shares[c]+step >= 1 && shares[c]+step <= max(1, len(list)) {
				best, gap = c, d
			}
		}
		shares[best] += step
		given += step
	}
	return shares
}

// merge lets the last förbund of the counties with most of them join the one before.
func (g *geography) merge() {
	current := make([]int, peakForbund)
	home := make([]int, peakForbund)
	for k := range current {
		current[k] = k
	}
	for i := range g.places {
		if f := g.places[i].forbund; f >= 0 {
			home[f] = g.places[i].county
		}
	}
	for year := panelFirst; year <= panelLast; year++ {
		for range mergers[year] {
			from, into := g.nextMerger(current, home)
			for k, f := range current {
				if f == from {
					current[k] = into
				}
			}
		}
		g.merged = append(g.merged, slices.Clone(current))
	}
}

func (g *geography) nextMerger(current, home []int) (from, into int) {
	alive := make([][]int, len(g.counties))
	for k, f := range current {
		if k == f {
			alive[home[f]] = append(alive[home[f]], f)
		}
	}
	best := 0
	for c := range alive {
		if len(alive[c]) > len(alive[best]) {
			best = c
		}
	}
	n := len(alive[best])
	return alive[best][n-1], alive[best][n-2]
}

// forbundOf is the förbund of a municipality in a year, -1 if it is not a member.
func (g *geography) forbundOf(p *place, year int) int {
	if !p.memberIn(year) {
		return -1
	}
	return g.merged[min(max(year, panelFirst), panelLast)-panelFirst][p.forbund]
}

// pick maps a uniform number to a municipality, in proportion to population.
func (g *geography) pick(x float64) int {
	return min(sort.SearchFloat64s(g.cum, x), len(g.places)-1)
}

// workersPerForbund is the number of caseworkers a förbund has.
const workersPerForbund = 8

// strength is the factor on the effect of participation that the förbund and the
// caseworker make: mean 1, standard deviation about 0.3.
func (g *geography) strength(p *person, worker float64) float64 {
	f := g.places[p.place].forbund
	return math.Max(0, 1+g.effect[f]+float64(0.20*g.optimism(f, worker)))
}

// optimism is a standard normal number of the caseworker: it scales the effect and
// colours the caseworker's ratings.
func (g *geography) optimism(forbund int, worker float64) float64 {
	unit := uint64(forbund+1)*workersPerForbund + uint64(worker*workersPerForbund)
	return clamp(num.NewStream(g.seed, "caseworker", unit).Normal(), 2.5)
}

// forbundName is the label of a förbund in the bytes of Windows-1252.
func forbundName(f int) string {
	return string([]byte{'F', 0xf6, 'r', 'b', 'u', 'n', 'd', ' ', byte('0' + (f+1)/10), byte('0' + (f+1)%10)})
}
