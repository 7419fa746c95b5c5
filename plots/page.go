package plots

import (
	"fmt"
	"image/color"
)

const (
	margin        = 12.0
	titleLeading  = 14.5
	subLeading    = 11.5
	captionLine   = 9.5
	labelLeading  = 10.0
	legendLeading = 13.0
	swatch        = 20.0
)

// page is a scene with its heading and caption in place; body is what is left.
type page struct {
	*scene
	body box
}

// innerWidth is the width between the margins.
func (s Style) innerWidth() float64 { return s.widthPoints() - 2*margin }

func (s Style) widthPoints() float64 {
	if s.Width == 0 {
		return defaultWidth * pointsPerCM
	}
	return s.Width * pointsPerCM
}

// page lays out heading and caption around a body that needs at least the given
// height. Without a height in the style the page is as high as suits the body: want
// points for it, or the default height of a page where want is 0.
func (s Style) page(name string, need, want float64) (*page, error) {
	inner := s.innerWidth()
	if inner < 5*pointsPerCM {
		return nil, fmt.Errorf("%s: %w: at least 6 cm wide", name, ErrTooSmall)
	}
	title := wrap(s.Title, titleSize, true, inner)
	sub := wrap(s.Subtitle, subSize, false, inner)
	caption := wrap(s.Caption, captionSize, false, inner)
	above := titleLeading*float64(len(title)) + subLeading*float64(len(sub))
	if above > 0 {
		above += 8
	}
	below := captionLine * float64(len(caption))
	if below > 0 {
		below += 7
	}
	h := s.Height * pointsPerCM
	if s.Height == 0 {
		h = above + below + max(need, want) + 2*margin
		if want == 0 {
			h = max(h, defaultHeight*pointsPerCM)
		}
	}
	if h-above-below-2*margin < need-1e-6 {
		return nil, fmt.Errorf("%s: %w: at least %.1f cm high", name, ErrTooSmall, (above+below+need+2*margin)/pointsPerCM+0.05)
	}
	if h > maxSize*pointsPerCM {
		return nil, fmt.Errorf("%s: %w: it would be %.0f cm high", name, ErrTooSmall, h/pointsPerCM)
	}
	p := &page{scene: &scene{w: s.widthPoints(), h: h}}
	y := margin
	for _, l := range title {
		p.text(text{at: point{margin, y + titleSize*0.8}, s: l, size: titleSize, bold: true, color: ink})
		y += titleLeading
	}
	for _, l := range sub {
		p.text(text{at: point{margin, y + subSize*0.85}, s: l, size: subSize, color: soft})
		y += subLeading
	}
	for i, l := range caption {
		p.text(text{at: point{margin, h - margin - captionLine*float64(len(caption)-1-i) - descent*captionSize}, s: l, size: captionSize, color: soft})
	}
	p.body = box{margin, margin + above, margin + inner, h - margin - below}
	return p, nil
}

// key is one entry of a legend: a label and what draws its sample around a point.
type key struct {
	label string
	draw  func(s *scene, at point)
}

// placed is a key with its place, from the upper left corner of the legend.
type placed struct {
	key
	x, y  float64
	lines []string
}

// legend lays keys out in rows and gives the height they take.
func legend(keys []key, width float64) ([]placed, float64) {
	var out []placed
	x, y, rowHeight := 0.0, 0.0, 0.0
	for _, k := range keys {
		lines := wrap(k.label, labelSize, false, width-swatch-4)
		w := 0.0
		for _, l := range lines {
			w = max(w, textWidth(l, labelSize, false))
		}
		w += swatch + 4
		if x > 0 && x+w > width {
			x, y, rowHeight = 0, y+rowHeight, 0
		}
		out = append(out, placed{k, x, y, lines})
		rowHeight = max(rowHeight, legendLeading+labelLeading*float64(len(lines)-1))
		x += w + 14
	}
	return out, y + rowHeight
}

func (p *page) drawLegend(ks []placed, height float64) {
	for _, k := range ks {
		mid := p.body.y0 + k.y + labelLeading/2
		k.draw(p.scene, point{p.body.x0 + k.x + swatch/2 - 2, mid})
		p.textBlock(k.lines, p.body.x0+k.x+swatch, mid+midHeight*labelSize, labelSize, false, ink, start)
	}
	if height > 0 {
		p.body.y0 += height + 4
	}
}

// textBlock writes lines under each other, the first on the given baseline.
func (s *scene) textBlock(lines []string, x, y, size float64, bold bool, c color.NRGBA, a anchor) {
	for i, l := range lines {
		s.text(text{at: point{x, y + labelLeading*float64(i)}, s: l, size: size, bold: bold, color: c, anchor: a})
	}
}

// lineKey is the sample of a line with a marker.
func lineKey(label string, look seriesLook, hollow bool) key {
	return key{label, func(s *scene, at point) {
		s.line(look.color, lineWidth, look.dash, point{at.x - 8, at.y}, point{at.x + 8, at.y})
		s.mark(look.marker, at, 2.4, look.color, hollow)
	}}
}

// axisTitles takes the room for the names of the axes: y's above the area, x's below
// and centred under it, at most xWidth wide.
func (p *page) axisTitles(x, y string, xWidth float64) {
	if lines := wrap(y, labelSize, false, p.body.width()); len(lines) > 0 {
		p.textBlock(lines, p.body.x0, p.body.y0+ascent*labelSize, labelSize, false, soft, start)
		p.body.y0 += labelLeading*float64(len(lines)) + 3
	}
	if lines := wrap(x, labelSize, false, xWidth); len(lines) > 0 {
		p.body.y1 -= labelLeading*float64(len(lines)) + 1
		p.textBlock(lines, (p.body.x0+p.body.x1)/2, p.body.y1+labelSize+1, labelSize, false, soft, middle)
	}
}

// axisTitleHeight is the room that axisTitles takes.
func axisTitleHeight(x, y string, yWidth, xWidth float64) float64 {
	h := 0.0
	if n := len(wrap(y, labelSize, false, yWidth)); n > 0 {
		h += labelLeading*float64(n) + 3
	}
	if n := len(wrap(x, labelSize, false, xWidth)); n > 0 {
		h += labelLeading*float64(n) + 1
	}
	return h
}
