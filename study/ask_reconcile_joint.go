package study

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"utfall/estimate/panel"
)

// jointErrors is the value of errors that follows both effects by municipality.
const jointErrors = "joint"

// fewestShared is how many municipalities must be behind both effects for their errors to
// be joined: the correlation of fewer is guessed.
const fewestShared = 10

// levels are the influence of people and of municipalities on their effects, summed by
// municipality (or by what the municipal analysis clusters on).
type levels struct {
	people, places map[string]float64
	own, both      map[string]float64 // people's, summed by their analysis's clusters, and by these within municipalities
}

// jointError is the part of the errors that the two levels share.
type jointError struct {
	se         float64 // of the effect on a participant, clustered on municipalities as well
	covariance float64 // of the two effects
	df         float64 // municipalities behind the effect on participants, less 1
}

// join gives the errors of both effects together; ok is false where too little is shared.
// Two-way clusters: Cameron, Gelbach and Miller (2011), J. Business and Economic Statistics 29(2).
func (l *levels) join(one, both float64) (j jointError, ok bool) {
	square := func(m map[string]float64) float64 {
		sum := 0.0
		for _, k := range sortedKeys(m) {
			sum += float64(m[k] * m[k])
		}
		return sum
	}
	cross, shared := 0.0, 0
	for _, k := range sortedKeys(l.people) {
		if v, ok := l.places[k]; ok {
			cross += float64(v * l.people[k])
			shared++
		}
	}
	g := float64(len(l.people))
	own, places := square(l.own), square(l.places)
	ratio := (g/(g-1)*square(l.people) + own - square(l.both)) / own
	if shared < fewestShared || !(ratio > 0) || math.IsInf(ratio, 1) || !(places > 0) {
		return j, false
	}
	return jointError{se: one * math.Sqrt(ratio), covariance: one / math.Sqrt(own) * both / math.Sqrt(places) * cross, df: g - 1}, true
}

// levels sums the influence functions of the two analyses; nil where one has none, or the
// municipal number is no average of effects by cohort and time.
func (s *state) levels(q *Reconcile) (*levels, error) {
	individual, municipal := s.answered(q.Individual), s.answered(q.Municipal)
	fit, ok := municipal.own.(*panelFit)
	if !ok || individual.fitted == nil || individual.fitted.result.Influence == nil {
		return nil, nil
	}
	kind := termKind(q.Term)
	o := panel.AggregateOptions{Bands: panel.Pointwise, Level: s.spec.Level}
	if kind == panel.Dynamic {
		o.BalanceEvent = municipal.spec.DID.BalanceEvent
	}
	res, err := fit.cells.Aggregate(kind, o)
	if err != nil {
		return nil, err
	}
	term := q.Term
	if strings.HasSuffix(term, ":"+panel.Overall) {
		term = panel.Overall
	}
	at := -1
	for i, e := range res.Estimates {
		if e.Term == term {
			at = i
		}
	}
	column := individual.column()
	if at < 0 || column < 0 || res.Influence == nil {
		return nil, nil
	}
	cluster := map[string]string{}
	for i, u := range fit.frame.Unit {
		cluster[u] = u
		if fit.frame.Cluster != nil {
			cluster[u] = fit.frame.Cluster[i]
		}
	}
	l := &levels{people: map[string]float64{}, places: map[string]float64{}, own: map[string]float64{}, both: map[string]float64{}}
	for i, u := range res.InfluenceUnit {
		l.places["in/"+cluster[u]] += res.Influence.At(i, at)
	}
	b := s.cohorts[individual.spec.Effect.Cohort]
	names, _, err := b.table.Text(q.Place)
	if err != nil {
		return nil, err
	}
	for k, row := range individual.fitted.rows {
		place := "out/" + names[row] // a municipality that is not in the panel
		if c, ok := cluster[names[row]]; ok {
			place = "in/" + c
		}
		own, v := fmt.Sprint(b.dependent(row)), individual.fitted.result.Influence.At(k, column)
		l.people[place] += v
		l.own[own] += v
		l.both[place+"/"+own] += v
	}
	return l, nil
}

// termKind is the average that a term of a did is of.
func termKind(term string) panel.Aggregation {
	before, _, _ := strings.Cut(term, ":")
	if k := panel.Aggregation(before); slices.Contains([]panel.Aggregation{panel.Dynamic, panel.Group, panel.Calendar}, k) {
		return k
	}
	parts := termParts(term)
	switch {
	case parts["group"] != "" && parts["time"] != "":
		return "none"
	case parts["group"] != "":
		return panel.Group
	case parts["time"] != "":
		return panel.Calendar
	case parts["event"] != "":
		return panel.Dynamic
	}
	return panel.Simple
}
