package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/progress"
)

// inOrder are the visits of the file in their order, and that of each row.
func (m *fitFollowUp) inOrder(d *fitData) (visits []string, at []int, err error) {
	codes, names, err := d.codes(m.visit)
	if err != nil {
		return nil, nil, err
	}
	visits = m.order
	if visits == nil {
		visits = slices.Clone(names)
		number := make(map[string]float64, len(names))
		for _, n := range names {
			if number[n], err = strconv.ParseFloat(n, 64); err != nil {
				return nil, nil, usage("--visits first,…,last is needed: the visits of %q are words, which have no order of their own", m.visit)
			}
		}
		sort.SliceStable(visits, func(a, b int) bool { return number[visits[a]] < number[visits[b]] })
	}
	place := make([]int, len(names))
	for k, n := range names {
		place[k] = slices.Index(visits, n)
	}
	if i := d.first(func(i int) bool { return place[codes[i]] < 0 }); i >= 0 {
		return nil, nil, d.at(i, m.visit, fmt.Errorf("a visit that --visits does not name; --where leaves it out"))
	}
	at = make([]int, len(codes))
	for i, c := range codes {
		at[i] = place[c]
	}
	return visits, at, nil
}

// events are the visits that the event of each row's person counts from; nil without --event.
func (m *fitFollowUp) events(d *fitData, visits []string) ([]int, error) {
	if m.event == "" {
		return nil, nil
	}
	codes, names, err := d.codes(m.event)
	if err != nil {
		return nil, err
	}
	out := make([]int, len(codes))
	for i, c := range codes {
		if out[i] = len(visits); c >= 0 {
			out[i] = slices.Index(visits, names[c])
		}
	}
	if i := d.first(func(i int) bool { return out[i] < 0 }); i >= 0 {
		return nil, d.at(i, m.event, fmt.Errorf("an event at what is no visit; write the visit that it counts from, or leave it empty"))
	}
	return out, nil
}

// visits is one row a person and visit; what is said of a person must be the same in all rows.
func (m *fitFollowUp) visits(ctx context.Context, d *fitData, p progress.Persons, y []float64) (*estimate.Result, error) {
	visits, at, err := m.inOrder(d)
	if err != nil {
		return nil, err
	}
	event, err := m.events(d, visits)
	if err != nil {
		return nil, err
	}
	x, names, err := d.design(m.covariates)
	if err != nil {
		return nil, err
	}
	s := &progress.VisitScores{XNames: names, Visits: visits}
	s.Level, s.Weight.Kind = p.Level, p.Weight.Kind
	var scores, known []float64
	first, seen := []int{}, map[string]bool{}
	for _, i := range d.ordered() {
		n := len(first) - 1
		if n < 0 || d.units[first[n]] != d.units[i] {
			n, first = n+1, append(first, i)
			s.Unit, s.Treated = append(s.Unit, d.units[i]), append(s.Treated, p.Treated[i])
			for range visits {
				scores = append(scores, math.NaN())
			}
			if x != nil {
				known = append(known, x.RawRowView(i)...)
			}
			if event != nil {
				s.Event = append(s.Event, event[i])
			}
			if p.Cluster != nil {
				s.Cluster = append(s.Cluster, p.Cluster[i])
			}
			if p.Weight.Values != nil {
				s.Weight.Values = append(s.Weight.Values, p.Weight.Values[i])
			}
		}
		f := first[n]
		key := strconv.Itoa(n) + " " + strconv.Itoa(at[i])
		switch {
		case seen[key]:
			return nil, d.at(i, d.id, fmt.Errorf("the person has two rows at this visit"))
		case p.Treated[i] != p.Treated[f]:
			return nil, d.at(i, m.treatment, fmt.Errorf("the person is in the other arm in line %d", d.line(f)))
		case event != nil && event[i] != event[f]:
			return nil, d.at(i, m.event, fmt.Errorf("the person has another event in line %d", d.line(f)))
		case p.Cluster != nil && p.Cluster[i] != p.Cluster[f]:
			return nil, d.at(i, m.cluster, fmt.Errorf("the person is in another cluster in line %d", d.line(f)))
		case p.Weight.Values != nil && p.Weight.Values[i] != p.Weight.Values[f]:
			return nil, d.at(i, m.weights.column, fmt.Errorf("the person has another weight in line %d", d.line(f)))
		case x != nil && !slices.Equal(x.RawRowView(i), x.RawRowView(f)):
			return nil, d.at(i, "", fmt.Errorf("the person has other covariates in line %d: they must be known before the visits", d.line(f)))
		}
		seen[key] = true
		scores[n*len(visits)+at[i]] = y[i]
	}
	s.After = mat.NewDense(len(first), len(visits), scores)
	if x != nil {
		s.X = mat.NewDense(len(first), len(names), known)
	}
	strategies, _ := m.named()
	shifts, _ := m.deltas()
	r, err := progress.ReferenceBased{
		Strategies: strategies, Delta: shifts, MIC: m.mic, ByArm: m.covariance == "by-arm", ML: m.likelihood == "ml",
		Repeated: m.errors == "jackknife", HoldErrors: m.tipping == "held", MinPerArm: m.least, Workers: d.workers,
	}.Fit(ctx, s)
	if err != nil {
		return nil, err
	}
	r.Details["visits"] = visits
	return r, nil
}
