package plots

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image/color"
	"image/png"
	"math"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgimg"
)

// paintPNG draws the scene on white.
func paintPNG(s *scene, dpi int) ([]byte, error) {
	c := vgimg.NewWith(vgimg.UseWH(vg.Length(s.w), vg.Length(s.h)), vgimg.UseDPI(dpi), vgimg.UseBackgroundColor(color.White))
	at := func(p point) vg.Point { return vg.Point{X: vg.Length(p.x), Y: vg.Length(s.h - p.y)} }
	paint := func(path vg.Path, fill, stroke color.Color, width float64, dash []float64) {
		if fill != nil {
			c.SetColor(fill)
			c.Fill(path)
		}
		if stroke != nil && width > 0 {
			lengths := make([]vg.Length, len(dash))
			for i, d := range dash {
				lengths[i] = vg.Length(d)
			}
			c.SetColor(stroke)
			c.SetLineWidth(vg.Length(width))
			c.SetLineDash(lengths, 0)
			c.Stroke(path)
		}
	}
	for _, item := range s.items {
		switch it := item.(type) {
		case shape:
			var path vg.Path
			for i, p := range it.points {
				if i == 0 {
					path.Move(at(p))
				} else {
					path.Line(at(p))
				}
			}
			if it.closed {
				path.Close()
			}
			paint(path, it.fill, it.stroke, it.width, it.dash)
		case disc:
			var path vg.Path
			path.Move(at(point{it.at.x + it.r, it.at.y}))
			path.Arc(at(it.at), vg.Length(it.r), 0, 2*math.Pi)
			path.Close()
			paint(path, it.fill, it.stroke, it.width, nil)
		case text:
			c.SetColor(it.color)
			c.FillString(face(it.size, it.bold), at(point{it.box().x0, it.at.y}), it.s)
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, c.Image()); err != nil {
		return nil, err
	}
	return withResolution(b.Bytes(), dpi), nil
}

// withResolution adds the pHYs chunk, so that a word processor places the picture at
// its size in cm. It stands right after the header, which has a fixed length.
func withResolution(png []byte, dpi int) []byte {
	const header = 8 + 12 + 13
	chunk := append([]byte("pHYs"), make([]byte, 9)...)
	perMetre := uint32(math.Round(float64(dpi) / 0.0254))
	binary.BigEndian.PutUint32(chunk[4:], perMetre)
	binary.BigEndian.PutUint32(chunk[8:], perMetre)
	chunk[12] = 1 // the unit is the metre
	out := append([]byte(nil), png[:header]...)
	out = binary.BigEndian.AppendUint32(out, 9)
	out = append(out, chunk...)
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(chunk))
	return append(out, png[header:]...)
}
