package main

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate/progress"
	"utfall/ingest"
)

// waves fits two waves: one row a person and wave. What is said of a person (group, weight, cluster)
// must be the same in both rows.
func (m *fitTrait) waves(ctx context.Context, d *fitData) (*fitOutput, error) {
	codes, names, err := d.codes(m.wave)
	if err != nil {
		return nil, err
	}
	if len(names) != 2 {
		return nil, &ingest.Problem{File: d.file, Column: m.wave, Code: "not-two-waves", Text: fmt.Sprintf("%d different values; two waves are needed (--where picks them)", len(names))}
	}
	if numbers, err := d.numbers(m.wave); err == nil && d.backwards(codes, numbers) { // 9 comes before 10
		for i, c := range codes {
			codes[i] = 1 - c
		}
		names[0], names[1] = names[1], names[0]
	}
	x, err := m.read(d)
	if err != nil {
		return nil, err
	}
	weight, err := m.weights.read(d)
	if err != nil {
		return nil, err
	}
	var treated []bool
	var cluster []int
	if m.treatment != "" {
		if treated, err = d.binary(m.treatment); err != nil {
			return nil, err
		}
	}
	if m.cluster != "" {
		if cluster, _, err = d.codes(m.cluster); err != nil {
			return nil, err
		}
	}
	w := &progress.Waves{Names: m.items, Level: d.level}
	person, first := map[string]int{}, []int{}
	seen := [][2]bool{}
	J := len(m.items)
	var before, after []float64
	for _, i := range d.ordered() {
		at, known := person[d.units[i]]
		if !known {
			at = len(first)
			person[d.units[i]], first, seen = at, append(first, i), append(seen, [2]bool{})
			w.Unit = append(w.Unit, d.units[i])
			for range J {
				before, after = append(before, math.NaN()), append(after, math.NaN())
			}
			if treated != nil {
				w.Treated = append(w.Treated, treated[i])
			}
			if cluster != nil {
				w.Cluster = append(w.Cluster, cluster[i])
			}
			w.Weight.Kind = weight.Kind
			if weight.Values != nil {
				w.Weight.Values = append(w.Weight.Values, weight.Values[i])
			}
		}
		f := first[at]
		switch {
		case seen[at][codes[i]]:
			return nil, d.at(i, d.id, fmt.Errorf("the person has two rows in this wave"))
		case treated != nil && treated[i] != treated[f]:
			return nil, d.at(i, m.treatment, fmt.Errorf("the person is in the other group in line %d", d.line(f)))
		case cluster != nil && cluster[i] != cluster[f]:
			return nil, d.at(i, m.cluster, fmt.Errorf("the person is in another cluster in line %d", d.line(f)))
		case weight.Values != nil && weight.Values[i] != weight.Values[f]:
			return nil, d.at(i, m.weights.column, fmt.Errorf("the person has another weight in line %d", d.line(f)))
		}
		seen[at][codes[i]] = true
		rows := before
		if codes[i] == 1 {
			rows = after
		}
		copy(rows[at*J:(at+1)*J], x.RawRowView(i))
	}
	w.Before, w.After = mat.NewDense(len(first), J, before), mat.NewDense(len(first), J, after)
	r, err := progress.LatentChange{Model: m.model, Shift: m.shift, Free: m.free, Workers: d.workers}.Fit(ctx, w)
	if err != nil {
		return nil, err
	}
	r.Details["waves"] = names
	if n := r.N.Units; n < fewPersons {
		d.note("few-persons", map[string]any{"persons": n}, "%s", fmt.Sprintf("There are %d persons, fewer than %d: the intervals are not to be trusted.", n, fewPersons))
	}
	return newFitOutput(r, "treated"), nil
}

// backwards says that byte order is not that of the numbers.
func (d *fitData) backwards(codes []int, numbers []float64) bool {
	var value [2]float64
	for i, c := range codes {
		value[c] = numbers[i]
	}
	return value[0] > value[1]
}
