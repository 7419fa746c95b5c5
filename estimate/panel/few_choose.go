package panel

import (
	"fmt"
	"math"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// The conditions of the methods; METHODS.md#few says where each number comes from.
const (
	fewDF        = 4    // degrees of freedom of cr2 from which it holds (Imbens and Kolesár 2016)
	fewAlone     = 0.05 // share of the variance that may lie with cohorts of one
	fewLarge     = 50   // donors from which their errors can be drawn, and their variances told by size
	fewShared    = 0.1  // (treated-1)/(comparison+1): what a shared comparison group adds to the variance
	fewOwn       = 8    // treated from which sign changes have values enough to be preferred
	fewSizeLevel = 0.3  // level of the test that variance does not depend on size: a screen, not a proof
)

// fails says why a method does not fit the term's design; an empty code means it does.
func (t *fewTerm) fails(m FewMethod) table.Note {
	w, d := t.w, &t.design
	no := func(code, format string, args map[string]any, a ...any) table.Note {
		return table.Note{Code: code, Text: fmt.Sprintf(format, a...), Args: args}
	}
	if m == FewCR2 || m == FewCR3 || m == FewWild {
		if d.Alone > fewAlone {
			return no("inference-lone-cohorts", "Units that are alone in entering when they did carry too much of the estimate: nothing shows how far each differs from others like it.", nil)
		}
		if d.DF < fewDF {
			return no("inference-few-df", "Treated or comparison units are too few for errors estimated from their spread (fewer than %d degrees of freedom).", map[string]any{"least": fewDF}, fewDF)
		}
	}
	if m == FewCR2 || m == FewCR3 {
		return table.Note{}
	}
	if err := w.usable(); err != nil {
		if w.weight == nil {
			return no("inference-weights-vary", "Weights change over time; resampling needs one a unit.", nil)
		}
		return no("inference-needs-regression", "With covariates resampling needs the comparison by regression (method reg).", nil)
	}
	if n := float64(w.o.Draws) * float64(len(t.cells)) * float64(w.l.n); n > fewEffort {
		return no("inference-not-computed", "Resampling so many units was not tried; it is not needed where units are many.", nil)
	}
	if least := t.leastP(m); least > w.alpha*(1+1e-12) {
		return no("inference-few-patterns", "There are so few possible assignments that no p-value below %.3g can arise.", map[string]any{"least": least}, least)
	}
	unequal := d.SizeP < fewSizeLevel
	units := w.l.cluster == nil || w.groups == w.l.n
	switch m {
	case FewRandomisation:
		if _, ok := w.labels(); !ok {
			return no("inference-mixed-clusters", "Clusters hold units that entered at different times, so that entry dates cannot be reassigned among them.", nil)
		}
		if w.l.k > 0 {
			return no("inference-covariates-held", "With covariates reassigned entry dates are not as likely as the true ones.", nil)
		}
	case FewSignChanges:
		if float64(d.TreatedClusters-1)/float64(min(d.Comparison, d.Clusters-d.TreatedClusters)+1) > fewShared {
			return no("inference-shared-comparison", "The treated share a comparison group so small that their effects move together.", nil)
		}
		return table.Note{}
	case FewConleyTaber, FewFermanPinto, FewPlacebo:
		if !units {
			return no("inference-mixed-clusters", "Clusters hold units that entered at different times, so that entry dates cannot be reassigned among them.", nil)
		}
		if float64(d.Donors)*w.alpha < 1-1e-12 {
			return no("inference-few-donors", "Fewer than %d units stay untreated in all periods that are compared.", map[string]any{"least": int(math.Ceil(1/w.alpha - 1e-9))}, int(math.Ceil(1/w.alpha-1e-9)))
		}
	}
	switch {
	case m == FewFermanPinto && w.size == nil:
		return no("inference-no-size", "The sizes of the units are not known.", nil)
	case m == FewFermanPinto && math.IsNaN(d.SizeP):
		return no("inference-no-size", "The sizes of the units do not tell their variances.", nil)
	case m == FewFermanPinto && d.Donors < fewLarge:
		return no("inference-few-donors", "Fewer than %d units stay untreated in all periods that are compared.", map[string]any{"least": fewLarge}, fewLarge)
	case m != FewWild && unequal && (m != FewFermanPinto || t.larger):
		return no("inference-unequal", "How much units vary seems to depend on their size, so that they cannot stand in for each other.", nil)
	}
	return table.Note{}
}

// leastP is the smallest p-value that can arise.
func (t *fewTerm) leastP(m FewMethod) float64 {
	d, w := &t.design, t.w
	switch m {
	case FewWild:
		return math.Pow(2, 1-float64(d.Clusters))
	case FewSignChanges:
		return math.Pow(2, 1-float64(d.TreatedClusters))
	case FewRandomisation:
		labels, ok := w.labels()
		if !ok {
			return 0
		}
		return 1 / arrangements(labels)
	case FewPlacebo:
		if d.Donors <= d.Treated {
			return 1
		}
		labels := make([]int, d.Donors)
		for i := range labels {
			labels[i] = -1
		}
		for i, pos := range t.treated {
			labels[i] = w.cohort[pos]
		}
		return 1 / (1 + arrangements(labels))
	case FewConleyTaber, FewFermanPinto:
		return 1 / (1 + math.Pow(float64(d.Donors), float64(d.Treated)))
	}
	return 0
}

// choose returns the first method that the design allows:
//
//	cr2, or wild where clusters hold several units, if its degrees of freedom suffice
//	ferman-pinto, if variances depend on size
//	sign-changes, from eight treated on that share a large comparison group
//	randomisation, without covariates
//	conley-taber, from 50 donors on
//	placebo, conley-taber, sign-changes
func (t *fewTerm) choose() FewMethod {
	fits := func(m FewMethod) bool { return t.fails(m).Code == "" }
	coarse := t.w.l.cluster != nil && t.w.groups < t.w.l.n
	switch {
	case fits(FewCR2) && coarse && fits(FewWild):
		return FewWild
	case fits(FewCR2):
		return FewCR2
	case t.design.SizeP < fewSizeLevel && fits(FewFermanPinto):
		return FewFermanPinto
	case t.design.TreatedClusters >= fewOwn && fits(FewSignChanges):
		return FewSignChanges
	case fits(FewRandomisation):
		return FewRandomisation
	case t.design.Donors >= fewLarge && fits(FewConleyTaber):
		return FewConleyTaber
	}
	for _, m := range []FewMethod{FewPlacebo, FewConleyTaber, FewSignChanges} {
		if fits(m) {
			return m
		}
	}
	return ""
}

// reason is the sentence on the choice.
func (t *fewTerm) reason(m FewMethod) table.Note {
	say := func(code, text string, args map[string]any) table.Note {
		return table.Note{Code: code, Text: text, Args: args}
	}
	switch m {
	case FewCR2:
		return say("inference-cr2", "Treated and comparison units are enough to estimate the error from how they differ; the interval allows for their number (adjusted cluster errors, t distribution).", nil)
	case FewWild:
		return say("inference-wild", "Units are in clusters whose parts move together; the error comes from a bootstrap that keeps clusters whole (restricted wild cluster bootstrap).", nil)
	case FewRandomisation:
		return say("inference-randomisation", "Treated units are few; the estimate was compared with those that arise when the entry dates are dealt out to the units by lot (randomisation inference).", nil)
	case FewSignChanges:
		return say("inference-sign-changes", "Treated units are too few and unlike for a common error; the effect of each was compared with what arises when its sign is chosen by lot (sign changes).", nil)
	case FewConleyTaber:
		return say("inference-conley-taber", "Treated units are few; how far they may be off was taken from the many units that stay untreated (Conley and Taber).", nil)
	case FewFermanPinto:
		return say("inference-ferman-pinto", "Treated units are few and small units vary more; how far they may be off was taken from the units that stay untreated, scaled by size (Ferman and Pinto).", nil)
	case FewPlacebo:
		return say("inference-placebo", "Treated units are few; the estimate was compared with those that arise when untreated units are given the entry dates (placebo).", nil)
	}
	if t.design.Treated > 5 {
		return say("inference-leans", "No method gives an interval that holds: the comparison leans on so few units, which weigh so much, that their errors cannot be told. It would take more units that stay untreated and are like the treated, or effects pooled over more cells.", nil)
	}
	need := t.enough()
	return say("inference-refused", fmt.Sprintf("No method gives an interval that holds with so few units. It would take more treated units or more units that stay untreated, %d units in all, units of like size, or effects pooled over entry dates.", need),
		map[string]any{"units": need})
}

// enough is the number of units from which randomisation could reject at the level.
func (t *fewTerm) enough() int {
	j := max(1, t.design.Treated)
	for n := j + 1; ; n++ {
		if lfactorial(n)-lfactorial(j)-lfactorial(n-j) >= -math.Log(t.w.alpha)-1e-9 {
			return n
		}
	}
}

// decide chooses and computes.
func (t *fewTerm) decide(o FewOptions) (FewTerm, error) {
	out := FewTerm{Design: t.design}
	out.Estimate = t.blank()
	named := o.Method != FewAuto
	out.Chosen = o.Method
	if !named {
		out.Chosen = t.choose()
	}
	out.Why = t.reason(out.Chosen)
	for _, m := range FewMethods() {
		a := FewAnswer{Method: m, Estimate: t.blank(), Why: t.fails(m)}
		a.Valid = a.Why.Code == ""
		if m == out.Chosen || o.Alternatives {
			a.Computed = t.compute(&a, o)
		}
		if m == out.Chosen {
			if !a.Computed {
				if named {
					return out, fmt.Errorf("%w: method %s: %s", estimate.ErrNotIdentified, m, t.cannot(a.Why).Text)
				}
				out.Chosen, out.Why = "", t.cannot(table.Note{})
			} else {
				out.Estimate = a.Estimate
				if !a.Valid {
					out.Why = a.Why
				} else if named {
					out.Why = table.Note{Code: "inference-named", Text: "The method was named and not chosen by the design, which allows it."}
				}
			}
		}
		out.Answers = append(out.Answers, a)
	}
	return out, nil
}

// cannot is the reason why a method gave nothing.
func (t *fewTerm) cannot(why table.Note) table.Note {
	if why.Code != "" {
		return why
	}
	return table.Note{Code: "inference-no-variation", Text: "The outcomes compared do not vary, so that there is no error to estimate."}
}

// blank is the term's estimate without uncertainty.
func (t *fewTerm) blank() estimate.Estimate {
	e := estimate.Wald(t.name, estimate.MeanDifference, t.value, math.NaN(), math.Inf(1), 1-t.w.alpha)
	e.CI.Method = "none"
	return e
}

// compute fills the answer; false when the method cannot be computed on these data.
func (t *fewTerm) compute(a *FewAnswer, o FewOptions) bool {
	level := 1 - t.w.alpha
	if a.Method == FewCR2 || a.Method == FewCR3 {
		power := 0.5
		if a.Method == FewCR3 {
			power = 1
		}
		if t.design.Alone > 1-1e-9 || t.design.DF < 1 || math.IsInf(t.design.DF, 1) {
			return false
		}
		a.Estimate = t.robust(power, level, a.Method)
		return a.Estimate.SE > 0
	}
	if t.w.usable() != nil || a.Why.Code == "inference-not-computed" {
		return false
	}
	var r *num.RatioTest
	switch a.Method {
	case FewWild:
		if t.design.Clusters >= 2 {
			r = t.wild()
		}
	case FewRandomisation:
		r = t.randomisation(t.studentised(o))
	case FewSignChanges:
		r = t.signChanges()
	case FewConleyTaber, FewFermanPinto:
		if t.design.Donors >= 2 && (a.Method == FewConleyTaber || !math.IsNaN(t.design.SizeP)) {
			r = t.donors(a.Method == FewFermanPinto)
		}
	case FewPlacebo:
		if t.design.Donors > t.design.Treated {
			r = t.placebo()
		}
	}
	if r == nil {
		return false
	}
	se := math.Sqrt(r.Variance)
	if own := a.Method == FewWild || a.Method == FewRandomisation && t.studentised(o); !own {
		sum := 0.0 // the root mean square of the estimates that arise without an effect
		for b := 0; b < len(r.Sums); b += 5 {
			sum += float64(r.Sums[b] * r.Sums[b])
		}
		se = math.Sqrt(sum / float64(r.Draws()))
	}
	if !(se > 1e-14*(1+math.Abs(t.value))) {
		return false
	}
	a.Draws, a.All = r.Draws(), r.Exact
	e := &a.Estimate
	e.SE, e.CI.Method = se, string(a.Method)
	e.Test.Stat, e.Test.DF, e.Test.P = t.value/se, math.NaN(), r.P(t.value)
	if !o.onlyTest {
		e.CI.Lo, e.CI.Hi = r.Bounds(t.value, se/4, t.w.alpha)
	}
	return true
}

// studentised says which statistic randomisation compares.
func (t *fewTerm) studentised(o FewOptions) bool {
	if o.Statistic != "" {
		return o.Statistic == Studentised
	}
	size := map[int]int{}
	for _, pos := range t.treated {
		size[t.w.cohort[pos]]++
	}
	for _, n := range size {
		if n < 2 {
			return false
		}
	}
	return t.design.TreatedClusters >= 5
}
