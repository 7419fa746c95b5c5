package study

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"utfall/study/report"
)

// Verdict says how a number compares.
type Verdict string

// The verdicts. Within tolerance means a relative difference of at most [Tolerance]
// in every part of the number: what another processor may give.
const (
	Same    Verdict = "same"
	Within  Verdict = "within tolerance"
	Differs Verdict = "differs"
	OnlyInA Verdict = "only in the first"
	OnlyInB Verdict = "only in the second"
)

// Tolerance is the largest relative difference that counts as within tolerance.
const Tolerance = 1e-9

// Comparison is the verdict on one number.
type Comparison struct {
	Address string
	Verdict Verdict
	What    string // the part of the number that differs most, and by how much
}

// Diff compares two bundles number by number, in order of address.
func Diff(a, b string) ([]Comparison, error) {
	var recs [2][]Record
	for i, name := range []string{a, b} {
		fsys, done, err := openBundle(name)
		if err != nil {
			return nil, err
		}
		c, err := readBundle(fsys)
		if err == nil {
			recs[i] = c.records
			err = done()
		} else {
			done()
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return compare(recs[0], recs[1]), nil
}

func compare(a, b []Record) []Comparison {
	in := func(rs []Record) map[string]Record {
		m := make(map[string]Record, len(rs))
		for _, r := range rs {
			m[r.Address] = r
		}
		return m
	}
	ma, mb := in(a), in(b)
	var out []Comparison
	for addr, ra := range ma {
		rb, ok := mb[addr]
		if !ok {
			out = append(out, Comparison{addr, OnlyInA, ""})
			continue
		}
		v, what := compareRecords(ra, rb)
		out = append(out, Comparison{addr, v, what})
	}
	for addr := range mb {
		if _, ok := ma[addr]; !ok {
			out = append(out, Comparison{addr, OnlyInB, ""})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Address < out[j].Address })
	return out
}

func compareRecords(a, b Record) (Verdict, string) {
	worst, what := 0.0, ""
	for _, p := range []struct {
		name string
		a, b *float64
	}{
		{"estimate", a.Estimate, b.Estimate}, {"std_error", a.StdError, b.StdError},
		{"conf_low", a.ConfLow, b.ConfLow}, {"conf_high", a.ConfHigh, b.ConfHigh},
		{"conf_level", a.ConfLevel, b.ConfLevel}, {"statistic", a.Statistic, b.Statistic},
		{"df", a.DF, b.DF}, {"p_value", a.PValue, b.PValue},
		{"n_treated", asFloat(a.Treated), asFloat(b.Treated)}, {"n_control", asFloat(a.Control), asFloat(b.Control)},
	} {
		d := relative(p.a, p.b)
		if d > worst {
			worst = d
			what = fmt.Sprintf("%s: %s against %s", p.name, shown(p.a), shown(p.b))
		}
	}
	switch {
	case a.Method != b.Method || a.Kind != b.Kind || a.ConfMethod != b.ConfMethod || a.Withheld != b.Withheld:
		return Differs, "method, kind or disclosure status"
	case a.Kind == string(report.Refused) && !slices.Equal(reasons(a), reasons(b)):
		return Differs, "why it is refused"
	case worst == 0:
		return Same, ""
	case worst <= Tolerance:
		return Within, what
	}
	return Differs, what
}

// reasons are why a refused number is not given, and what would change that.
func reasons(r Record) []string {
	var out []string
	for _, n := range r.Notes[:min(2, len(r.Notes))] {
		out = append(out, n.Code)
	}
	return out
}

func asFloat(n *int) *float64 {
	if n == nil {
		return nil
	}
	v := float64(*n)
	return &v
}

// relative is the difference relative to the larger of the two, +Inf where only one exists.
func relative(a, b *float64) float64 {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil || b == nil:
		return math.Inf(1)
	case *a == *b:
		return 0
	}
	return math.Abs(*a-*b) / math.Max(math.Abs(*a), math.Abs(*b))
}

func shown(v *float64) string {
	if v == nil {
		return "none"
	}
	return float(v)
}
