package plots

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"strconv"
	"strings"

	"utfall/internal/lang"
)

// Arial and Helvetica have the letter widths of Liberation Sans, so a reader without
// it sees the same layout.
const fontFamily = "Liberation Sans, Arimo, Arial, Helvetica, sans-serif"

// paintSVG writes the scene with text as text. It uses no ids and no style sheet, so
// that many figures can stand in one HTML page under a strict content policy.
func paintSVG(s *scene, alt string, l lang.Lang) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" role="img" xml:lang="%s" aria-label="%s" width="%scm" height="%scm" viewBox="0 0 %s %s" font-family="%s">`+"\n",
		l, escape(alt), num(s.w/pointsPerCM), num(s.h/pointsPerCM), num(s.w), num(s.h), fontFamily)
	fmt.Fprintf(&b, `<rect width="%s" height="%s" fill="#FFFFFF"/>`+"\n", num(s.w), num(s.h))
	for _, item := range s.items {
		switch it := item.(type) {
		case shape:
			var d strings.Builder
			for i, p := range it.points {
				d.WriteByte("ML"[min(i, 1)])
				d.WriteString(num(p.x) + "," + num(p.y))
			}
			if it.closed {
				d.WriteByte('Z')
			}
			fmt.Fprintf(&b, `<path d="%s"%s/>`+"\n", d.String(), paintAttributes(it.fill, it.stroke, it.width, it.dash))
		case disc:
			fmt.Fprintf(&b, `<circle cx="%s" cy="%s" r="%s"%s/>`+"\n", num(it.at.x), num(it.at.y), num(it.r), paintAttributes(it.fill, it.stroke, it.width, nil))
		case text:
			weight := ""
			if it.bold {
				weight = ` font-weight="bold"`
			}
			hex, _ := svgColor(it.color)
			fmt.Fprintf(&b, `<text x="%s" y="%s" font-size="%s"%s fill="%s" text-anchor="%s">%s</text>`+"\n",
				num(it.at.x), num(it.at.y), num(it.size), weight, hex, []string{"start", "middle", "end"}[it.anchor], escape(it.s))
		}
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func paintAttributes(fill, stroke color.Color, width float64, dash []float64) string {
	a := ` fill="none"`
	if fill != nil {
		hex, opacity := svgColor(fill)
		a = fmt.Sprintf(` fill="%s"`, hex)
		if opacity != "1" {
			a += fmt.Sprintf(` fill-opacity="%s"`, opacity)
		}
	}
	if stroke != nil && width > 0 {
		hex, _ := svgColor(stroke)
		a += fmt.Sprintf(` stroke="%s" stroke-width="%s" stroke-linejoin="round"`, hex, num(width))
		if len(dash) > 0 {
			parts := make([]string, len(dash))
			for i, d := range dash {
				parts[i] = num(d)
			}
			a += fmt.Sprintf(` stroke-dasharray="%s"`, strings.Join(parts, " "))
		}
	}
	return a
}

func svgColor(c color.Color) (hex, opacity string) {
	n := color.NRGBAModel.Convert(c).(color.NRGBA)
	return fmt.Sprintf("#%02X%02X%02X", n.R, n.G, n.B), num(float64(n.A) / 255)
}

// num writes a coordinate to a hundredth of a point, which no screen or printer resolves.
func num(v float64) string {
	return strconv.FormatFloat(math.Round(v*100)/100+0, 'f', -1, 64)
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;").Replace(s)
}
