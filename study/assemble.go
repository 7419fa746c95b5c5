package study

import (
	"fmt"
	"strings"

	"utfall/estimate"
	"utfall/plots"
	"utfall/study/release"
	"utfall/table"
)

// assembled is what of a run may leave it: everything in it went through disclosure control.
type assembled struct {
	records      []Record
	findings     map[string]release.Estimate // by address
	attrition    map[string]release.Attrition
	balance      map[string]release.BalanceTable
	curves       map[string][]release.Curve // by analysis, one per group
	trends       map[string]releasedTrend
	progress     map[string]*progressShown          // by analysis
	scores       map[string]*plots.DistributionData // by cohort
	covariates   map[string]*plots.DistributionData // by cohort: of the covariate that differed most
	strata       []stratum
	destinations []destination
	protocol     release.Protocol
}

// releasedTrend is the before/after figure's lines, withheld months left out.
type releasedTrend struct{ treated, control []point }

type point struct{ x, y float64 }

// assemble applies disclosure control to everything the run found.
func (s *state) assemble() (*assembled, error) {
	a := &assembled{
		findings: map[string]release.Estimate{}, attrition: map[string]release.Attrition{}, balance: map[string]release.BalanceTable{},
		curves: map[string][]release.Curve{}, trends: map[string]releasedTrend{}, progress: map[string]*progressShown{},
		scores: map[string]*plots.DistributionData{}, covariates: map[string]*plots.DistributionData{},
	}
	var withheld [][]release.Withheld
	keep := func(w []release.Withheld) { withheld = append(withheld, w) }
	for i := range s.spec.Cohorts {
		b := s.cohorts[s.spec.Cohorts[i].Name]
		if err := s.releaseCohort(a, b, keep); err != nil {
			return nil, err
		}
		if b.designed() {
			if err := s.distributions(a, b); err != nil {
				return nil, err
			}
			strata, w, err := s.strataOf(b)
			if err != nil {
				return nil, fmt.Errorf("cohort %s: %w", b.spec.Name, cohortError(err))
			}
			a.strata = append(a.strata, strata...)
			keep(w)
		}
	}
	seen := map[string]bool{}
	for i := range s.results {
		if err := s.releaseAnalysis(a, &s.results[i], seen, keep); err != nil {
			return nil, fmt.Errorf("analysis %s: %w", s.results[i].spec.Name, err)
		}
	}
	a.destinations = s.destinations(keep)
	a.protocol = s.policy.Protocol(withheld...)
	return a, nil
}

func (s *state) releaseAnalysis(a *assembled, r *analysisResult, seen map[string]bool, keep func([]release.Withheld)) error {
	released := make([]release.Estimate, len(r.numbers))
	event := make([]bool, len(r.numbers))
	for i, n := range r.numbers {
		place := r.spec.Name + "/" + n.term
		if n.not != nil {
			continue
		}
		if n.e.Certain() {
			r.numbers[i] = n.withoutWidth()
			n = r.numbers[i]
		}
		if q, ok := r.spec.ask().(summed); ok {
			if sum, _ := q.addend(n); sum != "" {
				continue // with its series
			}
		}
		re, w := s.policy.Estimate(place, n.e, n.basis)
		released[i] = re
		event[i] = isEvent(n.term) || isSubgroup(n.term)
		keep(w)
	}
	if err := s.releaseEvents(r, released, event, keep); err != nil {
		return err
	}
	if err := s.releaseSums(r, released, keep); err != nil {
		return err
	}
	s.complement(r, released, keep)
	for i, n := range r.numbers {
		re := released[i]
		rec := newRecord(r.spec.Name, r.method, or(n.kind, r.kind), n.term, n.e, s.releaseNotes(recordNotes(&n, r)))
		rec.Plan = s.standing(r.spec)
		if seen[rec.Address] {
			return fmt.Errorf("%s: two numbers have this address", rec.Address)
		}
		seen[rec.Address] = true
		if n.not != nil {
			rec.Notes = append([]table.Note{n.not.why, n.not.fix}, rec.Notes...)
		} else if !re.Shown {
			rec.withhold(table.Note{Code: "withheld", Text: "withheld by disclosure control: " + string(re.Why)})
		} else {
			rec.Treated, rec.Control = count(re.Treated), count(re.Control)
			if n.basis.Single && strings.HasSuffix(n.term, "group=control") {
				rec.Treated, rec.Control = nil, rec.Treated
			}
			// A mixture has no reference period, and its weights, gaps and means have no error.
			if _, ok := r.spec.ask().(inPanel); ok && r.spec.Synth == nil && !n.e.HasSE() && rec.StdError == nil && !refusedInterval(n.e) {
				rec.Notes = append(rec.Notes, table.Note{Code: "reference-period", Text: "the period that the others are compared with: 0 by definition, without a standard error"})
			}
		}
		a.findings[rec.Address] = re
		a.records = append(a.records, rec)
	}
	return s.releaseFigures(a, r, keep)
}

func isEvent(term string) bool {
	var e int
	n, _ := fmt.Sscanf(term, "event=%d", &e)
	return n == 1
}

// releaseEvents protects a series whose average is released too.
func (s *state) releaseEvents(r *analysisResult, released []release.Estimate, event []bool, keep func([]release.Withheld)) error {
	var idx []int
	var es []estimate.Estimate
	var on []release.Basis
	for i := range r.numbers {
		if event[i] {
			idx, es, on = append(idx, i), append(es, r.numbers[i].e), append(on, r.numbers[i].basis)
		}
	}
	if len(idx) == 0 {
		return nil
	}
	series, w, err := s.policy.Series(r.spec.Name+"/event", es, on, true)
	if err != nil {
		return err
	}
	keep(w)
	for k, i := range idx {
		released[i] = series[k]
	}
	return nil
}

func count(c release.Count) *int {
	n, ok := c.Int()
	if !ok {
		return nil
	}
	return &n
}

// releaseFigures releases what a method found beside its numbers.
func (s *state) releaseFigures(a *assembled, r *analysisResult, keep func([]release.Withheld)) error {
	if q, ok := r.spec.ask().(releaser); ok && r.alone == nil {
		if err := q.release(s, a, r, keep); err != nil {
			return err
		}
	}
	return nil
}
