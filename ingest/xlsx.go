package ingest

import (
	"archive/zip"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/xuri/excelize/v2"
)

// Limits of a workbook: beyond them it is not a table but an attack or an accident.
const (
	maxUnzipped  = 1 << 30
	maxEntries   = 10_000
	maxRatio     = 100
	ratioMatters = 16 << 20 // small files may compress as well as they like
)

// openXLSX reads one sheet, the first unless one is named.
func openXLSX(f *os.File, size int64, name, sheet string) (input, error) {
	c := &cellFile{file: name, f: f}
	var book *excelize.File
	var dates *workbook
	err := guarded(name, func() (err error) {
		z, err := zip.NewReader(f, size)
		if err != nil {
			return err
		}
		if err := checkZip(z, name); err != nil {
			return err
		}
		if book, err = excelize.OpenReader(io.NewSectionReader(f, 0, size), excelize.Options{RawCellValue: true, UnzipSizeLimit: maxUnzipped, UnzipXMLSizeLimit: maxUnzipped}); err != nil {
			return err
		}
		list := book.GetSheetList()
		if len(list) == 0 {
			return problem(name, 0, "", "no-sheet", "the workbook has no sheet")
		}
		if sheet == "" {
			sheet = list[0]
		}
		if i, err := book.GetSheetIndex(sheet); err != nil || i < 0 {
			return problem(name, 0, "", "no-sheet", "the workbook has no sheet of that name (it has %d)", len(list))
		}
		dates, err = readWorkbook(z, sheet)
		return err
	})
	if err != nil {
		if book != nil {
			book.Close()
		}
		return nil, err
	}
	c.shut = func() { book.Close() }
	if err := guarded(name, func() error { return c.sheetHeader(book, sheet) }); err != nil {
		book.Close()
		return nil, err
	}
	styled := dates.dateColumns(book, len(c.header))
	var typed []bool
	c.rows = func(ctx context.Context, _ []bool, take func(int, [][]byte) error) error {
		return c.sheetRows(ctx, book, sheet, dates.epoch1904, styled, typed, take)
	}
	return &xlsxInput{c, &typed}, nil
}

// xlsxInput also wants to know which columns are dates by declaration.
type xlsxInput struct {
	*cellFile
	typed *[]bool
}

func (x *xlsxInput) plan(p *plan) {
	x.cellFile.plan(p)
	*x.typed = make([]bool, len(x.header))
	if p != nil {
		for _, t := range p.targets {
			(*x.typed)[t.field] = t.Type == "date"
		}
	}
}

// checkZip unpacks every entry once and counts, because a directory may lie.
func checkZip(z *zip.Reader, name string) error {
	bomb := problem(name, 0, "", "too-large", "the workbook unpacks to more than a table of its size can: it is damaged or made to do harm")
	if len(z.File) > maxEntries {
		return bomb
	}
	total := int64(0)
	for _, e := range z.File {
		r, err := e.Open()
		if err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, io.LimitReader(r, maxUnzipped-total+1))
		r.Close()
		total += n
		if total > maxUnzipped || n > ratioMatters && n > maxRatio*int64(e.CompressedSize64) {
			return bomb
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *cellFile) sheetHeader(book *excelize.File, sheet string) error {
	rows, err := book.Rows(sheet)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		cells, err := rows.Columns(excelize.Options{RawCellValue: true})
		if err != nil {
			return err
		}
		for len(cells) > 0 && cells[len(cells)-1] == "" {
			cells = cells[:len(cells)-1]
		}
		if len(cells) > 0 {
			c.header = cells
			return nil
		}
	}
	return problem(c.file, 0, "", "empty", "the sheet is empty")
}

func (c *cellFile) sheetRows(ctx context.Context, book *excelize.File, sheet string, epoch1904 bool, styled, typed []bool, take func(int, [][]byte) error) error {
	rows, err := book.Rows(sheet)
	if err != nil {
		return err
	}
	defer rows.Close()
	fields := make([][]byte, len(c.header), len(c.header)+1)
	line, header := 0, true
	for rows.Next() {
		if line++; line%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		cells, err := rows.Columns(excelize.Options{RawCellValue: true})
		if err != nil {
			return err
		}
		for len(cells) > 0 && cells[len(cells)-1] == "" {
			cells = cells[:len(cells)-1]
		}
		if len(cells) == 0 {
			continue
		}
		if header {
			header = false
			continue
		}
		fields = fields[:len(c.header)]
		for j := range fields {
			fields[j] = nil
			if j < len(cells) && cells[j] != "" {
				v := cells[j]
				if styled[j] || typed != nil && typed[j] {
					v = serialDate(v, epoch1904)
				}
				fields[j] = []byte(v)
			}
		}
		if len(cells) > len(c.header) {
			fields = append(fields, nil) // ragged, which the consumer says
		}
		if err := take(line, fields); err != nil {
			return err
		}
	}
	return rows.Error()
}

// serialDate turns Excel's day number into a date: days since 1899-12-30, one less
// before the 29 February 1900 that never was, or since 1904-01-01. Other text stays.
func serialDate(v string, epoch1904 bool) string {
	x, err := strconv.ParseFloat(v, 64)
	if err != nil || !(x >= 1 && x < 2_958_466) {
		return v
	}
	day, part := math.Modf(x)
	switch {
	case epoch1904:
		day += 1462
	case day == 60:
		return v // 1900-02-29
	case day < 60:
		day++
	}
	t := time.Unix((int64(day)-25569)*86400+int64(math.Round(part*86400)), 0)
	return string(appendTime(nil, t))
}

// workbook is what the library does not tell without loading whole sheets: where the
// sheet lies, the first date, and the styles of its first rows.
type workbook struct {
	epoch1904 bool
	styles    map[int]int // column → style of its first filled cell below the header
}

func readWorkbook(z *zip.Reader, sheet string) (*workbook, error) {
	var wb struct {
		Pr struct {
			Date1904 string `xml:"date1904,attr"`
		} `xml:"workbookPr"`
		Sheets []struct {
			Name string     `xml:"name,attr"`
			Attr []xml.Attr `xml:",any,attr"`
		} `xml:"sheets>sheet"`
	}
	var rels struct {
		Rel []struct {
			ID     string `xml:"Id,attr"`
			Target string `xml:"Target,attr"`
		} `xml:"Relationship"`
	}
	if err := decodeEntry(z, "xl/workbook.xml", &wb); err != nil {
		return nil, err
	}
	if err := decodeEntry(z, "xl/_rels/workbook.xml.rels", &rels); err != nil {
		return nil, err
	}
	out := &workbook{epoch1904: wb.Pr.Date1904 == "1" || wb.Pr.Date1904 == "true", styles: map[int]int{}}
	for _, s := range wb.Sheets {
		if s.Name != sheet {
			continue
		}
		for _, a := range s.Attr {
			for _, r := range rels.Rel {
				if a.Name.Local == "id" && a.Value == r.ID {
					target := r.Target
					if !strings.HasPrefix(target, "/") {
						target = path.Join("xl", target)
					}
					return out, out.firstStyles(z, strings.TrimPrefix(target, "/"))
				}
			}
		}
	}
	return out, nil
}

func decodeEntry(z *zip.Reader, name string, v any) error {
	r, err := z.Open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	return xml.NewDecoder(r).Decode(v)
}

// styledRows is how far down the first filled cell of a column is looked for.
const styledRows = 200

func (w *workbook) firstStyles(z *zip.Reader, name string) error {
	r, err := z.Open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	d := xml.NewDecoder(r)
	rows, col, style, filled := 0, -1, 0, false
	for rows <= styledRows {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch e := tok.(type) {
		case xml.StartElement:
			switch e.Name.Local {
			case "row":
				rows++
			case "c":
				col, style, filled = -1, 0, false
				number := true
				for _, a := range e.Attr {
					switch a.Name.Local {
					case "r":
						if x, _, err := excelize.CellNameToCoordinates(a.Value); err == nil {
							col = x - 1
						}
					case "s":
						style, _ = strconv.Atoi(a.Value)
					case "t":
						number = a.Value == "n"
					}
				}
				if !number {
					col = -1
				}
			case "v":
				filled = true
			}
		case xml.EndElement:
			if _, known := w.styles[col]; e.Name.Local == "c" && rows > 1 && filled && col >= 0 && !known {
				w.styles[col] = style
			}
		}
	}
	return nil
}

// dateColumns says which columns show their numbers as dates.
func (w *workbook) dateColumns(book *excelize.File, n int) []bool {
	out := make([]bool, n)
	for j := range out {
		s, ok := w.styles[j]
		if !ok {
			continue
		}
		if st, err := book.GetStyle(s); err == nil && st != nil {
			out[j] = dateFormat(st)
		}
	}
	return out
}

func dateFormat(s *excelize.Style) bool {
	if s.CustomNumFmt != nil {
		quoted := false // in "text" or [Red]
		for i := 0; i < len(*s.CustomNumFmt); i++ {
			switch c := (*s.CustomNumFmt)[i]; {
			case c == '"':
				quoted = !quoted
			case c == '[' || c == ']':
				quoted = c == '['
			case c == '\\':
				i++
			case !quoted && (c|0x20 == 'y' || c|0x20 == 'd'):
				return true
			case c == ';' && !quoted:
				return false
			}
		}
		return false
	}
	n := s.NumFmt
	return n >= 14 && n <= 17 || n == 22 || n >= 27 && n <= 36 || n >= 50 && n <= 58
}
