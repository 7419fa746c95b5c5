package progress

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/table"
)

// Payments are what payers paid for n persons, month by month from the start of each.
type Payments struct {
	Persons
	Payers []string // unique
	Months int      // the horizon, at least 1
	// Amount is, by payer, n×Months, row by row: money of one price level; below 0 comes in.
	Amount [][]float64
	// Followed is the number of months that each person is followed, from the first on, at most Months; amounts
	// after it must be 0. nil means that everybody is followed to the horizon.
	Followed []int
}

// Costs estimates how much more each payer paid for participants than for comparison people up to a
// horizon, and in total:
//
//	Δ_p = Σ_m v^{m−1}·(c̄_1p(m) − c̄_0p(m)),  v = (1 + Discount)^{−1/12}
//
// with c̄ the weighted mean of those followed through month m (the partitioned estimator of Bang and Tsiatis 2000).
// Money is in the unit of the payments. Standard errors come from the influence function over both arms; with clusters
// G/(G−1)·Σ_c(Σ IF)².
//
// Estimates, in this order: total (mean-difference); with two payers or more payer=NAME (mean-difference) for each, which add up
// to the total exactly; then for group=1 and group=0 total,group=G and payer=NAME,group=G (mean).
//
// Details: payers, months, discount, followed (persons at the last month, by group), curve ([]CostMonth), break_even,
// errors, vcov, and with bootstrap replicates, seed.
//
// Errors: [estimate.ErrInvalidFrame] for payments that break their contract; [estimate.ErrTooFew] below MinPerArm persons of an
// arm, at the start or at the last month; [estimate.ErrWeights] for frequency weights; [estimate.ErrNotIdentified] if more than a
// tenth of the replicates lose an arm.
type Costs struct {
	Discount   float64 // rate a year, at least 0 and below 1
	MinPerArm  int     // fewest persons per arm who are followed to the horizon; 0 means 15
	Errors     string  // of intervals and tests of differences: "influence" (""), "bootstrap"
	Replicates int     // of the bootstrap; 0 means 999
	Seed       uint64  // of the bootstrap
	Workers    int     // goroutines; 0 means all cores. Never changes a result
}

// CostMonth is a row of details.curve: the difference of a month, and what has added up to its end, over all payers.
type CostMonth struct {
	Month      int     `json:"month"` // from 1
	Difference float64 `json:"difference"`
	StdError   float64 `json:"std_error"`
	Sum        float64 `json:"sum"`
	SumError   float64 `json:"sum_std_error"`
	// Influence is that of Sum, by person.
	Influence []float64 `json:"-"`
}

// Fit estimates from payments, which it does not change.
func (e Costs) Fit(ctx context.Context, p *Payments) (*estimate.Result, error) {
	res, err := e.fit(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("costs: %w", err)
	}
	return res, nil
}

func (e Costs) fit(ctx context.Context, p *Payments) (*estimate.Result, error) {
	if err := e.check(p); err != nil {
		return nil, err
	}
	f, err := newCostFit(e, p)
	if err != nil {
		return nil, err
	}
	res := &estimate.Result{Method: "costs", InfluenceUnit: p.Unit, Fit: estimate.Convergence{Converged: true},
		N: estimate.Counts{Units: len(f.order), Treated: f.persons[1]}, Notes: f.notes()}
	if err := f.estimates(res); err != nil {
		return nil, err
	}
	curve, err := f.curve()
	if err != nil {
		return nil, err
	}
	res.Details = map[string]any{
		"payers": p.Payers, "months": p.Months, "discount": e.Discount, "followed": map[string]int{"1": f.last[1], "0": f.last[0]},
		"curve": curve, "break_even": breakEven(curve), "errors": "influence", "vcov": "influence",
	}
	if p.Cluster != nil {
		res.Details["vcov"] = "influence, clustered, factor G/(G-1)"
	}
	if e.Errors == "bootstrap" {
		if err := f.bootstrap(ctx, res); err != nil {
			return nil, err
		}
	}
	return res, nil
}

// followed is how many months person i is followed.
func (p *Payments) followed(i int) int {
	if p.Followed == nil {
		return p.Months
	}
	return p.Followed[i]
}

func (e Costs) check(p *Payments) error {
	n := len(p.Unit)
	f := &estimate.Frame{Unit: p.Unit, Y: make([]float64, n), Treated: p.Treated, Weight: p.Weight, Cluster: p.Cluster, Level: p.Level}
	if err := f.Check(); err != nil {
		return err
	}
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", estimate.ErrInvalidFrame, fmt.Sprintf(format, a...))
	}
	switch {
	case p.Treated == nil:
		return bad("costs compare two groups")
	case p.Weight.Kind == estimate.Frequency:
		return fmt.Errorf("%w: write one person a row", estimate.ErrWeights)
	case p.Months < 1:
		return bad("a horizon of %d months", p.Months)
	case len(p.Payers) == 0 || len(p.Amount) != len(p.Payers):
		return bad("amounts of %d payers; %d are named", len(p.Amount), len(p.Payers))
	case p.Followed != nil && len(p.Followed) != n:
		return bad("%d ends of follow-up for %d persons", len(p.Followed), n)
	case !(e.Discount >= 0 && e.Discount < 1):
		return fmt.Errorf("a discount rate of %v is not at least 0 and below 1", e.Discount)
	case e.MinPerArm < 0:
		return fmt.Errorf("the fewest persons per arm cannot be %d", e.MinPerArm)
	case e.Errors != "" && e.Errors != "influence" && e.Errors != "bootstrap":
		return fmt.Errorf("errors %q are not one of influence, bootstrap", e.Errors)
	case e.Replicates != 0 && (e.Replicates < 99 || e.Replicates > 1<<20):
		return fmt.Errorf("%d replicates are not between 99 and %d", e.Replicates, 1<<20)
	case e.Replicates != 0 && e.Errors != "bootstrap":
		return fmt.Errorf("replicates are of the bootstrap: errors are not")
	}
	for k, name := range p.Payers {
		if name == "" || slices.Contains(p.Payers[:k], name) {
			return bad("payers must have names, each once")
		}
		if len(p.Amount[k]) != n*p.Months {
			return bad("%d amounts of payer %q for %d persons and %d months", len(p.Amount[k]), name, n, p.Months)
		}
	}
	for i := range n {
		to := p.followed(i)
		if to < 0 || to > p.Months {
			return bad("person of row %d is followed for %d of %d months", i+1, to, p.Months)
		}
		for k, amount := range p.Amount {
			for m := range p.Months {
				v := amount[i*p.Months+m]
				if math.IsNaN(v) || math.IsInf(v, 0) {
					return &table.RowError{Row: i, Err: bad("amount of payer %q in month %d is not a finite number", p.Payers[k], m+1)}
				}
				if m >= to && v != 0 {
					return &table.RowError{Row: i, Err: bad("amount of payer %q in month %d, when the person is not followed any more", p.Payers[k], m+1)}
				}
			}
		}
	}
	return nil
}

// breakEven is the first month from which on what has added up is 0 or below to the end, having been above it; nil if there is none.
func breakEven(curve []CostMonth) *int {
	from := len(curve)
	for from > 0 && curve[from-1].Sum <= 0 {
		from--
	}
	if from == len(curve) || from == 0 {
		return nil
	}
	month := curve[from].Month
	return &month
}

// estimates appends the estimates in their documented order.
func (f *costFit) estimates(res *estimate.Result) error {
	payers := len(f.p.Payers)
	var cols [][]float64
	var terms []string
	var values []float64
	put := func(term string, value float64, inf []float64) {
		terms, values, cols = append(terms, term), append(values, value), append(cols, inf)
	}
	for g := 2; g >= 0; g-- { // differences, participants, comparison people
		suffix := ""
		if g < 2 {
			suffix = fmt.Sprintf(",group=%d", g)
		}
		total, sum := 0.0, make([]float64, len(f.p.Unit))
		var value []float64
		var inf [][]float64
		for k := range payers {
			v, x := f.sums(k, g)
			value, inf = append(value, v), append(inf, x)
			total += v
			for i, a := range x {
				sum[i] += a
			}
		}
		put("total"+suffix, total, sum)
		for k := range payers {
			if payers > 1 {
				put("payer="+f.p.Payers[k]+suffix, value[k], inf[k])
			}
		}
	}
	res.Influence = mat.NewDense(len(f.p.Unit), len(cols), nil)
	for a, c := range cols {
		res.Influence.SetCol(a, c)
	}
	var err error
	if res.Cov, res.N.Clusters, err = survive.Covariance(res.Influence, f.order, f.p.Cluster, f.e.Workers); err != nil {
		return err
	}
	for a, v := range values {
		m := estimate.MeanDifference
		if a >= len(values)/3 {
			m = estimate.Mean
		}
		e := estimate.Wald(terms[a], m, v, math.Sqrt(res.Cov.At(a, a)), math.Inf(1), f.p.Level)
		if m == estimate.Mean {
			e.Test = noTest()
		}
		res.Estimates = append(res.Estimates, e)
	}
	if f.largestShare(cols[0]) > 0.2 {
		res.Notes = append(res.Notes, table.Note{Code: "costs-few-decide", Text: "One person, or one set, has more than a fifth of the variance of the costs: normal intervals are not to be trusted; ask for the bootstrap, or for more people."})
	}
	return nil
}
