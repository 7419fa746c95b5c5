package plots

import (
	"fmt"
	"image/color"
	"math"
)

// State is one area of a state occupation figure, lowest first.
type State struct {
	Name  string
	Color string // "#RRGGBB"; "" = the next of the palette
}

// StateGroup is one panel: P[t][s] is the probability of state s from Times[t] on.
type StateGroup struct {
	Name string
	P    [][]float64
}

// StateData is what a state occupation figure shows. Probabilities hold from their
// time until the next.
type StateData struct {
	Times          []float64
	States         []State
	Groups         []StateGroup
	XLabel, YLabel string // "" = time since the start; share in each state
}

// States draws the share of each group in each state over time, as areas stacked on
// each other, groups side by side. The states' names stand at the right, in the order
// of the areas and as near to them as they fit.
func States(d StateData, labels Labels, s Style) (Figure, error) {
	const name = "state occupation"
	if err := s.check(); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	colors, err := d.check()
	if err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	l := s.Lang
	xLabel, yLabel := d.XLabel, d.YLabel
	if xLabel == "" {
		xLabel = l.Text("plots.states-x")
	}
	if yLabel == "" {
		yLabel = l.Text("plots.states-y")
	}
	names := make([]string, len(d.States))
	for i, st := range d.States {
		names[i] = labels.of(st.Name)
	}
	rl := newRowLabels(names, 0.26*s.innerWidth())
	const leader, gap = 14.0, 14.0
	side := leader + 12 + rl.width
	axisLeft := textWidth(l.Percent(1, 0), labelSize, false) + 6
	n := float64(len(d.Groups))
	panel := (s.innerWidth() - side - axisLeft - gap*(n-1)) / n
	if panel < 50 {
		return Figure{}, fmt.Errorf("%s: %w: %d groups side by side", name, ErrTooSmall, len(d.Groups))
	}
	heads, headLines := make([][]string, len(d.Groups)), 0
	for i, g := range d.Groups {
		heads[i] = wrap(labels.of(g.Name), labelSize, true, panel)
		headLines = max(headLines, len(heads[i]))
	}
	headHeight := labelLeading*float64(headLines) + 2
	p, err := s.page(name, axisTitleHeight(xLabel, yLabel, s.innerWidth(), s.innerWidth())+headHeight+max(90, rl.height)+xAxisHeight+8, 0)
	if err != nil {
		return Figure{}, err
	}
	p.axisTitles(xLabel, yLabel, p.body.width())
	out := sheet{header: []string{"group", "group_label", "time", "state", "state_label", "probability"}}
	var last axes
	for i, g := range d.Groups {
		x0 := p.body.x0 + float64(i)*(panel+gap)
		b := box{x0, p.body.y0 + headHeight, x0 + panel, p.body.y1}
		if i > 0 {
			b.x0, b.x1 = b.x0+axisLeft, b.x1+axisLeft
		} else {
			b.x1 += axisLeft
		}
		last = newAxes(b, d.Times[0], d.Times[len(d.Times)-1], 0, 1, timeTicks(d.Times), percentTicks, l, i == 0)
		p.textBlock(heads[i], last.area.x0, p.body.y0+ascent*labelSize, labelSize, true, ink, start)
		p.drawAxes(last, i == 0)
		// The grid would only show in the slits beside the areas.
		p.rect(white, nil, 0, box{last.area.x0 - 1, last.area.y0 - 1, last.area.x1 + 1, last.area.y1 - axisWidth})
		p.stack(last, d.Times, g.P, colors)
		for t, time := range d.Times {
			for j, st := range d.States {
				out.add(g.Name, labels.of(g.Name), time, st.Name, names[j], g.P[t][j])
			}
		}
	}
	p.stateNames(last, d, rl, colors, leader)
	csv, err := out.bytes()
	if err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	final := d.Groups[0].P[len(d.Times)-1]
	most := 0
	for j, q := range final {
		if q > final[most] {
			most = j
		}
	}
	alt := l.Text("plots.states-alt", "states", len(d.States), "groups", len(d.Groups),
		"state", names[most], "group", labels.of(d.Groups[0].Name), "share", final[most])
	return Figure{name: name, scene: p.scene, csv: csv, alt: altText(s.Title, alt), lang: l}, nil
}

// stack draws the areas as steps, the first state at the bottom, with a white line
// between neighbours.
func (s *page) stack(a axes, times []float64, probabilities [][]float64, colors []color.NRGBA) {
	below := make([]float64, len(times))
	for j, c := range colors {
		var upper, lower []point
		step := func(ps []point, t int, v float64) []point {
			y := a.y.at(min(v, 1))
			if t > 0 {
				ps = append(ps, point{a.x.at(times[t]), ps[len(ps)-1].y})
			}
			return append(ps, point{a.x.at(times[t]), y})
		}
		for t := range times {
			lower = step(lower, t, below[t])
			below[t] += probabilities[t][j]
			upper = step(upper, t, below[t])
		}
		outline := append([]point(nil), upper...)
		for i := len(lower) - 1; i >= 0; i-- {
			outline = append(outline, lower[i])
		}
		s.area(c, nil, 0, outline...)
		if j > 0 {
			s.line(white, 0.6, nil, lower[:len(lower)-1]...)
		}
	}
}

// stateNames writes the states beside the last panel, topmost state first, each as
// near to its area as the names before it allow.
func (s *page) stateNames(a axes, d StateData, rl rowLabels, colors []color.NRGBA, leader float64) {
	final := d.Groups[len(d.Groups)-1].P[len(d.Times)-1]
	n := len(final)
	wanted := make([]float64, n)
	sum := 0.0
	for j, q := range final {
		wanted[j] = a.y.at(sum + q/2)
		sum += q
	}
	// From the top: no higher than wanted or than the one above allows; then from the
	// bottom up, so that the last still fits.
	ys := make([]float64, n)
	limit := a.area.y0 - labelSize/2
	for j := n - 1; j >= 0; j-- {
		ys[j] = max(wanted[j], limit+rl.heights[j]/2)
		limit = ys[j] + rl.heights[j]/2
	}
	limit = a.area.y1 + xAxisHeight - 2
	for j := range n {
		ys[j] = min(ys[j], limit-rl.heights[j]/2)
		limit = ys[j] - rl.heights[j]/2
	}
	edge := a.x.b
	for j := range n {
		c := colors[j]
		s.line(rgb(0x9A9A9A), gridWidth, nil, point{edge + 1.5, wanted[j]}, point{edge + leader - 2, ys[j]})
		s.rect(c, nil, 0, box{edge + leader, ys[j] - 4, edge + leader + 8, ys[j] + 4})
		s.rowLabel(rl.lines[j], edge+leader+12, ys[j], false, start)
	}
}

func timeTicks(times []float64) tickStyle {
	if allWhole(times) {
		return wholeTicks
	}
	return decimalTicks
}

func (d StateData) check() ([]color.NRGBA, error) {
	if len(d.Times) == 0 || len(d.States) == 0 || len(d.Groups) == 0 {
		return nil, ErrEmpty
	}
	if len(d.Times) < 2 {
		return nil, fmt.Errorf("%w: one time only", ErrEmpty)
	}
	if !drawable(d.Times...) {
		return nil, fmt.Errorf("times: %w", ErrNotFinite)
	}
	for i := 1; i < len(d.Times); i++ {
		if d.Times[i] <= d.Times[i-1] {
			return nil, fmt.Errorf("%w: times that do not grow", ErrInconsistent)
		}
	}
	palette := stateColors()
	colors := make([]color.NRGBA, len(d.States))
	for i, st := range d.States {
		if st.Color == "" {
			if i >= len(palette) {
				return nil, fmt.Errorf("%w: state %q needs a colour: the palette has %d", ErrStyle, st.Name, len(palette))
			}
			colors[i] = palette[i]
			continue
		}
		c, err := parseColor(st.Color)
		if err != nil {
			return nil, fmt.Errorf("state %q: %w", st.Name, err)
		}
		colors[i] = c
	}
	for _, g := range d.Groups {
		if len(g.P) != len(d.Times) {
			return nil, fmt.Errorf("group %q: %w: %d rows of probabilities for %d times", g.Name, ErrInconsistent, len(g.P), len(d.Times))
		}
		for t, row := range g.P {
			if len(row) != len(d.States) {
				return nil, fmt.Errorf("group %q: %w: %d probabilities for %d states", g.Name, ErrInconsistent, len(row), len(d.States))
			}
			if !finite(row...) {
				return nil, fmt.Errorf("group %q, time %v: %w", g.Name, d.Times[t], ErrNotFinite)
			}
			sum := 0.0
			for _, q := range row {
				if q < -1e-9 || q > 1+1e-9 {
					return nil, fmt.Errorf("group %q, time %v: %w: a probability outside 0 and 1", g.Name, d.Times[t], ErrInconsistent)
				}
				sum += q
			}
			if math.Abs(sum-1) > 1e-6 {
				return nil, fmt.Errorf("group %q, time %v: %w: probabilities that do not add up to 1", g.Name, d.Times[t], ErrInconsistent)
			}
		}
	}
	return colors, nil
}
