package table

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func filterTable(t testing.TB) *Table {
	t.Helper()
	some := []bool{true, true, true, false}
	sex, err := NewCategory(Field{Name: "sex"}, []int32{1, 0, 1, 0}, []string{"man", "woman"}, some)
	require.NoError(t, err)
	home, err := NewCategory(Field{Name: "home"}, []int32{0, 1, 2, 0}, []string{"woman", "man", "x"}, nil)
	require.NoError(t, err)
	tab, err := New(
		NewInteger(Field{Name: "age"}, []int64{17, 18, 64, 0}, some),
		NewFloat(Field{Name: "income"}, []float64{0, 100, math.NaN(), -5}, nil),
		NewFloat(Field{Name: "hours per week"}, []float64{40, 0, 20, 10}, nil),
		NewBoolean(Field{Name: "ill"}, []bool{true, false, true, true}, some),
		NewDate(Field{Name: "start"}, []int32{16436, 16435, 16801, 0}, some), // 2015-01-01, 2014-12-31, 2016-01-01
		sex, home,
		NewText(Field{Name: "kommun"}, []string{"0114", "1480", "0114", ""}, some),
		NewInteger(Field{Name: "big"}, []int64{1<<53 + 1, 0, 0, 0}, nil),
	)
	require.NoError(t, err)
	return tab
}

// Row 4 has no value in most columns; income of row 3 is not a number.
func TestFilterRows(t *testing.T) {
	tab := filterTable(t)
	for _, c := range []struct {
		src     string
		keep    string // one letter a row: y, n, ? (unknown)
		columns string
	}{
		{"age >= 18", "nyy?", "age"},
		{"age < 18", "ynn?", "age"},
		{"age == 64", "nny?", "age"},
		{"age != 64", "yyn?", "age"},
		{"18 <= age and age <= 64", "nyy?", "age"},
		{"18 <= age <= 63", "nyn?", "age"},
		{"between(age, 17, 18)", "yyn?", "age"},
		{"between(start, date(\"2015-01-01\"), date(\"2015-12-31\"))", "ynn?", "start"},
		{"age in [17, 64]", "yny?", "age"},
		{"age not in [17, 64]", "nyn?", "age"},
		{"age in [17, -5, 18.0]", "yyn?", "age"},
		{"not (age >= 18)", "ynn?", "age"},
		{"age >= 18 or ill", "yyy?", "age,ill"},
		{"age >= 18 or true", "yyyy", "age"},
		{"age >= 18 and false", "nnnn", "age"},
		{"income >= 0", "yy?n", "income"},
		{"income >= 0 or age > 60", "yyy?", "income,age"},
		{"income >= 0 and age < 18", "ynnn", "income,age"},
		{"is_missing(income)", "nnyn", "income"},
		{"is_missing(age)", "nnny", "age"},
		{"is_missing(sex) or sex == \"man\"", "nyny", "sex"},
		{"not is_missing(kommun)", "yyyn", "kommun"},
		{"sex == \"woman\"", "yny?", "sex"},
		{"\"woman\" != sex", "nyn?", "sex"},
		{"sex in [\"man\", \"woman\"]", "yyy?", "sex"},
		{"sex == home", "yyn?", "sex,home"},
		{"kommun == \"0114\"", "yny?", "kommun"},
		{"kommun in [\"9999\"]", "nnn?", "kommun"},
		{"ill", "yny?", "ill"},
		{"ill == false", "nyn?", "ill"},
		{"ill != true", "nyn?", "ill"},
		{"start >= date(\"2015-01-01\")", "yny?", "start"},
		{"start == date(\"2014-12-31\")", "nyn?", "start"},
		{"start - date(\"2015-01-01\") == 365", "nny?", "start"},
		{"start + 1 == date(\"2015-01-01\")", "nyn?", "start"},
		{"start in [date(\"2015-01-01\"), date(\"2016-01-01\")]", "yny?", "start"},
		{"year(start) == 2015", "ynn?", "start"},
		{"month(start) == 12 and day(start) == 31", "nyn?", "start"},
		{"income / income == 1", "?y?y", "income"},
		{"1 / income > 0", "?y?n", "income"},
		{"income * 2 + 1 > 0", "yy?n", "income"},
		{"-income > 0", "nn?y", "income"},
		{"abs(income) == 5", "nn?y", "income"},
		{"min(income, 3) == 3", "ny?n", "income"},
		{"max(income, 1, 2) == 2", "yn?y", "income"},
		{"column(\"hours per week\") > 15", "ynyn", "hours per week"},
		{"age - 1 - 1 == 15", "ynn?", "age"},
		{"100 / age / 2 < 1", "nny?", "age"}, // 2.94, 2.78, 0.78
	} {
		f, err := CompileFilter(c.src, tab.Fields())
		require.NoError(t, err, c.src)
		require.Equal(t, c.columns, strings.Join(f.Columns(), ","), c.src)
		require.Equal(t, c.src, f.String())
		keep, missing, err := f.Apply(tab)
		require.NoError(t, err, c.src)
		require.Len(t, keep, 4)
		for i, k := range keep {
			require.Equal(t, c.keep[i] == 'y', k, "%s: row %d", c.src, i+1)
		}
		require.Equal(t, strings.Count(c.keep, "?"), missing, c.src)
	}
}

// SQL's truth tables for and, or and not, over a boolean column with all three values.
func TestFilterThreeValuedLogic(t *testing.T) {
	a := []bool{true, true, true, false, false, false, false, false, false}
	av := []bool{true, true, true, true, true, true, false, false, false}
	b := []bool{true, false, false, true, false, false, true, false, false}
	bv := []bool{true, true, false, true, true, false, true, true, false}
	tab, err := New(NewBoolean(Field{Name: "a"}, a, av), NewBoolean(Field{Name: "b"}, b, bv))
	require.NoError(t, err)
	for src, want := range map[string]string{
		"a and b": "yn?nnn?n?", "a or b": "yyyyn?y??", "not a": "nnnyyy???", "a == b": "yn?ny????", "not (a and b)": "ny?yyy?y?",
	} {
		f, err := CompileFilter(src, tab.Fields())
		require.NoError(t, err)
		keep, missing, err := f.Apply(tab)
		require.NoError(t, err)
		for i := range keep {
			require.Equal(t, want[i] == 'y', keep[i], "%s row %d", src, i+1)
		}
		require.Equal(t, strings.Count(want, "?"), missing, src)
	}
}

func TestFilterBlocks(t *testing.T) {
	n := 3*filterBlock + 17
	v := make([]int64, n)
	for i := range v {
		v[i] = int64(i)
	}
	tab, err := New(NewInteger(Field{Name: "v"}, v, nil))
	require.NoError(t, err)
	f, err := CompileFilter("v * 2 >= 4096 and (v + 0) != 5000", tab.Fields())
	require.NoError(t, err)
	keep, missing, err := f.Apply(tab)
	require.NoError(t, err)
	require.Zero(t, missing)
	for i, k := range keep {
		require.Equal(t, i >= 2048 && i != 5000, k, i)
	}
}

func TestFilterErrors(t *testing.T) {
	fields := filterTable(t).Fields()
	for _, c := range []struct {
		src string
		pos int
		say string
	}{
		{"", 1, ""},
		{"age >=", 6, "unexpected"},
		{"age > 9007199254740993", 7, "2^53"},
		{"ålder > 1", 1, `no column "ålder"`},
		{"age > 1 and inkomst > 2", 13, `no column "inkomst"`},
		{"age", 1, "write age == 1"},
		{"income + 1", 8, "a condition is needed"},
		{"sex", 1, "this is text"},
		{"sex == 1", 5, "text cannot be compared with a number"},
		{"age == \"a\"", 5, "a number cannot be compared with text"},
		{"sex < \"man\"", 5, "no order"},
		{"start > \"2015-01-01\"", 7, "write date("},
		{"start > date(\"2015-02-30\")", 14, "not a date"},
		{"start > date(age)", 14, "between quotes"},
		{"start > 5", 7, "a date cannot be compared with a number"},
		{"start + start > 5", 7, "cannot be combined"},
		{"start * 2 > 5", 7, "cannot be combined"},
		{"ill > true", 5, "no order"},
		{"ill == 1", 5, "cannot be compared"},
		{"age in 18..64", 10, "between"},
		{"age in []", 8, "empty"},
		{"age in [income]", 9, "constants"},
		{"age in [\"x\"]", 9, "cannot be compared"},
		{"sex in [1]", 9, "text is needed"},
		{"age in sex", 8, "needs a list"},
		{"ill in [true]", 1, "in needs"},
		{"is_missing(age + 1)", 16, "needs a column"},
		{"is_missing()", 1, "takes 1"},
		{"between(age, 5, 1)", 1, "lower bound"},
		{"abs(age, 2) > 1", 1, "takes 1"},
		{"min(age) > 1", 1, "at least two"},
		{"max(age, sex) > 1", 10, "needs numbers"},
		{"abs(start) > 1", 5, "needs numbers"},
		{"year(age) > 1", 6, "needs a date"},
		{"foo(age) > 1", 1, "no function foo"},
		{"len(sex) > 1", 1, "no function len"},
		{"any([1], # > 0)", 1, ""},
		{"age ? 1 : 2", 5, ""},
		{"sex matches \"a\"", 5, "not part"},
		{"age ** 2 > 1", 5, "not part"},
		{"age % 2 == 1", 5, "not part"},
		{"let x = 1; age > x", 5, "not part"},
		{"age.x > 1", 5, "not part"},
		{"age == nil", 8, "is_missing"},
		{"1 < 2", 3, "constants"},
		{"[age] == [1]", 7, "list"},
		{"age > 1; age > 2", 1, ""},
		{"{\"a\": 1}", 1, "not part"},
		{strings.Repeat("a", maxFilter+1), 1, "at most"},
		{"age > \xff", 1, "UTF-8"},
		{strings.Repeat("(", 3000), 0, ""},
		{strings.Repeat("-", 3000) + "age > 1", 0, "nested"},
	} {
		_, err := CompileFilter(c.src, fields)
		require.ErrorIs(t, err, ErrFilter, c.src)
		var fe *FilterError
		require.True(t, errors.As(err, &fe), c.src)
		if c.pos > 0 && c.say != "" {
			require.Equal(t, c.pos, fe.Position, "%s: %v", c.src, err)
		}
		require.Contains(t, err.Error(), c.say, c.src)
		require.NotContains(t, err.Error(), "\n", c.src)
	}
}

func TestFilterApplyErrors(t *testing.T) {
	tab := filterTable(t)
	f, err := CompileFilter(`age > 1 and sex == "kvinna"`, tab.Fields())
	require.NoError(t, err)
	_, _, err = f.Apply(tab)
	require.ErrorIs(t, err, ErrFilter)
	require.EqualError(t, err, `character 20: "kvinna" is not a level of column "sex"`)
	f, err = CompileFilter("big == 5", tab.Fields())
	require.NoError(t, err)
	_, _, err = f.Apply(tab)
	require.ErrorIs(t, err, ErrKind)
	f, err = CompileFilter("age > 1", tab.Fields())
	require.NoError(t, err)
	_, _, err = f.Apply(tab.Without("age"))
	require.ErrorIs(t, err, ErrNoColumn)
	other, err := tab.With(NewFloat(Field{Name: "age"}, make([]float64, 4), nil))
	require.NoError(t, err)
	_, _, err = f.Apply(other)
	require.ErrorIs(t, err, ErrKind)
}

// FuzzFilter: no expression panics, and each gives one verdict a row.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{"age > 1", "not (ill or sex == \"man\")", "between(start, date(\"2015-01-01\"), start + 1)", "(((", "age in [1,2,\"x\"]", "-+!age", "column(\"hours per week\") / 0 > 1", "abs(min(income, age - 3e308))==1", "age < age < age"} {
		f.Add(s)
	}
	tab := filterTable(f)
	f.Fuzz(func(t *testing.T, src string) {
		flt, err := CompileFilter(src, tab.Fields())
		if err != nil {
			require.ErrorIs(t, err, ErrFilter)
			return
		}
		keep, missing, err := flt.Apply(tab)
		if err == nil {
			kept := 0
			for _, k := range keep {
				if k {
					kept++
				}
			}
			require.LessOrEqual(t, kept+missing, tab.Rows())
		}
	})
}

func BenchmarkFilter(b *testing.B) {
	n := 1_000_000
	v, w := make([]int64, n), make([]float64, n)
	for i := range v {
		v[i], w[i] = int64(i%90), float64(i%1000)
	}
	tab, err := New(NewInteger(Field{Name: "age"}, v, nil), NewFloat(Field{Name: "income"}, w, nil))
	require.NoError(b, err)
	f, err := CompileFilter("between(age, 18, 64) and income * 12 < 6000", tab.Fields())
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := f.Apply(tab); err != nil {
			b.Fatal(err)
		}
	}
}
