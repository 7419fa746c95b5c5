package ingest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Dialect is how a text file is written.
type Dialect struct {
	Separator byte   // ',', ';', tab or '|'
	Decimal   byte   // '.' or ','
	Encoding  string // utf-8, utf-8-bom, windows-1252, iso-8859-1, utf-16le or utf-16be
	Header    bool   // the first line names the columns
}

var separatorNames = map[byte]string{',': "comma", ';': "semicolon", '\t': "tab", '|': "bar"}

var decimalNames = map[byte]string{'.': "point", ',': "comma"}

// String says the dialect in words.
func (d Dialect) String() string {
	head := "with a header line"
	if !d.Header {
		head = "without a header line"
	}
	return fmt.Sprintf("separator %s, decimal %s, %s, %s", separatorNames[d.Separator], decimalNames[d.Decimal], d.Encoding, head)
}

// sniffBytes is how much of a file is looked at.
const sniffBytes = 256 << 10

// Sniff tells from the beginning of a file how it is written. What it cannot tell is
// an error that names what to declare: a separator that could be two, or numbers such
// as 1,234 that could be thousands or decimals.
func Sniff(head []byte) (Dialect, error) {
	var d Dialect
	d.Encoding, _ = sniffEncoding(head)
	err := d.sniff(head, 0, 0, nil)
	return d, err
}

// sniff fills in what is not declared; numeric names the columns that hold numbers by
// schema, nil means that all may.
func (d *Dialect) sniff(head []byte, separator, decimal byte, numeric func(header string) bool) error {
	cut := len(head) >= sniffBytes
	text, err := d.decodeHead(head, cut)
	if err != nil {
		return err
	}
	if d.Separator = separator; separator == 0 {
		if d.Separator, err = sniffSeparator(text, cut); err != nil {
			return err
		}
	}
	rows := splitHead(text, d.Separator, cut)
	d.Header = hasHeader(rows)
	if d.Decimal = decimal; decimal == 0 {
		d.Decimal, err = sniffDecimal(rows, d.Separator, numeric)
	}
	return err
}

func (d *Dialect) decodeHead(head []byte, cut bool) ([]byte, error) {
	switch d.Encoding {
	case "utf-8-bom":
		return bytes.TrimPrefix(head, bomUTF8), nil
	case "windows-1252", "iso-8859-1":
		if text, at := singleByte(head, d.Encoding); at < 0 {
			return text, nil
		}
		return head, nil // the reader reports the line
	case "utf-16le", "utf-16be":
		if cut {
			head = head[:len(head)&^3]
		}
		u := &utf16Reader{r: bytes.NewReader(head), big: d.Encoding == "utf-16be"}
		var out bytes.Buffer
		if _, err := out.ReadFrom(u); err != nil && !cut {
			return out.Bytes(), nil // the reader reports the offset
		}
		return out.Bytes(), nil
	}
	return head, nil
}

// headRows is how many records sniffing looks at.
const headRows = 200

// splitHead cuts the beginning of a file into records; the last one is left out where
// the file goes on, because it may be cut.
func splitHead(text []byte, sep byte, cut bool) [][]string {
	var rows [][]string
	var row []string
	var field []byte
	quoted, start := false, true
	end := func() {
		row = append(row, string(bytes.TrimSuffix(field, []byte{'\r'})))
		field, start = field[:0], true
	}
	for i := 0; i < len(text) && len(rows) < headRows; i++ {
		c := text[i]
		switch {
		case quoted && c == '"' && i+1 < len(text) && text[i+1] == '"':
			field = append(field, c)
			i++
		case quoted && c == '"':
			quoted = false
		case quoted:
			field = append(field, c)
		case c == '"' && start:
			quoted, start = true, false
		case c == sep:
			end()
		case c == '\n':
			if end(); len(row) > 1 || row[0] != "" {
				rows = append(rows, row)
			}
			row = nil
		default:
			field, start = append(field, c), false
		}
	}
	if len(rows) < headRows && !cut && (len(row) > 0 || len(field) > 0) {
		end()
		rows = append(rows, row)
	}
	return rows
}

// sniffSeparator takes the character that gives the header two or more fields and most
// other rows as many. Where two do, the one that fits more rows wins; where that is
// even, the file must be declared.
func sniffSeparator(text []byte, cut bool) (byte, error) {
	var best byte
	var bestFit float64
	tie := false
	for _, sep := range []byte{';', ',', '\t', '|'} {
		rows := splitHead(text, sep, cut)
		if len(rows) == 0 || len(rows[0]) < 2 {
			continue
		}
		same := 0
		for _, r := range rows {
			if len(r) == len(rows[0]) {
				same++
			}
		}
		fit := float64(same) / float64(len(rows))
		if len(rows) > 1 && same == 1 {
			fit = 0 // no row has what the header promises
		}
		switch {
		case best == 0 || fit > bestFit:
			best, bestFit, tie = sep, fit, false
		case fit == bestFit:
			tie = true
		}
	}
	switch {
	case best == 0:
		return ',', nil // one column
	case tie:
		return 0, fmt.Errorf("the separator could be more than one character: declare it")
	}
	return best, nil
}

// sniffDecimal looks for columns whose values are all numbers with one of the two marks.
func sniffDecimal(rows [][]string, sep byte, numeric func(string) bool) (byte, error) {
	points, commas, thousands := 0, 0, 0
	for j := range rowWidth(rows) {
		if numeric != nil && !numeric(strings.TrimSpace(rows[0][j])) {
			continue
		}
		asPoint, asComma, hasPoint, hasComma, grouped := true, true, false, false, true
		for _, r := range rows[1:] {
			if j >= len(r) {
				continue
			}
			v := strings.TrimSpace(r[j])
			if v == "" || slices.Contains(flatMissing, v) || slices.Contains(numberMissing, v) {
				continue
			}
			_, p := scanNumber([]byte(v), '.')
			_, c := scanNumber([]byte(v), ',')
			if !p && !c && numeric != nil {
				continue // a bad row of a declared number: others tell
			}
			asPoint, asComma = asPoint && p, asComma && c
			hasPoint = hasPoint || strings.Contains(v, ".")
			if k := strings.IndexByte(v, ','); k >= 0 {
				hasComma = true
				lead := strings.TrimLeft(v[:k], "+-−")
				grouped = grouped && len(v)-k == 4 && len(lead) <= 3 && lead != "0" && lead != ""
			}
		}
		switch {
		case numeric != nil && hasPoint && !hasComma, asPoint && hasPoint:
			points++
		case (numeric != nil && !hasPoint || asComma) && hasComma && grouped:
			thousands++
		case (numeric != nil && !hasPoint || asComma) && hasComma:
			commas++
		}
	}
	switch {
	case points > 0 && commas > 0:
		return 0, fmt.Errorf("some columns have a decimal point and others a decimal comma: declare which it is")
	case points > 0:
		return '.', nil
	case commas > 0:
		return ',', nil
	case thousands > 0:
		return 0, fmt.Errorf("numbers such as 1,234 may have thousands or decimals after the comma: declare the decimal mark")
	case sep == ';':
		return ',', nil
	}
	return '.', nil
}

func rowWidth(rows [][]string) int {
	if len(rows) == 0 {
		return 0
	}
	return len(rows[0])
}

// hasHeader is false where the first row looks like the rows below it: numbers in the
// same columns, that are not years (2004, 2005, … name the columns of wide files).
func hasHeader(rows [][]string) bool {
	if len(rows) == 0 {
		return false
	}
	number := func(s string) bool {
		_, p := scanNumber([]byte(strings.TrimSpace(s)), '.')
		_, c := scanNumber([]byte(strings.TrimSpace(s)), ',')
		return p || c
	}
	year := func(s string) bool {
		s = strings.TrimSpace(s)
		return len(s) == 4 && (strings.HasPrefix(s, "19") || strings.HasPrefix(s, "20"))
	}
	numbers, years := 0, 0
	for j, s := range rows[0] {
		if number(s) {
			if len(rows) > 1 && (j >= len(rows[1]) || !number(rows[1][j])) {
				return true
			}
			numbers++
			if year(s) {
				years++
			}
		}
	}
	return numbers == 0 || numbers == years && numbers > 1
}
