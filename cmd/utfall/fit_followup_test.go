package main

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// followUpRows are 8 people in one visit of estimate/progress's test by hand: effects 3 at random, 2.25 by reference and 4 with a shift of 4.
const followUpRows = `id,visit,arm,x,y
a,12,0,0,0
b,12,0,0,2
c,12,0,2,4
d,12,0,2,6
e,12,1,0,3
f,12,1,0,5
g,12,1,2,8
h,12,1,2,
`

func TestFitFollowUpByHand(t *testing.T) {
	path := writeTestFile(t, "v.csv", followUpRows)
	args := []string{"follow-up", "--data", path, "--id", "id", "--visit", "visit", "--treatment", "arm", "--outcome", "y", "--covariates", "x", "--min-per-arm", "2"}
	a := fitted(t, append(args, "--delta", "4,4:0.5")...)
	requireNear(t, 3, a.get(t, "visit=12,strategy=mar", "mean-difference").Estimate, "mar")
	requireNear(t, 3, a.get(t, "visit=12,model", "mean-difference").Estimate, "model")
	requireNear(t, 2.25, a.get(t, "visit=12,strategy=jump-to-reference", "").Estimate, "jump")
	requireNear(t, 3, a.get(t, "visit=12,strategy=last-mean-carried-forward", "").Estimate, "nothing to carry")
	requireNear(t, 4, a.get(t, "visit=12,delta=4", "").Estimate, "shift")
	requireNear(t, 4, a.get(t, "visit=12,delta=4:0.5", "").Estimate, "of comparison people nobody is missing")
	require.Equal(t, map[string]int{"units": 8, "treated": 4}, a.N)
	require.Subset(t, a.codes(), []string{"few-persons", "no-mean-to-carry"})
	for _, key := range []string{"missing", "from_event", "jackknife_groups", "repeated_std_error", "tipping", "covariance", "visits", "vcov"} {
		require.Contains(t, a.Details, key)
	}
	// A row that is not there is a visit missed; arms by name.
	named := strings.NewReplacer("h,12,1,2,\n", "", ",0,0,0\n", ",usual,0,0\n", ",0,0,2\n", ",usual,0,2\n", ",0,2,4\n", ",usual,2,4\n", ",0,2,6\n", ",usual,2,6\n", ",1,0,3\n", ",joint,0,3\n", ",1,0,5\n", ",joint,0,5\n", ",1,2,8\n", ",joint,2,8\nh,11,joint,2,\n").Replace(followUpRows)
	b := fitted(t, "follow-up", "--data", writeTestFile(t, "n.csv", named), "--id", "id", "--visit", "visit", "--treatment", "arm", "--reference", "usual", "--outcome", "y", "--covariates", "x", "--min-per-arm", "1", "--where", "visit == 12")
	requireNear(t, 3, b.get(t, "visit=12,strategy=jump-to-reference", "").Estimate, "without the person that is not there")

	// Before and after, a regression an arm.
	wide := writeTestFile(t, "w.csv", strings.ReplaceAll(followUpRows, "visit", "before_visit"))
	w := fitted(t, "follow-up", "--data", wide, "--treatment", "arm", "--before", "x", "--outcome", "y", "--mic", "2", "--min-per-arm", "2", "--delta", "4")
	requireNear(t, 3, w.get(t, "mar", "mean-difference").Estimate, "mar")
	requireNear(t, 2.25, w.get(t, "jump-to-reference", "").Estimate, "jump")
	requireNear(t, 4, w.get(t, "delta=4", "").Estimate, "shift")
	require.NotNil(t, w.get(t, "tipping", "important-changes").Estimate)
	requireNear(t, .75, w.get(t, "response,group=1", "response-rate").Estimate, "answers")
}

// longVisits are 80 people at three visits with gaps and drop-out.
func longVisits() string {
	var b strings.Builder
	b.WriteString("id,month,arm,x,w,place,event,y\n")
	u := func(i, j int) float64 {
		v := math.Sin(float64(12*i+78*j+3)) * 43758.5453
		return v - math.Floor(v)
	}
	for i := range 80 {
		lost, trait := 1+int(u(i, 9)*6), 4*(u(i, 0)+u(i, 1)+u(i, 2))
		event := ""
		if lost <= 3 {
			event = fmt.Sprint(6 * max(lost-1, 1))
		}
		for k := 1; k <= 3; k++ {
			y := fmt.Sprintf("%.3f", trait+float64(k*(i%2))+3*u(i, 2+k)*float64(1+i%2))
			if k >= lost || u(i, 20+k) < .1 {
				y = ""
			}
			fmt.Fprintf(&b, "p%02d,%d,%d,%.3f,%.2f,%d,%s,%s\n", i, 6*k, i%2, trait+u(i, 8), 1+u(i, 30), i/4, event, y)
		}
	}
	return b.String()
}

func TestFitFollowUpOptionsMatter(t *testing.T) {
	path := writeTestFile(t, "v.csv", longVisits())
	args := []string{"follow-up", "--data", path, "--id", "id", "--visit", "month", "--treatment", "arm", "--outcome", "y", "--covariates", "x", "--min-per-arm", "5"}
	base := fitted(t, args...)
	const jump, tip = "visit=18,strategy=jump-to-reference", "visit=18,tipping"
	was := base.get(t, jump, "")
	for _, more := range [][]string{{"--covariance", "by-arm"}, {"--likelihood", "ml"}, {"--event", "event"}, {"--weights", "w"}, {"--where", "x > 3"}} {
		e := fitted(t, append(args, more...)...).get(t, jump, "")
		require.NotEqual(t, *was.Estimate, *e.Estimate, more)
	}
	require.Less(t, *fitted(t, append(args, "--errors", "jackknife")...).get(t, jump, "").StdError, *was.StdError)
	require.NotEqual(t, *was.StdError, *fitted(t, append(args, "--cluster", "place")...).get(t, jump, "").StdError)
	require.NotEqual(t, *was.Estimate, *fitted(t, slicesReplace(args, "x", "w")...).get(t, jump, "").Estimate)
	require.NotEqual(t, *base.get(t, tip, "shift").Estimate, *fitted(t, append(args, "--tipping", "held")...).get(t, tip, "shift").Estimate)
	requireNear(t, *base.get(t, tip, "shift").Estimate/.5, fitted(t, append(args, "--mic", ".5")...).get(t, tip, "important-changes").Estimate, "in important changes")
	few := fitted(t, append(args, "--strategy", "cir,jr")...)
	require.Len(t, few.Estimates, 3*5) // model, mar, jump, increments, tipping
	back := fitted(t, append(args, "--visits", "18,12,6")...)
	require.Equal(t, "visit=18,model", back.Estimates[0].Term)
	weighted := fitted(t, append(args, "--weights", "w")...)
	require.Contains(t, weighted.codes(), "weights-fixed")
	require.Equal(t, "visit=6,strategy=mar", weighted.Estimates[0].Term, "a model of weighted people has no error of its own")

	// The order of the rows and the number of workers change nothing.
	rows := strings.Split(strings.TrimSpace(longVisits()), "\n")
	for i, j := 1, len(rows)-1; i < j; i, j = i+1, j-1 {
		rows[i], rows[j] = rows[j], rows[i]
	}
	turned := writeTestFile(t, "t.csv", strings.Join(rows, "\n")+"\n")
	again := fitted(t, append(append(slicesReplace(args, path, turned), "--workers"), "1")...)
	require.Equal(t, base.Estimates, again.Estimates)
}

func slicesReplace(list []string, old, by string) (out []string) {
	for _, s := range list {
		if s == old {
			s = by
		}
		out = append(out, s)
	}
	return out
}

func TestFitFollowUpBadInput(t *testing.T) {
	path := writeTestFile(t, "v.csv", followUpRows)
	base := []string{"follow-up", "--data", path, "--treatment", "arm", "--outcome", "y"}
	for _, c := range []struct {
		args []string
		says string
	}{
		{nil, "--visit is needed"},
		{[]string{"--visit", "visit"}, "--visit needs --id"},
		{[]string{"--visit", "visit", "--id", "id", "--before", "x"}, "--before goes without --visit"},
		{[]string{"--before", "x", "--strategy", "jr"}, "--strategy goes with --visit"},
		{[]string{"--before", "x"}, "--mic is needed"},
		{[]string{"--before", "x", "--mic", "0"}, "above 0"},
		{[]string{"--before", "x", "--mic", "1", "--delta", "1:2"}, "goes with --visit"},
		{[]string{"--visit", "visit", "--id", "id", "--strategy", "locf"}, "is not one of mar, jr, cr, cir, lmcf"},
		{[]string{"--visit", "visit", "--id", "id", "--strategy", "jr,jr"}, "twice"},
		{[]string{"--visit", "visit", "--id", "id", "--delta", "a"}, "is not a number"},
		{[]string{"--visit", "visit", "--id", "id", "--delta", "1,1"}, "twice"},
		{[]string{"--visit", "visit", "--id", "id", "--errors", "bootstrap"}, "--errors"},
		{[]string{"--visit", "visit", "--id", "id", "--tipping", "x"}, "--tipping"},
		{[]string{"--visit", "visit", "--id", "id", "--covariance", "ar1"}, "--covariance"},
		{[]string{"--visit", "visit", "--id", "id", "--likelihood", "x"}, "--likelihood"},
		{[]string{"--visit", "visit", "--id", "id", "--visits", "1,1"}, "--visits names"},
		{[]string{"--visit", "visit", "--id", "id", "--min-per-arm", "0"}, "--min-per-arm"},
		{[]string{"--visit", "visit", "--id", "id", "--reference", "usual"}, "must be one of two values"},
		{[]string{"--visit", "visit", "--id", "id", "--weights", "x", "--weight-kind", "frequency"}, "one person a row"},
	} {
		code, out, errOut := runFit(t, append(base, c.args...)...)
		require.Equal(t, exitUsage, code, "%v %s", c.args, errOut)
		require.Empty(t, out)
		require.Contains(t, errOut, c.says)
	}
	words := writeTestFile(t, "words.csv", strings.ReplaceAll(followUpRows, ",12,", ",later,"))
	code, _, errOut := runFit(t, "follow-up", "--data", words, "--treatment", "arm", "--outcome", "y", "--id", "id", "--visit", "visit")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "--visits first,…,last is needed")

	long := []string{"--id", "id", "--visit", "visit", "--treatment", "arm", "--outcome", "y", "--covariates", "x", "--min-per-arm", "2"}
	for _, c := range []struct{ data, more, says string }{
		{followUpRows + "h,12,1,2,3\n", "", "two rows at this visit"},
		{followUpRows + "h,18,1,,3\n", "", "the row has no value"},
		{followUpRows + "h,18,0,2,3\n", "", "in the other arm in line"},
		{followUpRows + "h,18,1,3,3\n", "", "other covariates in line"},
		{strings.Replace(strings.ReplaceAll(followUpRows, "\n", ",\n"), "y,\n", "y,e\n", 1) + "h,18,1,2,3,12\n", "e", "another event in line"},
		{"id,visit,arm,x,y,e\na,12,1,1,2,13\n", "e", "an event at what is no visit"},
		{followUpRows, "", "at least 15 are needed"},
	} {
		args := append([]string{"follow-up", "--data", writeTestFile(t, "b.csv", c.data)}, long...)
		if c.more != "" {
			args = append(args, "--event", c.more)
		}
		if strings.Contains(c.says, "15") {
			args = args[:len(args)-2]
		}
		code, out, errOut := runFit(t, args...)
		require.Equal(t, exitInput, code, errOut)
		require.Empty(t, out)
		require.Contains(t, errOut, c.says)
	}
}
