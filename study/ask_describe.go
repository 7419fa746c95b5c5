package study

import "utfall/estimate"

// Describe summarises columns of a cohort or of data.
type Describe struct {
	Cohort  string   `yaml:"cohort,omitempty"`
	Data    string   `yaml:"data,omitempty"`
	Columns []string `yaml:"columns,omitempty"`
}

var _ question = (*Describe)(nil)

func (d *Describe) defaults(*Spec, *Analysis) {}

func (d *Describe) check(s *Spec, c *checker, path []any, _ *Analysis) {
	switch {
	case (d.Cohort == "") == (d.Data == ""):
		c.add(path, "describe: name either a cohort or data")
	case d.Cohort != "":
		s.cohortRef(c, at(path, "cohort"), d.Cohort)
	default:
		if s.data(c, at(path, "data"), d.Data) {
			for _, col := range d.Columns {
				s.column(c, at(path, "columns"), d.Data, col)
			}
		}
	}
	if len(d.Columns) == 0 {
		c.add(path, "describe: columns: name at least one column")
	}
}

func (d *Describe) rests() basis {
	if d.Cohort != "" {
		return basis{cohort: d.Cohort}
	}
	return basis{data: []string{d.Data}}
}

func (d *Describe) dry(s *state, _ *Analysis) error {
	t := s.describedTable(d)
	for _, name := range d.Columns {
		if err := s.namedLevels(d, t, name); err != nil {
			return err
		}
	}
	return nil
}

func (d *Describe) estimate(s *state, a *Analysis) (analysisResult, error) { return s.describe(a) }

func (d *Describe) words(*state, *analysisResult) (estimand, errors, also string) {
	return "description", "none", ""
}

func (d *Describe) chief(*state, *Analysis) (method, term string, m estimate.Measure) {
	return "describe", d.Columns[0], estimate.Mean
}
