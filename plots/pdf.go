package plots

import (
	"bytes"
	"image/color"
	"time"

	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	"codeberg.org/go-pdf/fpdf"

	"utfall/internal/lang"
)

// paintPDF writes one page. It goes past gonum/plot's PDF canvas, which knows only the
// letters of Windows-1252 (no minus sign, no ≥) and stamps the time of the day.
func paintPDF(s *scene, alt string, l lang.Lang) ([]byte, error) {
	doc := fpdf.NewCustom(&fpdf.InitType{UnitStr: "pt", Size: fpdf.SizeType{Wd: s.w, Ht: s.h}})
	epoch := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	doc.SetCreationDate(epoch)
	doc.SetModificationDate(epoch)
	doc.SetCatalogSort(true)
	doc.SetProducer("utfall", true)
	doc.SetTitle(alt, true)
	doc.SetLang(string(l))
	doc.SetMargins(0, 0, 0)
	doc.SetAutoPageBreak(false, 0)
	doc.AddUTF8FontFromBytes("sans", "", liberationsansregular.TTF)
	doc.AddUTF8FontFromBytes("sans", "B", liberationsansbold.TTF)
	doc.AddPage()
	doc.SetLineJoinStyle("round")

	paint := func(fill, stroke color.Color, width float64, dash []float64) string {
		style := ""
		alpha := 1.0
		if fill != nil {
			n := color.NRGBAModel.Convert(fill).(color.NRGBA)
			doc.SetFillColor(int(n.R), int(n.G), int(n.B))
			alpha = float64(n.A) / 255
			style = "F"
		}
		if stroke != nil && width > 0 {
			n := color.NRGBAModel.Convert(stroke).(color.NRGBA)
			doc.SetDrawColor(int(n.R), int(n.G), int(n.B))
			doc.SetLineWidth(width)
			if dash == nil {
				dash = []float64{}
			}
			doc.SetDashPattern(dash, 0)
			style += "D"
		}
		doc.SetAlpha(alpha, "Normal")
		return style
	}
	for _, item := range s.items {
		switch it := item.(type) {
		case shape:
			style := paint(it.fill, it.stroke, it.width, it.dash)
			for i, p := range it.points {
				if i == 0 {
					doc.MoveTo(p.x, p.y)
				} else {
					doc.LineTo(p.x, p.y)
				}
			}
			if it.closed {
				doc.ClosePath()
			}
			doc.DrawPath(style)
		case disc:
			doc.Circle(it.at.x, it.at.y, it.r, paint(it.fill, it.stroke, it.width, nil))
		case text:
			weight := ""
			if it.bold {
				weight = "B"
			}
			n := color.NRGBAModel.Convert(it.color).(color.NRGBA)
			doc.SetAlpha(1, "Normal")
			doc.SetTextColor(int(n.R), int(n.G), int(n.B))
			doc.SetFont("sans", weight, it.size)
			// fpdf sets letters without kerning, so the width is its own.
			x := it.at.x
			switch it.anchor {
			case middle:
				x -= doc.GetStringWidth(it.s) / 2
			case end:
				x -= doc.GetStringWidth(it.s)
			}
			doc.Text(x, it.at.y, it.s)
		}
	}
	var b bytes.Buffer
	if err := doc.Output(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
