package plots

import (
	"fmt"
	"image/color"
	"math"
	"slices"

	"utfall/internal/lang"
)

// Binned is how many people, or how much weight, each group has in each bin.
type Binned struct{ Treated, Control []float64 }

// DistributionData is what [Mirrored] and [ECDF] show: a number in bins, before and
// after the design. Counts come as they may be shown: whoever releases them merges
// bins with few people first, so that bins need not be of one width.
type DistributionData struct {
	Edges  []float64 // ascending, one more than there are bins; bin k is [Edges[k], Edges[k+1])
	Before Binned
	After  *Binned // nil = only before
	XLabel string  // of the number; "" = the probability of taking part
}

// Mirrored draws the distribution of a number, above all of the propensity score, in
// two groups: the treated upwards, the comparison group downwards, before the design
// and after it. The height of a bin is its share of the group over its width, in
// widths of the narrowest bin, so that areas are shares.
func Mirrored(d DistributionData, s Style) (Figure, error) {
	const name = "mirrored histogram"
	if err := s.check(); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	if err := d.check(); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	l := s.Lang
	step, even := d.narrowest()
	yLabel := l.Text("plots.mirrored-y")
	if !even {
		yLabel = l.Text("plots.mirrored-y-step", "step", shortNumber(step, l))
	}
	top, stages := 0.0, d.stages(l)
	for i := range stages {
		st := &stages[i]
		for k := range st.shares.Treated {
			st.height(k, step/(d.Edges[k+1]-d.Edges[k]))
			top = max(top, st.heights.Treated[k], st.heights.Control[k])
		}
	}
	p, panels, err := d.layout(name, stages, yLabel, [2]float64{-top, top}, s)
	if err != nil {
		return Figure{}, err
	}
	out := sheet{header: []string{"stage", "from", "to", "treated", "control", "share_treated", "share_control", "height_treated", "height_control"}}
	for i, st := range stages {
		a := panels[i]
		for k := range st.heights.Treated {
			x0, x1 := a.x.at(d.Edges[k]), a.x.at(d.Edges[k+1])
			p.bar(blue, x0, x1, a.y.at(0), a.y.at(st.heights.Treated[k]))
			p.bar(vermilion, x0, x1, a.y.at(0), a.y.at(-st.heights.Control[k]))
			out.add(st.name, d.Edges[k], d.Edges[k+1], st.counts.Treated[k], st.counts.Control[k], st.shares.Treated[k], st.shares.Control[k], st.heights.Treated[k], st.heights.Control[k])
		}
		p.line(ink, axisWidth, nil, point{a.area.x0, a.y.at(0)}, point{a.area.x1, a.y.at(0)})
	}
	csv, err := out.bytes()
	if err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	common := make([]float64, len(stages))
	for i, st := range stages {
		for k, v := range st.shares.Treated {
			common[i] += min(v, st.shares.Control[k])
		}
	}
	return Figure{name: name, scene: p.scene, csv: csv, alt: altText(s.Title, d.alt("plots.mirrored-alt", common, l)), lang: l}, nil
}

// bar is a bin from the base line to its height; an empty one is nothing.
func (s *scene) bar(c color.NRGBA, x0, x1, base, y float64) {
	if base != y {
		s.rect(faded(c, 190), white, 0.4, box{x0, min(base, y), x1, max(base, y)})
	}
}

// stage is before or after the design.
type stage struct {
	name, label             string
	counts, shares, heights Binned
}

func (st *stage) height(k int, factor float64) {
	st.heights.Treated = append(st.heights.Treated, st.shares.Treated[k]*factor)
	st.heights.Control = append(st.heights.Control, st.shares.Control[k]*factor)
}

func (d DistributionData) stages(l lang.Lang) []stage {
	out := []stage{{name: "before", label: l.Text("plots.before"), counts: d.Before}}
	if d.After != nil {
		out = append(out, stage{name: "after", label: l.Text("plots.after"), counts: *d.After})
	}
	for i := range out {
		out[i].shares = Binned{sharesOf(out[i].counts.Treated), sharesOf(out[i].counts.Control)}
	}
	return out
}

func sharesOf(counts []float64) []float64 {
	sum := 0.0
	for _, v := range counts {
		sum += v
	}
	out := make([]float64, len(counts))
	for i, v := range counts {
		out[i] = v / sum
	}
	return out
}

// layout makes the page, the legend of the groups, and a panel with axes for each stage.
func (d DistributionData) layout(name string, stages []stage, yLabel string, y [2]float64, s Style) (*page, []axes, error) {
	l := s.Lang
	xLabel := d.XLabel
	if xLabel == "" {
		xLabel = l.Text("plots.mirrored-x")
	}
	var keys []key
	for _, g := range []struct {
		text  string
		color color.NRGBA
		dash  []float64
	}{{"plots.group-treated", blue, nil}, {"plots.group-control", vermilion, ecdfDash()}} {
		keys = append(keys, key{l.Text(g.text), func(s *scene, at point) {
			if y[0] < 0 {
				s.rect(faded(g.color, 190), white, 0.4, box{at.x - 6, at.y - 4, at.x + 6, at.y + 4})
			} else {
				s.line(g.color, lineWidth, g.dash, point{at.x - 8, at.y}, point{at.x + 8, at.y})
			}
		}})
	}
	ks, legendHeight := legend(keys, s.innerWidth())
	const gap = 16.0
	axisLeft := textWidth(l.Percent(0.25, 1), labelSize, false) + 6
	n := float64(len(stages))
	width := (s.innerWidth() - axisLeft - gap*(n-1)) / n
	if width < 50 {
		return nil, nil, fmt.Errorf("%s: %w: %d panels side by side", name, ErrTooSmall, len(stages))
	}
	heads, lines := make([][]string, len(stages)), 0
	for i, st := range stages {
		heads[i] = wrap(st.label, labelSize, true, width)
		lines = max(lines, len(heads[i]))
	}
	headHeight := labelLeading*float64(lines) + 2
	p, err := s.page(name, legendHeight+4+axisTitleHeight(xLabel, yLabel, s.innerWidth(), s.innerWidth())+headHeight+110, 0)
	if err != nil {
		return nil, nil, err
	}
	p.drawLegend(ks, legendHeight)
	p.axisTitles(xLabel, yLabel, p.body.width())
	panels := make([]axes, len(stages))
	for i := range stages {
		x0 := p.body.x0 + float64(i)*(width+gap)
		b := box{x0, p.body.y0 + headHeight, x0 + width + axisLeft, p.body.y1}
		if i > 0 {
			b.x0 += axisLeft
		}
		a := newAxes(b, d.Edges[0], d.Edges[len(d.Edges)-1], y[0], y[1], decimalTicks, percentTicks, l, i == 0)
		written := map[float64]string{}
		for _, t := range a.yTicks {
			written[math.Abs(t.v)] = l.Percent(math.Abs(t.v), percentDecimals(a.yTicks))
		}
		for j, t := range a.yTicks { // below the line a share is a share too
			a.yTicks[j].label = written[math.Abs(t.v)]
		}
		panels[i] = a
	}
	for i, a := range panels {
		for _, b := range panels { // panels of nearly one width have the same ticks
			if len(b.xTicks) < len(a.xTicks) {
				a.xTicks = b.xTicks
			}
		}
		p.textBlock(heads[i], a.area.x0, p.body.y0+ascent*labelSize, labelSize, true, ink, start)
		p.drawAxes(a, i == 0)
	}
	return p, panels, nil
}

// percentDecimals is how many decimals tell the ticks apart as percentages.
func percentDecimals(ticks []tick) int {
	for d := range 4 {
		scale := math.Pow(10, float64(d+2))
		if !slices.ContainsFunc(ticks, func(t tick) bool { return math.Abs(t.v*scale-math.Round(t.v*scale)) > 1e-6 }) {
			return d
		}
	}
	return 4
}

// alt is the sentence of a figure: one number before the design, and after it if it is shown.
func (d DistributionData) alt(key string, numbers []float64, l lang.Lang) string {
	before := l.Percent(numbers[0], 0)
	if len(numbers) < 2 {
		return l.Text(key+"-before", "bins", len(d.Edges)-1, "before", before)
	}
	return l.Text(key, "bins", len(d.Edges)-1, "before", before, "after", l.Percent(numbers[1], 0))
}

// narrowest is the width of the narrowest bin, and whether all are of that width.
func (d DistributionData) narrowest() (step float64, even bool) {
	step = math.Inf(1)
	for k := range len(d.Edges) - 1 {
		step = min(step, d.Edges[k+1]-d.Edges[k])
	}
	for k := range len(d.Edges) - 1 {
		if d.Edges[k+1]-d.Edges[k] > step*(1+1e-6) {
			return step, false
		}
	}
	return step, true
}

// shortNumber writes a number with as many decimals as it has, six at most.
func shortNumber(v float64, l lang.Lang) string {
	for d := range 6 {
		scale := math.Pow(10, float64(d))
		if math.Abs(v*scale-math.Round(v*scale)) < 1e-6 {
			return l.Number(v, d)
		}
	}
	return l.Significant(v, 2)
}

func (d DistributionData) check() error {
	if len(d.Edges) < 2 {
		return ErrEmpty
	}
	if !drawable(d.Edges...) {
		return fmt.Errorf("edges: %w", ErrNotFinite)
	}
	for k := range len(d.Edges) - 1 {
		if d.Edges[k+1] <= d.Edges[k] {
			return fmt.Errorf("%w: edges that do not grow", ErrInconsistent)
		}
	}
	groups := map[string][]float64{"treated before": d.Before.Treated, "control before": d.Before.Control}
	if d.After != nil {
		groups["treated after"], groups["control after"] = d.After.Treated, d.After.Control
	}
	for _, name := range []string{"treated before", "control before", "treated after", "control after"} {
		counts, ok := groups[name]
		if !ok {
			continue
		}
		if len(counts) != len(d.Edges)-1 {
			return fmt.Errorf("%s: %w: %d counts for %d bins", name, ErrInconsistent, len(counts), len(d.Edges)-1)
		}
		sum := 0.0
		for _, v := range counts {
			if !drawable(v) {
				return fmt.Errorf("%s: %w", name, ErrNotFinite)
			}
			if v < 0 {
				return fmt.Errorf("%s: %w: a count below 0", name, ErrInconsistent)
			}
			sum += v
		}
		if sum == 0 {
			return fmt.Errorf("%s: %w", name, ErrEmpty)
		}
	}
	return nil
}
