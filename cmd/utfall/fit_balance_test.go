package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

type balanceAnswer struct {
	Variable, Kind, Column, Level string
	Column2                       string   `json:"column_2"`
	Level2                        string   `json:"level_2"`
	NTreated                      int      `json:"n_treated"`
	SMDBefore                     *float64 `json:"smd_before"`
	SMDAfter                      *float64 `json:"smd_after"`
	MeanTreated                   *float64 `json:"mean_treated_before"`
	KSBefore                      *float64 `json:"ks_before"`
	OverlapBefore                 *float64 `json:"overlap_before"`
	OverlapAfter                  *float64 `json:"overlap_after"`
	Designs                       map[string]struct{ SMD, Overlap *float64 }
}

func balanceOf(t *testing.T, a *fitAnswer) map[string]balanceAnswer {
	t.Helper()
	var rows []balanceAnswer
	a.detail(t, "balance", &rows)
	out := map[string]balanceAnswer{}
	for _, r := range rows {
		out[r.Variable] = r
	}
	require.Len(t, out, len(rows))
	return out
}

// Treated x 1, 3 and untreated 1, 2, 6 are the example of cohort's test by hand. y lacks
// a value for one treated: one of two against none, 0.5. Sites a and b, c with one group.
const balanceFile = `id,t,x,g,y,site,w,v
1,1,1,a,1,s1,1,1
2,0,1,a,2,s1,1,1
3,1,3,b,,s2,1,1
4,0,2,c,3,s2,2,1
5,0,6,c,5,s3,0,1
`

func TestFitBalanceRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.csv")
	require.NoError(t, os.WriteFile(path, []byte(balanceFile), 0o644))
	base := []string{"balance", "--data", path, "--id", "id", "--treatment", "t", "--covariates", "x,g,y"}
	a := fitted(t, append(base, "--weights", "w,v", "--squares", "--interactions", "--by", "site", "--denominator", "all")...)
	require.Equal(t, 5, a.N["units"])
	require.Contains(t, a.codes(), "values-missing")
	require.NotContains(t, a.codes(), "rows-dropped")
	require.Contains(t, a.codes(), "stratum-one-group")
	rows := balanceOf(t, a)
	require.Len(t, rows, 1+3+1+1+2+3+1+3) // x, g, y, y[missing], squares, x·g, x·y, g·y
	// All of x: mean 2.6, squares 1.6²·2 + 0.4² + 0.6² + 3.4² = 17.2, over 4: variance 4.3.
	require.InDelta(t, -1/2.073644135332772, *rows["x"].SMDBefore, 1e-12)
	require.InDelta(t, (2-5.0/3)/2.073644135332772, *rows["x"].SMDAfter, 1e-12)
	require.InDelta(t, *rows["x"].SMDBefore, *rows["x"].Designs["v"].SMD, 1e-12)
	require.InDelta(t, 1.0/3, *rows["x"].KSBefore, 1e-12)
	require.True(t, *rows["x"].OverlapBefore > 0 && *rows["x"].OverlapBefore < 1)
	m := rows["y[missing]"]
	require.Equal(t, []any{"missing", "y", "", 0.5}, []any{m.Kind, m.Column, m.Level, *m.MeanTreated})
	require.Equal(t, 1, rows["y"].NTreated)
	require.InDelta(t, 1-0.5, *m.OverlapBefore, 1e-12)
	l := rows["g[c]"]
	require.Equal(t, []string{"level", "g", "c"}, []string{l.Kind, l.Column, l.Level})
	p := rows["x*g[b]"]
	require.Equal(t, []string{"interaction", "x", "", "g", "b"}, []string{p.Kind, p.Column, p.Level, p.Column2, p.Level2})
	require.InDelta(t, 5.0, *rows["x^2"].MeanTreated, 1e-12)

	var strata []struct {
		By      map[string]string
		N       struct{ Units, Treated int }
		Balance []balanceAnswer
		Reason  *string
		Summary map[string]struct {
			Rows, Above, Undefined int
			MaxSMD                 *float64 `json:"max_smd"`
		}
	}
	a.detail(t, "strata", &strata)
	require.Len(t, strata, 3)
	require.Equal(t, "s1", strata[0].By["site"])
	require.Nil(t, strata[0].Balance[0].SMDBefore) // 1 and 1
	require.Equal(t, 2, strata[1].N.Units)
	require.InDelta(t, 1/0.7071067811865476, *strata[1].Balance[0].SMDBefore, 1e-12) // 3 and 2: SD √½
	require.NotNil(t, strata[2].Reason)
	require.Empty(t, strata[2].Balance)
	var summary map[string]struct {
		MaxSMD   float64 `json:"max_smd"`
		Variable string  `json:"max_smd_variable"`
		Above    int
	}
	a.detail(t, "summary", &summary)
	require.Len(t, summary, 3)
	require.Positive(t, summary["after"].Above)
	require.Contains(t, rows, summary["before"].Variable)

	code, out, _ := runFit(t, append(base, "--weights", "w,v", "--by", "site")...)
	require.Equal(t, exitOK, code)
	for _, s := range []string{"smd v", "overlap before", "By site", "y[missing]"} {
		require.Contains(t, out, s)
	}
	// A weight that is 0 for all of a group, in a further design too, is an error.
	code, _, errOut := runFit(t, append(base, "--weights", "w,t")...)
	require.Equal(t, exitInput, code)
	require.Contains(t, errOut, "no comparison units")
}

func TestFitBalanceRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.csv")
	require.NoError(t, os.WriteFile(path, []byte(balanceFile), 0o644))
	base := []string{"balance", "--data", path, "--treatment", "t", "--covariates", "x"}
	for says, args := range map[string][]string{
		"--denominator": {"--denominator", "hedges"}, "by --treatment and by --by": {"--by", "t"},
		"--weights names": {"--weights", "w,w"}, "true or false": {"--squares=perhaps"},
	} {
		code, out, errOut := runFit(t, append(base, args...)...)
		require.Equal(t, exitUsage, code, errOut)
		require.Empty(t, out)
		require.Contains(t, errOut, says)
	}
}
