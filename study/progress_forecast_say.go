package study

import (
	"math"
	"strconv"
	"strings"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/table"
)

// forecastStrength is what a forecast would stand.
type forecastStrength struct {
	asked bool
	odds  float64 // factor by which the odds of the outcome may differ from those of the older cohorts; +Inf = beyond all sought
}

func newForecastStrength(f *Forecast, res *estimate.Result) forecastStrength {
	out := forecastStrength{asked: len(f.Tilt) > 0, odds: math.Inf(1)}
	if eta, ok := res.Details["tilt_breakdown"].(float64); ok {
		out.odds = math.Exp(eta)
	}
	return out
}

// partTerm is the name in a study of a number beside the forecast.
func partTerm(term string) string {
	if _, tilt, ok := strings.Cut(term, ",tilt="); ok {
		return termForecast + ",tilt=" + tilt
	}
	return termForecast + ",part=" + term
}

// testNumbers are forecast, outcome and their difference for each year that was tested, and the difference for all of them.
func (s *state) testNumbers(own *progressResult) []found {
	var out []found
	alone := len(own.tests) == 2 && own.tests[0].row.Persons == own.tests[1].row.Persons // the year says it
	for _, t := range own.tests {
		of := "truth,"
		if t.label != "" {
			of = "truth,year=" + t.label + ","
		}
		for _, x := range []struct {
			part      string
			value, se float64
		}{{"index", t.row.Index, t.row.IndexError}, {"long-term", t.row.LongTerm, t.row.LongTermError}, {"difference", t.row.Difference, t.row.StdError}} {
			if t.label == "" && (x.part != "difference" || alone) {
				continue
			}
			e := estimate.Wald(of+"part="+x.part, estimate.RiskDifference, x.value, x.se, math.Inf(1), s.spec.Level)
			n := found{term: e.Term, e: e, basis: t.basis, kind: "check"}
			if x.part == "difference" {
				n.notes = append(n.notes, table.Note{Code: "truth-margin", Text: "The forecast held if its error is surely smaller than the margin in both directions, and did not if it is surely larger.",
					Args: map[string]any{"margin": math.Round(1000*t.row.Margin) / 10, "verdict": t.row.Verdict, "confidence": math.Round(100 * t.row.ConfLevel)}})
			}
			out = append(out, n)
		}
	}
	return out
}

// verdictOf is how the forecast did in a year, or in all of them.
func (own *progressResult) verdictOf(year string) string {
	for _, t := range own.tests {
		if t.label == year {
			return t.row.Verdict
		}
	}
	return "unproven"
}

// truthLabel names the error of a forecast for people who started earlier.
func (s *state) truthLabel(a *Analysis, parts map[string]string) string {
	verdict := s.lang.Text("study.progress-verdict-open")
	if r := s.answered(a.Name); r != nil {
		verdict = s.lang.Text("study.progress-verdict-" + r.own.(*progressResult).verdictOf(parts["year"]))
	}
	if parts["year"] == "" {
		return s.lang.Text("study.progress-term-truth-all", "verdict", verdict)
	}
	return s.lang.Text("study.progress-term-truth-year", "year", parts["year"], "verdict", verdict)
}

// tiltLabel names an end of the region of a forecast.
func (s *state) tiltLabel(parts map[string]string) string {
	eta, err := strconv.ParseFloat(parts["tilt"], 64)
	if err != nil {
		return ""
	}
	return s.lang.Text("study.progress-term-forecast-tilt-"+parts["bound"], "factor", s.lang.Number(math.Exp(eta), 2))
}

// forecastSays is how the forecast has been tested year by year, what it assumes and what it would stand.
func (s *state) forecastSays(r *analysisResult, h *headline) []string {
	own, f, l := r.own.(*progressResult), r.spec.Progress.Forecast, s.lang
	var out []string
	count := map[string]int{}
	years := 0
	for _, t := range own.tests {
		if t.label == "" {
			continue
		}
		if _, ok := s.releasedNumber(r, "truth,year="+t.label+",part=difference", estimate.RiskDifference); ok {
			years++
			count[t.row.Verdict]++
		}
	}
	if years > 0 {
		out = append(out, l.Text("study.progress-say-tested", "years", years, "held", count["validated"], "fell", count["withdrawn"], "open", count["unproven"]))
	}
	if f.bridges() && !own.rectified {
		out = append(out, l.Text("study.progress-say-bridge"))
	}
	if own.rectified || h.finding.Word != progress.Better && h.finding.Word != progress.Worse {
		return out
	}
	if x := own.strength; x.asked {
		key, odds := "study.progress-say-tilt", x.odds
		if math.IsInf(odds, 1) {
			key, odds = "study.progress-say-tilt-far", math.Exp(largestTilt)
		}
		out = append(out, l.Text(key, "factor", l.Number(odds, 2)))
	}
	ci := h.estimate.CI
	if near := min(math.Abs(ci.Lo), math.Abs(ci.Hi)); h.benchmark > 0 && (ci.Lo > 0 || ci.Hi < 0) {
		key, times := "study.progress-say-benchmark", near/h.benchmark
		if times > farTimes {
			key, times = "study.progress-say-benchmark-far", farTimes
		}
		out = append(out, l.Text(key, "times", l.Number(times, 1)))
	}
	return out
}

// farTimes is how many times an error is told by; beyond it is only said to be beyond.
const farTimes = 10
