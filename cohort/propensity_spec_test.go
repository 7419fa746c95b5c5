package cohort

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/table"
)

// sited is n persons of 12 sites with one or two rows each; treatment depends on x0, x1
// (bent), a category and the site. prob is the true probability.
func sited(seed uint64, n int) (p plain, site []string, person []string, prob []float64) {
	s := num.NewStream(seed, "sited", 0)
	for i := range n {
		who := i * 2 / 3
		p.id = append(p.id, fmt.Sprintf("r%d", i))
		person = append(person, fmt.Sprintf("p%d", who))
		k := num.NewStream(seed, "person", uint64(who)).Intn(12)
		site = append(site, fmt.Sprintf("s%02d", k))
		g := s.Intn(3)
		p.group = append(p.group, string(rune('a'+g)))
		eta := -1 + 0.25*float64(k%5-2) + 0.4*float64(g)
		for j := range p.x {
			p.x[j] = append(p.x[j], s.Normal())
		}
		eta += 0.6*p.x[0][i] + 0.5*(p.x[1][i]*p.x[1][i]-1)
		prob = append(prob, num.LogitLink.Mean(eta))
		p.treat = append(p.treat, s.Bernoulli(prob[i]))
		p.score = append(p.score, 0)
	}
	return p, site, person, prob
}

func sitedTable(t testing.TB, p plain, site, person []string) *table.Table {
	t.Helper()
	tab, err := p.table(t).With(table.NewText(table.Field{Name: "site"}, site, nil))
	require.NoError(t, err)
	tab, err = tab.With(table.NewText(table.Field{Name: "person"}, person, nil))
	require.NoError(t, err)
	return tab
}

var sitedSpec = Spec{Treatment: "treated", ID: "id", Covariates: []string{"x0", "x1", "x2", "group"}}

func allModels() map[string]PropensitySpec {
	return map[string]PropensitySpec{
		"logit": {}, "probit": {Link: "probit"}, "cloglog": {Link: "cloglog"}, "ridge": {Model: RidgeModel, Folds: 4}, "lasso": {Model: LassoModel, Folds: 4, LambdaRule: LambdaOneSE},
		"lasso at λ": {Model: LassoModel, Lambda: Width(0.02)}, "boosted": {Model: BoostedModel, Folds: 4},
		"boosted by balance": {Model: BoostedModel, Stop: BalanceStop, Estimand: ATE}, "boosted to the end": {Model: BoostedModel, Stop: NoStop, Rounds: 12, Depth: 2, Shrinkage: 0.3, MinLeaf: 9},
		"random sites": {Model: MultilevelModel, Site: "site"}, "fixed sites": {Model: MultilevelModel, Site: "site", SiteEffect: FixedSites},
		"quadrature": {Model: MultilevelModel, Site: "site", Nodes: 7},
	}
}

func crossFitted(s PropensitySpec) PropensitySpec {
	s.CrossFit, s.Folds, s.Person, s.Seed = true, 4, "person", 3
	return s
}

func mustScore(t testing.TB, s PropensitySpec, tab *table.Table, d Spec) *PropensityFit {
	t.Helper()
	got, err := s.Fit(t.Context(), tab, d)
	require.NoError(t, err, "%+v", s)
	return got
}

// Row order and workers change no bit of any model; scores are the function of the
// linear predictors; what is not of a model is not there.
func TestPropensityModelsInvariances(t *testing.T) {
	p, site, person, _ := sited(5, 450)
	perm := indices(450)
	s := num.NewStream(6, "order", 0)
	for i := range perm {
		j := s.Intn(i + 1)
		perm[i], perm[j] = perm[j], perm[i]
	}
	pick := func(v []string) (out []string) {
		for _, r := range perm {
			out = append(out, v[r])
		}
		return out
	}
	tab, shuffled := sitedTable(t, p, site, person), sitedTable(t, p.take(perm), pick(site), pick(person))
	run := func(name string, m PropensitySpec) {
		d := sitedSpec
		d.Workers = 1
		got := mustScore(t, m, tab, d)
		d.Workers = 3
		other := mustScore(t, m, shuffled, d)
		for i, k := range perm {
			require.Equal(t, math.Float64bits(got.Score[k]), math.Float64bits(other.Score[i]), name)
			require.Equal(t, math.Float64bits(got.Linear[k]), math.Float64bits(other.Linear[i]), name)
		}
		require.Len(t, got.Coef, len(got.Names), name)
		require.Equal(t, got.Model == BoostedModel, got.Boosted != nil, name)
		require.Equal(t, got.Model == MultilevelModel, got.Sites != nil, name)
		require.Equal(t, got.Model == RidgeModel || got.Model == LassoModel, got.Penalty != nil, name)
		require.InDelta(t, got.Deviance, -2*got.LogLik, 1e-9, name)
		require.Less(t, got.Deviance, got.NullDev, name)
		for i, eta := range got.Linear {
			require.InDelta(t, num.Link(got.Link).Mean(eta), got.Score[i], 1e-13, name)
			require.InDelta(t, 1, got.Score[i]+got.other(i), 1e-13, name)
		}
	}
	for name, m := range allModels() {
		run(name, m)
	}
	for _, name := range []string{"logit", "ridge", "boosted", "random sites"} {
		m := crossFitted(allModels()[name])
		run(name+", cross-fitted", m)
		own := mustScore(t, allModels()[name], tab, sitedSpec)
		held := mustScore(t, m, tab, sitedSpec)
		require.Equal(t, 4, held.CrossFit)
		require.NotEqual(t, own.Score, held.Score)
	}
}

// A cross-fitted score does not know its own row: another treatment of one person changes
// the scores of the other folds and not those of the person's own.
func TestCrossFittedScoresDoNotKnowTheirRow(t *testing.T) {
	p, site, person, _ := sited(7, 300)
	for name, m := range map[string]PropensitySpec{"logit": {}, "lasso": {Model: LassoModel, Lambda: Width(0.01)}, "boosted": {Model: BoostedModel, Stop: NoStop, Rounds: 10}, "sites": {Model: MultilevelModel, Site: "site"}} {
		m := crossFitted(m)
		before := mustScore(t, m, sitedTable(t, p, site, person), sitedSpec)
		q := p.take(indices(300))
		// Swapping the treatments of two rows of one fold, of which each person keeps a
		// treated row or none, leaves the folds as they are.
		u, err := readUnits(sitedTable(t, p, site, person), sitedSpec)
		require.NoError(t, err)
		data, err := m.withDefaults(sitedSpec).prepare(sitedTable(t, p, site, person), sitedSpec, u)
		require.NoError(t, err)
		fold := make([]int32, 300)
		for i, r := range u.order {
			fold[r] = data.fold[i]
		}
		inFold, treatedIn := map[int32]int{}, map[int32]int{} // 200 persons in four folds, those with a treated row alike
		for i := range fold {
			if i == 0 || person[i] != person[i-1] {
				inFold[fold[i]]++
				treatedIn[fold[i]] += arm(p.treat[i] || i+1 < 300 && person[i+1] == person[i] && p.treat[i+1])
			}
		}
		for k := range int32(4) {
			require.Equal(t, 50, inFold[k])
			require.InDelta(t, treatedIn[0], treatedIn[k], 1)
		}
		other := -1
		for i := range fold { // the two rows of a person, one of them treated
			if i > 0 && person[i] == person[i-1] && p.treat[i] != p.treat[i-1] {
				other = i
				break
			}
		}
		require.Positive(t, other)
		require.Equal(t, fold[other], fold[other-1], "a person's rows share a fold")
		q.treat[other], q.treat[other-1] = p.treat[other-1], p.treat[other]
		after := mustScore(t, m, sitedTable(t, q, site, person), sitedSpec)
		require.Equal(t, before.Score[other], after.Score[other], name)
		require.Equal(t, before.Score[other-1], after.Score[other-1], name)
		changed := 0
		for i := range fold {
			if before.Score[i] != after.Score[i] {
				require.NotEqual(t, fold[other], fold[i])
				changed++
			}
		}
		require.Positive(t, changed, name)
	}
}

// Every option changes a score.
func TestPropensityOptionsMatter(t *testing.T) {
	p, site, person, _ := sited(8, 450)
	tab := sitedTable(t, p, site, person)
	boosted, ridge, sites := PropensitySpec{Model: BoostedModel, Stop: NoStop, Rounds: 30}, PropensitySpec{Model: RidgeModel, Folds: 5}, PropensitySpec{Model: MultilevelModel, Site: "site"}
	for name, c := range map[string]struct {
		base   PropensitySpec
		change func(*PropensitySpec)
	}{
		"link":        {PropensitySpec{}, func(s *PropensitySpec) { s.Link = "cloglog" }},
		"covariates":  {PropensitySpec{}, func(s *PropensitySpec) { s.Covariates = []string{"x0"} }},
		"lambda":      {ridge, func(s *PropensitySpec) { s.Lambda, s.Folds = Width(3), 0 }},
		"lambda-rule": {ridge, func(s *PropensitySpec) { s.LambdaRule = LambdaOneSE }},
		"model":       {ridge, func(s *PropensitySpec) { s.Model = LassoModel }},
		"site-effect": {sites, func(s *PropensitySpec) { s.SiteEffect = FixedSites }},
		"nodes":       {sites, func(s *PropensitySpec) { s.Nodes = 5 }},
		"site":        {sites, func(s *PropensitySpec) { s.Site = "person" }},
		"depth":       {boosted, func(s *PropensitySpec) { s.Depth = 2 }},
		"shrinkage":   {boosted, func(s *PropensitySpec) { s.Shrinkage = 0.2 }},
		"rounds":      {boosted, func(s *PropensitySpec) { s.Rounds = 31 }},
		"min-leaf":    {boosted, func(s *PropensitySpec) { s.MinLeaf = 40 }},
		"stop":        {PropensitySpec{Model: BoostedModel}, func(s *PropensitySpec) { s.Stop = BalanceStop }},
		"estimand":    {PropensitySpec{Model: BoostedModel, Stop: BalanceStop}, func(s *PropensitySpec) { s.Estimand = ATC }},
		"folds":       {crossFitted(PropensitySpec{}), func(s *PropensitySpec) { s.Folds = 5 }},
		"person":      {crossFitted(PropensitySpec{}), func(s *PropensitySpec) { s.Person = "" }},
		"seed":        {crossFitted(PropensitySpec{}), func(s *PropensitySpec) { s.Seed = 4 }},
	} {
		changed := c.base
		c.change(&changed)
		require.NotEqual(t, mustScore(t, c.base, tab, sitedSpec).Score, mustScore(t, changed, tab, sitedSpec).Score, name)
	}
	// A category in numbers.
	k := make([]int64, 450)
	for i := range k {
		k[i] = int64(p.group[i][0])
	}
	with, err := tab.With(table.NewInteger(table.Field{Name: "k"}, k, nil))
	require.NoError(t, err)
	number := PropensitySpec{Covariates: []string{"x0", "k"}}
	category := number
	category.Categorical = []string{"k"}
	require.Len(t, mustScore(t, number, with, sitedSpec).Coef, 3)
	require.Len(t, mustScore(t, category, with, sitedSpec).Coef, 4)
}

// What each model reports about its choice.
func TestPropensityModelsReport(t *testing.T) {
	p, site, person, _ := sited(9, 900)
	tab := sitedTable(t, p, site, person)
	lasso := mustScore(t, PropensitySpec{Model: LassoModel}, tab, sitedSpec)
	pen := lasso.Penalty
	require.Equal(t, "min", pen.Rule)
	require.Equal(t, pen.Min, pen.Chosen)
	require.Greater(t, pen.OneSE, pen.Min)
	require.Less(t, pen.Gap, 1e-10)
	require.Len(t, pen.Mean, len(pen.Lambda))
	require.Nil(t, lasso.SE)
	one := mustScore(t, PropensitySpec{Model: LassoModel, LambdaRule: LambdaOneSE}, tab, sitedSpec)
	require.Equal(t, pen.OneSE, one.Penalty.Chosen)
	require.Equal(t, "1se", one.Penalty.Rule)
	given := mustScore(t, PropensitySpec{Model: LassoModel, Lambda: &pen.Chosen}, tab, sitedSpec)
	require.Equal(t, "given", given.Penalty.Rule)
	require.True(t, math.IsNaN(given.Penalty.Min))
	for i := range given.Score {
		require.InDelta(t, lasso.Score[i], given.Score[i], 1e-8)
	}
	// A penalty that weighs nothing is none.
	free := mustScore(t, PropensitySpec{Model: RidgeModel, Lambda: Width(1e-9)}, tab, sitedSpec)
	plain := mustScore(t, PropensitySpec{}, tab, sitedSpec)
	for i := range free.Score {
		require.InDelta(t, plain.Score[i], free.Score[i], 1e-7)
	}
	// Trees see that x1 is bent.
	trees := mustScore(t, PropensitySpec{Model: BoostedModel}, tab, sitedSpec)
	require.Equal(t, []string{"x0", "x1", "x2", "group[b]", "group[c]"}, trees.Boosted.Names)
	require.Greater(t, trees.Boosted.Influence[1], 0.3)
	require.InDelta(t, 1, num.Sum(trees.Boosted.Influence), 1e-12)
	require.Equal(t, trees.Boosted.Rounds, trees.Iterations)
	require.Len(t, trees.Boosted.Deviance, trees.Boosted.Rounds+1)
	// Sites.
	random := mustScore(t, PropensitySpec{Model: MultilevelModel, Site: "site"}, tab, sitedSpec)
	require.Len(t, random.Sites.Value, 12)
	require.Equal(t, "s00", random.Sites.Names[0])
	require.InDelta(t, 0.35, random.Sites.SD, 0.25) // of 0.25·(-2…2) over 12 sites
	fixed := mustScore(t, PropensitySpec{Model: MultilevelModel, Site: "site", SiteEffect: FixedSites}, tab, sitedSpec)
	require.Equal(t, "site[s01]", fixed.Names[6])
	require.Equal(t, fixed.Coef[6], fixed.Sites.Value[1])
	require.Zero(t, fixed.Sites.Value[0])
	require.True(t, math.IsNaN(fixed.Sites.SD))
	// Random effects are drawn to the mean: less spread than the fixed ones.
	spread := func(v []float64) (s float64) {
		m := num.Sum(v) / float64(len(v))
		for _, x := range v {
			s += (x - m) * (x - m)
		}
		return s
	}
	require.Less(t, spread(random.Sites.Value), spread(fixed.Sites.Value))
}

// The balance that stops the trees is that of the balance table.
func TestBoostedBalanceStop(t *testing.T) {
	p, site, person, _ := sited(10, 600)
	tab := sitedTable(t, p, site, person)
	for _, estimand := range []string{ATT, ATC, ATE} {
		s := PropensitySpec{Model: BoostedModel, Stop: BalanceStop, Estimand: estimand, Covariates: []string{"x0", "x1", "x2"}}
		fit := mustScore(t, s, tab, sitedSpec)
		w := weighSpec(t, tab, WeightSpec{Estimand: estimand, Propensity: &PropensitySpec{Model: BoostedModel, Stop: BalanceStop, Covariates: s.Covariates}}, sitedSpec)
		require.Equal(t, fit.Score, w.Score, "the stop rule takes the estimand of the weights")
		d := sitedSpec
		d.Covariates = s.Covariates
		b, _, err := w.Balance(t.Context(), tab, d)
		require.NoError(t, err)
		mean, before := 0.0, 0.0
		for _, r := range b.Rows {
			if r.Variable != "distance" {
				mean += math.Abs(r.After.SMD) / 3
				before += math.Abs(r.Before.SMD) / 3
			}
		}
		least := fit.Boosted.Balance[fit.Boosted.Rounds]
		require.InDelta(t, mean, least, 1e-10, estimand)
		require.InDelta(t, before, fit.Boosted.Balance[0], 1e-10, estimand)
		for _, v := range fit.Boosted.Balance {
			require.GreaterOrEqual(t, v, least)
		}
	}
}
