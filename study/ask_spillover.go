package study

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/panel"
	"utfall/internal/lang"
	"utfall/study/release"
	"utfall/study/report"
	"utfall/table"
)

// Spillover is the effect on places that are treated and on their neighbours that are not.
type Spillover struct {
	PanelColumns `yaml:",inline"`
	Cohort       string    `yaml:"cohort,omitempty"` // first period of treatment; 0 or missing = never
	Anticipation int       `yaml:"anticipation,omitempty"`
	Exposure     string    `yaml:"exposure,omitempty"`   // column: how much of the surroundings is treated in the period
	Region       string    `yaml:"region,omitempty"`     // or: column; the share of the others in the region that are treated
	Neighbours   string    `yaml:"neighbours,omitempty"` // or: data with the columns unit, neighbour and, if they count unequally, weight
	Threshold    float64   `yaml:"threshold,omitempty"`  // exposure up to which a place counts as unexposed
	Borders      []float64 `yaml:"borders,omitempty"`    // of levels of exposure
	ByEvent      bool      `yaml:"by_event,omitempty"`
}

var (
	_ inPanel   = (*Spillover)(nil)
	_ namer     = (*Spillover)(nil)
	_ unplanned = (*Spillover)(nil)
)

// The columns of data about neighbours.
const (
	edgeUnit      = "unit"
	edgeNeighbour = "neighbour"
	edgeWeight    = "weight"
)

func (q *Spillover) defaults(*Spec, *Analysis) {}

func (q *Spillover) check(s *Spec, c *checker, path []any, _ *Analysis) {
	q.PanelColumns.check(s, c, path, "spillover", map[string]string{"cohort": q.Cohort})
	given := 0
	for _, x := range []struct{ key, column string }{{"exposure", q.Exposure}, {"region", q.Region}} {
		if x.column != "" {
			given++
			if s.Data[q.Data].Path != "" {
				s.column(c, at(path, x.key), q.Data, x.column)
			}
		}
	}
	if q.Neighbours != "" {
		given++
		if s.data(c, at(path, "neighbours"), q.Neighbours) {
			s.column(c, at(path, "neighbours"), q.Neighbours, edgeUnit)
			s.column(c, at(path, "neighbours"), q.Neighbours, edgeNeighbour)
		}
	}
	if given != 1 {
		c.add(path, "spillover: give one of exposure (column), region (column) and neighbours (data)")
	}
	if q.Anticipation < 0 {
		c.add(at(path, "anticipation"), "spillover: anticipation must be at least 0 periods")
	}
	if !(q.Threshold >= 0) || math.IsInf(q.Threshold, 1) {
		c.add(at(path, "threshold"), "spillover: threshold is a number of at least 0")
	}
	last := q.Threshold
	for i, b := range q.Borders {
		if !(b > last) || math.IsInf(b, 1) {
			c.add(at(path, "borders", i), "spillover: borders ascend and are above the threshold")
		}
		last = b
	}
}

func (q *Spillover) rests() basis {
	b := q.PanelColumns.rests("spillover", q.Cohort)
	if q.Neighbours != "" {
		b.data = append(b.data, q.Neighbours)
	}
	b.layout = append(b.layout, q.Exposure, q.Region)
	return b
}

func (q *Spillover) dry(s *state, _ *Analysis) error {
	_, _, _, err := s.spilloverFrame(q)
	return err
}

func (q *Spillover) words(*state, *analysisResult) (estimand, errors, also string) {
	return "spillover", "spillover", ""
}

func (q *Spillover) plan(a *Analysis) {
	bare := *q
	bare.PanelColumns = q.bare()
	a.Spillover = &bare
}

func (q *Spillover) comparison(s *state) report.Comparison {
	return q.PanelColumns.comparison(s, "spillover", q.rests().compared)
}

func (q *Spillover) arm(arm string, l lang.Lang) string {
	return q.PanelColumns.arm(arm, "spillover", l)
}

func (q *Spillover) window() []int { return nil }

func (q *Spillover) label(s *state, _ *Analysis, n found) string {
	parts := termParts(n.term)
	switch {
	case parts["event"] != "":
		e, _ := strconv.Atoi(parts["event"])
		kind := "treated"
		if n.term[0] == 'e' {
			kind = "exposed"
		}
		return s.lang.Text("study.spillover-event-"+kind, "label", s.eventLabel(e))
	case parts["above"] != "":
		return s.lang.Text("study.spillover-above", "above", s.border(parts["above"]))
	case n.term == "naive":
		return s.lang.Text("study.spillover-naive")
	}
	return s.lang.Text("study.spillover-on-" + n.term)
}

func (q *Spillover) unit(*Analysis, found) report.Unit { return "" }

func (q *Spillover) shows(*Analysis, found) bool { return true }

// spilloverFrame resolves the columns and the exposure of each row.
func (s *state) spilloverFrame(q *Spillover) (*panel.Frame, []float64, []table.Note, error) {
	t, notes, err := s.panelRows(&q.PanelColumns, q.Exposure, q.Region)
	if err != nil {
		return nil, nil, nil, err
	}
	f, err := s.panelColumns(t, &q.PanelColumns, q.Cohort)
	if err != nil {
		return nil, nil, nil, err
	}
	switch {
	case q.Exposure != "":
		v, err := t.Float(q.Exposure)
		return f, v.Values, notes, err
	case q.Region != "":
		region, _, err := t.Text(q.Region)
		if err != nil {
			return nil, nil, nil, err
		}
		x, err := panel.ExposureByRegion(f.Unit, f.Time, f.Cohort, region)
		return f, x, notes, s.panelError(&q.PanelColumns, err, q.Exposure, q.Region)
	}
	edges, err := s.edges(q.Neighbours)
	if err != nil {
		return nil, nil, nil, err
	}
	x, missing, err := panel.ExposureByNeighbours(f.Unit, f.Time, f.Cohort, edges)
	if missing > 0 {
		notes = append(notes, table.Note{Code: "neighbours-missing", Text: fmt.Sprintf("%d neighbours are not in the data and count as untreated.", missing), Args: map[string]any{"units": missing}})
	}
	return f, x, notes, s.rowError(q.Neighbours, err)
}

// edges reads who is whose neighbour.
func (s *state) edges(data string) ([]panel.Edge, error) {
	t := s.data[data].table
	unit, known, err := t.Text(edgeUnit)
	if err != nil {
		return nil, err
	}
	neighbour, also, err := t.Text(edgeNeighbour)
	if err != nil {
		return nil, err
	}
	var weight table.Floats
	if t.Has(edgeWeight) {
		if weight, err = t.Float(edgeWeight); err != nil {
			return nil, err
		}
	}
	out := make([]panel.Edge, len(unit))
	for i := range out {
		if (known != nil && !known[i]) || (also != nil && !also[i]) || (t.Has(edgeWeight) && !weight.Has(i)) {
			return nil, s.rowError(data, &table.RowError{Row: i, Err: errors.New("a neighbour needs unit, neighbour and, where the column is there, weight")})
		}
		out[i] = panel.Edge{Unit: unit[i], Neighbour: neighbour[i], Weight: 1}
		if t.Has(edgeWeight) {
			out[i].Weight = weight.Values[i]
		}
	}
	return out, nil
}

func (q *Spillover) estimate(s *state, _ *Analysis) (analysisResult, error) {
	r := analysisResult{method: "spillover", kind: "effect"}
	f, exposure, notes, err := s.spilloverFrame(q)
	if err != nil {
		return r, err
	}
	res, err := panel.Spillover{
		Threshold: q.Threshold, Borders: q.Borders, Anticipation: q.Anticipation, ByEvent: q.ByEvent, Workers: s.o.Workers,
	}.Fit(s.ctx, f, exposure)
	r.notes = notes
	if errors.Is(err, estimate.ErrNotIdentified) {
		r.numbers = []found{refuse("exposed", estimate.MeanDifference,
			table.Note{Code: "spillover-none-exposed", Text: "No place without treatment has a treated neighbour in a period that can be compared. Spillover to neighbours cannot be measured."},
			table.Note{Code: "spillover-none-exposed-fix", Text: "Count more places as neighbours, or ask for the effect on those treated with did."})}
		return r, nil
	}
	if err != nil {
		return r, s.panelError(&q.PanelColumns, err, q.Exposure, q.Region)
	}
	r.notes = append(r.notes, res.Notes...)
	terms := res.Details["terms"].([]map[string]any)
	under := map[string]release.Basis{}
	for _, t := range terms {
		under[t["term"].(string)] = s.placesBasis(q.Data, t["units"].(int), t["clean"].(int))
	}
	for _, e := range res.Estimates {
		r.numbers = append(r.numbers, found{term: e.Term, e: e, basis: under[e.Term]})
	}
	if naive, ok := res.Details["naive"].(map[string]float64); ok {
		e := estimate.Estimate{Term: "naive", Measure: estimate.MeanDifference, Value: naive["estimate"], SE: naive["std_error"]}
		e.CI, e.Test = noInterval()
		// With the effect on the treated it tells that on their neighbours: it rests on
		// the fewest under either.
		on := under["treated"]
		on.Treated = min(on.Treated, under["exposed"].Treated)
		on.Control = min(on.Control, under["exposed"].Control)
		if q.naiveShows(s, on) {
			on = s.placesBasis(q.Data, under["treated"].Treated, notYetTreated(f, q.Anticipation))
		}
		r.numbers = append(r.numbers, found{term: "naive", e: e, basis: on})
	}
	r.mixed = spilled(terms)
	return r, nil
}

// naiveShows reports whether a number on these places may be shown.
func (q *Spillover) naiveShows(s *state, on release.Basis) bool {
	return on.Published || min(on.Treated, on.Control) >= s.policy.Threshold()
}

// notYetTreated is the fewest places that are not yet treated in a period in which others are,
// which the naive comparison is with.
func notYetTreated(f *panel.Frame, anticipation int) int {
	first, last := map[string]int{}, map[int]bool{}
	for i, u := range f.Unit {
		first[u] = f.Cohort[i]
		last[f.Time[i]] = true
	}
	out := 0
	for t := range last {
		some, n := false, 0
		for _, g := range first {
			switch {
			case g == 0 || g > t+anticipation:
				n++
			case g <= t:
				some = true
			}
		}
		if some && n > 0 && (out == 0 || n < out) {
			out = n
		}
	}
	return out
}

// spilled says that the levels of exposure, and the events, add up to the whole.
func spilled(terms []map[string]any) *mixtures {
	m := newMixtures()
	levels, events := map[string][]string{}, map[string][]string{}
	units := map[string]int{}
	for _, t := range terms {
		term := t["term"].(string)
		units[term] = min(t["units"].(int), t["clean"].(int))
		kind, _, _ := strings.Cut(term, ",")
		switch parts := termParts(term); {
		case parts["above"] != "":
			levels[kind] = append(levels[kind], term)
		case parts["event"] != "":
			events[kind] = append(events[kind], term)
		}
	}
	set := func(term, part string, w float64) {
		if m.of[term] == nil {
			m.of[term] = mixture{}
		}
		m.of[term][part] = w
	}
	either := func(of []string, kind string) []string {
		if len(of) == 0 {
			return []string{kind}
		}
		return of
	}
	for _, kind := range []string{"treated", "exposed"} {
		for _, l := range either(levels[kind], kind) {
			for _, e := range either(events[kind], kind) {
				part := l + "|" + e
				m.size[part] = min(units[l], units[e])
				for _, term := range []string{kind, l, e} {
					set(term, part, 1)
				}
				w := 1.0
				if kind == "exposed" { // the neighbours count by how long they are compared with: not as in exposed
					w = -1 / float64(2+len(m.size))
				}
				set("naive", part, w)
			}
		}
	}
	return m
}

func (q *Spillover) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "spillover", "exposed", estimate.MeanDifference
}
