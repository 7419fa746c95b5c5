package main

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"utfall/estimate/panel"
)

// fitSpillover is effects on treated units and on untreated ones that they reach.
type fitSpillover struct {
	fitFew                       // the panel: unit, time, cohort or treated, outcome, covariates
	exposure, region, neighbours string
	threshold                    float64
	borders                      []string
	byEvent                      bool
	option                       panel.Spillover
	edges                        *fitData
}

func (m *fitSpillover) flags(f *flagSet) {
	m.f, m.did.f, m.did.panel = f, f, true
	f.column(&m.did.unit, "unit", "names the unit that is followed")
	f.column(&m.did.time, "time", "period, a whole number")
	f.column(&m.did.cohort, "cohort", "first treated period; 0 or empty = never treated (one of the two throughout)")
	f.column(&m.treated, "treated", "in place of --cohort: 1 = the unit is treated in the period, 0 = not (yet); it stays treated")
	f.column(&m.did.outcome, "outcome", "a number")
	f.list(&m.did.covariates, "covariates", "`columns`, comma separated; their values in the base period count")
	f.whole(&m.did.anticipation, "anticipation", 0, "by how many periods before treatment or exposure outcomes may react")
	f.column(&m.did.weights, "weights", "sampling weight above 0")
	f.column(&m.did.cluster, "cluster", "rows with its same value are dependent: the region (default: the unit)")
	f.column(&m.exposure, "exposure", "how much of the unit's surroundings is treated in the period, at least 0")
	f.column(&m.region, "region", "in place of --exposure: the share of the other units of the region that are treated")
	f.text(&m.neighbours, "neighbours", "", "in place of --exposure: `file` with columns unit, neighbour and, if they count unequally, weight")
	f.number(&m.threshold, "threshold", 0, "exposure up to which a unit counts as unexposed")
	f.list(&m.borders, "borders", "`numbers` that divide exposure into bins")
	f.yes(&m.byEvent, "by-event", false, "effects by time since treatment or first exposure as well")
	f.need("unit", "time", "outcome")
}

func (m *fitSpillover) columns() fitColumns {
	c := fitColumns{}
	c.apart("unit", m.did.unit)
	c.apart("time", m.did.time)
	c.put(fitColumn{flag: "cohort", name: m.did.cohort, missing: true, apart: true})
	c.apart("treated", m.treated)
	c.apart("outcome", m.did.outcome)
	c.apart("exposure", m.exposure)
	c.add("region", m.region)
	c.apart("covariates", m.did.covariates...)
	c.add("weights", m.did.weights)
	c.add("cluster", m.did.cluster)
	return c
}

func (m *fitSpillover) check() (problems []string) {
	add := func(p ...string) { problems = append(problems, p...) }
	if (m.did.cohort == "") == (m.treated == "") {
		add("give one of --cohort and --treated")
	}
	given := 0
	for _, s := range []string{m.exposure, m.region, m.neighbours} {
		if s != "" {
			given++
		}
	}
	if given != 1 {
		add("give one of --exposure, --region and --neighbours")
	}
	if m.did.anticipation < 0 {
		add("--anticipation must be at least 0")
	}
	if !(m.threshold >= 0) || math.IsInf(m.threshold, 1) {
		add("--threshold must be at least 0")
	}
	borders, more := ascending("borders", m.borders, m.threshold)
	add(more...)
	m.option = panel.Spillover{Threshold: m.threshold, Borders: borders, Anticipation: m.did.anticipation, ByEvent: m.byEvent}
	return problems
}

// ascending reads a list of numbers that rise from above a first one.
func ascending(flag string, list []string, above float64) (out []float64, problems []string) {
	for _, s := range list {
		v, err := strconv.ParseFloat(s, 64)
		switch {
		case err != nil || math.IsInf(v, 0) || math.IsNaN(v):
			problems = append(problems, fmt.Sprintf("--%s: %q is not a number", flag, s))
		case !(v > above):
			problems = append(problems, fmt.Sprintf("--%s: %s must be above %v: numbers ascend", flag, s, above))
		default:
			out, above = append(out, v), v
		}
	}
	return out, problems
}

// readFiles implements [filesReader].
func (m *fitSpillover) readFiles(ctx context.Context, c *fitCommon, workers int) (*fitData, error) {
	d, err := readFitData(ctx, c, m.columns(), workers)
	if err != nil || m.neighbours == "" {
		return d, err
	}
	one := *c
	one.data, one.where, one.id, one.categorical = m.neighbours, "", "", nil
	all := fitColumns{all: true}
	all.add("neighbours", "unit")
	all.add("neighbours", "neighbour")
	if m.edges, err = readFitData(ctx, &one, all, workers); err != nil {
		return nil, err
	}
	d.notes = append(d.notes, m.edges.notes...)
	return d, nil
}

// exposures gives each row its exposure.
func (m *fitSpillover) exposures(d *fitData, f *panel.Frame) ([]float64, error) {
	switch {
	case m.exposure != "":
		return d.numbers(m.exposure)
	case m.region != "":
		region, err := d.text(m.region, "")
		if err != nil {
			return nil, err
		}
		return panel.ExposureByRegion(f.Unit, f.Time, f.Cohort, region)
	}
	unit, err := m.edges.text("unit", "")
	if err != nil {
		return nil, err
	}
	neighbour, err := m.edges.text("neighbour", "")
	if err != nil {
		return nil, err
	}
	var weight []float64
	if m.edges.t.Has("weight") {
		if weight, err = m.edges.numbers("weight"); err != nil {
			return nil, err
		}
	}
	edges := make([]panel.Edge, len(unit))
	for i := range edges {
		edges[i] = panel.Edge{Unit: unit[i], Neighbour: neighbour[i], Weight: 1}
		if weight != nil {
			edges[i].Weight = weight[i]
		}
	}
	x, missing, err := panel.ExposureByNeighbours(f.Unit, f.Time, f.Cohort, edges)
	if err != nil {
		return nil, fitError(err, m.edges)
	}
	if missing > 0 {
		d.note("neighbours-missing", map[string]any{"units": missing}, "%d neighbours are not in the data and count as untreated.", missing)
	}
	return x, nil
}

func (m *fitSpillover) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	f, err := m.frame(d)
	if err != nil {
		return nil, err
	}
	x, err := m.exposures(d, f)
	if err != nil {
		return nil, err
	}
	s := m.option
	s.Workers = d.workers
	res, err := s.Fit(ctx, f, x)
	if err != nil {
		return nil, err
	}
	out := newFitOutput(res, "treated")
	t := fitTable{title: "Compared with all units not yet treated, exposed or not (biased where effects spill over)", header: []string{"", "estimate", "std_error"}}
	if naive, ok := res.Details["naive"].(map[string]float64); ok {
		t.rows = append(t.rows, []any{"treated", naive["estimate"], naive["std_error"]})
		out.tables = append(out.tables, t)
	}
	return out, nil
}
