package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// distanceRows are 80 people of two folds and two years. The indicator is the outcome turned round for one in five; background says nothing.
func distanceRows(reverse bool) string {
	rows := []string{}
	for i := range 80 {
		y := i % 2
		s := y
		if i%10 > 7 {
			s = 1 - y
		}
		rows = append(rows, fmt.Sprintf("p%02d,%d,%d,%d,%d,%d,%s", i, y, s, i/2%2, i/4%2, 2010+i/40, map[bool]string{true: "w", false: "m"}[i%8 < 4]))
	}
	if reverse {
		for a, b := 0, len(rows)-1; a < b; a, b = a+1, b-1 {
			rows[a], rows[b] = rows[b], rows[a]
		}
	}
	return "id,y,s,x,fold,year,sex\n" + strings.Join(rows, "\n") + "\n"
}

// In each fold of 40 the indicator is right for 80 % of both outcomes: without a penalty worth the name, predictions .2 and .8, the area ½(1 + .8 − .2) = .8, Brier
// score .16, slope 1, off 0, and the same in each year and for each sex.
func TestFitDistanceByHand(t *testing.T) {
	args := []string{"distance", "--id", "id", "--outcome", "y", "--indicators", "s", "--covariates", "x", "--fold", "fold", "--lambda", "1e-9", "--year", "year", "--groups", "sex"}
	a := fitted(t, append(args, "--data", writeTestFile(t, "d.csv", distanceRows(false)))...)
	require.InDelta(t, .8, *a.get(t, "auc,index", "auc").Estimate, 1e-6)
	require.Equal(t, "logit", *a.get(t, "auc,index", "auc").ConfMethod)
	require.InDelta(t, .16, *a.get(t, "brier", "brier-score").Estimate, .005)
	require.InDelta(t, 0, *a.get(t, "off", "calibration-in-the-large").Estimate, 1e-6)
	require.InDelta(t, 0, *a.get(t, "drift", "calibration-drift").Estimate, 1e-6)
	var years []struct {
		Year, Persons       int
		Predicted, Observed float64
	}
	a.detail(t, "years", &years)
	require.Len(t, years, 2)
	require.Equal(t, 40, years[1].Persons)
	require.InDelta(t, .5, years[1].Observed, 1e-12)
	var groups map[string]float64
	a.detail(t, "groups", &groups)
	require.Len(t, groups, 2)
	b := fitted(t, append(args, "--data", writeTestFile(t, "r.csv", distanceRows(true)), "--workers", "3")...)
	require.Equal(t, a.Estimates, b.Estimates)

	// Nobody who took part is in it: those of 2011 here.
	part := strings.NewReplacer(",2010,", ",0,", ",2011,", ",1,").Replace(distanceRows(false))
	c := fitted(t, "distance", "--data", writeTestFile(t, "p.csv", part), "--id", "id", "--outcome", "y", "--indicators", "s", "--treatment", "year", "--folds", "2", "--seed", "3")
	require.Equal(t, 40, c.N["units"])
	require.Contains(t, c.codes(), "participants-left-out")
	require.NotContains(t, c.Details, "years")
}

func TestFitDistanceBad(t *testing.T) {
	base := []string{"distance", "--data", writeTestFile(t, "d.csv", distanceRows(false)), "--id", "id", "--outcome", "y", "--indicators", "s"}
	for _, c := range []struct {
		code int
		args []string
		says string
	}{
		{exitUsage, []string{"--folds", "1"}, "at least 2"}, {exitUsage, []string{"--fold", "fold", "--seed", "2"}, "split made elsewhere"},
		{exitUsage, []string{"--lambda", "-1"}, "above 0"}, {exitUsage, []string{"--covariates", "y"}, "named by"},
		{exitInput, []string{"--year", "sex"}, "number"}, {exitInput, []string{"--where", "fold == 0 and s == 1 and x == 1"}, ""},
	} {
		code, out, errOut := runFit(t, append(append([]string{}, base...), c.args...)...)
		require.Equal(t, c.code, code, "%v %s", c.args, errOut)
		require.Empty(t, out)
		require.Contains(t, errOut, c.says)
	}
}
