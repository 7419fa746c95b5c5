package cohort

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/table"
)

func TestPropensitySpecBadInput(t *testing.T) {
	p, site, person, _ := sited(11, 120)
	tab := sitedTable(t, p, site, person)
	one := make([]string, 120)
	for i := range one {
		one[i] = "solo-value"
	}
	tab, err := tab.With(table.NewText(table.Field{Name: "one"}, one, nil))
	require.NoError(t, err)
	tab, err = tab.With(table.NewText(table.Field{Name: "gaps"}, one, append(make([]bool, 1), trues(119)...)))
	require.NoError(t, err)
	tab, err = tab.With(table.NewFloat(table.Field{Name: "twice"}, scale(p.x[0], 2), nil))
	require.NoError(t, err)
	apart := make([]string, 120)
	for i := range apart {
		apart[i] = []string{"north", "south"}[arm(p.treat[i])]
	}
	tab, err = tab.With(table.NewText(table.Field{Name: "apart"}, apart, nil))
	require.NoError(t, err)
	x := []string{"x0", "x1"}
	for name, c := range map[string]struct {
		s    PropensitySpec
		want error
		text string
	}{
		"model":              {PropensitySpec{Model: "forest"}, ErrOption, "forest"},
		"link of a ridge":    {PropensitySpec{Model: RidgeModel, Link: "probit"}, ErrOption, "link"},
		"lambda of a logit":  {PropensitySpec{Lambda: Width(1)}, ErrOption, "ridge and lasso"},
		"lambda 0":           {PropensitySpec{Model: LassoModel, Lambda: Width(0)}, ErrOption, "above 0"},
		"rule with lambda":   {PropensitySpec{Model: LassoModel, Lambda: Width(1), LambdaRule: "1se"}, ErrOption, "lambda-rule"},
		"rule":               {PropensitySpec{Model: LassoModel, LambdaRule: "best"}, ErrOption, "best"},
		"folds of nothing":   {PropensitySpec{Folds: 5}, ErrOption, "nothing is cross-validated"},
		"one fold":           {PropensitySpec{Model: RidgeModel, Folds: 1}, ErrOption, "at least 2"},
		"many folds":         {PropensitySpec{Model: RidgeModel, Folds: 100, Covariates: x}, ErrOption, "fewer folds"},
		"no site":            {PropensitySpec{Model: MultilevelModel}, ErrOption, "site"},
		"nodes of fixed":     {PropensitySpec{Model: MultilevelModel, Site: "site", SiteEffect: FixedSites, Nodes: 3}, ErrOption, "nodes"},
		"site effect":        {PropensitySpec{Model: MultilevelModel, Site: "site", SiteEffect: "mixed"}, ErrOption, "mixed"},
		"depth":              {PropensitySpec{Model: BoostedModel, Depth: 11}, ErrOption, "depth"},
		"shrinkage":          {PropensitySpec{Model: BoostedModel, Shrinkage: 1.5}, ErrOption, "shrinkage"},
		"rounds":             {PropensitySpec{Model: BoostedModel, Rounds: -1}, ErrOption, "rounds"},
		"estimand":           {PropensitySpec{Model: BoostedModel, Estimand: ATT}, ErrOption, "stop balance"},
		"site twice":         {PropensitySpec{Model: MultilevelModel, Site: "x0", Covariates: x}, ErrCovariate, "x0"},
		"one site":           {PropensitySpec{Model: MultilevelModel, Site: "one", Covariates: x}, ErrCovariate, "one site"},
		"sites with gaps":    {PropensitySpec{Model: MultilevelModel, Site: "gaps", Covariates: x}, ErrCovariate, "missing"},
		"site is treatment":  {PropensitySpec{Model: MultilevelModel, Site: "treated", Covariates: x}, ErrCovariate, "treatment"},
		"persons with gaps":  {PropensitySpec{Model: RidgeModel, Person: "gaps", Covariates: x}, ErrCovariate, "missing"},
		"constant":           {PropensitySpec{Model: BoostedModel, Covariates: []string{"x0", "one"}}, ErrCovariate, `"one"`},
		"collinear, sites":   {PropensitySpec{Model: MultilevelModel, Site: "site", Covariates: []string{"x0", "twice"}}, ErrCovariate, "twice"},
		"separated, sites":   {PropensitySpec{Model: MultilevelModel, Site: "site", Covariates: []string{"apart"}}, ErrSeparation, "apart"},
		"separated, fixed":   {PropensitySpec{Model: MultilevelModel, Site: "apart", SiteEffect: FixedSites, Covariates: x}, ErrSeparation, "2 of the 2 sites"},
		"separated, crossed": {PropensitySpec{CrossFit: true, Folds: 3, Covariates: []string{"apart"}}, ErrSeparation, "apart"},
		"no covariates":      {PropensitySpec{Model: RidgeModel}, ErrOption, "at least one covariate"},
	} {
		_, err := c.s.Fit(t.Context(), tab, Spec{Treatment: "treated", ID: "id"})
		require.ErrorIs(t, err, c.want, name)
		require.ErrorContains(t, err, c.text, name)
		require.NotContains(t, err.Error(), "solo-value")
		require.NotContains(t, err.Error(), "north")
	}
	// Two columns that separate together and not alone are named.
	both, err := table.New(table.NewInteger(table.Field{Name: "treated"}, []int64{0, 0, 0, 0, 1, 1, 1, 1}, nil), table.NewFloat(table.Field{Name: "v"}, []float64{0, 1, 2, 3, 1, 2, 3, 4}, nil),
		table.NewFloat(table.Field{Name: "w"}, []float64{0, -1.1, -1.9, -3.2, 0.1, -0.9, -2.1, -2.8}, nil), table.NewFloat(table.Field{Name: "q"}, []float64{1, 2, 1, 2, 2, 1, 2, 1.5}, nil))
	require.NoError(t, err)
	_, err = PropensitySpec{Covariates: []string{"v", "w", "q"}}.Fit(t.Context(), both, Spec{Treatment: "treated"})
	require.ErrorIs(t, err, ErrSeparation)
	require.ErrorContains(t, err, `"v", "w"`)
	// All problems at once.
	require.Len(t, PropensitySpec{Model: RidgeModel, Link: "x", Depth: 99, Folds: 1}.Check(), 5)
	// A penalty accepts what the plain model refuses, and says so.
	d := Spec{Treatment: "treated", ID: "id"}
	got := mustScore(t, PropensitySpec{Model: RidgeModel, Covariates: []string{"x0", "twice"}, Lambda: Width(0.1)}, tab, d)
	require.Equal(t, []string{"collinear-covariate", "penalised-no-errors"}, codes(got.Notes))
	require.Contains(t, got.Notes[0].Text, `"twice"`)
	require.InDelta(t, got.Coef[1], 2*got.Coef[2], 1e-9) // equal per SD
	got = mustScore(t, PropensitySpec{Model: LassoModel, Covariates: []string{"x0", "apart"}, Folds: 4}, tab, d)
	require.Contains(t, codes(got.Notes), "separation-accepted")
	require.Contains(t, got.Notes[0].Text, `"apart"`)
	noise := mustScore(t, PropensitySpec{Model: LassoModel, Covariates: []string{"x2"}, Folds: 4}, tab, d)
	require.Contains(t, codes(noise.Notes), "penalty-largest")
	few := mustScore(t, PropensitySpec{Model: BoostedModel, Covariates: x, Rounds: 2, Folds: 3}, tab, d)
	require.Contains(t, codes(few.Notes), "rounds-all-used")
	none := mustScore(t, PropensitySpec{Model: BoostedModel, Covariates: x, MinLeaf: 61, Stop: NoStop}, tab, d)
	require.Equal(t, []string{"no-tree"}, codes(none.Notes))
	require.InDelta(t, float64(none.Treated)/120, none.Score[3], 1e-14)
	two := mustScore(t, PropensitySpec{Model: MultilevelModel, Covariates: []string{"x0"}, Site: "half"}, half(t, tab), d)
	require.Contains(t, codes(two.Notes), "few-sites")
}

func trues(n int) []bool {
	out := make([]bool, n)
	for i := range out {
		out[i] = true
	}
	return out
}

func scale(x []float64, by float64) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = by * v
	}
	return out
}

func half(t *testing.T, tab *table.Table) *table.Table {
	t.Helper()
	text := make([]string, tab.Rows())
	for i := range text {
		text[i] = []string{"even", "odd"}[i%2]
	}
	out, err := tab.With(table.NewText(table.Field{Name: "half"}, text, nil))
	require.NoError(t, err)
	return out
}
