package cohort

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/internal/num"
	"utfall/table"
)

// Propensity models the probability of treatment given covariates,
//
//	P(treated | x) = μ(x'β),  μ = logistic, normal or complementary log-log distribution function,
//
// by maximum likelihood. Covariates are coded by [Design]: treatment-coded dummies,
// reference = first level in byte order. Standard errors are from the inverse of the
// expected information at the maximum.
//
// Rows enter the sums in the order of the keyed hash of their id, so that the order
// of the rows changes no bit of the scores.
//
// Errors: [ErrNoTreated], [ErrNoControls]; [ErrCovariate] with the names of columns
// that have missing values, are constant, or depend on the ones before; and
// [ErrSeparation] with the columns to look at. Source: McCullagh and Nelder (1989),
// Generalized Linear Models, 2nd ed., ch. 4. Registry: cohort/METHODS.md#propensity.
type Propensity struct {
	Covariates  []string `yaml:"covariates"`
	Categorical []string `yaml:"categorical"` // covariates that are categories although their values are numbers
	Link        string   `yaml:"link"`        // "logit" (default), "probit" or "cloglog"
}

// PropensityFit is a fitted propensity model; Score and Linear follow the table's rows.
type PropensityFit struct {
	Model      string // of [PropensitySpec]
	Link       string
	Names      []string  // "(intercept)", then the columns of [Design]; nil of boosted trees
	Coef, SE   []float64 // nil of boosted trees; SE and Cov nil of a ridge and a lasso
	Cov        *mat.SymDense
	Score      []float64 // probability of treatment
	Linear     []float64 // linear predictor x'β
	LogLik     float64
	Deviance   float64
	NullDev    float64 // of the model with the intercept alone
	Iterations int
	Units      int
	Treated    int
	CrossFit   int         // number of folds whose scores are of a model of the others; 0 = none
	Penalty    *PenaltyFit // of a ridge and a lasso
	Boosted    *BoostedFit // of boosted trees
	Sites      *SiteFit    // of a multilevel model
	Notes      []table.Note
}

// other is the probability of no treatment, with its digits where the score is near 1.
func (p *PropensityFit) other(row int) float64 {
	if num.Link(p.Link) == num.CloglogLink {
		return math.Exp(-math.Exp(p.Linear[row]))
	}
	return num.Link(p.Link).Mean(-p.Linear[row])
}

// Fit reads d.Treatment, d.ID and d.Workers; the covariates are p's own.
func (p Propensity) Fit(ctx context.Context, t *table.Table, d Spec) (*PropensityFit, error) {
	u, err := readUnits(t, d)
	if err != nil {
		return nil, err
	}
	return p.fit(ctx, t, d, u)
}

func (p Propensity) fit(ctx context.Context, t *table.Table, d Spec, u *units) (*PropensityFit, error) {
	link := num.Link(p.Link)
	switch link {
	case "":
		link = num.LogitLink
	case num.LogitLink, num.ProbitLink, num.CloglogLink:
	default:
		return nil, fmt.Errorf("%w: link %q is not logit, probit or cloglog", ErrOption, p.Link)
	}
	if len(p.Covariates) == 0 {
		return nil, fmt.Errorf("%w: a propensity model needs at least one covariate", ErrOption)
	}
	if err := notTheTreatment(p.Covariates, d); err != nil {
		return nil, err
	}
	cov, err := readCovariates(t, p.Covariates, p.Categorical)
	if err != nil {
		return nil, err
	}
	if names := constantColumns(cov); len(names) > 0 {
		return nil, fmt.Errorf("%w: constant in all of the %d rows: %s; leave it out", ErrCovariate, u.n, strings.Join(names, ", "))
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	x := fillDesign(cov, u.n, DesignOptions{Intercept: true, Workers: d.Workers}, u.order)
	k := len(x.Columns)
	y := make([]float64, u.n)
	for i, r := range u.order {
		if u.treated[r] {
			y[i] = 1
		}
	}
	fit, err := num.Logit(num.LogitData{N: u.n, K: k, X: x.Values, Y: y, Link: link, Workers: d.Workers})
	if err != nil {
		return nil, propensityError(err, x, cov, u)
	}
	out := &PropensityFit{
		Model: LogitModel, Link: string(link), Names: x.Names(), Coef: fit.Coef, Cov: fit.Cov, SE: make([]float64, k),
		Score: make([]float64, u.n), Linear: make([]float64, u.n),
		LogLik: fit.LogLik, Deviance: fit.Deviance, NullDev: fit.NullDeviance, Iterations: fit.Iterations,
		Units: u.n, Treated: u.count,
	}
	for j := range k {
		out.SE[j] = math.Sqrt(fit.Cov.At(j, j))
	}
	num.ForChunks(u.n, d.Workers, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			r := u.order[i]
			out.Score[r] = fit.Fitted[i]
			eta := 0.0
			for j, b := range fit.Coef {
				eta += float64(b * x.Values[i*k+j])
			}
			out.Linear[r] = eta
		}
	})
	return out, ctx.Err()
}

// notTheTreatment finds a covariate that is the treatment or the id.
func notTheTreatment(covariates []string, d Spec) error {
	for _, c := range covariates {
		switch c {
		case d.Treatment:
			return fmt.Errorf("%w: column %q is the treatment", ErrCovariate, c)
		case d.ID:
			return fmt.Errorf("%w: column %q is the id", ErrCovariate, c)
		}
	}
	return nil
}

func constantColumns(cov []covariate) []string {
	var names []string
	for _, c := range cov {
		constant := len(c.levels) < 2
		if c.codes == nil {
			constant = true
			for _, v := range c.values {
				if v != c.values[0] {
					constant = false
					break
				}
			}
		}
		if constant {
			names = append(names, fmt.Sprintf("column %q", c.name))
		}
	}
	return names
}

// propensityError says which column is to blame in the words of the table.
func propensityError(err error, x *Matrix, cov []covariate, u *units) error {
	var singular *num.SingularColumn
	switch {
	case errors.As(err, &singular):
		return fmt.Errorf("%w: column %q is a linear combination of the columns before it; leave it out", ErrCovariate, x.Columns[singular.Column].Name)
	case errors.Is(err, num.ErrSeparated):
		if hints := separatingColumns(cov, u); len(hints) > 0 {
			return fmt.Errorf("%w; look at %s", ErrSeparation, strings.Join(hints, "; "))
		}
		var together *num.SeparatingColumns
		if errors.As(err, &together) {
			var names []string
			for _, j := range together.Columns {
				names = append(names, x.Columns[j].Source)
			}
			slices.Sort(names)
			return fmt.Errorf("%w; no single column does it, these together do: %s", ErrSeparation, quoted(slices.Compact(names)))
		}
		return fmt.Errorf("%w; no single column does it, several together do: look for columns made from the treatment, or use fewer", ErrSeparation)
	}
	return fmt.Errorf("propensity model: %w", err)
}

// separatingColumns names the covariates whose values tell the arms apart, wholly or
// at one end: levels seen in one arm only, and numbers whose ranges hardly overlap.
func separatingColumns(cov []covariate, u *units) []string {
	const show = 6
	var hints []string
	for _, c := range cov {
		if c.codes != nil {
			seen := make([][2]bool, len(c.levels))
			for i, code := range c.codes {
				seen[code][arm(u.treated[i])] = true
			}
			single := 0
			for _, s := range seen {
				if s[0] != s[1] {
					single++
				}
			}
			if single > 0 { // the levels themselves are values of the data
				hints = append(hints, fmt.Sprintf("column %q (%d of its %d levels are in one group only)", c.name, single, len(seen)))
			}
			continue
		}
		lo, hi := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
		for i, v := range c.values {
			a := arm(u.treated[i])
			lo[a], hi[a] = math.Min(lo[a], v), math.Max(hi[a], v)
		}
		switch {
		case hi[0] <= lo[1] || hi[1] <= lo[0]:
			hints = append(hints, fmt.Sprintf("column %q (the groups' values do not overlap)", c.name))
		case lo[0] == hi[0] || lo[1] == hi[1]:
			hints = append(hints, fmt.Sprintf("column %q (constant in one group)", c.name))
		}
	}
	if len(hints) > show {
		hints = append(hints[:show], fmt.Sprintf("and %d more", len(hints)-show))
	}
	return hints
}

func arm(treated bool) int {
	if treated {
		return 1
	}
	return 0
}
