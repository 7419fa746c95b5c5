package cohort

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"utfall/internal/num"
	"utfall/table"
)

// The models of [PropensitySpec].
const (
	LogitModel      = "logit"      // maximum likelihood, without a penalty
	RidgeModel      = "ridge"      // logit with a squared penalty
	LassoModel      = "lasso"      // logit with an absolute penalty, which leaves columns out
	BoostedModel    = "boosted"    // boosted trees
	MultilevelModel = "multilevel" // logit with an intercept of each site
)

// The rules by which [PropensitySpec] chooses.
const (
	LambdaMin     = "min"     // least held-out deviance
	LambdaOneSE   = "1se"     // largest λ within one standard error of it
	RandomSites   = "random"  // the sites' intercepts are normal around the mean
	FixedSites    = "fixed"   // each site has its own
	CVStop        = "cv"      // trees up to the least held-out deviance
	BalanceStop   = "balance" // trees up to the least mean standardised difference under weights
	NoStop        = "none"    // as many trees as Rounds says
	defaultFolds  = 10
	defaultRounds = 1000
)

// PropensitySpec is a model of the probability of treatment as a study file or a command
// line states it. The zero value is a logit on the covariates of [Spec].
//
// Each model is said in its own file: [Propensity] (logit), lasso.go (ridge and lasso),
// boosted.go, multilevel.go. Registry: cohort/METHODS.md#propensity.
type PropensitySpec struct {
	Model       string   `yaml:"model,omitempty"`       // "logit" (default), "ridge", "lasso", "boosted", "multilevel"
	Link        string   `yaml:"link,omitempty"`        // of logit: "logit" (default), "probit", "cloglog"
	Covariates  []string `yaml:"covariates,omitempty"`  // none = those of [Spec]
	Categorical []string `yaml:"categorical,omitempty"` // covariates that are categories although their values are numbers

	Lambda     *float64 `yaml:"lambda,omitempty"`      // of ridge and lasso: the penalty; absent = by cross-validation
	LambdaRule string   `yaml:"lambda_rule,omitempty"` // "min" (default) or "1se", of the cross-validation

	Site       string `yaml:"site,omitempty"`        // of multilevel: column of the site
	SiteEffect string `yaml:"site_effect,omitempty"` // "random" (default) or "fixed"
	Nodes      int    `yaml:"nodes,omitempty"`       // of the quadrature over a random effect; 0 = 1, Laplace's approximation; at most 50

	Depth     int     `yaml:"depth,omitempty"`     // of boosted: splits on the way to a leaf, 1 to 10; 0 = 3
	Shrinkage float64 `yaml:"shrinkage,omitempty"` // share of each tree that is added, above 0 to 1; 0 = 0.1
	Rounds    int     `yaml:"rounds,omitempty"`    // most trees; 0 = 1000
	MinLeaf   int     `yaml:"min_leaf,omitempty"`  // fewest units in a leaf; 0 = 20
	Stop      string  `yaml:"stop,omitempty"`      // "cv" (default), "balance" or "none"
	Estimand  string  `yaml:"estimand,omitempty"`  // of stop balance: "att" (default), "atc" or "ate"

	Folds    int    `yaml:"folds,omitempty"`     // of cross-validation and cross-fitting; 0 = 10
	Person   string `yaml:"person,omitempty"`    // column of the person, when persons have several rows: they share a fold; "" = the id
	CrossFit bool   `yaml:"cross_fit,omitempty"` // each unit's score from a model of the other folds
	Seed     uint64 `yaml:"seed,omitempty"`      // key of the folds
}

// Folded reports whether the rows are put into folds, so that the seed matters.
func (s PropensitySpec) Folded() bool {
	switch s.Model {
	case RidgeModel, LassoModel:
		return s.CrossFit || s.Lambda == nil
	case BoostedModel:
		return s.CrossFit || s.Stop == "" || s.Stop == CVStop
	}
	return s.CrossFit
}

// Check lists every problem with the options themselves, each as an [ErrOption]; what
// they say about a table shows in [PropensitySpec.Fit].
func (s PropensitySpec) Check() []error {
	var errs []error
	bad := func(format string, a ...any) {
		errs = append(errs, fmt.Errorf("%w: %s", ErrOption, fmt.Sprintf(format, a...)))
	}
	oneOf := func(what, got string, allowed ...string) {
		if got != "" && !slices.Contains(allowed, got) {
			bad("%s %q does not exist; there are: %s", what, got, strings.Join(allowed, ", "))
		}
	}
	models := []string{LogitModel, RidgeModel, LassoModel, BoostedModel, MultilevelModel}
	model := s.Model
	if model == "" {
		model = LogitModel
	}
	if !slices.Contains(models, model) {
		bad("propensity model %q does not exist; there are: %s", s.Model, strings.Join(models, ", "))
		return errs
	}
	for _, o := range []struct {
		name  string
		given bool
		of    []string
	}{
		{"link", s.Link != "", []string{LogitModel}},
		{"lambda", s.Lambda != nil, []string{RidgeModel, LassoModel}},
		{"lambda-rule", s.LambdaRule != "", []string{RidgeModel, LassoModel}},
		{"site", s.Site != "", []string{MultilevelModel}},
		{"site-effect", s.SiteEffect != "", []string{MultilevelModel}},
		{"nodes", s.Nodes != 0, []string{MultilevelModel}},
		{"depth", s.Depth != 0, []string{BoostedModel}},
		{"shrinkage", s.Shrinkage != 0, []string{BoostedModel}},
		{"rounds", s.Rounds != 0, []string{BoostedModel}},
		{"min-leaf", s.MinLeaf != 0, []string{BoostedModel}},
		{"stop", s.Stop != "", []string{BoostedModel}},
		{"estimand", s.Estimand != "", []string{BoostedModel}},
	} {
		if o.given && !slices.Contains(o.of, model) {
			bad("the propensity model %s does not use %s, which is of %s", model, o.name, strings.Join(o.of, " and "))
		}
	}
	oneOf("link", s.Link, string(num.LogitLink), string(num.ProbitLink), string(num.CloglogLink))
	oneOf("lambda-rule", s.LambdaRule, LambdaMin, LambdaOneSE)
	oneOf("site-effect", s.SiteEffect, RandomSites, FixedSites)
	oneOf("stop", s.Stop, CVStop, BalanceStop, NoStop)
	oneOf("estimand", s.Estimand, ATT, ATC, ATE)
	switch {
	case model == MultilevelModel && s.Site == "":
		bad("the propensity model multilevel needs site, the column of the site")
	case s.SiteEffect == FixedSites && s.Nodes != 0:
		bad("fixed site effects do not use nodes")
	}
	if s.Lambda != nil {
		if !(*s.Lambda > 0) || math.IsInf(*s.Lambda, 1) {
			bad("lambda must be a finite number above 0; without a penalty the model is logit")
		}
		if s.LambdaRule != "" {
			bad("lambda is given, so that lambda-rule has no use")
		}
	}
	if s.Nodes < 0 || s.Nodes > 50 {
		bad("nodes must be between 1 and 50")
	}
	if s.Depth < 0 || s.Depth > 10 {
		bad("depth must be between 1 and 10")
	}
	if !(s.Shrinkage >= 0 && s.Shrinkage <= 1) {
		bad("shrinkage must be above 0 and at most 1")
	}
	if s.Rounds < 0 || s.MinLeaf < 0 {
		bad("rounds and min-leaf must be at least 1")
	}
	if model == BoostedModel && s.Estimand != "" && s.Stop != BalanceStop {
		bad("estimand of the propensity model is used by stop balance alone")
	}
	if s.Folds < 0 || s.Folds == 1 {
		bad("folds must be at least 2")
	}
	if !s.Folded() && (s.Folds != 0 || s.Person != "" || s.Seed != 0) {
		bad("folds, person and seed have no use: nothing is cross-validated or cross-fitted")
	}
	return errs
}

// PenaltyFit is what a ridge or a lasso chose from; slices by λ follow Lambda.
type PenaltyFit struct {
	Alpha    float64 // 0 ridge, 1 lasso
	Lambda   []float64
	Deviance []float64
	NonZero  []int
	Chosen   float64   // the λ of Coef and the scores
	Rule     string    // "given", "min" or "1se"
	Gap      float64   // largest breach of the stationarity conditions at the chosen λ
	Mean, SE []float64 // held-out deviance a unit; nil when λ is given
	Min      float64   // λ of the least held-out deviance; NaN when λ is given
	OneSE    float64   // the largest λ within a standard error of it; NaN when λ is given
}

// BoostedFit is what boosted trees chose from; slices by round begin with no tree.
type BoostedFit struct {
	Rounds    int
	Depth     int
	Shrinkage float64
	MinLeaf   int
	Stop      string
	Deviance  []float64 // of the units fitted
	Mean, SE  []float64 // held-out deviance a unit, of stop cv
	Balance   []float64 // mean |standardised difference| under the weights, of stop balance
	Names     []string  // of Influence
	Influence []float64 // of each column: its share of what the splits explain
}

// SiteFit is the site part of a multilevel model.
type SiteFit struct {
	Effect string // "random" or "fixed"
	Names  []string
	Units  []int
	Value  []float64 // on the linear predictor: conditional modes, or differences to the first site
	SD     float64   // of random effects; NaN of fixed ones
	Nodes  int       // of the quadrature; 0 of fixed effects
	// OneGroup counts the sites in which all units are in one group.
	OneGroup   int
	NullLogLik float64 // of the model without sites; NaN of fixed effects
}

// Fit reads d.Treatment, d.ID and d.Workers, and the covariates of d where s has none.
func (s PropensitySpec) Fit(ctx context.Context, t *table.Table, d Spec) (*PropensityFit, error) {
	if errs := s.Check(); len(errs) > 0 {
		return nil, joined(errs)
	}
	u, err := readUnits(t, d)
	if err != nil {
		return nil, err
	}
	return s.fit(ctx, t, d, u)
}

func (s PropensitySpec) fit(ctx context.Context, t *table.Table, d Spec, u *units) (*PropensityFit, error) {
	s = s.withDefaults(d)
	if s.SiteEffect == FixedSites {
		return s.fixedSites(ctx, t, d, u)
	}
	if (s.Model == "" || s.Model == LogitModel) && !s.CrossFit {
		return Propensity{Covariates: s.Covariates, Categorical: s.Categorical, Link: s.Link}.fit(ctx, t, d, u)
	}
	p, err := s.prepare(t, d, u)
	if err != nil {
		return nil, err
	}
	switch s.Model {
	case RidgeModel, LassoModel:
		return p.penalised(ctx)
	case BoostedModel:
		return p.boosted(ctx)
	case MultilevelModel:
		return p.multilevel(ctx)
	}
	return p.crossLogit(ctx)
}

// withDefaults is s with the covariates of d where it has none.
func (s PropensitySpec) withDefaults(d Spec) PropensitySpec {
	if len(s.Covariates) == 0 {
		s.Covariates, s.Categorical = d.Covariates, append(slices.Clone(s.Categorical), d.Categorical...)
	}
	return s
}
