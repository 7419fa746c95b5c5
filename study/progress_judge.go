package study

import (
	"fmt"
	"math"
	"slices"

	"utfall/estimate/combine"
	"utfall/estimate/progress"
	"utfall/table"
)

// judge gives the three their common intervals and lets the gates say what they may be
// called. Their numbers come first.
func (s *state) judge(r *analysisResult, a *Analysis, u *progressUnits) error {
	own := r.own.(*progressResult)
	if err := s.family(own, u); err != nil {
		return err
	}
	var first []found
	for _, h := range own.heads {
		if h.not != nil {
			n := refuse(h.term, h.measure, h.not.why, h.not.fix)
			n.notes = s.gateNotes(h.gates)
			first = append(first, n)
			continue
		}
		h.finding = progress.Claim{
			Estimate: h.estimate, Relevance: h.relevance, Compared: true, Designed: r.kind == "effect",
			Registered: s.standing(a) == PlanLocked, Benchmark: h.benchmark, Gates: h.gates,
		}.Judge()
		if f := h.finding; f.Kind == progress.Refused {
			h.not = &refusal{*f.Reason, *f.Fix}
			n := refuse(h.term, h.measure, *f.Reason, *f.Fix)
			n.notes = s.gateNotes(h.gates)
			first = append(first, n)
			continue
		}
		e := h.estimate
		e.CI = h.finding.Interval
		notes := append(slices.Clone(own.notes[h.term]), s.gateNotes(h.gates)...)
		if h.finding.Exploratory {
			notes = append(notes, table.Note{Code: "not-registered", Text: "The ladder and the questions were not written down before the outcomes were opened: the number is exploratory."})
		}
		if h.finding.Unconfirmed {
			notes = append(notes, unconfirmedNote(h.benchmark))
		}
		if len(own.heads) > 1 {
			notes = append(notes, table.Note{Code: "family-of-headlines", Text: "The headlines share one error level: their intervals hold together.", Args: map[string]any{"headlines": len(own.heads)}})
		}
		first = append(first, found{term: h.term, e: e, basis: h.basis, notes: notes, kind: string(h.finding.Kind)})
	}
	r.numbers = append(first, r.numbers...)
	return nil
}

// unconfirmedNote says what stands against a forecast that older people have not confirmed, and by how much its interval is wider for
// it: by nothing where they could not try it at all.
func unconfirmedNote(widened float64) table.Note {
	if widened == 0 {
		return table.Note{Code: "forecast-untried", Text: "The forecast could not be tried on people who started earlier: how far it may be off is not in its interval."}
	}
	return table.Note{Code: "forecast-unconfirmed", Text: "The forecast has not been confirmed on people who started earlier; its interval is wider by the error that they leave open.", Args: map[string]any{"widened": math.Round(1e4*widened) / 1e4}}
}

// family gives the headlines that have a number intervals that hold together: sup-t from
// the joint influence functions.
func (s *state) family(own *progressResult, u *progressUnits) error {
	f := combine.Family{Method: combine.SupTMethod, Level: s.spec.Level, Seed: s.seedOf("progress-family"), Workers: s.o.Workers}
	var in []*headline
	for _, h := range own.heads {
		if h.not == nil && h.influence != nil && h.estimate.HasSE() && !math.IsNaN(h.estimate.Test.P) {
			in = append(in, h)
			f.Members = append(f.Members, combine.Member{Name: h.term, Estimate: h.estimate, Influence: h.influence, Group: u.cluster})
		}
	}
	if len(in) < 2 {
		return nil
	}
	adj, err := f.Adjust(s.ctx)
	if err != nil {
		return fmt.Errorf("the headlines together: %w", err)
	}
	for k, h := range in {
		h.estimate.CI = adj.Interval[k]
		h.estimate.CI.Method = "max-t"
		h.estimate.Test.P = adj.P[k]
	}
	return nil
}

// mark puts a note on the effects that are not among the headlines, which are a family of their own.
func (own *progressResult) mark(r *analysisResult, note table.Note) {
	for i := range r.numbers {
		n := &r.numbers[i]
		head := slices.ContainsFunc(own.heads, func(h *headline) bool { return h.term == n.term && h.measure == n.e.Measure })
		if kind := or(n.kind, r.kind); !head && (kind == "effect" || kind == "association") {
			n.notes = append(n.notes, note)
		}
	}
}

// gateNotes are the gates of a number as notes: what each asks, with what it was decided by.
func (s *state) gateNotes(gates []progress.Gate) []table.Note {
	var out []table.Note
	for _, g := range gates {
		n := g.Meaning
		n.Args = map[string]any{"gate": g.ID, "check": g.Check, "status": string(g.Status)}
		if v, ok := s.gateValue(g); ok && !math.IsNaN(v) && !math.IsInf(v, 0) {
			n.Args["value"] = v
		}
		if !math.IsNaN(g.Limit) && !math.IsInf(g.Limit, 0) {
			n.Args["limit"] = hundredths(g.Limit)
		}
		out = append(out, n)
	}
	return out
}

// gateValue is what a gate was decided by, as it may be shown: a count of people as all counts
// are (false: too few), another number in hundredths.
func (s *state) gateValue(g progress.Gate) (float64, bool) {
	if !g.People || g.Value == 0 {
		return hundredths(g.Value), true
	}
	n, ok := s.policy.Count(int(g.Value)).Int()
	return float64(n), ok
}

// hundredths keeps a share of few people from giving back the counts that were rounded.
func hundredths(v float64) float64 { return math.Round(100*v) / 100 }
