package plots

import (
	"fmt"
	"image/color"

	"utfall/cohort"
)

// Attrition draws how the people in the data become those in the analysis: a box for
// who remains after each step, and to its side a box for who was left out there.
// Labels gives the step names; counts are drawn as they come, so a count that may not
// be shown must be taken out before.
func Attrition(steps []cohort.Step, labels Labels, s Style) (Figure, error) {
	const name = "attrition flow"
	if err := s.check(); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	if err := checkSteps(steps); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	l := s.Lang
	inner := s.innerWidth()
	mainWidth, sideWidth := 0.49*inner, 0.44*inner
	split := func(units, treated int) string {
		if steps[0].TreatedIn == 0 {
			return "" // who is treated is not known in these steps
		}
		return l.Text("plots.flow-split", "treated", treated, "comparison", units-treated)
	}
	kept := func(key string, units, treated int) flowBox {
		return newFlowBox(l.Text(key)+": "+l.Text("plots.flow-units", "n", units), mainWidth, split(units, treated))
	}
	boxes := []flowBox{kept("plots.flow-start", steps[0].UnitsIn, steps[0].TreatedIn)}
	var sides []flowBox
	out := sheet{header: []string{"step", "label", "rule", "units_in", "units_out", "units_left_out", "treated_in", "treated_out", "treated_left_out", "missing"}}
	most := 0
	for i, st := range steps {
		word := "plots.flow-kept"
		if i == len(steps)-1 {
			word = "plots.flow-end"
		}
		boxes = append(boxes, kept(word, st.UnitsOut, st.TreatedOut))
		gone, goneTreated := st.UnitsIn-st.UnitsOut, st.TreatedIn-st.TreatedOut
		detail := l.Text("plots.flow-excluded", "n", gone)
		if gone > 0 && steps[0].TreatedIn > 0 {
			detail += ", " + l.Text("plots.flow-excluded-split", "treated", goneTreated)
		}
		if st.Missing > 0 {
			detail += "; " + l.Text("plots.flow-missing", "n", st.Missing)
		}
		sides = append(sides, newFlowBox(labels.of(st.Name), sideWidth, detail))
		out.add(st.Name, labels.of(st.Name), st.Rule, st.UnitsIn, st.UnitsOut, gone, st.TreatedIn, st.TreatedOut, goneTreated, st.Missing)
		if gone > steps[most].UnitsIn-steps[most].UnitsOut {
			most = i
		}
	}
	const space = 6.0
	need := boxes[0].height
	for i, b := range boxes[1:] {
		need += max(sides[i].height+2*space, 16) + b.height
	}
	p, err := s.page(name, need, need)
	if err != nil {
		return Figure{}, err
	}
	extra := (p.body.height() - need) / float64(len(sides))
	x0, sideX := p.body.x0, p.body.x1-sideWidth
	mid := x0 + mainWidth/2
	y := p.body.y0
	for i, b := range boxes {
		if i > 0 {
			between := max(sides[i-1].height+2*space, 16) + extra
			half := y + between/2
			p.arrow(point{mid, y}, point{mid, y + between})
			p.arrow(point{mid, half}, point{sideX, half})
			side := sides[i-1]
			p.flowBox(side, box{sideX, half - side.height/2, sideX + sideWidth, half + side.height/2}, white, rgb(0x9A9A9A))
			y += between
		}
		fill, edge := rgb(0xF3F6F9), soft
		if i == len(boxes)-1 {
			fill, edge = rgb(0xDCEBF5), blue
		}
		p.flowBox(b, box{x0, y, x0 + mainWidth, y + b.height}, fill, edge)
		y += b.height
	}
	csv, err := out.bytes()
	if err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	end := steps[len(steps)-1]
	alt := l.Text("plots.flow-alt", "n", steps[0].UnitsIn, "kept", end.UnitsOut, "steps", len(steps),
		"most", steps[most].UnitsIn-steps[most].UnitsOut, "step", labels.of(steps[most].Name))
	return Figure{name: name, scene: p.scene, csv: csv, alt: altText(s.Title, alt), lang: l}, nil
}

func checkSteps(steps []cohort.Step) error {
	if len(steps) == 0 {
		return ErrEmpty
	}
	for i, st := range steps {
		gone, goneTreated := st.UnitsIn-st.UnitsOut, st.TreatedIn-st.TreatedOut
		switch {
		case st.UnitsOut < 0 || st.TreatedOut < 0 || gone < 0 || goneTreated < 0 || goneTreated > gone ||
			st.TreatedIn > st.UnitsIn || st.TreatedOut > st.UnitsOut || st.Missing < 0 || st.Missing > gone:
			return fmt.Errorf("step %q: %w: counts that do not add up", st.Name, ErrInconsistent)
		case i > 0 && (st.UnitsIn != steps[i-1].UnitsOut || st.TreatedIn != steps[i-1].TreatedOut):
			return fmt.Errorf("step %q: %w: it does not start where the step before ended", st.Name, ErrInconsistent)
		}
	}
	return nil
}

// flowBox is a head in bold over a detail.
type flowBox struct {
	head, detail []string
	height       float64
}

const flowPadding = 5.0

func newFlowBox(head string, width float64, detail string) flowBox {
	b := flowBox{head: wrap(head, labelSize, true, width-2*flowPadding), detail: wrap(detail, labelSize, false, width-2*flowPadding)}
	b.height = labelLeading*float64(len(b.head)+len(b.detail)) + 2*flowPadding - 1
	return b
}

func (s *scene) flowBox(b flowBox, at box, fill, edge color.NRGBA) {
	s.rect(fill, edge, axisWidth, at)
	y := at.y0 + flowPadding + ascent*labelSize
	s.textBlock(b.head, at.x0+flowPadding, y, labelSize, true, ink, start)
	s.textBlock(b.detail, at.x0+flowPadding, y+labelLeading*float64(len(b.head)), labelSize, false, ink, start)
}

// arrow draws a straight arrow, its head in front of the end.
func (s *scene) arrow(from, to point) {
	const length, half = 5.0, 2.6
	if from.x == to.x {
		s.line(soft, axisWidth, nil, from, point{to.x, to.y - length})
		s.area(soft, nil, 0, to, point{to.x - half, to.y - length}, point{to.x + half, to.y - length})
		return
	}
	s.line(soft, axisWidth, nil, from, point{to.x - length, to.y})
	s.area(soft, nil, 0, to, point{to.x - length, to.y - half}, point{to.x - length, to.y + half})
}
