package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each wrong command line says every problem, with exit code 2, and prints no result.
func TestFitUsage(t *testing.T) {
	path := writeTestFile(t, "d.csv", treatedTable)
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"nope", "--data", path}, []string{`no method "nope"`, "describe, ols"}},
		{[]string{"--data", path}, []string{"needs a METHOD"}},
		{[]string{"honest-did", "--data", path}, []string{"fit honest-did does not use --data", "--betas is needed", "--pre is needed"}},
		{[]string{"ols", "--bogus", "1", "--vcov", "hc9", "--level", "2", "--family", "x", "stray", "-z", "--format", "xml"},
			[]string{"--bogus", "hc9", "--level", "--family, which belongs to glm", `"stray"`, "-z", "xml", "--data is needed", "--outcome is needed"}},
		{[]string{"ols", "--data", path, "--outcome", "t", "--covariates", "x,x"}, []string{`"x" twice`}},
		{[]string{"ols", "--data", path, "--outcome", "t", "--covariates", "t"}, []string{`"t" is named by --outcome and by --covariates`}},
		{[]string{"ols", "--data", path, "--outcome", "t", "--vcov", "wild"}, []string{"wild needs --cluster"}},
		{[]string{"ols", "--data", path, "--outcome", "t", "--vcov", "cr1"}, []string{"needs --cluster"}},
		{[]string{"ols", "--data", path, "--outcome", "t", "--vcov", "hc1", "--cluster", "x"}, []string{"does not use --cluster"}},
		{[]string{"ols", "--data", path, "--outcome", "t", "--outcome", "x"}, []string{"given twice"}},
		{[]string{"ols", "--data", path, "--outcome"}, []string{"--outcome needs a value"}},
		{[]string{"ols", "--data", path, "--outcome", "t", "--where", "x >"}, []string{"--where"}},
		{[]string{"ols", "--data", path, "--outcome", "t", "--where", "zzz > 1"}, []string{"--where", "zzz"}},
		{[]string{"ols", "--data", path, "--outcome", "t", "--separator", "%%"}, []string{"separator"}},
		{[]string{"ols", "--data", path, "--outcome", "t", "--workers", "-1"}, []string{"--workers"}},
		{[]string{"glm", "--data", path, "--outcome", "t", "--covariates", "x", "--family", "poisson", "--vcov", "wild", "--link", "probit", "--trials", "x"}, []string{`"wild" is not one of`, `"probit" does not go with --family poisson`, "--trials goes with"}},
		{[]string{"propensity", "--data", path, "--treatment", "t", "--covariates", "x", "--link", "log"}, []string{`"log"`}},
		{[]string{"match", "--data", path, "--treatment", "t", "--covariates", "x", "--method", "optimal", "--ratio", "0", "--caliper", "-1", "--subclasses", "4", "--estimand", "ate"},
			[]string{"optimal does not use --subclasses", "--ratio", "caliper", "--subclasses", "ate"}},
		{[]string{"match", "--data", path, "--treatment", "t", "--covariates", "x", "--ratio", "two"}, []string{"--ratio", "whole number"}},
		{[]string{"match", "--data", path, "--treatment", "t", "--covariates", "x", "--caliper-on", "x"}, []string{"COLUMN=NUMBER"}},
		{[]string{"match", "--data", path, "--treatment", "t", "--covariates", "x", "--distance", "mahalanobis", "--caliper", "0.2"}, []string{"caliper-score"}},
		{[]string{"effect", "--data", path, "--treatment", "t", "--outcome", "x", "--method", "ipw", "--folds", "3"}, []string{"ipw does not use --folds", "ipw needs --covariates"}},
		{[]string{"effect", "--data", path, "--treatment", "t", "--outcome", "x", "--covariates", "race"}, []string{"does not use --covariates"}},
		{[]string{"effect", "--data", path, "--treatment", "t", "--outcome", "x", "--method", "regression"}, []string{"needs --covariates"}},
		{[]string{"did", "--data", path, "--unit", "id", "--time", "x", "--cohort", "t", "--outcome", "race", "--control", "all", "--replicates", "9", "--balance-event", "1", "--anticipation", "-1"},
			[]string{"--control", "--replicates", "--balance-event", "--anticipation"}},
		{[]string{"did", "--data", path, "--time", "x", "--cohort", "t", "--outcome", "race"}, []string{"--unit is needed"}},
		{[]string{"km", "--data", path, "--time", "x", "--event", "t", "--at", "3,a,-1,3", "--conf", "cube"}, []string{`"a"`, "below 0", "twice", "cube"}},
		{[]string{"states", "--data", path, "--id", "id", "--from", "race", "--to", "race", "--start", "x", "--stop", "t", "--ladder", "a", "--tau", "-1"},
			[]string{"STATE=STEP", "--by", "--tau", `"race" is named`}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			code, out, errOut := runFit(t, c.args...)
			require.Equal(t, exitUsage, code, errOut)
			require.Empty(t, out)
			for _, s := range c.says {
				require.Contains(t, errOut, s)
			}
		})
	}
}

// Each bad file gives one clear message with its place, exit code 3, and no result.
func TestFitBadInput(t *testing.T) {
	treated := strings.ReplaceAll(treatedTable, ",0,", ",1,")
	none := strings.ReplaceAll(treatedTable, ",1,", ",0,")
	ols := []string{"ols", "--outcome", "y", "--covariates", "x"}
	match := []string{"match", "--id", "id", "--treatment", "t", "--covariates", "x"}
	did := []string{"did", "--unit", "u", "--time", "year", "--cohort", "g", "--outcome", "y"}
	states := []string{"states", "--id", "p", "--from", "from", "--to", "to", "--start", "start", "--stop", "stop"}
	for _, c := range []struct {
		name, file string
		args       []string
		says       []string
	}{
		{"no file", "", ols, []string{"d.csv"}},
		{"empty file", "\n", ols, []string{"d.csv"}},
		{"header only", "x,y\n", ols, []string{"d.csv"}},
		{"missing columns", "x,z\n1,2\n", append(ols, "--cluster", "k"), []string{`"y"`, `"k"`, "d.csv:1"}},
		{"missing column with where", "x,z\n1,2\n", append(ols, "--where", "x > 0"), []string{`"y"`, "d.csv:1"}},
		{"ragged row", "x,y\n1,2\n3\n4,5\n", ols, []string{"d.csv:3"}},
		{"header twice", "x,y\n1,2\nx,y\n3,4\n", ols, []string{"d.csv:3", "header"}},
		{"column name twice", "x,y,y\n1,2,3\n4,5,6\n", ols, []string{"d.csv:1", `"y"`}},
		{"text outcome", "x,y\n1,2\n3,many\n4,5\n", ols, []string{"d.csv:3", `"y"`, "number"}},
		{"outcome all missing", "x,y\n1,\n3,\n4,NA\n", ols, []string{"d.csv", `"y"`, "--outcome"}},
		{"no complete row", "x,y\n1,\n,3\n", ols, []string{"d.csv", "none of the 2 rows"}},
		{"nothing kept", "x,y\n1,2\n2,3\n", append(ols, "--where", "x > 9"), []string{"none of the 2 rows"}},
		{"constant", "x,y\n1,2\n1,3\n1,4\n1,7\n", append(ols, "--no-intercept", "--where", "x < 1"), []string{"none"}},
		{"bytes that are not UTF-8", "x,y\n1,2\n3,\xff\xfe\n", append(ols, "--encoding", "utf-8"), []string{"d.csv:3"}},
		{"id twice", "id,x,y\n1,1,2\n1,2,3\n2,5,4\n", append(ols, "--id", "id"), []string{"d.csv:3", `"id"`, "line 2"}},
		{"no treated", none, match, []string{"no treated", "t"}},
		{"no controls", treated, match, []string{"no comparison", "t"}},
		{"treatment of three values", strings.Replace(treatedTable, "4,0,1", "4,2,1", 1), match, []string{"d.csv:5", `"t"`, "0 and 1"}},
		{"no common support", "id,t,x,r\n1,1,1,a\n2,1,2,a\n3,0,1,b\n4,0,2,b\n5,0,3,b\n", append(match, "--exact", "r"), []string{"no common support", "r"}},
		{"nobody within the caliper", "id,t,x,s\n1,1,1,0.9\n2,1,2,0.8\n3,0,1,0.1\n4,0,2,0.2\n", append(match, "--score", "s", "--caliper-raw", "0.1"), []string{"no common support", "caliper"}},
		{"separation", "id,t,x\n1,1,5\n2,1,6\n3,0,1\n4,0,2\n", match, []string{"separated", `"x"`}},
		{"collinear", "id,t,x,w\n1,1,5,10\n2,0,6,12\n3,0,1,2\n4,1,2,4\n5,0,3,6\n", append(match, "--covariates", "w"), []string{`"w"`, "linear combination"}},
		{"one-valued outcome", "t,x\n1,5\n1,6\n1,1\n", []string{"glm", "--outcome", "t", "--covariates", "x"}, []string{"one value only"}},
		{"person-time twice", didTable + "b,2,2,7\n", did, []string{"d.csv:", "unit"}},
		{"cohort as text", strings.ReplaceAll(didTable, ",0,", ",never,"), did, []string{"d.csv:6", `"g"`, "never treated"}},
		{"cohort coded in two ways", strings.Replace(didTable, "c,1,0,", "c,1,,", 1), did, []string{"d.csv:7", `"g"`, "two ways", "line 6"}},
		{"cohort that changes", strings.Replace(didTable, "a,1,2,", "a,1,1,", 1), did, []string{"d.csv:"}},
		{"period with decimals", strings.Replace(didTable, "a,1,2,", "a,1.5,2,", 1), did, []string{"d.csv:2", `"year"`, "whole"}},
		{"nobody treated", strings.ReplaceAll(didTable, ",2,2,", ",2,0,"), did, []string{"d.csv"}},
		{"event of two kinds", "time,e\n1,1\n2,2\n", []string{"km", "--time", "time", "--event", "e"}, []string{"d.csv:3", `"e"`}},
		{"negative time", "time,e\n1,1\n-2,1\n", []string{"km", "--time", "time", "--event", "e"}, []string{"d.csv:3"}},
		{"overlapping spells", "p,from,to,start,stop\n1,A,B,0,3\n1,B,,2,4\n", states, []string{"d.csv:3", "overlap"}},
		{"gap between spells", "p,from,to,start,stop\n1,A,B,0,1\n1,B,,2,4\n", states, []string{"d.csv:3"}},
		{"group that changes", "p,from,to,start,stop,g\n1,A,B,0,2,x\n1,B,,2,4,y\n", append(states, "--by", "g"), []string{"d.csv:3"}},
		{"ladder without a state", "p,from,to,start,stop,g\n1,A,B,0,2,x\n1,B,,2,4,x\n2,A,,0,4,y\n", append(states, "--by", "g", "--ladder", "A=1"), []string{"d.csv:3", `"from"`, "STATE=STEP", "it has one for A"}},
		{"ladder without a state that nobody is seen in again", "p,from,to,start,stop,g\n1,A,,0,4,x\n2,A,,0,4,y\n3,A,B,0,4,y\n", append(states, "--by", "g", "--ladder", "A=1"), []string{"d.csv:4", `"to"`, "STATE=STEP"}},
		{"spell without a start", "p,from,to,start,stop\n1,A,B,0,2\n1,B,,,4\n2,A,,0,3\n", states, []string{"d.csv:3", `"start"`, "no value"}},
		{"first spell without a state", "p,from,to,start,stop\n1,,B,0,2\n1,B,,2,4\n2,A,,0,3\n", states, []string{"d.csv:2", `"from"`, "no value"}},
		{"end of observation as a state", "p,from,to,start,stop\n1,A,B,0,2\n2,cens,A,0,2\n", states, []string{"d.csv:3", `"from"`, "end of observation"}},
		{"text with a decimal comma", "x;y\n1,5;2\n2,5;3\n3,5;4\nmany;5\n", []string{"ols", "--outcome", "x", "--covariates", "y"}, []string{"d.csv:5", `"x"`, "text where a number is needed"}},
		{"infinite", "x,y\n1,2\nInf,3\n3,4\n", []string{"ols", "--outcome", "x", "--covariates", "y"}, []string{"d.csv:3", `"x"`, "not a finite number"}},
		{"score in words beside scores not given", "p,v,t,y\na,1,0,2\na,2,0,\nb,1,1,many\nb,2,1,3\n", []string{"follow-up", "--id", "p", "--visit", "v", "--treatment", "t", "--outcome", "y"}, []string{"d.csv:4", `"y"`, "text where a number is needed"}},
		{"long-term outcome in words", "g,w,s,x,y\n0,1,2,1,\n0,0,2,1,\n1,,2,1,2.5\n1,,1,3,some\n", []string{"surrogate", "--sample", "g", "--treatment", "w", "--surrogates", "s", "--covariates", "x", "--outcome", "y"}, []string{"d.csv:5", `"y"`, "text where a number is needed"}},
		{"answer in words beside missing answers", "a,b,c\n1,2,1\n,1,2\nmany,2,2\n1,1,1\n", []string{"grm", "--items", "a,b,c"}, []string{"d.csv:4", `"a"`, "text where a number is needed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "d.csv")
			if c.file != "" {
				require.NoError(t, os.WriteFile(path, []byte(c.file), 0o600))
			}
			args := append([]string{c.args[0], "--data", path}, c.args[1:]...)
			if c.args[0] == "match" {
				args = append(args, "--out", filepath.Join(dir, "out.csv"))
			}
			code, out, errOut := runFit(t, args...)
			require.Equal(t, exitInput, code, errOut)
			require.Empty(t, out)
			for _, s := range c.says {
				require.Contains(t, errOut, s)
			}
			require.NotContains(t, errOut, "\n\n")
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.LessOrEqual(t, len(entries), 1, "something was half-written")
		})
	}
}

// --help of every method shows an example that the method itself would accept.
func TestFitHelp(t *testing.T) {
	for _, e := range fitMethods() {
		code, out, errOut := runFit(t, e.name, "--help")
		require.Equal(t, exitOK, code, errOut)
		require.Contains(t, out, e.example)
		require.Regexp(t, "^utfall fit "+e.name+" --(data|betas) ", e.example)
		args := strings.Fields(strings.TrimPrefix(e.example, "utfall fit "))
		code, _, errOut = runFit(t, args...)
		require.Equal(t, exitInput, code, "%s: the file is what is missing: %s", e.example, errOut)
	}
	code, out, _ := runFit(t, "--help")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "Built: describe, ols")
}

// CSV and text hold what JSON holds; notes never get lost.
func TestFitFormats(t *testing.T) {
	path := writeTestFile(t, "d.csv", "x,y\n0,1\n1,2\n2,2\n3,4\n4,\n")
	args := []string{"ols", "--data", path, "--outcome", "y", "--covariates", "x"}
	code, out, errOut := runFit(t, append(args, "--format", "csv")...)
	require.Equal(t, exitOK, code)
	lines := strings.Split(out, "\n")
	require.Equal(t, strings.Join(estimateHeader, ","), lines[0])
	require.True(t, strings.HasPrefix(lines[2], "x,coefficient,0.9,0.26457513110645"), lines[2])
	require.Contains(t, errOut, "separator comma")
	require.Contains(t, errOut, "1 of 5 rows are left out")
	code, out, errOut = runFit(t, args...)
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "note: 1 of 5 rows are left out")
	require.Contains(t, errOut, "separator comma")
	require.NotContains(t, out, "NaN")
	_, _, errOut = runFit(t, append(args, "--quiet")...)
	require.Empty(t, errOut)
	code, out, _ = runFit(t, "describe", "--data", path, "--format", "csv")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "x,mean,2,")
}

// Where nothing varied there is no interval of no width, which would claim to be certain.
func TestFitWithoutVariationIsNotCertain(t *testing.T) {
	path := writeTestFile(t, "s.csv", "t,y\n0,0\n0,0\n0,0\n1,1\n1,1\n1,1\n")
	a := fitted(t, "effect", "--data", path, "--treatment", "t", "--outcome", "y", "--method", "difference")
	e := a.get(t, "att", "")
	require.InDelta(t, 1, *e.Estimate, 1e-12)
	require.Nil(t, e.ConfLow)
	require.Nil(t, e.ConfHigh)
	codes := ""
	for _, n := range a.Notes {
		codes += n.Code + " "
	}
	require.Contains(t, codes, "no-variation")

	path = writeTestFile(t, "k.csv", "time,event\n2,1\n3,0\n4,1\n")
	one := fitted(t, "km", "--data", path, "--time", "time", "--event", "event", "--at", "1").get(t, "time=1", "")
	require.Equal(t, 1.0, *one.ConfLow)
	require.Equal(t, 1.0, *one.ConfHigh)
}
