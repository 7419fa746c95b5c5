package effect

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"utfall/estimate"
	"utfall/table"
)

// matchedFit is what Difference and Regression share: the sample of a matched (or
// unmatched) cohort and the regression of the outcome on treatment and more.
type matchedFit struct {
	method       string
	vcov         Vcov
	estimand     string
	covariates   bool
	interactions bool
}

func (m matchedFit) fit(ctx context.Context, f *estimate.Frame) (*estimate.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	term := m.estimand
	switch term {
	case "":
		term = "att"
	case "att", "atc", "ate", "ato":
	default:
		return nil, fmt.Errorf("%w: estimand %q; known are att, atc, ate, ato", ErrOption, term)
	}
	if err := f.Check(); err != nil {
		return nil, err
	}
	if f.Treated == nil {
		return nil, fmt.Errorf("%w: no treatment", estimate.ErrInvalidFrame)
	}
	use, notes, sets, err := usableSets(f)
	if err != nil {
		return nil, err
	}
	s, err := newSample(f, use)
	if err != nil {
		return nil, err
	}
	treated := s.count(func(r int) bool { return f.Treated[r] })
	switch treated {
	case 0:
		return nil, estimate.ErrNoTreated
	case s.count(nil):
		return nil, estimate.ErrNoControls
	}
	cluster := f.Cluster
	if cluster == nil {
		cluster = f.Set
	}
	vcov, err := m.vcov.resolve(cluster != nil, s.kind)
	if err != nil {
		return nil, err
	}
	if vcov == Wild || vcov == Spatial {
		return nil, fmt.Errorf("%w: vcov %s is for the regression itself (ols), not for an effect", ErrOption, vcov)
	}
	if m.vcov == "" && vcov == IID {
		vcov = HC1 // two groups of people rarely share a variance
	}
	l := &linear{n: len(s.rows), y: s.y, weight: s.weight, kind: s.kind, cluster: s.codes(cluster), vcov: vcov, centred: true}
	names, at := m.design(l, s)
	sol, err := l.solve(names)
	if err != nil {
		return nil, err
	}
	if slices.Contains(sol.fit.Collinear, at) {
		return nil, fmt.Errorf("%w: treatment is a linear combination of the covariates", estimate.ErrNotIdentified)
	}
	measure := estimate.RiskDifference
	for _, y := range s.y {
		if y != 0 && y != 1 {
			measure = estimate.MeanDifference
			break
		}
	}
	res := &estimate.Result{
		Method:    m.method,
		Estimates: []estimate.Estimate{estimate.Wald(term, measure, sol.coef[at], sol.se[at], sol.df[at], f.Level)},
		N:         estimate.Counts{Units: s.count(nil), Treated: treated, Sets: sets, Clusters: sol.clusters},
		Fit:       estimate.Convergence{Converged: true, Iterations: sol.fit.Steps},
		Notes:     append(append(notes, s.notes...), ofTreatment(sol.notes)...),
		Cov:       one(sol.cov.At(at, at)),
	}
	sol.place(res, s, []int{at})
	mean := func(arm bool) float64 {
		var sum, total float64
		for i, r := range s.rows {
			if f.Treated[r] == arm {
				total += l.w(i)
				sum += float64(l.w(i) * s.y[i])
			}
		}
		return sum / total
	}
	res.Details = map[string]any{"mean_treated": mean(true), "mean_control": mean(false), "vcov": sol.vcov}
	if m.covariates {
		for k, v := range sol.details(l) {
			res.Details[k] = v
		}
		res.Details["covariates"] = f.XNames
	}
	res.Notes = append(res.Notes, zeroError(res.Estimates)...)
	return res, nil
}

// design fills the columns: intercept, covariates, treatment, interactions. Treatment
// comes after the covariates, so that a covariate that equals it takes its place and
// is found out. It returns the names and the column of treatment.
func (m matchedFit) design(l *linear, s *sample) (names []string, at int) {
	f := s.frame
	names = []string{"(intercept)"}
	p := 0
	if m.covariates && f.X != nil {
		names = append(names, f.XNames...)
		p = len(f.XNames)
	}
	at = len(names)
	names = append(names, "treatment")
	centre := make([]float64, p)
	if m.interactions {
		var total float64
		for i, r := range s.rows {
			if f.Treated[r] {
				total += l.w(i)
				for j, x := range f.X.RawRowView(r) {
					centre[j] += float64(l.w(i) * x)
				}
			}
		}
		for j := range centre {
			centre[j] /= total
			names = append(names, "treatment:"+f.XNames[j])
		}
	}
	l.k = len(names)
	l.x = make([]float64, l.n*l.k)
	for i, r := range s.rows {
		row := l.x[i*l.k : (i+1)*l.k]
		row[0] = 1
		if p > 0 {
			copy(row[1:], f.X.RawRowView(r))
		}
		if f.Treated[r] {
			row[at] = 1
			if m.interactions {
				for j, x := range f.X.RawRowView(r) {
					row[at+1+j] = x - centre[j]
				}
			}
		}
	}
	return names, at
}

// usableSets says which rows of a matched frame take part: those in a set with
// treated and comparison units. Without weights the sets must all have one ratio,
// for otherwise the unweighted difference is not that of the matched design.
func usableSets(f *estimate.Frame) (use func(int) bool, notes []table.Note, sets int, err error) {
	if f.Set == nil {
		return nil, nil, 0, nil
	}
	n := 0
	for i, s := range f.Set {
		if s < -1 {
			return nil, nil, 0, fmt.Errorf("%w: set number of row %d is below -1", estimate.ErrInvalidFrame, i+1)
		}
		n = max(n, s+1)
	}
	arms := make([][2]int, n)
	outside := 0
	for i, s := range f.Set {
		if f.Weight.Values != nil && f.Weight.Values[i] == 0 {
			continue
		}
		if s < 0 {
			outside++
			continue
		}
		if f.Treated[i] {
			arms[s][1]++
		} else {
			arms[s][0]++
		}
	}
	broken := 0
	var ratio [2]int
	for _, a := range arms {
		switch {
		case a[0] == 0 && a[1] == 0:
		case a[0] == 0 || a[1] == 0:
			broken++
		default:
			sets++
			if ratio == [2]int{} {
				ratio = a
			}
			if f.Weight.Values == nil && a[0]*ratio[1] != a[1]*ratio[0] {
				return nil, nil, 0, fmt.Errorf("%w: sets have different numbers of comparison units per treated; give the matching weights", estimate.ErrWeights)
			}
		}
	}
	if outside > 0 {
		notes = append(notes, table.Note{Code: "rows-in-no-set", Text: fmt.Sprintf("%d rows are in no matched set and not part of the estimate.", outside), Args: map[string]any{"rows": outside}})
	}
	if broken > 0 {
		notes = append(notes, table.Note{Code: "sets-dropped", Text: fmt.Sprintf("%d sets lack a treated or a comparison unit and are not part of the estimate.", broken), Args: map[string]any{"sets": broken}})
	}
	return func(i int) bool {
		s := f.Set[i]
		return s >= 0 && arms[s][0] > 0 && arms[s][1] > 0
	}, notes, sets, nil
}

// ofTreatment leaves out what is said of the errors of coefficients that are not the
// effect: a rare level of a covariate may rest on few clusters, and the effect on many.
func ofTreatment(notes []table.Note) []table.Note {
	var out []table.Note
	for _, n := range notes {
		if n.Code == "few-effective-clusters" || n.Code == "one-cluster-decides" {
			columns, _ := n.Args["columns"].([]string)
			if !slices.Contains(columns, "treatment") {
				continue
			}
			n.Text = strings.Replace(n.Text, listed(columns), "treatment", 1)
			n.Args = maps.Clone(n.Args)
			n.Args["columns"] = []string{"treatment"}
		}
		out = append(out, n)
	}
	return out
}
