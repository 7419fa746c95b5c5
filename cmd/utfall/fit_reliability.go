package main

import (
	"context"
	"fmt"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate/progress"
)

// fitReliability is how reliable a score is and which change of it means something.
type fitReliability struct {
	items, ratings []string
	change, anchor string
}

func (m *fitReliability) flags(f *flagSet) {
	f.list(&m.items, "items", "`columns`: the items of one scale, all worded in one direction")
	f.list(&m.ratings, "ratings", "`columns`: one for each rater or occasion, of the same thing")
	f.column(&m.anchor, "anchor", "1 = important improvement by the person's own word, 0 = not")
	f.column(&m.change, "change", "change of the score that --anchor judges (default: the second of two --ratings less the first, or the one column of --items)")
}

func (m *fitReliability) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("items", m.items...)
	c.apart("ratings", m.ratings...)
	c.apart("anchor", m.anchor)
	c.apart("change", m.change)
	return c
}

// onlyChange says that the one column of --items is itself the change.
func (m *fitReliability) onlyChange() bool {
	return len(m.items) == 1 && m.anchor != "" && m.change == ""
}

func (m *fitReliability) check() (problems []string) {
	if len(m.items) > 0 && len(m.ratings) > 0 {
		problems = append(problems, "--items and --ratings are two questions; ask one at a time")
	}
	if len(m.items)+len(m.ratings) == 0 && m.anchor == "" {
		problems = append(problems, "--items, --ratings or --anchor is needed")
	}
	if len(m.items) == 1 && !m.onlyChange() {
		problems = append(problems, "--items needs two columns or more")
	}
	if len(m.ratings) == 1 {
		problems = append(problems, "--ratings needs two columns or more, one for each rater")
	}
	if m.change != "" && m.anchor == "" {
		problems = append(problems, "--change goes with --anchor")
	}
	if m.anchor != "" && m.change == "" && !m.onlyChange() && len(m.ratings) != 2 {
		problems = append(problems, "--anchor needs --change, or two columns of --ratings (before and after)")
	}
	return problems
}

func (m *fitReliability) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	if err := d.sort(m.columns()); err != nil {
		return nil, err
	}
	s := &progress.Scores{Unit: d.units, Level: d.level, Raters: len(m.ratings) > 0}
	names := append(append([]string{}, m.items...), m.ratings...)
	var values [][]float64
	for _, name := range names {
		v, err := d.numbers(name)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	if len(names) > 1 {
		s.Names, s.X = names, mat.NewDense(len(d.units), len(names), nil)
		for j, v := range values {
			s.X.SetCol(j, v)
		}
	}
	if m.anchor != "" {
		var err error
		if s.Anchor, err = d.binary(m.anchor); err != nil {
			return nil, err
		}
		switch {
		case m.change != "":
			if s.Change, err = d.numbers(m.change); err != nil {
				return nil, err
			}
		case m.onlyChange():
			s.Change = values[0]
		default:
			s.Change = make([]float64, len(d.units))
			for i := range s.Change {
				s.Change[i] = values[1][i] - values[0][i]
			}
			d.note("change-from-ratings", map[string]any{"before": m.ratings[0], "after": m.ratings[1]},
				"The change is %s less %s.", m.ratings[1], m.ratings[0])
		}
	}
	r, err := progress.Reliability{Workers: d.workers}.Fit(ctx, s)
	if err != nil {
		return nil, err
	}
	if n := r.N.Units; n < fewPersons {
		d.note("few-persons", map[string]any{"persons": n}, "%s", fmt.Sprintf("There are %d persons, fewer than %d: the intervals are not to be trusted.", n, fewPersons))
	}
	return newFitOutput(r), nil
}
