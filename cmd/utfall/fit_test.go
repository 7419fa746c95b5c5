package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func requireNear(t *testing.T, want float64, got *float64, what string) {
	t.Helper()
	require.NotNil(t, got, what)
	require.InDelta(t, want, *got, 1e-12*math.Max(1, math.Abs(want)), what)
}

// Mean of 1, 2, 3, 4 is 2.5, its sum of squares 5, so that sd = √(5/3); type 7 puts the
// lower quartile at 1 + 0.75. The empty cell is missing and drops no row of b.
func TestFitDescribe(t *testing.T) {
	path := writeTestFile(t, "d.csv", "a,b,g\n1,x,1\n2,y,1\n3,x,2\n4,x,2\n,y,2\n")
	a := fitted(t, "describe", "--data", path, "--columns", "a,b")
	requireNear(t, 4, a.get(t, "a", "n").Estimate, "n")
	requireNear(t, 1, a.get(t, "a", "missing").Estimate, "missing")
	mean := a.get(t, "a", "mean")
	requireNear(t, 2.5, mean.Estimate, "mean")
	requireNear(t, math.Sqrt(5.0/3)/2, mean.StdError, "se")
	requireNear(t, math.Sqrt(5.0/3), a.get(t, "a", "sd").Estimate, "sd")
	requireNear(t, 1.75, a.get(t, "a", "p25").Estimate, "p25")
	requireNear(t, 2.5, a.get(t, "a", "median").Estimate, "median")
	requireNear(t, 0.6, a.get(t, "b[x]", "share").Estimate, "share")
	require.Equal(t, 5, a.N["units"])
	a = fitted(t, "describe", "--data", path, "--by", "g")
	requireNear(t, 3.5, a.get(t, "a,group=2", "mean").Estimate, "mean of group 2")
	requireNear(t, 1, a.get(t, "a,group=2", "missing").Estimate, "missing of group 2")
}

// Large numbers that differ in the last place keep the digits of their spread.
func TestFitDescribeKeepsDigits(t *testing.T) {
	mean, sd := meanSD([]float64{1e9 + 1, 1e9 + 2, 1e9 + 3})
	require.Equal(t, 1e9+2, mean)
	require.Equal(t, 1.0, sd)
}

// y = 1, 2, 2, 4 on x = 0 … 3: Sxy = 4.5, Sxx = 5, residual sum of squares 0.7 on 2 df.
func TestFitOLS(t *testing.T) {
	path := writeTestFile(t, "d.csv", "x,y,z\n0,1,a\n1,2,a\n2,2,a\n3,4,a\n9,,a\n")
	a := fitted(t, "ols", "--data", path, "--outcome", "y", "--covariates", "x")
	require.Equal(t, "(intercept)", a.Estimates[0].Term)
	requireNear(t, 0.9, a.Estimates[0].Estimate, "intercept")
	x := a.get(t, "x", "coefficient")
	requireNear(t, 0.9, x.Estimate, "slope")
	requireNear(t, math.Sqrt(0.35/5), x.StdError, "se")
	requireNear(t, 2, x.DF, "df")
	require.Equal(t, "t", *x.ConfMethod)
	require.Equal(t, []string{"data-read", "rows-dropped"}, a.codes())
	require.Equal(t, float64(1), a.Notes[1].Args["rows"])
	for _, key := range []string{"r_squared", "rank", "condition", "vcov"} {
		require.Contains(t, a.Details, key)
	}
	// Through the origin the slope is Σxy/Σx² = 18/14.
	a = fitted(t, "ols", "--data", path, "--outcome", "y", "--covariates", "x", "--no-intercept")
	requireNear(t, 18.0/14, a.Estimates[0].Estimate, "slope through the origin")
	// Every option changes something.
	base := []string{"ols", "--data", path, "--outcome", "y", "--covariates", "x"}
	se := map[float64]string{}
	for _, v := range []string{"iid", "hc0", "hc1", "hc2", "hc3"} {
		e := fitted(t, append(base, "--vcov", v)...).get(t, "x", "")
		require.NotContains(t, se, *e.StdError, v)
		se[*e.StdError] = v
	}
	require.Less(t, *fitted(t, append(base, "--level", "0.8")...).get(t, "x", "").ConfHigh, *x.ConfHigh)
	few := fitted(t, append(base, "--where", "x < 3")...)
	requireNear(t, 0.5, few.get(t, "x", "").Estimate, "slope of three rows")
	require.Contains(t, few.codes(), "rows-filtered")
}

const treatedTable = `id,t,x,race
1,1,1,b
2,1,1,w
3,1,1,b
4,0,1,w
5,1,0,b
6,0,0,w
7,0,0,b
8,0,0,w
`

// Three of four are treated at x = 1 and one of four at x = 0: the coefficients are
// log(1/3) and 2·log 3, the slope's error √(1/3+1+1+1/3).
func TestFitPropensityAndGLM(t *testing.T) {
	path := writeTestFile(t, "d.csv", treatedTable)
	a := fitted(t, "propensity", "--data", path, "--id", "id", "--treatment", "t", "--covariates", "x")
	g := fitted(t, "glm", "--data", path, "--outcome", "t", "--covariates", "x")
	for _, e := range [][2]fitEstimateJSON{{a.Estimates[0], g.Estimates[0]}, {a.Estimates[1], g.Estimates[1]}} {
		requireNear(t, *e[0].Estimate, e[1].Estimate, "glm")
		requireNear(t, *e[0].StdError, e[1].StdError, "glm")
		require.Nil(t, e[0].DF)
		require.Nil(t, e[1].DF)
		require.Equal(t, "normal", *e[0].ConfMethod)
	}
	requireNear(t, math.Log(1.0/3), a.get(t, "(intercept)", "").Estimate, "intercept")
	requireNear(t, 2*math.Log(3), a.get(t, "x", "").Estimate, "slope")
	requireNear(t, math.Sqrt(8.0/3), a.get(t, "x", "").StdError, "se")
	var scores map[string]float64
	a.detail(t, "scores", &scores)
	require.InDelta(t, 0.75, scores["4"], 1e-12)
	require.InDelta(t, 0.25, scores["5"], 1e-12)
	require.Equal(t, map[string]int{"units": 8, "treated": 4}, a.N)
	require.Equal(t, map[string]int{"units": 8, "events": 4}, g.N)
	var deviance float64
	g.detail(t, "deviance", &deviance)
	require.InDelta(t, -2*(6*math.Log(0.75)+2*math.Log(0.25)), deviance, 1e-12)
	p := fitted(t, "propensity", "--data", path, "--treatment", "t", "--covariates", "x", "--link", "probit")
	require.NotEqual(t, *a.Estimates[1].Estimate, *p.Estimates[1].Estimate)
	a = fitted(t, "propensity", "--data", path, "--treatment", "t", "--covariates", "race")
	require.Equal(t, "race[w]", a.Estimates[1].Term)
}

const scoreTable = `id,t,s,y
t1,1,0.8,5
t2,1,0.5,6
c1,0,0.79,3
c2,0,0.52,5
c3,0,0.1,0
`

// Nearest on the score: t1 takes c1 at 0.01, t2 takes c2 at 0.02, c3 is left. The pair
// differences 2 and 1 have mean 1.5; clustered on pairs the error is √(0.5)/2 times
// √(2·3/2), Stata's factor with 2 clusters, 4 rows and 2 coefficients.
func TestFitMatchBalanceEffect(t *testing.T) {
	path := writeTestFile(t, "d.csv", scoreTable)
	out := filepath.Join(filepath.Dir(path), "m.csv")
	a := fitted(t, "match", "--data", path, "--id", "id", "--treatment", "t", "--score", "s", "--covariates", "s", "--out", out)
	var pairs [][2]string
	a.detail(t, "pairs", &pairs)
	require.ElementsMatch(t, [][2]string{{"t1", "c1"}, {"t2", "c2"}}, pairs)
	var weights map[string]float64
	a.detail(t, "weights", &weights)
	require.Equal(t, map[string]float64{"t1": 1, "t2": 1, "c1": 1, "c2": 1, "c3": 0}, weights)
	var sets map[string]int
	a.detail(t, "sets", &sets)
	require.Len(t, sets, 4)
	require.Equal(t, sets["t1"], sets["c1"])
	require.NotEqual(t, sets["t1"], sets["t2"])
	var rows []map[string]any
	a.detail(t, "balance", &rows)
	require.InDelta(t, 0.65, rows[0]["mean_treated_before"], 1e-12)
	require.InDelta(t, 0.47, rows[0]["mean_control_before"], 1e-12)
	require.InDelta(t, 0.655, rows[0]["mean_control_after"], 1e-12)
	require.InDelta(t, 0.18/math.Sqrt(0.045), rows[0]["smd_before"], 1e-12)
	require.Empty(t, a.Estimates)
	require.Equal(t, map[string]int{"units": 5, "treated": 2, "sets": 2}, a.N)

	text, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, "id,t,s,y,set,weight,score\nt1,1,0.8,5,1,1,0.8\nt2,1,0.5,6,2,1,0.5\nc1,0,0.79,3,1,1,0.79\nc2,0,0.52,5,2,1,0.52\n", string(text))
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".m.csv*"))
	require.NoError(t, err)
	require.Empty(t, left)

	e := fitted(t, "effect", "--data", out, "--treatment", "t", "--outcome", "y", "--weights", "weight", "--sets", "set")
	att := e.get(t, "att", "mean-difference")
	requireNear(t, 1.5, att.Estimate, "att")
	requireNear(t, math.Sqrt(0.5)/2*math.Sqrt(3), att.StdError, "se")
	requireNear(t, 1, att.DF, "df")
	require.Equal(t, map[string]int{"units": 4, "treated": 2, "sets": 2, "clusters": 2}, e.N)
	b := fitted(t, "balance", "--data", out, "--treatment", "t", "--covariates", "s", "--sets", "set")
	require.Contains(t, b.codes(), "weights-from-sets")
	b.detail(t, "balance", &rows)
	require.InDelta(t, 0.655, rows[0]["mean_control_after"], 1e-12)
	require.InDelta(t, rows[0]["ecdf_max_after"], rows[0]["ks_after"], 0)
	// The whole data with the sets' column partly empty is the same effect.
	full := writeTestFile(t, "f.csv", "t,y,w,set\n1,5,1,1\n1,6,1,2\n0,3,1,1\n0,5,1,2\n0,0,0,\n")
	e = fitted(t, "effect", "--data", full, "--treatment", "t", "--outcome", "y", "--weights", "w", "--sets", "set")
	require.Equal(t, att, e.get(t, "att", ""))
	require.Contains(t, e.codes(), "rows-without-weight")
	// A caliper that only one pair keeps changes the estimand and says so.
	a = fitted(t, "match", "--data", path, "--id", "id", "--treatment", "t", "--score", "s", "--caliper-raw", "0.015")
	a.detail(t, "pairs", &pairs)
	require.Equal(t, [][2]string{{"t1", "c1"}}, pairs)
	require.Contains(t, a.codes(), "estimand-changed")
	var width float64
	a.detail(t, "caliper_used_raw", &width)
	require.Equal(t, 0.015, width)
}

const didTable = `u,year,g,y
a,1,2,1
a,2,2,4
b,1,2,2
b,2,2,5
c,1,0,1
c,2,0,2
d,1,0,3
d,2,0,5
`

// The treated gain 3 and 3, the never treated 1 and 2: the effect is 1.5, with influence
// 0, 0 and ±0.5/2 of the comparison units, so an error of √(2·0.25²).
func TestFitDid(t *testing.T) {
	path := writeTestFile(t, "d.csv", didTable)
	base := []string{"did", "--data", path, "--unit", "u", "--time", "year", "--cohort", "g", "--outcome", "y"}
	a := fitted(t, base...)
	e := a.get(t, "group=2,time=2", "mean-difference")
	requireNear(t, 1.5, e.Estimate, "att")
	requireNear(t, math.Sqrt(0.125), e.StdError, "se")
	require.Nil(t, e.DF)
	ref := a.get(t, "group=2,time=1", "")
	require.Nil(t, ref.StdError)
	requireNear(t, 0, ref.Estimate, "base")
	require.Contains(t, a.codes(), "reference-period")
	require.Equal(t, map[string]int{"units": 4, "treated": 2, "clusters": 4}, a.N)
	require.Contains(t, a.Details, "pretest")
	require.Len(t, fitted(t, append(base, "--base", "varying")...).Estimates, 1)
	requireNear(t, 1.5, fitted(t, append(base, "--aggregate", "simple")...).get(t, "overall", "").Estimate, "overall")
	// Empty is never treated too.
	empty := writeTestFile(t, "e.csv", strings.ReplaceAll(didTable, ",0,", ",,"))
	base[2] = empty
	require.Equal(t, a.Estimates, fitted(t, base...).Estimates)
}

// An event at 1 of three people, one censored at 2, an event of the last at 3.
func TestFitKM(t *testing.T) {
	path := writeTestFile(t, "d.csv", "time,e\n1,1\n2,0\n3,1\n")
	a := fitted(t, "km", "--data", path, "--time", "time", "--event", "e")
	require.Len(t, a.Estimates, 2)
	e := a.get(t, "time=1", "survival")
	requireNear(t, 2.0/3, e.Estimate, "S(1)")
	requireNear(t, 2.0/3*math.Sqrt(1.0/6), e.StdError, "Greenwood")
	require.Equal(t, "log", *e.ConfMethod)
	z := a.get(t, "time=3", "")
	requireNear(t, 0, z.Estimate, "S(3)")
	require.Nil(t, z.StdError)
	require.Contains(t, a.codes(), "survival-zero")
	requireNear(t, 2.0/3, fitted(t, "km", "--data", path, "--time", "time", "--event", "e", "--at", "2.5", "--conf", "plain").get(t, "time=2.5", "").Estimate, "S(2.5)")
}

// One of two goes from A to B at 2; both are followed to 4: 3 and 1 units of time. The
// second group stays in A: net months of A over B are won by nobody else.
func TestFitStates(t *testing.T) {
	path := writeTestFile(t, "d.csv", "p,from,to,start,stop,arm\n1,A,B,0,2,0\n1,B,,2,4,0\n2,A,cens,0,4,0\n3,B,,0,4,1\n4,B,,0,4,1\n")
	base := []string{"states", "--data", path, "--id", "p", "--from", "from", "--to", "to", "--start", "start", "--stop", "stop", "--at", "3", "--tau", "4"}
	a := fitted(t, append(base, "--where", "arm == 0")...)
	requireNear(t, 0.5, a.get(t, "time=3,state=B", "occupation-probability").Estimate, "P(B)")
	requireNear(t, 3, a.get(t, "state=A", "restricted-mean-time").Estimate, "time in A")
	var moves []struct {
		From, To string
		Count    int
	}
	a.detail(t, "transitions", &moves)
	require.Len(t, moves, 1)
	require.Equal(t, 1, moves[0].Count)
	a = fitted(t, append(base, "--by", "arm", "--ladder", "A=1,B=2")...)
	requireNear(t, 1, a.get(t, "state=B,group=0", "").Estimate, "time in B of group 0")
	// Group 1 is in B throughout; group 0 in A with probability 1 to 2 and ½ after: 3 won.
	requireNear(t, 3, a.get(t, "net-months", "net-months").Estimate, "net")
	requireNear(t, 3, a.get(t, "win-months", "win-months").Estimate, "won")
	requireNear(t, 0, a.get(t, "loss-months", "loss-months").Estimate, "lost")
	require.Contains(t, a.codes(), "few-persons")
	requireNear(t, -3, fitted(t, append(base, "--by", "arm", "--ladder", "A=2,B=1")...).get(t, "net-months", "").Estimate, "net of the turned ladder")
}

// simulated is a file with every kind of column, in a random order of rows.
func simulated(order *rand.Rand, header, sep string, decimal func(string) string) string {
	r := rand.New(rand.NewPCG(1, 2))
	var rows []string
	for i := range 300 {
		x, g := r.NormFloat64(), []string{"öst", "väst", "å"}[r.IntN(3)]
		treat := 0
		if r.Float64() < 1/(1+math.Exp(1-x)) {
			treat = 1
		}
		y := x + float64(treat) + r.NormFloat64()
		age := 20 + r.IntN(40)
		num := func(v float64) string { return decimal(fmt.Sprintf("%.6f", v)) }
		rows = append(rows, strings.Join([]string{fmt.Sprintf("p%03d", i), fmt.Sprint(treat), num(x), g, num(y), fmt.Sprint(age), fmt.Sprint(i / 6),
			num(math.Round(10*r.ExpFloat64())/10 + 0.1), fmt.Sprint(r.IntN(2)), fmt.Sprint(2000 + i%3), []string{"0", "2001", "2002"}[i/3%3]}, sep))
	}
	if order != nil {
		order.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	}
	return strings.ReplaceAll(header, ",", sep) + "\n" + strings.Join(rows, "\n") + "\n"
}

const simulatedHeader = "id,treat,x,region,y,age,cl,time,event,year,g"

// simulatedRuns are one run of each method on that file; those whose result names units need --id.
var simulatedRuns = [][]string{
	{"describe", "--columns", "x,region,y", "--by", "treat"},
	{"ols", "--outcome", "y", "--covariates", "x,region,treat,age", "--vcov", "cr1", "--cluster", "cl"},
	{"ols", "--outcome", "y", "--covariates", "x", "--absorb", "region,cl", "--weights", "age"},
	{"glm", "--outcome", "treat", "--covariates", "x,region"},
	{"surrogate", "--sample", "event", "--treatment", "treat", "--surrogates", "time,age", "--covariates", "x,region", "--outcome", "y", "--folds", "2"},
	{"ols", "--outcome", "y", "--covariates", "x,treat", "--vcov", "wild", "--cluster", "region"},
	{"ols", "--outcome", "y", "--covariates", "x,treat", "--cluster", "cl,year"},
	{"ols", "--outcome", "y", "--covariates", "x", "--conley", "age,time", "--cutoff", "300"},
	{"glm", "--outcome", "age", "--covariates", "x,region", "--family", "negbin", "--vcov", "cr2", "--cluster", "cl"},
	{"ordinal", "--outcome", "year", "--covariates", "x,region", "--weights", "age"},
	{"clogit", "--outcome", "treat", "--covariates", "x,age", "--sets", "region"},
	{"mixed", "--outcome", "y", "--covariates", "x", "--group", "cl"},
	{"mixed", "--outcome", "treat", "--covariates", "x", "--group", "region", "--family", "binomial"},
	{"gee", "--outcome", "y", "--covariates", "x", "--cluster", "cl", "--correlation", "exchangeable"},
	{"propensity", "--id", "id", "--treatment", "treat", "--covariates", "x,region,age"},
	{"match", "--id", "id", "--treatment", "treat", "--covariates", "x,region,age", "--caliper", "0.3", "--exact", "region"},
	{"match", "--id", "id", "--treatment", "treat", "--covariates", "x,age", "--distance", "mahalanobis", "--replace", "--ratio", "2"},
	{"match", "--id", "id", "--treatment", "treat", "--covariates", "x,age", "--exact", "region", "--method", "cem", "--estimand", "ate"},
	{"match", "--id", "id", "--treatment", "treat", "--covariates", "x,region,age", "--method", "subclass", "--subclasses", "4"},
	{"weight", "--id", "id", "--treatment", "treat", "--covariates", "x,region,age", "--estimand", "ate"},
	{"weight", "--id", "id", "--treatment", "treat", "--covariates", "x,region,age", "--method", "entropy"},
	{"balance", "--treatment", "treat", "--covariates", "x,region,age", "--weights", "age"},
	{"effect", "--treatment", "treat", "--outcome", "y", "--method", "regression", "--covariates", "x,region", "--cluster", "cl"},
	{"km", "--time", "time", "--event", "event", "--by", "region", "--weights", "age"},
	{"logrank", "--time", "time", "--event", "event", "--by", "region", "--strata", "treat,cl", "--rho", "1"},
	{"rmst", "--time", "time", "--event", "event", "--by", "region", "--weights", "age", "--cluster", "cl"},
	{"cif", "--time", "time", "--event", "g", "--by", "region", "--at", "1,2"},
	{"cox", "--time", "time", "--event", "event", "--covariates", "x,region", "--strata", "treat", "--weights", "age", "--cluster", "cl"},
	{"did", "--panel=false", "--time", "year", "--cohort", "g", "--outcome", "y", "--covariates", "x", "--aggregate", "dynamic"},
}

func jsonOf(t *testing.T, path string, args []string, more ...string) string {
	t.Helper()
	code, out, errOut := runFit(t, append(append(append([]string{}, args...), "--data", path, "--format", "json"), more...)...)
	require.Equal(t, exitOK, code, "%v: %s", args, errOut)
	return out
}

// The order of the rows and the number of workers change no byte; the dialect of the
// file only what is said about it.
func TestFitIsInvariant(t *testing.T) {
	plainly := func(s string) string { return s }
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name, "data.csv")
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	base := write("base", simulated(nil, simulatedHeader, ",", plainly))
	shuffled := write("shuffled", simulated(rand.New(rand.NewPCG(3, 4)), simulatedHeader, ",", plainly))
	latin := []byte{}
	for _, r := range simulated(nil, simulatedHeader, ";", func(s string) string { return strings.ReplaceAll(s, ".", ",") }) {
		latin = append(latin, byte(r))
	}
	swedish := write("swedish", string(latin))
	for _, args := range simulatedRuns {
		t.Run(strings.Join(args[:2], " "), func(t *testing.T) {
			want := jsonOf(t, base, args, "--workers", "1")
			require.Equal(t, want, jsonOf(t, base, args, "--workers", "8"))
			require.Equal(t, want, jsonOf(t, shuffled, args))
			cut := func(s string) string {
				from := strings.Index(s, `{"code":"data-read"`)
				return s[:from] + s[from+strings.Index(s[from:], "}}"):]
			}
			sv := jsonOf(t, swedish, args)
			require.Contains(t, sv, "windows-1252")
			require.Equal(t, cut(want), cut(sv))
		})
	}
}
