package report

import (
	"cmp"
	"math"

	"utfall/estimate"
	"utfall/internal/lang"
	"utfall/study/release"
)

// verdict is what an interval allows to be said.
type verdict string

const (
	better  verdict = "better"  // the whole interval on the good side
	worse   verdict = "worse"   // the whole interval on the bad side
	more    verdict = "more"    // the whole interval above zero, no side is good
	less    verdict = "less"    // the whole interval below zero, no side is good
	none    verdict = "none"    // covers zero and lies inside the differences that do not matter
	unclear verdict = "unclear" // covers zero and does not
	silent  verdict = "silent"  // no interval, nothing is said
	// association is the verdict on a comparison of groups that were not made alike:
	// nothing was better or worse because of the programme.
	association verdict = "association"
)

// judge reads the interval and nothing else: the value of the estimate and its
// p-value do not enter. relevance is the smallest difference that matters, 0 for none.
func judge(ci estimate.Interval, good Direction, relevance float64) verdict {
	switch {
	case math.IsNaN(ci.Lo) || math.IsNaN(ci.Hi) || ci.Lo > ci.Hi:
		return silent
	case ci.Lo > 0:
		return map[Direction]verdict{Up: better, Down: worse, Neutral: more, "": more}[good]
	case ci.Hi < 0:
		return map[Direction]verdict{Up: worse, Down: better, Neutral: less, "": less}[good]
	case relevance > 0 && -relevance <= ci.Lo && ci.Hi <= relevance:
		return none
	}
	return unclear
}

// small reports whether an interval that excludes zero lies inside the differences
// that do not matter.
func small(ci estimate.Interval, relevance float64) bool {
	return relevance > 0 && -relevance < ci.Lo && ci.Hi < relevance
}

// sentence says a finding in words.
func (f Finding) sentence(l lang.Lang, names groupNames) string {
	e := f.Estimate.Number
	switch {
	case f.Kind == Refused:
		return l.Text("report.say-refused")
	case len(f.Says) > 0 && f.Says[0] != "" && (f.Kind == Check || f.Estimate.Shown):
		return f.Says[0]
	case !f.Estimate.Shown:
		s := l.Text("report.say-withheld")
		if f.Estimate.Why != "" {
			s += " " + l.Text("report.say-withheld-why", "why", l.Text("report.why-"+string(f.Estimate.Why)))
		}
		return s
	case math.IsNaN(e.Value):
		return l.Text("report.say-undefined")
	}
	g := newGauge(l, f.Unit, e)
	if f.Kind == Description {
		return l.Text("report.say-description", "value", g.signedOrPlain(f, e.Value))
	}
	v := judge(e.CI, f.Good, f.Relevance)
	if v == silent {
		return l.Text("report.say-silent")
	}
	args := []any{"interval", g.interval(e.CI.Lo, e.CI.Hi), "treated", names.Treated, "control", names.Control}
	key := "report.say-" + string(v)
	switch v {
	case unclear:
		if f.Relevance > 0 {
			key = "report.say-unclear-relevance"
			args = append(args, "relevance", g.interval(-f.Relevance, f.Relevance))
		}
	case none:
		args = append(args, "relevance", g.interval(-f.Relevance, f.Relevance))
	default:
		amount, way := g.amount(e.Value), l.Text("report.way-more")
		if e.CI.Hi < 0 {
			way = l.Text("report.way-less")
		}
		if g.ratio {
			amount, way = g.plain(e.Value), l.Text("report.way-times")
		}
		args = append(args, "amount", amount, "way", way)
		if f.Kind == Association {
			key = "report.say-difference"
		}
	}
	s := l.Text(key, args...)
	if (v == better || v == worse || v == more || v == less) && small(e.CI, f.Relevance) {
		s += " " + l.Text("report.say-small", "relevance", g.interval(-f.Relevance, f.Relevance))
	}
	if f.Kind == Association {
		s += " " + cmp.Or(f.Apart, l.Text("report.say-association"))
	}
	return s
}

// badge is the verdict in two or three words.
func (f Finding) badge(l lang.Lang) (verdict, string) {
	switch {
	case f.Kind == Refused:
		return silent, l.Text("report.badge-refused")
	case f.Kind == Check:
		return silent, l.Text("report.badge-check")
	case !f.Estimate.Shown:
		return silent, l.Text("report.badge-withheld")
	case f.Kind == Description:
		return silent, l.Text("report.badge-description")
	case f.Kind == Association:
		return association, l.Text("report.badge-association")
	}
	v := judge(f.Estimate.Number.CI, f.Good, f.Relevance)
	return v, l.Text("report.badge-" + string(v))
}

// signedOrPlain writes a description: a change with its sign, a level without.
func (g gauge) signedOrPlain(f Finding, v float64) string {
	if differs(f.Estimate) {
		return g.signedWith(v)
	}
	return g.level(v)
}

// differs reports whether a number is a difference, which a reader sees with its sign.
func differs(e release.Estimate) bool {
	switch e.Number.Measure {
	case estimate.MeanDifference, estimate.RiskDifference, estimate.NetMonths, estimate.Coefficient,
		estimate.LogOddsRatio, estimate.LogHazardRatio, "change-before-after", "restricted-mean-time-difference", "net-improved", "trait-change", "trait-change-difference",
		"per-person-year-difference", "per-month-difference", "net-benefit", "largest-share-difference", "incremental-net-benefit":
		return true
	}
	return false
}
