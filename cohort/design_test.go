package cohort

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/table"
)

func TestDesignCoding(t *testing.T) {
	region, err := table.NewCategory(table.Field{Name: "region"}, []int32{2, 0, 2, 1}, []string{"väst", "öst", "nord", "unused"}, nil)
	require.NoError(t, err)
	tab, err := table.New(
		region,
		table.NewFloat(table.Field{Name: "income"}, []float64{1.5, 2.5, -3, 0}, nil),
		table.NewBoolean(table.Field{Name: "member"}, []bool{true, false, false, true}, nil),
		table.NewInteger(table.Field{Name: "grade"}, []int64{10, 9, 10, 2}, nil),
		table.NewDate(table.Field{Name: "born"}, []int32{0, 1, -1, 365}, nil),
	)
	require.NoError(t, err)
	m, err := Design(tab, []string{"region", "income", "member", "grade", "born"}, DesignOptions{Intercept: true, Categorical: []string{"grade"}})
	require.NoError(t, err)
	// Byte order: nord, väst, öst (ö is 0xc3b6, after every ASCII letter); of grades "10" < "2" < "9".
	require.Equal(t, []string{"(intercept)", "region[väst]", "region[öst]", "income", "member", "grade[2]", "grade[9]", "born"}, m.Names())
	require.Equal(t, []float64{
		1, 0, 0, 1.5, 1, 0, 0, 0,
		1, 1, 0, 2.5, 0, 0, 1, 1,
		1, 0, 0, -3, 0, 0, 0, -1,
		1, 0, 1, 0, 1, 1, 0, 365,
	}, m.Values)
	require.Equal(t, MatrixColumn{Name: "region[öst]", Source: "region", Level: "öst"}, m.Columns[2])
	m, err = Design(tab, []string{"region"}, DesignOptions{AllLevels: true})
	require.NoError(t, err)
	require.Equal(t, []string{"region[nord]", "region[väst]", "region[öst]"}, m.Names())
	require.Equal(t, []float64{1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1}, m.Values)
	_, err = Design(tab, []string{"income"}, DesignOptions{Categorical: []string{"income"}})
	require.ErrorIs(t, err, ErrCovariate)
}

func TestDesignReportsEveryColumn(t *testing.T) {
	tab, err := table.New(
		table.NewFloat(table.Field{Name: "a"}, []float64{1, 2, 3}, []bool{true, false, false}),
		table.NewFloat(table.Field{Name: "b"}, []float64{1, math.NaN(), 3}, nil),
		table.NewText(table.Field{Name: "c"}, []string{"x", "y", ""}, []bool{true, true, false}),
	)
	require.NoError(t, err)
	_, err = Design(tab, []string{"a", "b", "c", "d"}, DesignOptions{})
	require.ErrorIs(t, err, ErrCovariate)
	for _, part := range []string{`"a" has 2 missing`, `"b" has 1 values that are not finite`, `"c" has 1 missing`, `"d"`} {
		require.ErrorContains(t, err, part)
	}
}

// One binary covariate: the fitted probabilities are the shares, so that with 2 of 5
// treated at x = 0 and 3 of 4 at x = 1 the intercept is log(2/3), the slope log(3) -
// log(2/3), and their variances 1/2+1/3 and 1/2+1/3+1/3+1/1.
func TestPropensityByHand(t *testing.T) {
	tab, err := table.New(
		table.NewInteger(table.Field{Name: "treated"}, []int64{1, 1, 0, 0, 0, 1, 1, 1, 0}, nil),
		table.NewText(table.Field{Name: "x"}, []string{"a", "a", "a", "a", "a", "b", "b", "b", "b"}, nil),
	)
	require.NoError(t, err)
	fit, err := Propensity{Covariates: []string{"x"}}.Fit(t.Context(), tab, Spec{Treatment: "treated"})
	require.NoError(t, err)
	require.Equal(t, []string{"(intercept)", "x[b]"}, fit.Names)
	reftest.Agree(t, "intercept", fit.Coef[0], math.Log(2.0/3), 12)
	reftest.Agree(t, "slope", fit.Coef[1], math.Log(3)-math.Log(2.0/3), 12)
	reftest.Agree(t, "se intercept", fit.SE[0], math.Sqrt(1.0/2+1.0/3), 10)
	reftest.Agree(t, "se slope", fit.SE[1], math.Sqrt(1.0/2+1.0/3+1.0/3+1), 10)
	reftest.Agree(t, "score", fit.Score[0], 0.4, 12)
	reftest.Agree(t, "score", fit.Score[8], 0.75, 12)
	reftest.Agree(t, "linear predictor", fit.Linear[8], math.Log(3), 12)
	reftest.Agree(t, "logLik", fit.LogLik, 2*math.Log(0.4)+3*math.Log(0.6)+3*math.Log(0.75)+math.Log(0.25), 13)
	reftest.Agree(t, "null deviance", fit.NullDev, -2*(5*math.Log(5.0/9)+4*math.Log(4.0/9)), 13)
	_, err = Propensity{Covariates: []string{"x"}, Link: "loglog"}.Fit(t.Context(), tab, Spec{Treatment: "treated"})
	require.ErrorIs(t, err, ErrOption)
	_, err = Propensity{}.Fit(t.Context(), tab, Spec{Treatment: "treated"})
	require.ErrorIs(t, err, ErrOption)
}

// Separation names the column and what is odd about it.
func TestPropensitySeparationNamesTheColumn(t *testing.T) {
	tab, err := table.New(
		table.NewInteger(table.Field{Name: "treated"}, []int64{1, 1, 1, 0, 0, 0, 0, 0}, nil),
		table.NewFloat(table.Field{Name: "z"}, []float64{1, 5, 3, 2, 4, 3, 1, 5}, nil),
		table.NewText(table.Field{Name: "referred"}, []string{"yes", "no", "yes", "no", "no", "no", "no", "no"}, nil),
	)
	require.NoError(t, err)
	_, err = Propensity{Covariates: []string{"z", "referred"}}.Fit(t.Context(), tab, Spec{Treatment: "treated"})
	require.ErrorIs(t, err, ErrSeparation)
	require.ErrorContains(t, err, `column "referred" (`)
}

func TestApplyCountsAddUp(t *testing.T) {
	tab, err := table.New(
		table.NewInteger(table.Field{Name: "age"}, []int64{17, 30, 40, 66, 0, 50}, []bool{true, true, true, true, false, true}),
		table.NewBoolean(table.Field{Name: "treated"}, []bool{true, true, false, false, true, false}, nil),
		table.NewText(table.Field{Name: "state"}, []string{"sick", "sick", "work", "sick", "sick", "sick"}, nil),
	)
	require.NoError(t, err)
	kept, steps, err := Apply(tab, []Filter{
		{Name: "working-age", Keep: "age >= 18 and age < 65"},
		{Name: "sick", Keep: `state == "sick"`},
	}, "treated")
	require.NoError(t, err)
	require.Equal(t, []int{1, 5}, kept)
	require.Equal(t, []Step{
		{Name: "working-age", Rule: "age >= 18 and age < 65", UnitsIn: 6, UnitsOut: 3, TreatedIn: 3, TreatedOut: 1, Missing: 1},
		{Name: "sick", Rule: `state == "sick"`, UnitsIn: 3, UnitsOut: 2, TreatedIn: 1, TreatedOut: 1},
	}, steps)
	errs := CheckFilters([]Filter{{Keep: "age > 1"}, {Name: "a", Keep: "age >"}, {Name: "a", Keep: "height > 1"}}, tab.Fields())
	require.Len(t, errs, 4)
	_, _, err = Apply(tab, []Filter{{Name: "a", Keep: "height > 1"}}, "treated")
	require.ErrorIs(t, err, table.ErrFilter)
	require.ErrorContains(t, err, `filter "a"`)
	_, _, err = Apply(tab, []Filter{{Name: "a", Keep: "age > 1"}}, "trated")
	require.ErrorIs(t, err, table.ErrNoColumn)
}

func TestCheckAttritionSeesWhatDoesNotAddUp(t *testing.T) {
	good := func() []Step {
		return []Step{
			{Name: "a", UnitsIn: 10, UnitsOut: 8, TreatedIn: 4, TreatedOut: 3, Missing: 1},
			{Name: "b", UnitsIn: 8, UnitsOut: 5, TreatedIn: 3, TreatedOut: 3},
		}
	}
	require.NoError(t, CheckAttrition(good()))
	for name, spoil := range map[string]func(s []Step){
		"gap":                func(s []Step) { s[1].UnitsIn = 9 },
		"gap in treated":     func(s []Step) { s[1].TreatedIn = 2; s[1].TreatedOut = 2 },
		"growth":             func(s []Step) { s[1].UnitsOut = 9 },
		"treated grow":       func(s []Step) { s[1].TreatedOut = 4 },
		"more treated":       func(s []Step) { s[1].UnitsOut = 2 },
		"too many missing":   func(s []Step) { s[0].Missing = 3 },
		"negative":           func(s []Step) { s[1].Missing = -1 },
		"untreated grow":     func(s []Step) { s[0].UnitsOut, s[0].TreatedOut = 9, 2 },
		"treated above all":  func(s []Step) { s[0].TreatedIn = 11 },
		"treated above kept": func(s []Step) { s[1].UnitsOut, s[1].TreatedOut = 2, 3 },
	} {
		s := good()
		spoil(s)
		require.ErrorIs(t, CheckAttrition(s), ErrConstraint, name)
	}
}

// M7: rows that no filter keeps change nothing but the count of the first filter.
func TestApplyNeverEligibleRows(t *testing.T) {
	p := smooth(num.NewStream(31, "eligible", 0), 60)
	q := p.take(append(indices(60), 0, 1, 2))
	for i := 60; i < 63; i++ {
		q.id[i] += "-never"
		q.x[0][i] = 1e6
	}
	filters := []Filter{{Name: "usual", Keep: "x0 < 1000"}}
	ka, sa, err := Apply(p.table(t), filters, "treated")
	require.NoError(t, err)
	kb, sb, err := Apply(q.table(t), filters, "treated")
	require.NoError(t, err)
	a, b := p.table(t).Take(ka), q.table(t).Take(kb)
	require.Equal(t, sa[0].UnitsIn+3, sb[0].UnitsIn)
	require.Equal(t, sa[0].UnitsOut, sb[0].UnitsOut)
	d := Spec{Treatment: "treated", ID: "id", Covariates: threeCovariates}
	ma, err := Nearest{}.Match(t.Context(), a, d)
	require.NoError(t, err)
	mb, err := Nearest{}.Match(t.Context(), b, d)
	require.NoError(t, err)
	require.Equal(t, sameByID(t, a, ma), sameByID(t, b, mb))
}
