package panel

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// ErrNotAbsorbing is a treatment that is undone. Test with [errors.Is].
var ErrNotAbsorbing = errors.New("the treatment of a unit ends")

// The kinds of two-by-two comparison that the two-way fixed-effects estimate is made of.
const (
	TreatedNever   = "Treated vs Untreated"
	EarlierLater   = "Earlier vs Later Treated"
	LaterEarlier   = "Later vs Earlier Treated"
	LaterAlways    = "Later vs Always Treated"
	maxWeightedGap = 1e-9
)

// A BaconComponent is one two-by-two comparison of cohorts.
type BaconComponent struct {
	Treated    int     `json:"treated"`    // cohort whose change counts as effect: its first treated period
	Comparison int     `json:"comparison"` // cohort it is compared with; 0 = never treated, the first period = treated throughout
	Type       string  `json:"type"`
	Estimate   float64 `json:"estimate"` // outcome units
	Weight     float64 `json:"weight"`   // of all components 1
}

// Bacon decomposes the two-way fixed-effects estimate of a treatment that comes at
// different times into the two-by-two comparisons it averages (Goodman-Bacon 2021).
// It is a diagnosis: comparisons with units already treated count their growing
// effects with the wrong sign.
//
// With n[g] the number of units of cohort g, D[g] the share of periods in which it is
// treated (1 = always, 0 = never), and k treated earlier than l, so D[k] > D[l],
//
//	k against l while l is untreated   n[k]·n[l]·(D[k]-D[l])·(1-D[k])
//	l against k while k is treated     n[k]·n[l]·(D[k]-D[l])·D[l]
//
// are the components' weights, divided by their sum; each estimate is the change of
// the mean of the treated cohort at its entry, within the window, less that of the
// comparison cohort. Their weighted mean is the coefficient of the regression on unit
// and period dummies, which is the estimate "overall" with cr1 errors by unit (effects
// nested in clusters not counted in K) and t on units - 1.
//
// f needs Unit, Time, Y and treated, one mark a row; Cohort, X, Weight and Cluster are
// not used. Units that are not observed in all periods are left out and counted, as
// the weights above hold for balanced panels only. Details: components, by_type, twfe.
//
// Errors: [estimate.ErrInvalidFrame], [ErrNotAbsorbing], [ErrDuplicate],
// [ErrOnePeriod], [estimate.ErrNoTreated], [estimate.ErrNoControls] (one cohort only),
// [estimate.ErrTooFew].
//
// Source: Goodman-Bacon (2021), J. Econometrics 225(2), theorem 1. Agrees with R's
// bacondecomp 0.1.1.
type Bacon struct {
	Workers int // never changes the result
}

// Fit decomposes. treated says of each row whether the unit is treated then.
func (b Bacon) Fit(ctx context.Context, f *Frame, treated []bool) (*estimate.Result, error) {
	res, err := b.fit(ctx, f, treated)
	if err != nil {
		return nil, fmt.Errorf("bacon: %w", err)
	}
	return res, nil
}

func (b Bacon) fit(ctx context.Context, f *Frame, treated []bool) (*estimate.Result, error) {
	switch {
	case len(treated) != len(f.Y):
		return nil, fmt.Errorf("%w: %d treatment marks for %d outcomes", estimate.ErrInvalidFrame, len(treated), len(f.Y))
	case f.X != nil || f.Weight != nil || f.Cluster != nil:
		return nil, fmt.Errorf("%w: the decomposition has no covariates, weights or clusters", ErrOption)
	}
	dated, offset, err := dateEntry(f, treated)
	if err != nil {
		return nil, err
	}
	l, err := layLong(dated, 0, true)
	if err != nil {
		return nil, err
	}
	if err := l.balance(); err != nil {
		return nil, err
	}
	rows, err := l.components(offset)
	if err != nil {
		return nil, err
	}
	static, err := l.static(ctx, 0, b.Workers)
	if err != nil {
		return nil, err
	}
	res, err := l.result("bacon", []term{static}, f.Level)
	if err != nil {
		return nil, err
	}
	weighted := make([]float64, len(rows))
	scale := 0.0
	for i, c := range rows {
		weighted[i] = float64(c.Weight * c.Estimate)
		scale += math.Abs(weighted[i])
	}
	twfe := res.Estimates[0].Value
	if sum := num.Sum(weighted); math.Abs(sum-twfe) > maxWeightedGap*math.Max(scale, l.spread()) {
		return nil, fmt.Errorf("%w: the components add up to %.15g and the regression gives %.15g; rescale the outcome", estimate.ErrNotConverged, sum, twfe)
	}
	res.Details["components"], res.Details["by_type"], res.Details["twfe"] = rows, byType(rows), twfe
	wrong := 0.0
	for _, c := range rows {
		if c.Type == LaterEarlier || c.Type == LaterAlways {
			wrong += c.Weight
		}
	}
	if wrong > 0 {
		res.Notes = append(res.Notes, table.Note{Code: "already-treated-as-comparison",
			Text: fmt.Sprintf("%.1f %% of the two-way fixed-effects estimate compares with units already treated, whose own effects it takes off.", 100*wrong),
			Args: map[string]any{"share": wrong, "percent": math.Round(100 * wrong)}})
	}
	return res, nil
}

// dateEntry returns the frame with the first treated period of each unit as cohort (0 =
// never), its time moved by an offset so that the first period is 1. Treatment must stay.
func dateEntry(f *Frame, treated []bool) (*Frame, int, error) {
	if len(f.Unit) != len(f.Y) || len(f.Time) != len(f.Y) || len(f.Y) == 0 {
		return nil, 0, fmt.Errorf("%w: %d units and %d periods for %d outcomes", estimate.ErrInvalidFrame, len(f.Unit), len(f.Time), len(f.Y))
	}
	offset := slices.Min(f.Time) - 1
	entry := map[string]int{}
	for i, u := range f.Unit {
		if g, ok := entry[u]; treated[i] && (!ok || f.Time[i]-offset < g) {
			entry[u] = f.Time[i] - offset
		}
	}
	if len(entry) == 0 {
		return nil, 0, fmt.Errorf("%w: no row is treated", estimate.ErrNoTreated)
	}
	out := &Frame{Unit: f.Unit, Time: make([]int, len(f.Y)), Y: f.Y, Level: f.Level, Cohort: make([]int, len(f.Y))}
	for i, u := range f.Unit {
		g, t := entry[u], f.Time[i]-offset
		if g != 0 && !treated[i] && t > g {
			return nil, 0, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: it was treated in period %d and is not in period %d; this method is for a treatment that stays", ErrNotAbsorbing, g+offset, f.Time[i])}
		}
		out.Cohort[i], out.Time[i] = g, t
	}
	return out, offset, nil
}

// components lists the comparisons, by treated and comparison cohort, never treated last.
func (l *long) components(offset int) ([]BaconComponent, error) {
	periods := len(l.periods)
	var cohorts []int
	units := map[int]float64{}
	sum := map[int][]float64{} // of y by period
	for i, g := range l.cohort {
		if sum[g] == nil {
			cohorts = append(cohorts, g) // rows are sorted by cohort
			sum[g] = make([]float64, periods)
		}
		sum[g][l.period[i]] += l.y[i] - l.y[0] // about one value: a high level costs no digits
		if i == 0 || l.unit[i] != l.unit[i-1] {
			units[g]++
		}
	}
	if len(cohorts) < 2 {
		return nil, fmt.Errorf("%w: all units are first treated in the same period", estimate.ErrNoControls)
	}
	first := func(g int) int { // position of its first treated period
		at := 0
		for at < periods && l.periods[at] < g {
			at++
		}
		return at
	}
	change := func(g, lo, entry, hi int) float64 {
		mean := func(lo, hi int) float64 { return num.Sum(sum[g][lo:hi]) / float64(hi-lo) / units[g] }
		return mean(entry, hi) - mean(lo, entry)
	}
	var out []BaconComponent
	total := 0.0
	add := func(treated, comparison int, kind string, weight float64, lo, entry, hi int) {
		total += weight
		c := BaconComponent{Treated: treated + offset, Type: kind, Weight: weight,
			Estimate: change(treated, lo, entry, hi) - change(comparison, lo, entry, hi)}
		if comparison != never {
			c.Comparison = comparison + offset
		}
		out = append(out, c)
	}
	for _, treated := range cohorts {
		for _, comparison := range cohorts {
			a, c := first(treated), first(comparison)
			both := units[treated] * units[comparison]
			share := func(at int) float64 { return float64(periods-at) / float64(periods) }
			switch {
			case treated == comparison || treated == never || a == 0:
			case comparison == never:
				add(treated, comparison, TreatedNever, both*share(a)*(1-share(a)), 0, a, periods)
			case a < c:
				add(treated, comparison, EarlierLater, both*(share(a)-share(c))*(1-share(a)), 0, a, c)
			case c == 0:
				add(treated, comparison, LaterAlways, both*(1-share(a))*share(a), 0, a, periods)
			default:
				add(treated, comparison, LaterEarlier, both*(share(c)-share(a))*share(a), c, a, periods)
			}
		}
	}
	if total == 0 {
		return nil, fmt.Errorf("%w: no cohort enters after the first period", estimate.ErrNoTreated)
	}
	for i := range out {
		out[i].Weight /= total
	}
	return out, nil
}

// byType sums the components of each kind.
func byType(rows []BaconComponent) []map[string]any {
	var out []map[string]any
	for _, kind := range []string{EarlierLater, LaterAlways, LaterEarlier, TreatedNever} {
		weight, sum := 0.0, 0.0
		for _, c := range rows {
			if c.Type == kind {
				weight += c.Weight
				sum += float64(c.Weight * c.Estimate)
			}
		}
		if weight > 0 {
			out = append(out, map[string]any{"type": kind, "weight": weight, "average": sum / weight})
		}
	}
	return out
}
