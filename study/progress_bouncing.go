package study

import (
	"fmt"
	"math"
	"strings"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/study/release"
	"utfall/table"
)

// unsaid answers for people where the ladder file says of no state who does.
const unsaid progress.Authority = "unsaid"

// How people are passed about, by the first part of the terms.
const (
	termBouncing   = "bouncing"
	termStableExit = "stable-exit"
	termReturn     = "return"
)

// bouncing describes how people are passed between authorities: process measures that stand
// beside the headlines and are never success.
func (s *state) bouncing(r *analysisResult, a *Analysis, u *progressUnits) error {
	p, b, own := a.Progress, u.b, r.own.(*progressResult)
	who, err := own.ladder.authority(b.paths.States, p.SelfSupport)
	if err != nil {
		return err
	}
	says := own.ladder.Authorities != nil
	if !says {
		count := 0
		for _, a := range who {
			count += int(indicator(a == unsaid))
		}
		r.notes = append(r.notes, table.Note{Code: "authorities-unsaid", Args: map[string]any{"states": count},
			Text: fmt.Sprintf("The ladder file does not say who answers for people in %d states: how they are passed between authorities, and how many come back to one, is not known.", count)})
	}
	ladder, err := own.ladder.of(b.paths.States)
	if err != nil {
		return err
	}
	m, while := s.firstMonths(u, b.paths.After), s.firstMonths(u, p.Tau+1) // net months have a horizon, and so have the rates
	if says {
		res, err := progress.Bouncing{Authority: who, Ladder: ladder, PingPong: p.Bouncing.PingPong, ReweighLoss: p.ReweighLoss, Workers: s.o.Workers}.Fit(s.ctx, while)
		if err := s.described(r, u, res, err, termBouncing); err != nil {
			return err
		}
	}
	if months := float64(b.paths.After - 12); months > 0 {
		at := []float64{math.Min(float64(p.Tau), months)}
		stable, err := progress.StableExit{Authority: who, Benefit: 1, At: at, ReweighLoss: p.ReweighLoss, Workers: s.o.Workers}.Fit(s.ctx, m)
		if err := s.described(r, u, stable, err, termStableExit); err != nil {
			return err
		}
	}
	if !says {
		return nil
	}
	back, err := progress.Return{Authority: who, At: []float64{float64(p.Bouncing.Return)}, ReweighLoss: p.ReweighLoss, Workers: s.o.Workers}.Fit(s.ctx, m)
	return s.described(r, u, back, err, termReturn)
}

// firstMonths are the first months of the cohort's people. A month that no spell covers ends what is seen of a person, as it does in
// net months and in gate G0.
func (s *state) firstMonths(u *progressUnits, months int) *progress.Months {
	b := u.b
	m := &progress.Months{
		Persons: progress.Persons{Unit: u.id, Treated: b.treated, Level: s.spec.Level},
		States:  b.paths.States, Length: months, Code: make([]int8, 0, len(u.id)*months),
	}
	for i := range u.id {
		seen := true
		for k := range months {
			state := b.paths.At(i, k)
			if seen = seen && state >= 0; !seen {
				state = -1
			}
			m.Code = append(m.Code, state)
		}
	}
	if b.cluster != nil {
		m.Cluster = dense(b.cluster, identity(len(u.id)))
	}
	if b.weight != nil {
		m.Weight = estimate.Weights{Kind: estimate.Matching, Values: b.weight}
	}
	return m
}

// lossBefore lets those whose steps up to the month of the forecast are known stand in for those lost before it. Loss between
// that month and the outcome is left to the forecast: it has a part only beyond steps and background.
func (s *state) lossBefore(own *progressResult, u *progressUnits, d *forecastData, sample *progress.SurrogateSample, at int) error {
	inverse, lost, err := s.firstMonths(u, at+1).LossWeights()
	if err != nil {
		return err
	}
	if lost == 0 {
		return nil
	}
	w := make([]float64, len(d.unit))
	for k, i := range d.unit {
		w[k] = inverse[i]
		if sample.Weight.Values != nil {
			w[k] *= sample.Weight.Values[k]
		}
	}
	sample.Weight = estimate.Weights{Kind: estimate.Matching, Values: w}
	own.notes[termForecast] = append(own.notes[termForecast], table.Note{Code: "loss-before-forecast", Args: map[string]any{"persons": lost, "month": at},
		Text: fmt.Sprintf("%d people were lost before month %d; those in the same state in the same month stand in for them. Loss after it is taken to have nothing to do with the outcome, given steps and background.", lost, at)})
	return nil
}

// described takes over the numbers of a description, groups named as everywhere.
func (s *state) described(r *analysisResult, u *progressUnits, res *estimate.Result, err error, what string) error {
	if err != nil {
		why, ok := refusable(err)
		if !ok {
			return err
		}
		r.numbers = append(r.numbers, refuse(what, estimate.Mean, why.why, why.fix))
		return nil
	}
	events, _ := res.Details["events"].(map[string][]float64)
	for _, e := range res.Estimates {
		if strings.Contains(e.Term, "cause=left") {
			continue
		}
		both := strings.HasSuffix(e.Term, "difference")
		name, group := strings.NewReplacer(",group=0", "", ",group=1", "", ",difference", "").Replace(e.Term), 0
		if strings.HasSuffix(e.Term, "group=1") {
			group = 1
		}
		sizes := [2]int{u.sizes.Control, u.sizes.Treated}
		basis := release.Basis{Treated: sizes[1], Control: sizes[0], DF: math.Inf(1)}
		kind := "description"
		if both {
			if what == termStableExit {
				kind = r.kind
			}
		} else {
			basis = release.Basis{Single: true, Treated: sizes[group], DF: math.Inf(1)}
		}
		// Events of a few people are few people.
		some := func(g int) int {
			n := sizes[g]
			if list := events[name]; len(list) == 2 {
				return min(int(list[g]), n/2)
			}
			if !math.IsNaN(e.Value) && what != termBouncing && !both {
				return int(math.Round(e.Value * float64(n)))
			}
			return n / 2
		}
		if both {
			basis.Events = &release.Arms{Treated: some(1), Control: some(0)}
		} else {
			basis.Events = &release.Arms{Treated: some(group)}
		}
		e.Term = what + "," + strings.NewReplacer("group=0", "group=control", "group=1", "group=treated", ",cause=stable", "", ",cause=return", "").Replace(e.Term)
		r.numbers = append(r.numbers, found{term: e.Term, e: e, basis: basis, kind: kind, notes: res.Notes})
	}
	return nil
}
