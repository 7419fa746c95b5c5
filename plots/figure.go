// Package plots draws numbers that exist and computes none: it takes estimates,
// balance tables and attrition steps, and gives each figure as PNG, SVG and PDF
// together with the CSV of exactly what it drew.
//
// A figure is laid out once as a scene of lines and texts in points; three painters
// turn the scene into files. Layout is the package's own, because a legend must
// stand beside the data, Swedish marks and labels must fit, and each text's place
// must be known so that a test can show that nothing is clipped. gonum/plot gives
// the fonts, the text widths and the raster.
//
// The bytes of a figure depend on nothing but its input: no date, no machine.
package plots

import (
	"context"
	"errors"
	"fmt"
	"math"

	"utfall/internal/lang"
)

// Errors of the package. A constructor wraps one of them with the name of the figure
// and of what is wrong. Test with [errors.Is].
var (
	ErrEmpty        = errors.New("nothing to draw")
	ErrNotFinite    = errors.New("a value to draw is not a finite number")
	ErrInconsistent = errors.New("the values to draw contradict each other")
	ErrTooSmall     = errors.New("the figure does not fit its size")
	ErrStyle        = errors.New("invalid figure style")
)

// Style is what every figure shares. The zero value of all but Lang is usable.
type Style struct {
	Lang     lang.Lang // required
	Title    string    // what the figure shows, in bold
	Subtitle string    // unit and comparison
	Caption  string    // source and notes, below the figure
	// Width and Height in cm; 0 is 16 wide, and 10 high or, for rows and boxes, what
	// suits their number.
	Width, Height float64
}

// Labels gives the words that a reader sees for the names in the data. A name
// without a label is shown as it is.
type Labels map[string]string

func (l Labels) of(name string) string {
	if s, ok := l[name]; ok {
		return s
	}
	return name
}

// Figure is a finished layout. The zero value cannot be rendered.
type Figure struct {
	name  string
	scene *scene
	csv   []byte
	alt   string
	lang  lang.Lang
}

// Rendered is a figure in all its forms.
type Rendered struct {
	PNG []byte // 200 dots per inch
	SVG []byte // without an XML declaration, so that it can stand in an HTML page as it is
	PDF []byte // fonts embedded
	CSV []byte // UTF-8, comma, decimal point, full precision, header; empty = does not exist
	Alt string // one sentence for those who do not see the figure
}

// Render paints the figure. It gives the same bytes each time, and stops between
// formats when ctx is done.
func (f Figure) Render(ctx context.Context) (Rendered, error) {
	if f.scene == nil {
		return Rendered{}, fmt.Errorf("figure: %w", ErrEmpty)
	}
	r := Rendered{SVG: paintSVG(f.scene, f.alt, f.lang), CSV: append([]byte(nil), f.csv...), Alt: f.alt}
	for _, step := range []struct {
		paint func(*Figure) ([]byte, error)
		to    *[]byte
	}{
		{func(f *Figure) ([]byte, error) { return paintPNG(f.scene, dotsPerInch) }, &r.PNG},
		{func(f *Figure) ([]byte, error) { return paintPDF(f.scene, f.alt, f.lang) }, &r.PDF},
	} {
		if err := ctx.Err(); err != nil {
			return Rendered{}, fmt.Errorf("%s: %w", f.name, err)
		}
		b, err := step.paint(&f)
		if err != nil {
			return Rendered{}, fmt.Errorf("%s: %w", f.name, err)
		}
		*step.to = b
	}
	return r, nil
}

const (
	pointsPerCM   = 72 / 2.54
	dotsPerInch   = 200
	defaultWidth  = 16
	defaultHeight = 10
	maxSize       = 200 // cm: beyond any paper, and a raster that still fits memory
)

func (s Style) check() error {
	switch {
	case !s.Lang.Valid():
		return fmt.Errorf("%w: language %q", ErrStyle, string(s.Lang))
	case !(s.Width >= 0 && s.Width <= maxSize) || !(s.Height >= 0 && s.Height <= maxSize):
		return fmt.Errorf("%w: width and height are cm from 0 to %d", ErrStyle, maxSize)
	}
	return nil
}

func finite(vs ...float64) bool {
	for _, v := range vs {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
