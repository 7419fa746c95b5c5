package study

import (
	"errors"
	"fmt"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/cohort"
	"utfall/estimate"
	"utfall/estimate/panel"
	"utfall/internal/lang"
	"utfall/study/report"
	"utfall/table"
)

// PanelColumns are the columns and rows of a panel, as questions about places followed over time name them.
type PanelColumns struct {
	Label      Text            `yaml:"label,omitempty"`
	Groups     map[string]Text `yaml:"groups,omitempty"` // what the treated and control units are called
	Data       string          `yaml:"data,omitempty"`
	Unit       string          `yaml:"unit,omitempty"`
	Time       string          `yaml:"time,omitempty"`
	Outcome    string          `yaml:"outcome,omitempty"`
	Covariates []string        `yaml:"covariates,omitempty"`
	Weights    string          `yaml:"weights,omitempty"`
	Cluster    string          `yaml:"cluster,omitempty"`
	Where      string          `yaml:"where,omitempty"`
}

// check adds the problems of the columns; needed are those of the question itself.
func (p *PanelColumns) check(s *Spec, c *checker, path []any, method string, needed map[string]string) {
	c.text(at(path, "label"), p.Label)
	for _, k := range sortedKeys(p.Groups) {
		c.oneOf(at(path, "groups", k), "group", k, "treated", "control")
	}
	if !s.data(c, at(path, "data"), p.Data) {
		return
	}
	all := map[string]string{"unit": p.Unit, "time": p.Time, "outcome": p.Outcome}
	for key, column := range needed {
		all[key] = column
	}
	for _, key := range sortedKeys(all) {
		if all[key] == "" {
			c.add(path, "%s: %s: name the column", method, key)
		} else {
			s.column(c, at(path, key), p.Data, all[key])
		}
	}
	for _, column := range p.Covariates {
		s.column(c, at(path, "covariates"), p.Data, column)
	}
	for key, column := range map[string]string{"weights": p.Weights, "cluster": p.Cluster} {
		if column != "" {
			s.column(c, at(path, key), p.Data, column)
		}
	}
}

// rests is what the numbers rest on; more are the columns of the question itself.
func (p *PanelColumns) rests(method string, more ...string) basis {
	return basis{
		data: []string{p.Data}, outcomes: []string{p.Outcome}, compared: method + "/" + p.Data + "/" + strings.Join(more, "/"),
		layout: append(append([]string{p.Unit, p.Time, p.Weights, p.Cluster}, more...), p.Covariates...),
	}
}

// arm is what an arm is called.
func (p *PanelColumns) arm(arm, method string, l lang.Lang) string {
	if t, ok := p.Groups[arm]; ok {
		return t.In(string(l))
	}
	return l.Text("study." + method + "-" + arm)
}

// comparison says who is compared with whom; its texts are those of the method.
func (p *PanelColumns) comparison(s *state, method, name string) report.Comparison {
	covariates := ""
	if len(p.Covariates) > 0 {
		var names []string
		for _, c := range p.Covariates {
			names = append(names, strings.ToLower(s.label(c)))
		}
		covariates = s.lang.Text("study.did-covariates", "columns", s.lang.And(names))
	}
	return report.Comparison{
		Name: name, Label: or(p.Label.In(s.spec.Language), s.lang.Text("study."+method+"-label", "name", s.label(p.Data))),
		Treated: p.arm("treated", method, s.lang), Control: p.arm("control", method, s.lang), TimeZero: s.lang.Text("study." + method + "-time"),
		Design: s.lang.Text("study."+method+"-design", "covariates", covariates),
	}
}

// bare are the columns without texts, which are no part of the plan.
func (p PanelColumns) bare() PanelColumns {
	p.Label, p.Groups = nil, nil
	return p
}

// panelRows are the rows of a panel that have a value in all of its columns and in those of the question; others are counted.
func (s *state) panelRows(p *PanelColumns, more ...string) (*table.Table, []table.Note, error) {
	rows, notes, err := s.keptRows(p, more)
	if err != nil {
		return nil, nil, err
	}
	return s.data[p.Data].table.Take(rows), notes, nil
}

// panelError turns a row that an estimator names, one of those of panelRows with the same columns, into a line of the file.
func (s *state) panelError(p *PanelColumns, err error, more ...string) error {
	var row *estimate.RowError
	if !errors.As(err, &row) {
		return err
	}
	rows, _, kept := s.keptRows(p, more)
	if kept != nil || row.Row >= len(rows) {
		return err
	}
	return s.rowError(p.Data, &estimate.RowError{Row: rows[row.Row], Err: row.Err})
}

// keptRows are the places of the rows of panelRows in the data.
func (s *state) keptRows(p *PanelColumns, more []string) ([]int, []table.Note, error) {
	t := s.data[p.Data].table
	needed := append([]string{p.Unit, p.Time, p.Outcome}, p.Covariates...)
	for _, c := range append([]string{p.Weights, p.Cluster}, more...) {
		if c != "" {
			needed = append(needed, c)
		}
	}
	keep := make([]bool, t.Rows())
	for i := range keep {
		keep[i] = true
	}
	var notes []table.Note
	if p.Where != "" {
		rule, err := table.CompileFilter(p.Where, t.Fields())
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
		return nil, nil, fmt.Errorf("%w: no row of %q has a value in all of the columns %v", estimate.ErrTooFew, p.Data, needed)
	}
	if missing > 0 {
		notes = append(notes, table.Note{Code: "rows-missing", Text: fmt.Sprintf("%d rows without a value in a needed column were left out", missing), Args: map[string]any{"rows": missing}})
	}
	alike, err := oneLevel(t, rows, p.Covariates)
	return rows, append(notes, alike...), err
}

// panelColumns makes the frame of the rows; without a column of first treated periods it has no cohorts.
func (s *state) panelColumns(t *table.Table, p *PanelColumns, cohorts string) (*panel.Frame, error) {
	f := &panel.Frame{Level: s.spec.Level}
	var err error
	if f.Unit, _, err = t.Text(p.Unit); err != nil {
		return nil, err
	}
	times, err := t.Integer(p.Time)
	if err != nil {
		return nil, err
	}
	y, err := t.Float(p.Outcome)
	if err != nil {
		return nil, err
	}
	f.Y = y.Values
	for _, v := range times.Values {
		f.Time = append(f.Time, int(v))
	}
	if cohorts != "" {
		first, err := t.Integer(cohorts)
		if err != nil {
			return nil, err
		}
		for i := range times.Values {
			g := 0
			if first.Has(i) {
				g = int(first.Values[i])
			}
			f.Cohort = append(f.Cohort, g)
		}
	}
	if p.Weights != "" {
		w, err := t.Float(p.Weights)
		if err != nil {
			return nil, err
		}
		f.Weight = w.Values
	}
	if p.Cluster != "" {
		if f.Cluster, _, err = t.Text(p.Cluster); err != nil {
			return nil, err
		}
	}
	if len(p.Covariates) > 0 {
		x, err := cohort.Design(t, p.Covariates, cohort.DesignOptions{})
		if err != nil {
			return nil, err
		}
		f.XNames = x.Names()
		f.X = mat.NewDense(x.Rows, len(x.Columns), x.Values)
	}
	return f, nil
}
