package cohort

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"utfall/internal/num"
	"utfall/table"
)

// CensorSpec is the model of who starts, month by month, from which the weights come
// that make up for comparison people who are lost because they start.
type CensorSpec struct {
	// Covariates are columns of the design. Those made from histories (Built.Features of
	// spells, participations and amounts) are made anew for each month, from what is known
	// then; the others stay as at time zero. Month since time zero and its square are
	// always in the model (in years).
	Covariates []string `yaml:"covariates,omitempty"`
	Absorbing  []string `yaml:"absorbing,omitempty"`  // states from which nobody starts, such as death: the probability is 0 there
	Horizon    int      `yaml:"horizon,omitempty"`    // months after time zero; absent = the follow-up
	Stabilised bool     `yaml:"stabilised,omitempty"` // times the probability of not having started by a model of month alone
}

// Check lists what is wrong with the options, given the follow-up of the timing.
func (s CensorSpec) Check(followUp int) []error {
	var errs []error
	if s.Horizon < 0 || s.Horizon > followUp {
		errs = append(errs, fmt.Errorf("%w: horizon: months must lie between 1 and the follow-up of %d", ErrOption, followUp))
	}
	twice := func(key string, list []string) {
		for i, name := range list {
			if slices.Contains(list[:i], name) {
				errs = append(errs, fmt.Errorf("%w: %s: %s is there twice", ErrOption, key, name))
			}
		}
	}
	twice("covariates", s.Covariates)
	twice("absorbing", s.Absorbing)
	return errs
}

// horizon is the last month for which there are weights.
func (s CensorSpec) horizon(followUp int) int {
	if s.Horizon == 0 {
		return followUp
	}
	return s.Horizon
}

// Censored are weights for what is left of units when starting ends their follow-up.
type Censored struct {
	Horizon int
	// Weight is units × (Horizon+1): the weight of a unit in month m after time zero, 0 from
	// the month in which its follow-up was ended. It multiplies the weight of the design.
	Weight   []float64
	Names    []string // of the model: "(intercept)", "month", "month^2" and the columns of [Design]
	Coef, SE []float64
	Months   int     // person-months that the model was fitted to
	Starts   int     // of them, those with a start
	Max, ESS float64 // of the weights of units that are left at the horizon: the largest, and (Σw)²/Σw²
	Notes    []table.Note
}

// At is the weight of a unit in a month, 0 to Horizon.
func (c *Censored) At(unit, month int) float64 { return c.Weight[unit*(c.Horizon+1)+month] }

// For gives the weights of all units for an outcome: those of the last month that it needs.
func (c *Censored) For(o Outcome) ([]float64, error) {
	month := o.lastMonth()
	if o.At < 0 {
		return nil, fmt.Errorf("%w: outcome %q lies before time zero, where nobody is censored: use a cohort without censoring for it", ErrOption, o.Name)
	}
	if month > c.Horizon {
		return nil, fmt.Errorf("%w: outcome %q needs month %d, the weights go to month %d", ErrOption, o.Name, month, c.Horizon)
	}
	out := make([]float64, len(c.Weight)/(c.Horizon+1))
	for u := range out {
		out[u] = c.At(u, month)
	}
	return out, nil
}

// lastMonth is the last month after time zero that the outcome needs.
func (o Outcome) lastMonth() int { return max(o.At, o.Over-1) }

// Censor weights comparison units that have not started by a month with the inverse of
// the probability of that, for a design with [LaterCensors]: participants have weight 1,
// a comparison unit in month m
//
//	w(m) = Π_{k=1…m} 1/(1 - p(k)),   p(k) = P(start in month k | not before, x(k))
//
// and 0 from its own start on. p is a pooled logistic regression over all person-months
// of comparison units that are observed, not in an absorbing state the month before, and
// have not started, on month, month² and x(k), the covariates as known then; where the
// unit is in an absorbing state p = 0. Stabilised weights are times Π (1 - p₀(k)) with p₀
// fitted to month and month² alone.
//
// With the weights, comparison people stand for those who start later as well, if
// starting is as good as random given x(k) (and p is right): the effect is that of
// starting now rather than not within the follow-up ([StartVersusNot]). A weighted
// difference takes the product of these weights and those of the design; its error,
// clustered on persons with weights taken as known, is in simulation right or too wide.
//
// Errors: [ErrOption]; [ErrCovariate]; [ErrSeparation] where nobody starts from some
// level, with the columns; [ErrNoControls] where nobody is left at the horizon. Note: censoring-weights, with the largest weight and the
// effective sample size. Source: Robins and Finkelstein (2000), Biometrics 56; Hernán
// and Robins (2016). Registry: cohort/METHODS.md, "People who start later".
func (o *Opened) Censor(ctx context.Context, spec CensorSpec, workers int) (*Censored, error) {
	if o.b.timing.design() == GracePeriod {
		return nil, fmt.Errorf("%w: in a design with a grace period the clones are censored, not the units", ErrOption)
	}
	if o.b.timing.later() != LaterCensors {
		return nil, fmt.Errorf("%w: weights for later starts need later: censor; with later: stay nobody is lost", ErrOption)
	}
	m, err := o.startModel(ctx, spec, 1, spec.horizon(o.b.timing.FollowUp), func(u int) bool { return !o.b.units[o.Units[u]].treated }, workers)
	if err != nil {
		return nil, err
	}
	c := m.result()
	left := make([]float64, 0, len(o.Units))
	for u := range o.Units {
		w := 1.0
		for k := range m.horizon + 1 {
			if p, ok := m.at(u, k); ok {
				w *= m.stay(u, k) / (1 - p)
			}
			if s := o.Start[u]; s > 0 && k >= s {
				w = 0
			}
			c.Weight[u*(m.horizon+1)+k] = w
		}
		if w > 0 && !o.b.units[o.Units[u]].treated {
			left = append(left, w)
		}
	}
	if len(left) == 0 {
		return nil, fmt.Errorf("%w: every comparison unit has started by month %d", ErrNoControls, c.Horizon)
	}
	c.describe(left)
	return c, nil
}

// describe adds largest weight, effective sample size, and the note about them.
func (c *Censored) describe(left []float64) {
	c.Max, c.ESS = slices.Max(left), effectiveSize(left)
	share := c.ESS / float64(len(left))
	c.Notes = append(c.Notes, table.Note{
		Code: "censoring-weights",
		Text: fmt.Sprintf("comparison units whose follow-up ended because they started are made up for by weights: the largest is %.1f, and those left at the horizon count as %.0f per cent of their number", c.Max, 100*share),
		Args: map[string]any{"max": math.Round(10*c.Max) / 10, "share": share},
	})
}

// effectiveSize is the sample size (Σw)²/Σw² (Kish 1965) of at least one positive weight.
func effectiveSize(w []float64) float64 {
	var sum, squares float64
	for _, v := range w {
		sum += v
		squares += float64(v * v)
	}
	return sum * sum / squares
}

// startModel is the fitted probability of starting, by unit and month.
type startModel struct {
	horizon  int
	last     int     // month to which starting is modelled
	place    []int32 // units × (horizon+1): row of the model, -1 = not at risk
	prob     []float64
	byMonth  []float64 // the probability by month alone; nil unless stabilised
	names    []string
	coef, se []float64
	starts   int
}

func (m *startModel) at(unit, month int) (p float64, ok bool) {
	i := m.place[unit*(m.horizon+1)+month]
	if i < 0 {
		return 0, false
	}
	return m.prob[i], true
}

// stay is the factor that stabilises: 1 - p₀ of a row at risk.
func (m *startModel) stay(unit, month int) float64 {
	if m.byMonth == nil {
		return 1
	}
	return 1 - m.byMonth[m.place[unit*(m.horizon+1)+month]]
}

func (m *startModel) result() *Censored {
	return &Censored{Horizon: m.horizon, Weight: make([]float64, len(m.place)), Names: m.names, Coef: m.coef, SE: m.se, Months: len(m.prob), Starts: m.starts}
}

// startModel fits the probability of starting in months first to last to the units that
// are asked for.
func (o *Opened) startModel(ctx context.Context, spec CensorSpec, first, last int, in func(u int) bool, workers int) (*startModel, error) {
	if errs := spec.Check(o.b.timing.FollowUp); len(errs) > 0 {
		return nil, joined(errs)
	}
	m := &startModel{horizon: spec.horizon(o.b.timing.FollowUp), last: last}
	absorbing := make([]bool, len(o.s.h.states))
	for _, name := range spec.Absorbing {
		k := slices.Index(o.s.h.states, name)
		if k < 0 {
			return nil, fmt.Errorf("%w: absorbing: no spell has the state %q", ErrOption, name)
		}
		absorbing[k] = true
	}
	rows, against := o.atRiskOfStarting(m, first, in, absorbing)
	if against > 0 {
		return nil, fmt.Errorf("%w: absorbing: %d units start from a state that is said to be one from which nobody starts", ErrOption, against)
	}
	if err := ctx.Err(); err != nil || m.starts == 0 {
		m.prob = make([]float64, len(rows))
		return m, err
	}
	cov, err := o.monthColumns(spec, rows, workers)
	if err != nil {
		return nil, err
	}
	terms := monthTerms(rows)
	x, names := monthDesign(rows, cov, len(terms), workers)
	y := make([]float64, len(rows))
	for i, r := range rows {
		y[i] = float64(arm(r.start))
	}
	m.names = slices.Concat(terms, names)
	k := len(m.names)
	fit, err := num.Logit(num.LogitData{N: len(rows), K: k, X: x, Y: y, Workers: workers})
	if err != nil {
		return nil, startError(err, m.names, cov, y)
	}
	m.prob, m.coef, m.se = fit.Fitted, fit.Coef, make([]float64, k)
	for j := range k {
		m.se[j] = math.Sqrt(fit.Cov.At(j, j))
	}
	if spec.Stabilised {
		time, _ := monthDesign(rows, nil, len(terms), workers)
		alone, err := num.Logit(num.LogitData{N: len(rows), K: len(terms), X: time, Y: y, Workers: workers})
		if err != nil {
			return nil, startError(err, terms, nil, y)
		}
		m.byMonth = alone.Fitted
	}
	return m, ctx.Err()
}

// monthDesign is the design matrix of the person-months: powers of the month in years,
// then the covariates.
func monthDesign(rows []personMonth, cov []covariate, terms, workers int) ([]float64, []string) {
	d := fillDesign(cov, len(rows), DesignOptions{Workers: workers}, nil)
	k := terms + len(d.Columns)
	x := make([]float64, len(rows)*k)
	for i, r := range rows {
		for j, t := 0, 1.0; j < terms; j, t = j+1, t*float64(r.month)/12 {
			x[k*i+j] = t
		}
		copy(x[i*k+terms:(i+1)*k], d.Values[i*(k-terms):(i+1)*(k-terms)])
	}
	return x, d.Names()
}

// monthTerms names the terms of time: month and its square (in years, so that the
// square is of their size), fewer where starting is possible in fewer than three months.
func monthTerms(rows []personMonth) []string {
	seen := map[int]bool{}
	for _, r := range rows {
		seen[r.month] = true
	}
	return []string{InterceptName, "month", "month^2"}[:min(3, len(seen))]
}

// personMonth is a month after time zero in which a unit could start.
type personMonth struct {
	unit, month int
	start       bool
}

// atRiskOfStarting lists the person-months of the model in the order of the table of the
// design, so that the order in which units are asked for changes no bit, and counts the
// starts from absorbing states.
func (o *Opened) atRiskOfStarting(m *startModel, first int, in func(u int) bool, absorbing []bool) (rows []personMonth, against int) {
	m.place = make([]int32, len(o.Units)*(m.horizon+1))
	for i := range m.place {
		m.place[i] = -1
	}
	order := every(len(o.Units))
	slices.SortStableFunc(order, func(a, b int) int { return o.Units[a] - o.Units[b] })
	code := make([]int8, m.horizon+2)
	for _, u := range order {
		if !in(u) {
			continue
		}
		unit := o.b.units[o.Units[u]]
		until := min(unit.zero+Month(m.horizon)+1, o.last+1)
		o.s.h.fill(o.s.person[unit.person], unit.zero-1, until, code) // code[k] is month k-1 after time zero
		for k := first; k <= m.last && unit.zero+Month(k) <= o.last && code[k] >= 0; k++ {
			start := o.Start[u] == k
			switch {
			case !absorbing[code[k]]:
				m.starts += arm(start)
				m.place[u*(m.horizon+1)+k] = int32(len(rows))
				rows = append(rows, personMonth{u, k, start})
			case start:
				against++
			}
			if start {
				break
			}
		}
	}
	return rows, against
}

// monthColumns makes the covariates of the person-months.
func (o *Opened) monthColumns(spec CensorSpec, rows []personMonth, workers int) ([]covariate, error) {
	updated := map[string]bool{}
	for _, f := range o.b.Features {
		if f.Known == KnownLookBack && f.Column != RiskSetColumn && slices.Contains(spec.Covariates, f.Column) {
			updated[f.Column] = true
		}
	}
	cands, base := make([]candidate, len(rows)), make([]int, len(rows))
	for i, r := range rows {
		u := o.b.units[o.Units[r.unit]]
		cands[i] = candidate{person: o.s.person[u.person], zero: u.zero + Month(r.month)}
		base[i] = o.Units[r.unit]
	}
	cols, _, err := o.s.historyColumns(cands, o.b.timing, func(name string) bool { return updated[name] }, workers)
	if err != nil {
		return nil, err
	}
	for _, name := range spec.Covariates {
		if updated[name] {
			continue
		}
		c, err := o.b.Table.Column(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCovariate, err)
		}
		if c.Role == table.OutcomeRole || c.Role == table.TreatmentRole || c.Role == table.UnitRole || c.Role == table.ClusterRole {
			return nil, fmt.Errorf("%w: column %q is the %s of the cohort", ErrCovariate, name, c.Role)
		}
		one, err := table.New(c)
		if err != nil {
			return nil, err
		}
		if c, err = one.Take(base).Column(name); err != nil {
			return nil, err
		}
		cols = append(cols, c)
	}
	t, err := table.New(cols...)
	if err != nil {
		return nil, err
	}
	return readCovariates(t, spec.Covariates, nil)
}

// startError says which column is to blame in the words of the table.
func startError(err error, names []string, cov []covariate, start []float64) error {
	var singular *num.SingularColumn
	switch {
	case errors.As(err, &singular):
		return fmt.Errorf("%w: in the months in which people could start, column %q is constant or a linear combination of the columns before it; leave it out", ErrCovariate, names[singular.Column])
	case errors.Is(err, num.ErrSeparated):
		var hints []string
		for _, c := range cov {
			some := make([]bool, len(c.levels))
			for i, code := range c.codes {
				some[code] = some[code] || start[i] == 1
			}
			nobody := 0
			for _, s := range some {
				if !s {
					nobody++
				}
			}
			if nobody > 0 {
				hints = append(hints, fmt.Sprintf("column %q (nobody starts at %d of its levels)", c.name, nobody))
			}
		}
		if len(hints) == 0 {
			hints = []string{"no single category does it: use fewer columns"}
		}
		return fmt.Errorf("%w: the model of who starts later has no finite coefficients; look at %s; states from which nobody can start belong under absorbing", ErrSeparation, strings.Join(hints, "; "))
	}
	return fmt.Errorf("model of who starts later: %w", err)
}
