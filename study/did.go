package study

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/panel"
	"utfall/study/release"
	"utfall/table"
)

// panelFit is a panel with its effects by cohort and time, for analyses that rest on it.
type panelFit struct {
	frame *panel.Frame
	cells *panel.GroupTimeResult
}

// did estimates the effect of staggered entry in a panel.
func (s *state) did(a *Analysis) (analysisResult, error) {
	d := a.DID
	r := analysisResult{method: "did", kind: "effect"}
	f, notes, err := s.panelFrame(d)
	if err != nil {
		return r, err
	}
	gt, err := panel.GroupTime{
		Method: d.Method, Control: d.Control, Base: d.Base, Anticipation: d.Anticipation, Workers: s.o.Workers,
	}.Fit(s.ctx, f)
	if err != nil {
		return r, s.rowError(d.Data, err)
	}
	r.own = &panelFit{f, gt}
	cells, err := gt.Result()
	if err != nil {
		return r, err
	}
	r.notes = append(notes, cells.Notes...)
	for _, kind := range d.Aggregate {
		o := panel.AggregateOptions{Bands: d.Bands, Replicates: d.Replicates, Seed: s.seedOf("did/" + a.Name + "/" + kind), Level: s.spec.Level}
		if kind == "dynamic" {
			o.BalanceEvent = d.BalanceEvent
		}
		if kind == "simple" || kind == "none" {
			o.Bands, o.Replicates = panel.Pointwise, 0
		}
		res, err := gt.Aggregate(panel.Aggregation(kind), o)
		if err != nil {
			return r, err
		}
		bases, typical := didBases(gt, kind, res)
		chosen, err := s.infer(a, gt, kind, res)
		if err != nil {
			return r, err
		}
		r.notes = addNew(r.notes, chosen.main)
		for i, est := range res.Estimates {
			n := found{term: est.Term, e: est, basis: bases[i], notes: chosen.notes[i]}
			if d.Inference == standardErrors && typical[i] < fewComparison && est.HasSE() {
				n.notes = []table.Note{{
					Code: "few-comparison", Text: "Few units are left to compare with at this distance from entry; the interval is likely to be too narrow.",
				}}
			}
			if kind != "simple" && est.Term == panel.Overall {
				n.term = kind + ":" + est.Term
			}
			r.numbers = append(r.numbers, n)
			if kind == "dynamic" && est.Term != panel.Overall {
				r.event = append(r.event, n)
			}
		}
	}
	return r, nil
}

// fewComparison is the number of comparison units below which the normal intervals of
// a panel are known to be too narrow: on the synthetic register 95 % intervals cover
// 0.93 to 0.97 at events with 50 or more and 0.82 to 0.90 at events with 20 to 40 (40 panels).
const fewComparison = 40

// didBases counts the units under each estimate: the treated of the cells it averages,
// and the fewest comparison units of any of them; and the number of comparison units
// that the typical treated unit is compared with.
func didBases(gt *panel.GroupTimeResult, kind string, res *estimate.Result) ([]release.Basis, []float64) {
	out := make([]release.Basis, len(res.Estimates))
	typical := make([]float64, len(res.Estimates))
	size, most := map[int]int{}, 0 // a reference cell is a zero by definition: it counts as its cohort
	for _, g := range gt.Cohorts() {
		size[g.Group] = g.Units
	}
	for _, c := range gt.Cells {
		most = max(most, c.Control)
	}
	for i, est := range res.Estimates {
		groups := map[int]int{}
		control := math.MaxInt
		sum, weight := 0.0, 0.0
		for _, c := range gt.Cells {
			if !(c.Identified() || c.Reference) || !cellIn(c, kind, est.Term) {
				continue
			}
			groups[c.Group] = max(groups[c.Group], c.Treated, size[c.Group])
			if c.Control > 0 {
				control = min(control, c.Control)
				sum += float64(c.Treated * c.Control)
				weight += float64(c.Treated)
			}
		}
		typical[i] = math.Inf(1)
		if weight > 0 {
			typical[i] = sum / weight
		}
		treated := 0
		for _, n := range groups {
			treated += n
		}
		if control == math.MaxInt {
			control = most
		}
		out[i] = release.Basis{Treated: treated, Control: control, DF: math.Inf(1)}
	}
	return out, typical
}

// cellIn reports whether a cell is averaged into a term of an aggregation.
func cellIn(c panel.Cell, kind, term string) bool {
	var g, t int
	switch kind {
	case "none":
		n, _ := fmt.Sscanf(term, "group=%d,time=%d", &g, &t)
		return n == 2 && c.Group == g && c.Time == t
	case "dynamic":
		if n, _ := fmt.Sscanf(term, "event=%d", &t); n == 1 {
			return c.Time-c.Group == t
		}
	case "group":
		if n, _ := fmt.Sscanf(term, "group=%d", &g); n == 1 {
			return c.Post && c.Group == g
		}
	case "calendar":
		if n, _ := fmt.Sscanf(term, "time=%d", &t); n == 1 {
			return c.Post && c.Time == t
		}
	}
	return c.Post
}

// panelFrame resolves the columns of a panel, leaving out rows without a value in one
// of them, counted.
func (s *state) panelFrame(d *DID) (*panel.Frame, []table.Note, error) {
	t := s.data[d.Data].table
	needed := append([]string{d.Unit, d.Time, d.Outcome}, d.Covariates...)
	for _, c := range []string{d.Weights, d.Cluster} {
		if c != "" {
			needed = append(needed, c)
		}
	}
	keep := make([]bool, t.Rows())
	for i := range keep {
		keep[i] = true
	}
	var notes []table.Note
	if d.Where != "" {
		rule, err := table.CompileFilter(d.Where, t.Fields())
		if err != nil {
			return nil, nil, fmt.Errorf("where: %w", err)
		}
		unknown := 0
		if keep, unknown, err = rule.Apply(t); err != nil {
			return nil, nil, fmt.Errorf("where: %w", err)
		}
		notes = subgroupUnknown(unknown)
	}
	missing := 0
	var rows []int
	columns := make([]table.Column, len(needed))
	for j, name := range needed {
		var err error
		if columns[j], err = t.Column(name); err != nil {
			return nil, nil, err
		}
	}
	for i, k := range keep {
		if !k {
			continue
		}
		whole := true
		for _, c := range columns {
			whole = whole && c.Has(i)
		}
		if !whole {
			missing++
			continue
		}
		rows = append(rows, i)
	}
	if len(rows) == 0 {
		return nil, nil, fmt.Errorf("no row of %q has a value in all of the columns %v", d.Data, needed)
	}
	if missing > 0 {
		notes = append(notes, table.Note{Code: "rows-missing", Text: fmt.Sprintf("%d rows without a value in a needed column were left out", missing), Args: map[string]any{"rows": missing}})
	}
	f, err := panelColumns(t.Take(rows), d)
	if err != nil {
		return nil, nil, err
	}
	f.Level = s.spec.Level
	return f, notes, nil
}

func panelColumns(t *table.Table, d *DID) (*panel.Frame, error) {
	f := &panel.Frame{}
	var err error
	if f.Unit, _, err = t.Text(d.Unit); err != nil {
		return nil, err
	}
	times, err := t.Integer(d.Time)
	if err != nil {
		return nil, err
	}
	first, err := t.Integer(d.Cohort)
	if err != nil {
		return nil, err
	}
	y, err := t.Float(d.Outcome)
	if err != nil {
		return nil, err
	}
	f.Y = y.Values
	for i := range times.Values {
		f.Time = append(f.Time, int(times.Values[i]))
		g := 0
		if first.Has(i) {
			g = int(first.Values[i])
		}
		f.Cohort = append(f.Cohort, g)
	}
	if d.Weights != "" {
		w, err := t.Float(d.Weights)
		if err != nil {
			return nil, err
		}
		f.Weight = w.Values
	}
	if d.Cluster != "" {
		if f.Cluster, _, err = t.Text(d.Cluster); err != nil {
			return nil, err
		}
	}
	if len(d.Covariates) > 0 {
		x, err := cohort.Design(t, d.Covariates, cohort.DesignOptions{})
		if err != nil {
			return nil, err
		}
		f.XNames = x.Names()
		f.X = mat.NewDense(x.Rows, len(x.Columns), x.Values)
	}
	return f, nil
}
