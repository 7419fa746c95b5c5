package plots

// rowLabels are the labels of a figure that has one row per name: their lines, the
// width of the widest, and the height that the rows need.
type rowLabels struct {
	lines         [][]string
	width, height float64
	heights       []float64
}

const (
	rowHeight  = 14.0
	rowLeading = 9.2
)

func newRowLabels(names []string, widest float64) rowLabels {
	var r rowLabels
	for _, n := range names {
		lines := wrap(n, labelSize, false, widest)
		for _, l := range lines {
			r.width = max(r.width, textWidth(l, labelSize, false))
		}
		h := rowHeight + rowLeading*float64(max(len(lines)-1, 0))
		r.lines = append(r.lines, lines)
		r.heights = append(r.heights, h)
		r.height += h
	}
	return r
}

// comfortable is the height that reads well: some air for few rows, none for many.
func (r rowLabels) comfortable() float64 {
	return r.height + min(8*float64(len(r.heights)), 40)
}

// centres spreads the rows over the height there is.
func (r rowLabels) centres(y0, y1 float64) []float64 {
	extra := (y1 - y0 - r.height) / float64(len(r.heights))
	ys := make([]float64, len(r.heights))
	y := y0
	for i, h := range r.heights {
		ys[i] = y + (h+extra)/2
		y += h + extra
	}
	return ys
}

// rowLabel writes a label of some lines around the middle of its row.
func (s *scene) rowLabel(lines []string, x, y float64, bold bool, a anchor) {
	first := y - rowLeading*float64(len(lines)-1)/2 + midHeight*labelSize
	for i, l := range lines {
		s.text(text{at: point{x, first + rowLeading*float64(i)}, s: l, size: labelSize, bold: bold, color: ink, anchor: a})
	}
}
