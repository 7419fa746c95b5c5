package cohort

import (
	"context"
	"fmt"
	"math"
	"slices"

	"utfall/internal/num"
	"utfall/table"
)

// WeightSpec is a weighting as a study file or a command line states it; [Weighting] says
// what the methods are.
type WeightSpec struct {
	Method       string    `yaml:"method,omitempty"`       // "ipw" (default), "overlap", "matching-weights", "entropy", "cbps"
	Estimand     string    `yaml:"estimand,omitempty"`     // "att" (default), "atc", "ate"; "ato" (overlap), "atm" (matching-weights)
	Moments      int       `yaml:"moments,omitempty"`      // of entropy and cbps: powers of numbers to balance, 1 (default) to 3
	Interactions bool      `yaml:"interactions,omitempty"` // of entropy and cbps: balance the products of every two columns, too
	Trim         *TrimSpec `yaml:"trim,omitempty"`         // leave out units whose score is extreme, under another estimand's name
	Truncate     float64   `yaml:"truncate,omitempty"`     // of ipw and matching-weights: cut weights above this quantile of their group, in [0.5, 1); 0 = none
	// Propensity is the model of the score; nil = a logit on the covariates of [Spec].
	Propensity *PropensitySpec `yaml:"-"`
}

// balances reports whether the method needs no score of its own.
func (s WeightSpec) balances() bool { return s.Method == EntropyMethod || s.Method == CBPSMethod }

// propensity is the model of the score with the estimand of the weights for its stop rule.
func (s WeightSpec) propensity() PropensitySpec {
	if s.Propensity == nil {
		return PropensitySpec{}
	}
	p := *s.Propensity
	estimand := Weighting{Method: s.Method, Estimand: s.Estimand}.defaults().Estimand
	if p.Stop == BalanceStop && p.Estimand == "" && slices.Contains([]string{ATT, ATC, ATE}, estimand) {
		p.Estimand = estimand
	}
	return p
}

// Check lists every problem with the options themselves, each as an [ErrOption]; what
// they say about a table shows in [WeightSpec.Weigh].
func (s WeightSpec) Check() []error {
	errs := Weighting{Method: s.Method, Estimand: s.Estimand}.Check()
	bad := func(format string, a ...any) {
		errs = append(errs, fmt.Errorf("%w: %s", ErrOption, fmt.Sprintf(format, a...)))
	}
	if s.Moments < 0 || s.Moments > 3 {
		bad("moments must be 1, 2 or 3")
	}
	method := Weighting{Method: s.Method, Estimand: s.Estimand}.defaults().Method
	if !s.balances() {
		if s.Moments != 0 {
			bad("weighting by %s does not use moments, which are of entropy and cbps", method)
		}
		if s.Interactions {
			bad("weighting by %s does not use interactions, which are of entropy and cbps", method)
		}
	}
	if s.Truncate != 0 {
		switch {
		case !(s.Truncate >= 0.5 && s.Truncate < 1):
			bad("truncate must be a quantile of at least 0.5 and below 1, for example 0.99")
		case s.balances():
			bad("weighting by %s balances means exactly, which truncation would undo", method)
		case method == OverlapMethod:
			bad("overlap weights are never above 1 and are not truncated")
		}
	}
	if s.Trim != nil {
		errs = append(errs, s.Trim.Check()...)
	}
	if s.Propensity != nil {
		errs = append(errs, s.propensity().Check()...)
		if s.balances() && s.Trim == nil {
			bad("weighting by %s does not use a propensity model, except to trim", method)
		}
		if s.propensity().Stop == BalanceStop && s.propensity().Estimand == "" {
			bad("boosted trees that stop by balance need the estimand att, atc or ate, which weighting by %s does not give", method)
		}
	}
	return errs
}

func (s WeightSpec) checkSpec(d Spec) []error {
	var errs []error
	bad := func(format string, a ...any) {
		errs = append(errs, fmt.Errorf("%w: %s", ErrOption, fmt.Sprintf(format, a...)))
	}
	own := s.Propensity != nil && len(s.Propensity.Covariates) > 0
	switch {
	case d.Score != "" && s.balances() && s.Trim == nil:
		bad("score column %q has no use in weighting by %s", d.Score, s.Method)
	case d.Score != "" && s.Propensity != nil:
		bad("score column %q and a propensity model are two scores: give one", d.Score)
	case d.Score == "" && len(d.Covariates) == 0 && (s.balances() || !own):
		bad("weighting needs covariates or a score column")
	case s.balances() && len(d.Covariates) == 0:
		bad("weighting by %s needs covariates", s.Method)
	case len(d.Covariates) == 0 && len(d.Categorical) > 0:
		bad("columns are called categorical but there are no covariates")
	}
	if d.Score != "" && s.Trim != nil && s.Trim.Refit {
		bad("a score column cannot be fitted again after trimming")
	}
	return errs
}

// scores are probabilities of treatment by row.
type scores struct {
	p     []float64
	other func(row int) float64 // 1 - p, with its digits where p is near 1
	fit   *PropensityFit
}

func (s WeightSpec) scores(ctx context.Context, t *table.Table, d Spec, u *units) (*scores, error) {
	if d.Score == "" {
		fit, err := s.propensity().fit(ctx, t, d, u)
		if err != nil {
			return nil, err
		}
		return &scores{p: fit.Score, other: fit.other, fit: fit}, nil
	}
	c, problem := readCovariate(t, d.Score, false)
	if problem != "" {
		return nil, fmt.Errorf("%w: score: %s", ErrCovariate, problem)
	}
	outside := 0
	for _, p := range c.values {
		if !(p > 0 && p < 1) {
			outside++
		}
	}
	if c.codes != nil || outside > 0 {
		return nil, fmt.Errorf("%w: score column %q has %d values that are not between 0 and 1", ErrNoSupport, d.Score, max(outside, len(c.codes)))
	}
	return &scores{p: c.values, other: func(i int) float64 { return 1 - c.values[i] }}, nil
}

func (s *scores) take(rows []int) *scores {
	out := &scores{p: make([]float64, len(rows)), fit: s.fit}
	for i, r := range rows {
		out.p[i] = s.p[r]
	}
	out.other = func(i int) float64 { return s.other(rows[i]) }
	return out
}

// Weigh weights all rows of the table: first the scores, then trimming, then the weights
// of those who are left (with the model fitted to them again if Trim.Refit), then
// truncation. With trimming that leaves anybody out, Estimand is the name with "-trimmed".
//
// Errors: [ErrOption]; those of [PropensitySpec.Fit]; [ErrCovariate] for constant and
// dependent columns; [ErrNoSupport] where no weights balance the means (named columns), a
// score is 0 or 1, or trimming leaves nobody in a group.
func (s WeightSpec) Weigh(ctx context.Context, t *table.Table, d Spec) (*Weighted, error) {
	if errs := slices.Concat(s.Check(), s.checkSpec(d)); len(errs) > 0 {
		return nil, joined(errs)
	}
	w := Weighting{Method: s.Method, Estimand: s.Estimand}.defaults()
	u, err := readUnits(t, d)
	if err != nil {
		return nil, err
	}
	var all, sc *scores
	if !s.balances() || s.Trim != nil {
		if all, err = s.scores(ctx, t, d, u); err != nil {
			return nil, err
		}
	}
	sc = all
	part, rows, trimmed := t, []int(nil), (*Trimmed)(nil)
	var notes []table.Note
	if s.Trim != nil {
		rows, trimmed, err = s.Trim.apply(all, u)
		if err != nil {
			return nil, err
		}
		notes = append(notes, trimmed.note(u.n))
		if len(rows) < u.n {
			part = t.Take(rows)
			sc = all.take(rows)
			if u, err = readUnits(part, d); err != nil {
				return nil, err
			}
			if s.Trim.Refit {
				if sc, err = s.scores(ctx, part, d, u); err != nil {
					return nil, fmt.Errorf("after trimming: %w", err)
				}
			}
		}
	}
	out := &Weighted{Method: w.Method, Estimand: w.Estimand, Weight: make([]float64, u.n), Imbalance: math.NaN(), Trim: trimmed, Notes: notes}
	if s.balances() {
		err = w.balance(ctx, part, d, u, momentSet{s.Moments, s.Interactions}, out)
	} else {
		out.Propensity, out.Score = sc.fit, sc.p
		for i, p := range out.Score {
			out.Weight[i] = w.of(p, sc.other(i), u.treated[i])
		}
		w.nearBounds(u, out)
	}
	if err != nil {
		return nil, err
	}
	for i, v := range out.Weight {
		if !(v >= 0) || math.IsInf(v, 1) {
			if rows != nil {
				i = rows[i]
			}
			return nil, fmt.Errorf("%w: the weight of row %d is not a finite number: the groups do not overlap", ErrNoSupport, i+1)
		}
	}
	if s.Truncate > 0 {
		out.truncate(s.Truncate, u)
	}
	out.ESSTreated, out.ESSControl = kish(out.Weight, u, d.Workers)
	if math.IsNaN(out.ESSTreated) || math.IsNaN(out.ESSControl) {
		return nil, fmt.Errorf("%w: all weights of a group are 0", ErrNoSupport)
	}
	out.thin(u)
	out.extreme(u)
	if out.Propensity == nil && all != nil {
		out.Propensity = all.fit
	}
	if out.Propensity != nil {
		out.Notes = append(slices.Clone(out.Propensity.Notes), out.Notes...)
	}
	if rows != nil && len(rows) < t.Rows() {
		out.spread(rows, t.Rows(), all)
	}
	return out, ctx.Err()
}

// spread puts numbers of the rows that were kept into the whole table's order. A unit
// that was left out has weight 0 and, where there are scores, that for which it was.
func (w *Weighted) spread(rows []int, n int, all *scores) {
	weight, score := make([]float64, n), slices.Clone(all.p)
	for i, r := range rows {
		weight[r] = w.Weight[i]
		if w.Score != nil {
			score[r] = w.Score[i]
		}
	}
	w.Weight, w.Score = weight, score
	w.Estimand += TrimmedSuffix
}

// truncate cuts the weights of each group at their quantile (type 7).
func (w *Weighted) truncate(quantile float64, u *units) {
	for a := range 2 {
		var in []float64
		for i, v := range w.Weight {
			if arm(u.treated[i]) == a {
				in = append(in, v)
			}
		}
		slices.Sort(in)
		cut := quantileAt(in, quantile)
		for i, v := range w.Weight {
			if arm(u.treated[i]) == a && v > cut {
				w.Weight[i] = cut
				w.Truncated++
			}
		}
	}
	w.Notes = append(w.Notes, table.Note{
		Code: "weights-truncated", Args: map[string]any{"n": w.Truncated, "all": u.n, "quantile": quantile},
		Text: fmt.Sprintf("The weights of %d of %d units were cut down to the quantile %g of their group. That makes the answer less uncertain and biased: the groups are no longer alike in the covariates.", w.Truncated, u.n, quantile),
	})
}

// quantileAt is the quantile of sorted numbers between the neighbours of (n-1)q.
func quantileAt(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	lo := int(at)
	if lo >= len(sorted)-1 {
		return sorted[len(sorted)-1]
	}
	return sorted[lo] + float64((at-float64(lo))*(sorted[lo+1]-sorted[lo]))
}

// extreme says where single units weigh 20 times their group's mean or more.
func (w *Weighted) extreme(u *units) {
	const times = 20
	for a := range 2 {
		group, n, large, top := make([]float64, 0, u.n), 0, 0, 0.0
		for _, r := range u.order {
			if arm(u.treated[r]) == a {
				group = append(group, w.Weight[r])
				n++
			}
		}
		mean := num.Sum(group) / float64(n)
		for _, v := range group {
			if v >= times*mean {
				large++
			}
			top = math.Max(top, v/mean)
		}
		if large > 0 {
			name := [2]string{"control", "treated"}[a]
			w.Notes = append(w.Notes, table.Note{
				Code: "extreme-weights", Args: map[string]any{"group": name, "n": large, "all": n, "largest": top},
				Text: fmt.Sprintf("%d of the %d units of the group %q weigh 20 times its mean or more, the heaviest %.0f times. Nothing is cut; trimming would make it the effect on others.", large, n, name, top),
			})
		}
	}
}
