package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// stagePanel is 40 units over 8 periods, a quarter each entering in 5, 6 and 7; effects grow and differ by cohort.
func stagePanel() string {
	var b strings.Builder
	b.WriteString("unit,time,g,y\n")
	for u := range 40 {
		g := []int{0, 5, 6, 7}[u%4]
		for t := 1; t <= 8; t++ {
			y := float64(u%7) + 0.3*float64(t) + float64((u*31+t*17+u*t*7)%23)/10
			if g > 0 && t >= g {
				y += 4 + float64(t-g)*float64(g)/5
			}
			fmt.Fprintf(&b, "u%02d,%d,%d,%.3f\n", u, t, g, y)
		}
	}
	return b.String()
}

// piped runs a method on the answer of another one.
func piped(t *testing.T, answer string, args ...string) (int, string, string) {
	t.Helper()
	var o, e bytes.Buffer
	code := run(t.Context(), append([]string{"fit", "honest-did"}, args...), strings.NewReader(answer), &o, &e)
	return code, o.String(), e.String()
}

func pipedAnswer(t *testing.T, answer string, args ...string) *fitAnswer {
	t.Helper()
	code, out, errOut := piped(t, answer, append(args, "--format", "json")...)
	require.Equal(t, exitOK, code, errOut)
	var a fitAnswer
	require.NoError(t, json.Unmarshal([]byte(out), &a))
	return &a
}

// The pipe gives what the files made of the same answer give, for an event and for the overall effect of each aggregation.
func TestFitHonestFromPipe(t *testing.T) {
	path := writeTestFile(t, "d.csv", stagePanel())
	did := func(more ...string) string {
		code, out, errOut := runFit(t, append([]string{"did", "--data", path, "--unit", "unit", "--time", "time", "--cohort", "g", "--outcome", "y", "--format", "json"}, more...)...)
		require.Equal(t, exitOK, code, errOut)
		return out
	}
	answer := did("--aggregate", "dynamic")
	var a fitAnswer
	require.NoError(t, json.Unmarshal([]byte(answer), &a))
	var c curveJSON
	a.detail(t, "event_curve", &c)
	require.Equal(t, -1, c.Reference)
	require.Equal(t, []int{-6, -5, -4, -3, -2, 0, 1, 2, 3}, c.Events)
	n := len(c.Events)
	betas, cov, header := "term,estimate\n", "", []string{}
	for i, e := range c.Events {
		betas += fmt.Sprintf("event=%d,%v\n", e, c.Estimates[i])
		header = append(header, fmt.Sprintf("event=%d", e))
		cov += strings.Trim(strings.ReplaceAll(fmt.Sprint(c.Covariance[i][:n]), " ", ","), "[]") + "\n"
		require.InDelta(t, *a.get(t, header[i], "").Estimate, c.Estimates[i], 1e-12)
	}
	files := []string{"honest-did", "--betas", writeTestFile(t, "b.csv", betas), "--covariance", writeTestFile(t, "c.csv", strings.Join(header, ",")+"\n"+cov), "--pre", "5"}
	for _, more := range [][]string{{"--type", "smoothness", "--m", "0,0.1"}, {"--type", "relative", "--m", "0.5"}} {
		want := fitted(t, append(files, more...)...)
		got := pipedAnswer(t, answer, more...)
		require.Equal(t, want.Estimates, got.Estimates)
		require.Equal(t, want.Details["breakdown"], got.Details["breakdown"])
		require.JSONEq(t, string(want.Details["pretest"]), string(got.Details["pretest"]))
		even := fitted(t, append(append(files, "--weights", "0.25,0.25,0.25,0.25"), more...)...)
		overall := pipedAnswer(t, answer, append(more, "--target", "overall")...)
		for i, e := range even.Estimates {
			require.InDelta(t, *e.ConfLow, *overall.Estimates[i].ConfLow, 1e-6)
			require.InDelta(t, *e.ConfHigh, *overall.Estimates[i].ConfHigh, 1e-6)
		}
		require.Equal(t, pipedAnswer(t, answer, append(more, "--target", "2")...).Estimates, pipedAnswer(t, answer, append(more, "--target", "event=2")...).Estimates)
		require.Equal(t, pipedAnswer(t, answer, append(more, "--weights", "0,0,1,0")...).Estimates, pipedAnswer(t, answer, append(more, "--target", "2")...).Estimates)
	}
	for _, kind := range []string{"simple", "group", "calendar"} {
		out := did("--aggregate", kind)
		require.NoError(t, json.Unmarshal([]byte(out), &a))
		var original map[string]float64
		pipedAnswer(t, out, "--type", "smoothness", "--m", "0", "--target", "overall").detail(t, "original", &original)
		e := a.get(t, "overall", "")
		require.InDelta(t, *e.Estimate, original["estimate"], 1e-9, kind)
		require.InDelta(t, *e.StdError, original["std_error"], 1e-9, kind)
	}
	for estimator, overall := range map[string]bool{"sun-abraham": true, "stacked": true, "lpdid": true, "twfe": false} {
		code, out, errOut := runFit(t, eventArgs(path, estimator, "--format", "json")...)
		require.Equal(t, exitOK, code, errOut)
		pipedAnswer(t, out, "--type", "smoothness", "--m", "0.1")
		code, _, errOut = piped(t, out, "--type", "smoothness", "--m", "0.1", "--target", "overall")
		if overall {
			require.Equal(t, exitOK, code, errOut)
		} else {
			require.Equal(t, exitUsage, code)
			require.Contains(t, errOut, "no mean of the effects by event")
		}
	}
	// Anticipation lies after the reference event, and is no target by itself unless it is named.
	out := did("--aggregate", "dynamic", "--anticipation", "1")
	var name string
	pipedAnswer(t, out, "--type", "smoothness", "--m", "0").detail(t, "target_term", &name)
	require.Equal(t, "event=0", name)
	pipedAnswer(t, out, "--type", "smoothness", "--m", "0", "--target", "-1").detail(t, "target_term", &name)
	require.Equal(t, "event=-1", name)
}

// What the test before treatment could find is said beside every answer, and no answer says that it was passed.
func TestFitHonestPreTestPower(t *testing.T) {
	betas, covariance := honestFiles(t)
	a := fitted(t, "honest-did", "--betas", betas, "--covariance", covariance, "--pre", "2", "--type", "smoothness", "--m", "0", "--slope", "0.4,2")
	var p struct {
		Statistic float64 `json:"statistic"`
		DF        float64 `json:"df"`
		Trends    []struct {
			Test            string  `json:"test"`
			Slope           float64 `json:"slope"`
			Power           float64 `json:"power"`
			Bias            float64 `json:"bias"`
			BiasNotRejected float64 `json:"bias_not_rejected"`
		} `json:"trends"`
	}
	a.detail(t, "pretest", &p)
	require.InDelta(t, 101, p.Statistic, 1e-9)
	require.Equal(t, 2.0, p.DF)
	require.Len(t, p.Trends, 8)
	require.InDelta(t, 0.5, p.Trends[0].Power, 1e-6)
	require.InDelta(t, 0.4, p.Trends[2].Bias, 1e-12) // one period after the reference
	require.Greater(t, p.Trends[3].Power, p.Trends[2].Power)
	code, out, _ := runFit(t, "honest-did", "--betas", betas, "--covariance", covariance, "--pre", "2", "--type", "relative", "--m", "1")
	require.Equal(t, exitOK, code)
	require.NotContains(t, strings.ToLower(out), "passed")
	require.Contains(t, out, "bias when not rejected")
}

func TestFitHonestPipeRefuses(t *testing.T) {
	path := writeTestFile(t, "d.csv", stagePanel())
	args := []string{"--type", "relative", "--m", "1"}
	say := func(want int, text, answer string, more ...string) {
		t.Helper()
		code, out, errOut := piped(t, answer, append(args, more...)...)
		require.Equal(t, want, code, errOut)
		require.Empty(t, out)
		require.Contains(t, errOut, text)
	}
	say(exitUsage, "on standard input the answer", "")
	say(exitInput, "not the JSON answer", "term,estimate\n")
	say(exitInput, "another method", `{"method":"ols"}`)
	say(exitInput, "row of the covariance", `{"method":"did","details":{"event_curve":{"events":[-2,0],"estimates":[1,2],"reference_event":-1,"covariance":[[1]]}}}`)
	answer := func(more ...string) string {
		code, out, errOut := runFit(t, append(more, "--data", path, "--unit", "unit", "--time", "time", "--cohort", "g", "--outcome", "y", "--format", "json")...)
		require.Equal(t, exitOK, code, errOut)
		return out
	}
	say(exitInput, "use --base universal", answer("did", "--base", "varying", "--aggregate", "dynamic"))
	say(exitInput, "one reference event", answer("event-study", "--estimator", "imputation"))
	dynamic := answer("did", "--aggregate", "dynamic")
	say(exitUsage, "--target 9", dynamic, "--target", "9")
	say(exitUsage, "--weights has 2 numbers for 4", dynamic, "--weights", "1,1")
	say(exitUsage, "--betas is needed", dynamic, "--pre", "3")
}
