package release

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/cohort"
)

var openBox = Box{raw(1), raw(1)}

func stat(mt, mc, smd float64) cohort.BalanceStat {
	return cohort.BalanceStat{MeanTreated: mt, MeanControl: mc, SMD: smd, VarianceRatio: math.NaN(), ECDFMean: 0.01234, ECDFMax: 0.02}
}

// Three levels of 200 participants: 120, 74 and 6. The level of 6 takes the level of
// 74 with it, which leaves 120; the number is shown to four digits.
func TestBalanceByHand(t *testing.T) {
	b := cohort.Balance{Denominator: "treated", Rows: []cohort.BalanceRow{
		{Variable: "income", Before: stat(123456, 200000, -0.51239), After: stat(123456, 124999, -0.01239)},
		{Variable: "benefit[a]", Before: stat(0.6, 0.3, 0.4), After: stat(0.6, 0.6, 0)},
		{Variable: "benefit[b]", Before: stat(0.37, 0.3, 0.2), After: stat(0.37, 0.37, 0)},
		{Variable: "benefit[c]", Before: stat(0.03, 0.4, -0.3), After: stat(0.03, 0.03, 0)},
	}}
	before, after := Arms{200, 2000}, Arms{200, 200}
	about := []Covariate{
		{Before: before, After: after},
		{Group: "benefit", Before: Arms{120, 600}, After: Arms{120, 120}},
		{Group: "benefit", Before: Arms{74, 600}, After: Arms{74, 74}},
		{Group: "benefit", Before: Arms{6, 800}, After: Arms{6, 6}},
	}
	table, w, err := Policy{}.Balance(b, about, before, after, openBox)
	require.NoError(t, err)
	income := table.Rows[0]
	require.Equal(t, show(123500), income.After.MeanTreated)
	require.Equal(t, show(-0.512), income.Before.SMD)
	require.Equal(t, Value{state: undefined}, income.After.VarianceRatio)
	a := table.Rows[1]
	require.Equal(t, "120", a.After.Treated.String())
	require.Equal(t, "600", a.Before.Control.String())
	require.Equal(t, show(0.6), a.After.MeanTreated)
	require.Equal(t, BalanceRow{Variable: "benefit[b]", Group: "benefit"}, table.Rows[2], "complementary")
	require.Equal(t, BalanceRow{Variable: "benefit[c]", Group: "benefit"}, table.Rows[3])
	require.Equal(t, []Withheld{{"balance/benefit", Complementary, 1}, {"balance/benefit", BelowMinimum, 1}}, w)
	above, of := table.Above(0.1)
	require.Equal(t, []int{0, 2}, []int{above, of})

	// Where the people before the design are not a shown box, nothing adds up to them.
	table, _, err = Policy{}.Balance(b, about, before, after, Box{})
	require.NoError(t, err)
	require.True(t, table.Rows[1].Before.Treated.Suppressed())
	require.True(t, table.Rows[0].Before.MeanTreated.Suppressed())
	require.False(t, table.Rows[1].Before.SMD.Suppressed())
	require.False(t, table.Rows[1].After.Treated.Suppressed())
}

// Levels that nobody declared: the withheld ones are one row without their names.
func TestBalanceNamesNoUndeclaredLevel(t *testing.T) {
	var b cohort.Balance
	var about []Covariate
	for i, n := range []int{120, 70, 6, 4} {
		b.Rows = append(b.Rows, cohort.BalanceRow{Variable: fmt.Sprintf("place[%c]", 'a'+i), Before: stat(0.5, 0.5, 0), After: stat(0.5, 0.5, 0)})
		about = append(about, Covariate{Group: "place", Before: Arms{n, n}, After: Arms{n, n}, Undeclared: true})
	}
	b.Rows = append(b.Rows, cohort.BalanceRow{Variable: "income", Before: stat(1, 2, 0.1), After: stat(1, 2, 0.1)})
	about = append(about, Covariate{Before: Arms{200, 200}, After: Arms{200, 200}})
	table, w, err := Policy{}.Balance(b, about, Arms{200, 200}, Arms{200, 200}, openBox)
	require.NoError(t, err)
	var names []string
	for _, r := range table.Rows {
		names = append(names, r.Variable)
	}
	require.Equal(t, []string{"place[a]", "place[b]", "place[..]", "income"}, names)
	require.Equal(t, BalanceRow{Variable: "place[..]", Group: "place"}, table.Rows[2])
	require.NotContains(t, fmt.Sprint(table, w), "place[c]")
	for i := range about {
		about[i].Undeclared = false
	}
	table, _, err = Policy{}.Balance(b, about, Arms{200, 200}, Arms{200, 200}, openBox)
	require.NoError(t, err)
	require.Len(t, table.Rows, 5)
	require.Equal(t, BalanceRow{Variable: "place[c]", Group: "place"}, table.Rows[2], "the study file has the name")
}

// 4 of the 104 women were left out: the number before would give them away.
func TestBalanceLeftOut(t *testing.T) {
	b := cohort.Balance{Rows: []cohort.BalanceRow{{Variable: "woman", Before: stat(0.5, 0.5, 0), After: stat(0.5, 0.5, 0)}}}
	about := []Covariate{{Group: "woman", Before: Arms{104, 500}, After: Arms{100, 100}}}
	table, _, err := Policy{}.Balance(b, about, Arms{224, 1000}, Arms{200, 200}, openBox)
	require.NoError(t, err)
	require.True(t, table.Rows[0].Before.Treated.Suppressed())
	require.Equal(t, "100", table.Rows[0].After.Treated.String())
}

func TestBalanceRefusesAndErrors(t *testing.T) {
	b := cohort.Balance{Rows: []cohort.BalanceRow{{Variable: "x"}}}
	table, w, err := Policy{}.Balance(b, []Covariate{{Group: "x", Before: Arms{9, 90}, After: Arms{9, 50}}}, Arms{9, 90}, Arms{9, 50}, openBox)
	require.NoError(t, err)
	require.Empty(t, table.Rows)
	require.Equal(t, []Withheld{{"balance", BelowMinimum, 1}}, w)
	_, _, err = Policy{}.Balance(b, nil, Arms{90, 90}, Arms{90, 90}, openBox)
	require.ErrorIs(t, err, ErrInput)
	_, _, err = Policy{}.Balance(b, []Covariate{{Before: Arms{1, 1}, After: Arms{2, 1}}}, Arms{90, 90}, Arms{90, 90}, openBox)
	require.ErrorIs(t, err, ErrInput)
	two := cohort.Balance{Rows: []cohort.BalanceRow{{Variable: "x"}, {Variable: "y"}}}
	half := Covariate{Group: "g", Before: Arms{60, 60}, After: Arms{60, 60}}
	_, _, err = Policy{}.Balance(two, []Covariate{half, half}, Arms{90, 90}, Arms{90, 90}, openBox)
	require.ErrorIs(t, err, ErrInput)
}

func TestShareIsNoFinerThanTheCount(t *testing.T) {
	for n, want := range map[int]float64{1000: 0.34, 500: 0.34, 250: 0.34, 200: 0.35, 60: 0.3, 20: 0.3} {
		require.InDelta(t, want, Policy{}.share(0.337, n), 1e-12, n)
	}
}

// A larger minimum shows a subset of the numbers, whatever the counts, and the order
// of the rows carries no information.
func TestBalanceLaws(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 2))
	for range 1500 {
		n := rng.IntN(5) + 1
		treated, control := randomArm(rng, 0, n), randomArm(rng, 0, n)
		var b cohort.Balance
		var about []Covariate
		var before, after Arms
		for l := range n {
			c := Covariate{Group: "g", After: Arms{treated.levels[l][0], control.levels[l][0]}}
			c.Before = c.After.plus(Arms{treated.levels[l][1], control.levels[l][1]})
			before, after = before.plus(c.Before), after.plus(c.After)
			b.Rows = append(b.Rows, cohort.BalanceRow{Variable: fmt.Sprintf("g-%d", l)})
			about = append(about, c)
		}
		listed := max(1, n-rng.IntN(2))
		b.Rows, about = b.Rows[:listed], about[:listed]
		base := []int{1, 5}[rng.IntN(2)]
		seen := map[string]bool{}
		for k := 25; k >= 3; k-- {
			p := Policy{k, base}
			table, _, err := p.Balance(b, about, before, after, openBox)
			require.NoError(t, err)
			now := map[string]bool{}
			for _, r := range table.Rows {
				for what, c := range map[string]Count{"bt": r.Before.Treated, "bc": r.Before.Control, "at": r.After.Treated, "ac": r.After.Control} {
					if !c.Suppressed() {
						now[r.Variable+what] = true
						require.GreaterOrEqual(t, c.n, k)
					}
				}
			}
			for key := range seen {
				require.True(t, now[key], "minimum %d shows %s, %d does not: %+v %+v", k+1, key, k, about, after)
			}
			seen = now
			shuffled, mixed := cohort.Balance{}, []Covariate{}
			for _, j := range rng.Perm(listed) {
				shuffled.Rows, mixed = append(shuffled.Rows, b.Rows[j]), append(mixed, about[j])
			}
			other, _, err := p.Balance(shuffled, mixed, before, after, openBox)
			require.NoError(t, err)
			require.ElementsMatch(t, table.Rows, other.Rows)
		}
	}
}
