package report

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"html/template"
	"io"
	"regexp"
	"slices"
	"strings"
)

// svgElements and svgAttributes are what a drawing of package plots is made of.
// Anything else is refused, not dropped: a figure that lost a part shows something
// that is not in the numbers.
func svgElements() []string {
	return []string{"svg", "g", "title", "desc", "path", "rect", "circle", "line", "polyline", "polygon", "text", "tspan"}
}

func svgAttributes() []string {
	return []string{"viewBox", "width", "height", "role", "aria-label", "lang", "d", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "ry",
		"dx", "dy", "points", "transform", "fill", "fill-opacity", "fill-rule", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray",
		"stroke-linejoin", "stroke-linecap", "opacity", "font-family", "font-size", "font-weight", "font-style", "text-anchor", "dominant-baseline"}
}

var outward = regexp.MustCompile(`(?i)url\s*\(|:\s*//|javascript:|data:`)

// draw checks a figure and prepares it for the page. The error wraps [ErrFigure].
func draw(f Figure) (drawing, error) {
	out := drawing{Alt: f.Alt, Caption: f.Caption, CSV: f.CSV, Wide: f.Wide}
	switch {
	case strings.TrimSpace(f.Alt) == "":
		return out, fmt.Errorf("%w: no text for those who do not see it (%q)", ErrFigure, f.Caption)
	case (len(f.SVG) == 0) == (len(f.PNG) == 0):
		return out, fmt.Errorf("%w: either SVG or PNG is needed (%q)", ErrFigure, f.Caption)
	case len(f.PNG) > 0:
		if !bytes.HasPrefix(f.PNG, []byte("\x89PNG\r\n\x1a\n")) {
			return out, fmt.Errorf("%w: not a PNG image (%q)", ErrFigure, f.Caption)
		}
		out.Image = template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(f.PNG))
		return out, nil
	}
	markup, err := cleanSVG(f.SVG)
	if err != nil {
		return out, fmt.Errorf("%w (%q)", err, f.Caption)
	}
	out.Markup = markup
	return out, nil
}

// cleanSVG writes an SVG drawing again from its known elements and attributes. The
// name space goes, which HTML does not need; size in cm goes, the page decides it.
func cleanSVG(svg []byte) (template.HTML, error) {
	dec := xml.NewDecoder(bytes.NewReader(svg))
	var b strings.Builder
	depth := 0
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", fmt.Errorf("%w: the SVG cannot be read: %w", ErrFigure, err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			name := t.Name.Local
			if !slices.Contains(svgElements(), name) || (depth == 0) != (name == "svg") {
				return "", fmt.Errorf("%w: SVG element <%s>", ErrFigure, name)
			}
			depth++
			b.WriteString("<" + name)
			if err := attributes(&b, t); err != nil {
				return "", err
			}
			b.WriteString(">")
		case xml.EndElement:
			depth--
			b.WriteString("</" + t.Name.Local + ">")
		case xml.CharData:
			if depth > 0 {
				b.WriteString(html.EscapeString(string(t)))
			}
		case xml.Comment, xml.ProcInst, xml.Directive:
		}
	}
	if b.Len() == 0 {
		return "", fmt.Errorf("%w: an empty SVG", ErrFigure)
	}
	return template.HTML(b.String()), nil
}

func attributes(b *strings.Builder, t xml.StartElement) error {
	for _, a := range t.Attr {
		name := a.Name.Local
		switch {
		case name == "xmlns" || a.Name.Space == "xmlns" || a.Name.Local == "version":
			continue
		case t.Name.Local == "svg" && slices.Contains([]string{"width", "height", "role", "aria-label"}, name):
			continue // the page gives the size, and its own words to those who do not see
		case !slices.Contains(svgAttributes(), name):
			return fmt.Errorf("%w: SVG attribute %s", ErrFigure, name)
		case outward.MatchString(a.Value) && name != "aria-label":
			return fmt.Errorf("%w: SVG attribute %s points out of the figure", ErrFigure, name)
		}
		b.WriteString(" " + name + `="` + html.EscapeString(a.Value) + `"`)
	}
	return nil
}
