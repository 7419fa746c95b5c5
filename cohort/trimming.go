package cohort

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"utfall/table"
)

// The rules of [TrimSpec].
const (
	CrumpRule   = "crump"
	SturmerRule = "sturmer"
	FixedRule   = "fixed"
)

// TrimmedSuffix ends the name of an estimand whose units were trimmed: "att-trimmed".
const TrimmedSuffix = "-trimmed"

// TrimSpec says whose scores are too extreme to be compared. With p the score:
//
//   - crump: those outside [α, 1-α]. With g = 1/(p(1-p)), α is the smallest at which
//     1/(α(1-α)) is at most twice the mean of the g up to it, so that the variance of the
//     effect on those who are left is least (homoscedastic outcomes).
//   - sturmer: those below the quantile q (type 7) of p in the treated, or above the
//     quantile 1-q in the untreated: participants contrary to expectation.
//   - fixed: those outside [Low, High].
//
// A score equal to a bound stays. Trimming changes whom the effect is about.
//
// Sources: Crump, Hotz, Imbens and Mitnik (2009), Biometrika 96; Stürmer, Rothman, Avorn
// and Glynn (2010), Am. J. Epidemiol. 172.
type TrimSpec struct {
	Rule       string  `yaml:"rule"`                 // "crump", "sturmer" or "fixed"
	Low        float64 `yaml:"low,omitempty"`        // of fixed
	High       float64 `yaml:"high,omitempty"`       // of fixed
	Percentile float64 `yaml:"percentile,omitempty"` // q of sturmer, in per cent, above 0 and below 50; 0 = 5
	Refit      bool    `yaml:"refit,omitempty"`      // fit the model of the score again to those who are left
}

// Trimmed counts whom trimming left out.
type Trimmed struct {
	Rule                        string
	Low, High                   float64 // bounds of the score
	Refit                       bool
	TreatedBelow, TreatedAbove  int
	ControlBelow, ControlAbove  int
	TreatedBefore, TreatedAfter int
	ControlBefore, ControlAfter int
}

// Check lists every problem with the options, each as an [ErrOption].
func (s TrimSpec) Check() []error {
	var errs []error
	bad := func(format string, a ...any) {
		errs = append(errs, fmt.Errorf("%w: %s", ErrOption, fmt.Sprintf(format, a...)))
	}
	rules := []string{CrumpRule, SturmerRule, FixedRule}
	if !slices.Contains(rules, s.Rule) {
		bad("trimming rule %q does not exist; there are: %s", s.Rule, strings.Join(rules, ", "))
		return errs
	}
	if s.Rule == FixedRule {
		if !(s.Low >= 0 && s.Low < s.High && s.High <= 1) {
			bad("trimming by fixed bounds needs low and high, with 0 ≤ low < high ≤ 1")
		}
	} else if s.Low != 0 || s.High != 0 {
		bad("trimming by %s does not use low and high", s.Rule)
	}
	if s.Rule != SturmerRule && s.Percentile != 0 {
		bad("trimming by %s does not use percentile", s.Rule)
	}
	if !(s.Percentile >= 0 && s.Percentile < 50) {
		bad("percentile must be above 0 and below 50")
	}
	return errs
}

// apply returns the rows that stay.
func (s TrimSpec) apply(sc *scores, u *units) (rows []int, out *Trimmed, err error) {
	out = &Trimmed{Rule: s.Rule, Low: s.Low, High: s.High, Refit: s.Refit, TreatedBefore: u.count, ControlBefore: u.n - u.count}
	inside := func(i int) bool { return sc.p[i] >= out.Low && sc.p[i] <= out.High }
	switch s.Rule {
	case CrumpRule:
		g := make([]float64, u.n)
		for i, p := range sc.p {
			g[i] = 1 / (p * sc.other(i))
		}
		most, alpha := crump(g)
		out.Low, out.High = alpha, 1-alpha
		inside = func(i int) bool { return g[i] <= most }
	case SturmerRule:
		q := s.Percentile / 100
		if s.Percentile == 0 {
			q = 0.05
		}
		var by [2][]float64
		for i, p := range sc.p {
			by[arm(u.treated[i])] = append(by[arm(u.treated[i])], p)
		}
		slices.Sort(by[0])
		slices.Sort(by[1])
		out.Low, out.High = quantileAt(by[1], q), quantileAt(by[0], 1-q)
	}
	for i, p := range sc.p {
		treated := u.treated[i]
		switch {
		case inside(i):
			rows = append(rows, i)
			out.TreatedAfter += arm(treated)
		case treated && p < (out.Low+out.High)/2:
			out.TreatedBelow++
		case treated:
			out.TreatedAbove++
		case p < (out.Low+out.High)/2:
			out.ControlBelow++
		default:
			out.ControlAbove++
		}
	}
	out.ControlAfter = len(rows) - out.TreatedAfter
	if out.TreatedAfter == 0 || out.ControlAfter == 0 {
		return nil, nil, fmt.Errorf("%w: trimming leaves %d treated and %d untreated units: the groups do not overlap", ErrNoSupport, out.TreatedAfter, out.ControlAfter)
	}
	return rows, out, nil
}

// crump returns the largest g that stays, and α. In ascending order the first m stay,
// m the largest with g_m ≤ 2·mean(g₁…g_m); γ = 2·mean is then the root, α(1-α) = 1/γ.
func crump(g []float64) (most, alpha float64) {
	sorted := slices.Clone(g)
	slices.Sort(sorted)
	sum, gamma := 0.0, math.Inf(1)
	for m, v := range sorted {
		sum += v
		if mean := sum / float64(m+1); v <= 2*mean && !math.IsInf(v, 1) {
			most, gamma = v, 2*mean
		}
	}
	if most == sorted[len(sorted)-1] {
		return most, 0
	}
	// ½ - √(¼ - 1/γ) without its cancellation.
	return most, 1 / gamma / (0.5 + math.Sqrt(0.25-1/gamma))
}

// note says who was left out, and that the effect is about the others.
func (t *Trimmed) note(all int) table.Note {
	out := t.TreatedBefore - t.TreatedAfter + t.ControlBefore - t.ControlAfter
	args := map[string]any{
		"n": out, "all": all, "rule": t.Rule, "low": t.Low, "high": t.High,
		"treated": t.TreatedBefore - t.TreatedAfter, "control": t.ControlBefore - t.ControlAfter,
	}
	if out == 0 {
		return table.Note{Code: "trim-unused", Args: args, Text: fmt.Sprintf("Trimming (%s, scores from %.4g to %.4g) leaves nobody out.", t.Rule, t.Low, t.High)}
	}
	return table.Note{Code: "trimmed", Args: args, Text: fmt.Sprintf(
		"Trimming (%s) leaves out %d of %d units with scores below %.4g or above %.4g: %d treated and %d untreated. The effect is about the others.",
		t.Rule, out, all, t.Low, t.High, t.TreatedBefore-t.TreatedAfter, t.ControlBefore-t.ControlAfter)}
}
