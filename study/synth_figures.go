package study

import (
	"fmt"
	"math"
	"strings"

	"utfall/plots"
)

func (q *Synth) figures(s *state, _ *analysisResult) []drawing {
	return []drawing{{"path", s.synthFigure}}
}

// synthFigure draws the treated and their mixture by period or, where treatment starts
// in several periods or outcomes are imputed, the mean gap by time since the start.
func (s *state) synthFigure(r *analysisResult) (plots.Figure, error) {
	q, own := r.spec.Synth, r.own.(*synthResult)
	d := plots.TrendData{YLabel: r.spec.Outcome.In(s.spec.Language), Percent: r.spec.Unit == "percentage-points"}
	if r.spec.Unit == "points" {
		d.YLabel = s.lang.Text("plots.points", "label", d.YLabel)
	}
	series := map[string]*plots.Series{}
	for _, n := range r.numbers {
		name, x := "", 0
		switch {
		case strings.HasPrefix(n.term, treatedSeries):
			name = "treated"
			fmt.Sscanf(n.term, treatedSeries+"%d", &x)
		case strings.HasPrefix(n.term, syntheticSerie):
			name = "synthetic"
			fmt.Sscanf(n.term, syntheticSerie+"%d", &x)
		case n.e.Measure == gapAfterStart:
			name = "gap"
			fmt.Sscanf(n.term, "event=%d", &x)
		default:
			continue
		}
		re, ok := s.bundle.findings[r.spec.Name+"/"+n.term+"/"+string(n.e.Measure)]
		if !ok || !re.Shown {
			continue
		}
		if series[name] == nil {
			series[name] = &plots.Series{}
		}
		series[name].X, series[name].Y = append(series[name].X, float64(x)), append(series[name].Y, re.Number.Value)
	}
	subtitle := "study.synth-gap-subtitle"
	if own.path {
		subtitle = "study.synth-path-subtitle"
		d.XLabel, d.Marks = s.lang.Text("study.synth-period"), []plots.Mark{{X: float64(own.start), Label: s.lang.Text("study.start")}}
		d.Years = years(series["treated"])
	}
	for _, x := range []struct{ name, label string }{
		{"treated", capital(q.arm("treated", s.lang))}, {"synthetic", s.lang.Text("study.synth-mixture")}, {"gap", s.lang.Text("study.synth-gap")},
	} {
		if g := series[x.name]; g != nil {
			g.Name = x.label
			d.Series = append(d.Series, *g)
		}
	}
	if len(d.Series) == 0 {
		return plots.Figure{}, errWithheld
	}
	return plots.Trend(d, s.labels(), s.style(s.spec.uses(r.spec), r.spec.Question.In(s.spec.Language), s.lang.Text(subtitle)))
}

// years reports whether periods read as calendar years.
func years(g *plots.Series) bool {
	if g == nil {
		return false
	}
	for _, x := range g.X {
		if math.Abs(x-2000) > 200 {
			return false
		}
	}
	return true
}
