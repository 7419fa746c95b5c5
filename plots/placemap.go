package plots

import (
	"fmt"
	"image/color"
	"math"
	"slices"
	"sort"

	"utfall/internal/lang"
	"utfall/internal/places"
)

// PlaceClass is what a map says of some places: a colour and a mark, so that a copy in
// grey keeps the classes apart.
type PlaceClass struct {
	Label string
	Look  PlaceLook
}

// PlaceLook is how a class of places is drawn.
type PlaceLook int

// The looks.
const (
	PlaceSame   PlaceLook = iota // does not differ: pale, without a mark
	PlaceHigher                  // blue, a triangle that points up
	PlaceLower                   // vermilion, a triangle that points down
	PlaceHidden                  // withheld: white, a dot
	PlaceNone                    // not in the study: white, without a mark
)

// PlaceData is what a map shows: the class of each place, and its value for the CSV.
type PlaceData struct {
	Classes []PlaceClass
	Class   map[string]int     // place → index into Classes; a place without one is not drawn in colour
	Value   map[string]float64 // shown in the CSV only; a place without one has an empty cell
	Letters bool               // tile grid: the county's letter on its first square
}

func (d PlaceData) check() error {
	if len(d.Class) == 0 || len(d.Classes) == 0 {
		return ErrEmpty
	}
	for _, c := range d.Classes {
		if c.Look < PlaceSame || c.Look > PlaceNone {
			return fmt.Errorf("%w: no such look of a place", ErrStyle)
		}
	}
	for _, k := range d.Class {
		if k < 0 || k >= len(d.Classes) {
			return fmt.Errorf("%w: a place of a class that is not listed", ErrInconsistent)
		}
	}
	for _, v := range d.Value {
		if !drawable(v) {
			return ErrNotFinite
		}
	}
	return nil
}

func placeFill(l PlaceLook) color.NRGBA {
	switch l {
	case PlaceHigher:
		return blue
	case PlaceLower:
		return vermilion
	case PlaceSame:
		return rgb(0xDCE3E8)
	}
	return white
}

// placeMark draws the mark of a look around a point, in a square of the size.
func (s *scene) placeMark(l PlaceLook, at point, size float64) {
	r := 0.26 * size
	switch l {
	case PlaceHigher:
		s.area(white, nil, 0, point{at.x, at.y - r}, point{at.x + r, at.y + 0.75*r}, point{at.x - r, at.y + 0.75*r})
	case PlaceLower:
		s.area(white, nil, 0, point{at.x, at.y + r}, point{at.x + r, at.y - 0.75*r}, point{at.x - r, at.y - 0.75*r})
	case PlaceHidden:
		s.disc(at, 0.1*size, soft, nil, 0)
	}
}

func (d PlaceData) legend(width float64) ([]placed, float64) {
	var keys []key
	for _, c := range d.Classes {
		keys = append(keys, key{c.Label, func(s *scene, at point) {
			s.rect(placeFill(c.Look), soft, 0.4, box{at.x - 5, at.y - 5, at.x + 5, at.y + 5})
			s.placeMark(c.Look, at, 10)
		}})
	}
	return legend(keys, width)
}

// rows of the CSV, by place.
func (d PlaceData) sheet(more ...string) sheet {
	return sheet{header: append([]string{"place", "class", "value"}, more...)}
}

func (d PlaceData) cells(place string) []any {
	class, value := "", math.NaN()
	if k, ok := d.Class[place]; ok {
		class = d.Classes[k].Label
	}
	if v, ok := d.Value[place]; ok {
		value = v
	}
	return []any{place, class, value}
}

// alt counts the classes.
func (d PlaceData) alt(kind string, l lang.Lang) string {
	n := make([]int, len(d.Classes))
	for _, k := range d.Class {
		n[k]++
	}
	var parts []string
	for k, c := range d.Classes {
		if n[k] > 0 {
			parts = append(parts, l.Text("plots.map-class", "label", c.Label, "n", n[k]))
		}
	}
	return l.Text("plots.map-alt-"+kind, "n", len(d.Class), "classes", l.And(parts))
}

// TileGrid draws each of the 290 municipalities as a square of one size, about where it
// lies, north up; people do not live by the acre. The places of d are municipality codes,
// or county codes of two digits, which colour all squares of the county. A code that does
// not exist is an error.
func TileGrid(d PlaceData, s Style) (Figure, error) {
	const name = "tile grid"
	if err := s.check(); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	if err := d.check(); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	tiles := places.Tiles()
	known := map[string]bool{}
	for _, t := range tiles {
		known[t.Code], known[t.Code[:2]] = true, true
	}
	for _, place := range sortedPlaces(d.Class) {
		if !known[place] {
			return Figure{}, fmt.Errorf("%s: %w: a place that is neither a municipality's nor a county's code", name, ErrInconsistent)
		}
	}
	const gap = 1.2
	ks, legendHeight := d.legend(s.innerWidth())
	least := 8.0
	p, err := s.page(name, legendHeight+4+least*places.Rows, legendHeight+4+15*places.Rows)
	if err != nil {
		return Figure{}, err
	}
	p.drawLegend(ks, legendHeight)
	size := min((p.body.y1-p.body.y0)/places.Rows, p.body.width()/places.Columns)
	left := (p.body.x0 + p.body.x1 - size*places.Columns) / 2
	out := d.sheet("column", "row")
	lettered := map[string]bool{}
	for _, t := range tiles {
		place := t.Code
		k, ok := d.Class[place]
		if !ok {
			place = t.Code[:2]
			k, ok = d.Class[place]
		}
		look := PlaceNone
		if ok {
			look = d.Classes[k].Look
		}
		x, y := left+size*float64(t.Col), p.body.y0+size*float64(t.Row)
		p.rect(placeFill(look), faint, 0.5, box{x + gap/2, y + gap/2, x + size - gap/2, y + size - gap/2})
		at := point{x + size/2, y + size/2}
		letter := places.Letter(t.Code)
		if d.Letters && !lettered[letter] {
			lettered[letter] = true
			c := ink
			if look == PlaceHigher || look == PlaceLower {
				c = white
			}
			p.text(text{at: point{at.x, at.y + midHeight*0.5*size}, s: letter, size: 0.5 * size, color: c, anchor: middle})
		} else {
			p.placeMark(look, at, size)
		}
		cells := d.cells(place)
		cells[0] = t.Code
		out.add(append(cells, t.Col, t.Row)...)
	}
	// A line where two counties meet.
	at := map[[2]int]string{}
	for _, t := range tiles {
		at[[2]int{t.Col, t.Row}] = t.Code[:2]
	}
	for _, t := range tiles {
		x, y := left+size*float64(t.Col), p.body.y0+size*float64(t.Row)
		if o := at[[2]int{t.Col + 1, t.Row}]; o != "" && o != t.Code[:2] {
			p.line(ink, axisWidth, nil, point{x + size, y}, point{x + size, y + size})
		}
		if o := at[[2]int{t.Col, t.Row + 1}]; o != "" && o != t.Code[:2] {
			p.line(ink, axisWidth, nil, point{x, y + size}, point{x + size, y + size})
		}
	}
	csv, err := out.bytes()
	if err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	return Figure{name: name, scene: p.scene, csv: csv, alt: altText(s.Title, d.alt("tiles", s.Lang)), lang: s.Lang}, nil
}

func sortedPlaces(m map[string]int) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// Boundary is a place's outline: rings of longitude and latitude, holes among them.
type Boundary struct {
	Place string
	Rings [][][2]float64
}

// Choropleth draws places by their boundaries, which the user brings, in a projection
// that keeps the shape at the middle latitude (plate carrée, standard parallel there).
// Places without a class are white.
func Choropleth(d PlaceData, boundaries []Boundary, s Style) (Figure, error) {
	const name = "choropleth"
	if err := s.check(); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	if err := d.check(); err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	var xs, ys []float64
	seen := map[string]bool{}
	for _, b := range boundaries {
		if seen[b.Place] {
			return Figure{}, fmt.Errorf("%s: %w: two boundaries of one place", name, ErrInconsistent)
		}
		seen[b.Place] = true
		for _, ring := range b.Rings {
			if len(ring) < 4 {
				return Figure{}, fmt.Errorf("%s: %w: a ring of fewer than four points", name, ErrInconsistent)
			}
			for _, c := range ring {
				if !drawable(c[0], c[1]) || math.Abs(c[1]) >= 90 {
					return Figure{}, fmt.Errorf("%s: boundary: %w", name, ErrNotFinite)
				}
				xs, ys = append(xs, c[0]), append(ys, c[1])
			}
		}
	}
	if len(xs) == 0 {
		return Figure{}, fmt.Errorf("%s: %w", name, ErrEmpty)
	}
	for _, place := range sortedPlaces(d.Class) {
		if !seen[place] {
			return Figure{}, fmt.Errorf("%s: %w: a place without a boundary", name, ErrInconsistent)
		}
	}
	lon0, lon1 := span(xs...)
	lat0, lat1 := span(ys...)
	squeeze := math.Cos((lat0 + lat1) / 2 * math.Pi / 180)
	ks, legendHeight := d.legend(s.innerWidth())
	aspect := (lat1 - lat0) / ((lon1 - lon0) * squeeze)
	want := min(aspect*s.innerWidth(), 18*pointsPerCM)
	p, err := s.page(name, legendHeight+4+100, legendHeight+4+want)
	if err != nil {
		return Figure{}, err
	}
	p.drawLegend(ks, legendHeight)
	unit := min(p.body.width()/((lon1-lon0)*squeeze), (p.body.y1-p.body.y0)/(lat1-lat0))
	left := (p.body.x0 + p.body.x1 - unit*(lon1-lon0)*squeeze) / 2
	project := func(c [2]float64) point {
		return point{left + float64((c[0]-lon0)*squeeze*unit), p.body.y0 + float64((lat1-c[1])*unit)}
	}
	sorted := slices.Clone(boundaries)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Place < sorted[j].Place })
	out := d.sheet()
	for _, b := range sorted {
		look := PlaceNone
		if k, ok := d.Class[b.Place]; ok {
			look = d.Classes[k].Look
		}
		for _, ring := range b.Rings {
			ps := make([]point, len(ring))
			for i, c := range ring {
				ps[i] = project(c)
			}
			fill := placeFill(look)
			if clockwise(ring) != clockwise(b.Rings[0]) { // a hole
				fill = white
			}
			p.area(fill, soft, 0.4, ps...)
		}
		p.placeMark(look, project(middleOf(b.Rings[0])), 16)
		out.add(d.cells(b.Place)...)
	}
	csv, err := out.bytes()
	if err != nil {
		return Figure{}, fmt.Errorf("%s: %w", name, err)
	}
	return Figure{name: name, scene: p.scene, csv: csv, alt: altText(s.Title, d.alt("map", s.Lang)), lang: s.Lang}, nil
}

func signedArea(ring [][2]float64) float64 {
	a := 0.0
	for i := range ring {
		c, n := ring[i], ring[(i+1)%len(ring)]
		a += float64(c[0]*n[1]) - float64(n[0]*c[1])
	}
	return a / 2
}

func clockwise(ring [][2]float64) bool { return signedArea(ring) < 0 }

// middleOf is the centre of gravity of a ring; of one without area the first point.
func middleOf(ring [][2]float64) [2]float64 {
	a := signedArea(ring)
	if math.Abs(a) < 1e-12 {
		return ring[0]
	}
	var x, y float64
	for i := range ring {
		c, n := ring[i], ring[(i+1)%len(ring)]
		cross := float64(c[0]*n[1]) - float64(n[0]*c[1])
		x += (c[0] + n[0]) * cross
		y += (c[1] + n[1]) * cross
	}
	return [2]float64{x / (6 * a), y / (6 * a)}
}
