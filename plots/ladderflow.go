package plots

import (
	"fmt"
	"image/color"
	"math"
)

// FlowGroup is one panel of a ladder flow. P[i][j] is the share of the group that went from
// step i to step j; From and To are the shares on each step at either end. A share of P that
// is not to be shown is NaN: its place in the bars stays empty.
type FlowGroup struct {
	Name     string
	From, To []float64
	P        [][]float64
}

// FlowData is what a ladder flow shows: steps lowest first.
type FlowData struct {
	Steps     []string
	Groups    []FlowGroup
	FromLabel string // above the left bar, such as "at the start"
	ToLabel   string // above the right bar
}

const flowBar = 16.0

// Flow draws where the people of each step at the start are later: a bar of steps at either
// end, the lowest at the bottom, and ribbons between them whose colour says up, level or down.
func Flow(d FlowData, labels Labels, s Style) (Figure, error) {
	const name = "ladder flow"
	if err := s.check(); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	if err := d.check(); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	l := s.Lang
	colors := stepColors(len(d.Steps))
	moves := []struct {
		text  string
		color color.NRGBA
	}{{"plots.flow-up", faded(blue, 150)}, {"plots.flow-level", faded(soft, 70)}, {"plots.flow-down", faded(vermilion, 150)}}
	var keys []key
	for i := len(d.Steps) - 1; i >= 0; i-- {
		c := colors[i]
		keys = append(keys, key{labels.of(d.Steps[i]), func(s *scene, at point) {
			s.rect(c, nil, 0, box{at.x - 4, at.y - 4, at.x + 4, at.y + 4})
		}})
	}
	for _, m := range moves {
		keys = append(keys, key{l.Text(m.text), func(s *scene, at point) {
			s.area(m.color, nil, 0, point{at.x - 8, at.y + 4}, point{at.x + 8, at.y}, point{at.x + 8, at.y - 4}, point{at.x - 8, at.y})
		}})
	}
	ks, legendHeight := legend(keys, s.innerWidth())
	number := textWidth(l.Percent(1, 0), captionSize, false) + 3
	const gap = 18.0
	panel := (s.innerWidth() - gap*float64(len(d.Groups)-1)) / float64(len(d.Groups))
	if panel-2*(number+flowBar) < 40 {
		return Figure{}, fmt.Errorf("%s: %w: %d groups side by side", name, ErrTooSmall, len(d.Groups))
	}
	headLines, endLines := 0, 0
	ends := [2][]string{wrap(d.FromLabel, labelSize, false, panel/2-3), wrap(d.ToLabel, labelSize, false, panel/2-3)}
	endLines = max(len(ends[0]), len(ends[1]))
	heads := make([][]string, len(d.Groups))
	for i, g := range d.Groups {
		heads[i] = wrap(labels.of(g.Name), labelSize, true, panel)
		headLines = max(headLines, len(heads[i]))
	}
	headHeight := labelLeading*float64(headLines+endLines) + 6
	p, err := s.page(name, legendHeight+4+headHeight+140, 0)
	if err != nil {
		return Figure{}, err
	}
	p.drawLegend(ks, legendHeight)
	out := sheet{header: []string{"group", "group_label", "from", "from_label", "to", "to_label", "share"}}
	var says []string
	for g, group := range d.Groups {
		x0 := p.body.x0 + float64(g)*(panel+gap)
		x1 := x0 + panel
		p.textBlock(heads[g], x0, p.body.y0+ascent*labelSize, labelSize, true, ink, start)
		y := p.body.y0 + labelLeading*float64(headLines) + ascent*labelSize
		p.textBlock(ends[0], x0, y, labelSize, false, soft, start)
		p.textBlock(ends[1], x1, y, labelSize, false, soft, end)
		top, bottom := p.body.y0+headHeight, p.body.y1
		at := func(share float64) float64 { return bottom - share*(bottom-top) }
		bars := [2][2]float64{{x0 + number, x0 + number + flowBar}, {x1 - number - flowBar, x1 - number}}
		up, down := 0.0, 0.0
		left, right := heap(group.From), heap(group.To)
		// Within a bar ribbons lie in the order of the step at their other end. What is not shown
		// leaves its place empty, as far as the bar reaches.
		usedLeft, usedRight := make([]float64, len(d.Steps)), make([]float64, len(d.Steps))
		for i := range d.Steps {
			for j := range d.Steps {
				q := group.P[i][j]
				out.add(group.Name, labels.of(group.Name), d.Steps[i], labels.of(d.Steps[i]), d.Steps[j], labels.of(d.Steps[j]), q)
				if math.IsNaN(q) || q == 0 {
					continue
				}
				a, b := left[i]+usedLeft[i], right[j]+usedRight[j]
				usedLeft[i], usedRight[j] = usedLeft[i]+q, usedRight[j]+q
				c := moves[1].color
				switch {
				case j > i:
					c, up = moves[0].color, up+q
				case j < i:
					c, down = moves[2].color, down+q
				}
				p.ribbon(c, bars[0][1], bars[1][0], at(a), at(a+q), at(b), at(b+q))
			}
		}
		for side, shares := range [2][]float64{group.From, group.To} {
			below := 0.0
			for i, q := range shares {
				y0, y1 := at(below), at(min(below+q, 1))
				below += q
				if q == 0 {
					continue
				}
				p.rect(colors[i], white, 0.4, box{bars[side][0], y1, bars[side][1], y0})
				if y0-y1 < captionSize+1 {
					continue
				}
				t := text{at: point{bars[0][0] - 3, (y0+y1)/2 + midHeight*captionSize}, s: l.Percent(q, 0), size: captionSize, color: soft, anchor: end}
				if side == 1 {
					t.at.x, t.anchor = bars[1][1]+3, start
				}
				p.text(t)
			}
		}
		says = append(says, l.Text("plots.flow-moves", "group", labels.of(group.Name), "up", l.Percent(up, 0), "down", l.Percent(down, 0)))
	}
	csv, err := out.bytes()
	if err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	alt := l.Text("plots.ladder-flow-alt", "steps", len(d.Steps), "moves", l.And(says))
	return Figure{name: name, scene: p.scene, csv: csv, alt: altText(s.Title, alt), lang: l}, nil
}

// stepColors go from light, the lowest step, to dark: an order, and none of the colours of
// the ribbons.
func stepColors(n int) []color.NRGBA {
	light, dark := rgb(0xE6DFEC), rgb(0x35194A)
	out := make([]color.NRGBA, n)
	for i := range out {
		t := float64(i) / float64(max(n-1, 1))
		mix := func(a, b uint8) uint8 { return uint8(math.Round(float64(a) + float64(t*(float64(b)-float64(a))))) }
		out[i] = color.NRGBA{mix(light.R, dark.R), mix(light.G, dark.G), mix(light.B, dark.B), 255}
	}
	return out
}

// heap gives where each part of a stack begins.
func heap(parts []float64) []float64 {
	out := make([]float64, len(parts))
	sum := 0.0
	for i, q := range parts {
		out[i] = sum
		sum += q
	}
	return out
}

// ribbon is a band from one bar to the other, bent like an S so that it leaves and meets
// them level: 3t² − 2t³.
func (s *page) ribbon(c color.NRGBA, x0, x1, a0, a1, b0, b1 float64) {
	const pieces = 24
	var lower, upper []point
	for k := range pieces + 1 {
		t := float64(k) / pieces
		e := t * t * (3 - 2*t)
		x := x0 + float64((x1-x0)*t)
		lower = append(lower, point{x, a0 + float64((b0-a0)*e)})
		upper = append(upper, point{x, a1 + float64((b1-a1)*e)})
	}
	for i := len(upper) - 1; i >= 0; i-- {
		lower = append(lower, upper[i])
	}
	s.area(c, nil, 0, lower...)
}

func (d FlowData) check() error {
	n := len(d.Steps)
	if n == 0 || len(d.Groups) == 0 {
		return ErrEmpty
	}
	if most := 12; n > most {
		return fmt.Errorf("%w: %d steps, at most %d can be told apart", ErrInconsistent, n, most)
	}
	for _, g := range d.Groups {
		if len(g.From) != n || len(g.To) != n || len(g.P) != n {
			return fmt.Errorf("group %q: %w: shares for another number of steps", g.Name, ErrInconsistent)
		}
		from, to := make([]float64, n), make([]float64, n)
		for i, row := range g.P {
			if len(row) != n {
				return fmt.Errorf("group %q: %w: shares for another number of steps", g.Name, ErrInconsistent)
			}
			for j, q := range row {
				switch {
				case math.IsNaN(q):
					continue
				case !drawable(q):
					return fmt.Errorf("group %q: %w", g.Name, ErrNotFinite)
				case q < 0:
					return fmt.Errorf("group %q: %w: a share below 0", g.Name, ErrInconsistent)
				}
				from[i], to[j] = from[i]+q, to[j]+q
			}
		}
		for _, side := range []struct{ bar, flow []float64 }{{g.From, from}, {g.To, to}} {
			sum := 0.0
			for i, q := range side.bar {
				if !drawable(q) {
					return fmt.Errorf("group %q: %w", g.Name, ErrNotFinite)
				}
				sum += q
				if q < 0 || side.flow[i] > q+flowSlack {
					return fmt.Errorf("group %q: %w: more people move from or to step %q than are on it", g.Name, ErrInconsistent, d.Steps[i])
				}
			}
			if sum > 1+flowSlack {
				return fmt.Errorf("group %q: %w: shares that add up to more than 1", g.Name, ErrInconsistent)
			}
		}
	}
	return nil
}

// flowSlack lets shares of rounded counts differ from their sum.
const flowSlack = 0.02
