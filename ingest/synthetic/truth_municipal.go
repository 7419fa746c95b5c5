package synthetic

import "math"

// MunicipalTruth holds the effects that were put into municipalities.csv, in
// percentage points, before the rounding of the file to three decimals.
type MunicipalTruth struct {
	Outcomes       []string             `json:"outcomes"`
	FirstYear      int                  `json:"first_year"` // 2003
	LastYear       int                  `json:"last_year"`  // 2022
	Aggregates     map[string]Aggregate `json:"aggregates"` // per outcome
	CohortYears    []CohortYear         `json:"cohort_years"`
	Municipalities []MunicipalityTruth  `json:"municipalities"`
}

// CohortYear is ATT(g,t): the mean effect over the municipalities of cohort g in year t ≥ g.
type CohortYear struct {
	Group          int               `json:"group"`
	Year           int               `json:"year"`
	Municipalities int               `json:"municipalities"`
	Effect         map[string]Number `json:"effect"` // per outcome
}

// Aggregate holds the averages of ATT(g,t) of Callaway and Sant'Anna (2021), with
// cohort sizes as weights, over the treated cells of the panel.
type Aggregate struct {
	Simple   Number        `json:"simple"`   // all treated cells
	Dynamic  Number        `json:"dynamic"`  // mean over exposures of ByEvent
	Group    Number        `json:"group"`    // cohort-size mean of ByGroup
	Calendar Number        `json:"calendar"` // mean over years of ByYear
	ByEvent  []KeyedEffect `json:"by_event"`
	ByGroup  []KeyedEffect `json:"by_group"`
	ByYear   []KeyedEffect `json:"by_year"`
}

// KeyedEffect is an effect at an exposure, in a cohort or in a year.
type KeyedEffect struct {
	Key            int    `json:"key"`
	Effect         Number `json:"effect"`
	Municipalities int    `json:"municipalities"`
}

// MunicipalityTruth is one municipality's own effects.
type MunicipalityTruth struct {
	Municipality string              `json:"municipality"`
	FirstYear    int                 `json:"first_year"` // 0 = never
	Effect       map[string][]Number `json:"effect"`     // per outcome, years FirstYear … LastYear of the panel
}

func newMunicipalTruth(sc *scenario, g *geography) MunicipalTruth {
	out := MunicipalTruth{
		Outcomes: municipalOutcomes[:], FirstYear: panelFirst, LastYear: panelLast, Aggregates: map[string]Aggregate{},
	}
	for i := range g.places {
		p := &g.places[i]
		m := MunicipalityTruth{Municipality: p.code, FirstYear: p.firstYear, Effect: map[string][]Number{}}
		for k, name := range municipalOutcomes {
			for year := panelFirst; year <= panelLast; year++ {
				m.Effect[name] = append(m.Effect[name], Number(municipalEffect(sc, p, k, year)))
			}
		}
		out.Municipalities = append(out.Municipalities, m)
	}
	size := map[int]int{}
	for i := range g.places {
		size[g.places[i].firstYear]++
	}
	for first := panelFirst; first <= panelLast; first++ {
		if size[first] == 0 {
			continue
		}
		for year := first; year <= panelLast; year++ {
			cell := CohortYear{Group: first, Year: year, Municipalities: size[first], Effect: map[string]Number{}}
			for k, name := range municipalOutcomes {
				var sum float64
				for i := range g.places {
					if g.places[i].firstYear == first {
						sum += municipalEffect(sc, &g.places[i], k, year)
					}
				}
				cell.Effect[name] = Number(sum / float64(size[first]))
			}
			out.CohortYears = append(out.CohortYears, cell)
		}
	}
	for _, name := range municipalOutcomes {
		out.Aggregates[name] = aggregate(out.CohortYears, name)
	}
	return out
}

// aggregate averages the cells of one outcome.
func aggregate(cells []CohortYear, outcome string) Aggregate {
	by := func(key func(c *CohortYear) int) []KeyedEffect {
		var out []KeyedEffect
		for k := 0; k <= panelLast; k++ {
			var sum float64
			n := 0
			for i := range cells {
				if c := &cells[i]; key(c) == k {
					sum += float64(float64(c.Municipalities) * float64(c.Effect[outcome]))
					n += c.Municipalities
				}
			}
			if n > 0 {
				out = append(out, KeyedEffect{Key: k, Effect: Number(sum / float64(n)), Municipalities: n})
			}
		}
		return out
	}
	a := Aggregate{
		ByEvent: by(func(c *CohortYear) int { return c.Year - c.Group }),
		ByGroup: by(func(c *CohortYear) int { return c.Group }),
		ByYear:  by(func(c *CohortYear) int { return c.Year }),
		Simple:  by(func(*CohortYear) int { return 0 })[0].Effect,
	}
	for i := range a.ByGroup { // the cohort's size, not its number of cells
		a.ByGroup[i].Municipalities /= panelLast - a.ByGroup[i].Key + 1
	}
	a.Dynamic, a.Calendar = plainMean(a.ByEvent), plainMean(a.ByYear)
	var sum, n float64
	for _, e := range a.ByGroup {
		sum += float64(float64(e.Municipalities) * float64(e.Effect))
		n += float64(e.Municipalities)
	}
	a.Group = Number(sum / n)
	return a
}

func plainMean(list []KeyedEffect) Number {
	if len(list) == 0 {
		return Number(math.NaN())
	}
	var sum float64
	for _, e := range list {
		sum += float64(e.Effect)
	}
	return Number(sum / float64(len(list)))
}
