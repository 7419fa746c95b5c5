package ingest

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"utfall/table"
)

// target is a declared column, ready to be filled.
type target struct {
	*Column
	field    int // in the file's rows
	kind     table.Kind
	month    bool
	required bool
	missing  []string
	of       map[string]string
	why      map[string]string // marks of values that are missing for a reason
	levels   map[string]int32  // declared ones; nil if the file decides
}

func newTarget(c *Column, field int) target {
	t := target{Column: c, field: field, missing: c.Missing, kind: table.Kind(c.Type), of: c.Of, why: c.MissingAs}
	if c.Type == "month" {
		t.kind, t.month = table.DateKind, true
	}
	if c.Levels != nil {
		t.levels = make(map[string]int32, len(c.Levels))
		for i, l := range c.Levels {
			t.levels[norm.NFC.String(l)] = int32(i)
		}
	}
	return t
}

// plan is what every part of one file shares, read-only.
type plan struct {
	file    string
	mark    byte // decimal
	header  []string
	targets []target
}

// Reject is a row that was left out, and why. It holds no value.
type Reject struct {
	Line   int
	Column string // "" where the whole row is meant
	Code   string
}

// vec holds the values of one column in one part.
type vec struct {
	f       []float64
	n       []int64
	d       []int32 // days, or codes of a category
	b       []bool
	text    []byte
	off     []int32
	valid   []bool // nil until a value is missing
	rows    int
	dict    map[string]int32
	levels  []string
	last    int32 // the code used last: runs of one level need no lookup
	padded  int
	trimmed int
	recoded int
	why     map[string]int // values by the reason why they are missing
	folded  int            // put into Unicode's composed form
	odd     int            // with invisible or direction-changing characters
}

// lineBreak says that rows from row on lie as many lines further down.
type lineBreak struct{ row, line int }

// part is the outcome of one chunk.
type part struct {
	*plan
	vecs     []vec
	rows     int
	rejected int
	rejects  []Reject
	breaks   []lineBreak
	blank    int
	fatal    *Problem
}

func newPart(p *plan) *part {
	out := &part{plan: p, vecs: make([]vec, len(p.targets))}
	for k := range out.vecs {
		out.vecs[k].off = []int32{0}
		out.vecs[k].last = -1
	}
	return out
}

// expect makes room for as many rows at once.
func (p *part) expect(rows int) {
	for k := range p.vecs {
		v := &p.vecs[k]
		switch p.targets[k].kind {
		case table.FloatKind:
			v.f = make([]float64, 0, rows)
		case table.IntegerKind:
			v.n = make([]int64, 0, rows)
		case table.BooleanKind:
			v.b = make([]bool, 0, rows)
		case table.TextKind:
			v.off = append(make([]int32, 0, rows+1), 0)
		default:
			v.d = make([]int32, 0, rows)
		}
	}
}

func (p *part) blankLine() { p.blank++ }

func (p *part) badRow(line int, code string) {
	p.rejected++
	p.rejects = append(p.rejects, Reject{line, "", code})
}

func (p *part) row(line int, fields [][]byte) {
	if len(fields) != len(p.header) {
		p.badRow(line, "ragged")
		return
	}
	if p.fatal == nil && len(fields) > 0 && string(fields[0]) == p.header[0] && p.isHeader(fields) {
		p.fatal = problem(p.file, line, "", "second-header", "the header comes a second time: two files were put together")
	}
	p.take(line, fields)
}

func (p *part) isHeader(fields [][]byte) bool {
	for i, f := range fields {
		if string(f) != p.header[i] {
			return false
		}
	}
	return true
}

// take adds a row whose fields are all there.
func (p *part) take(line int, fields [][]byte) {
	ok := true
	for k := range p.targets {
		if code := p.cell(k, fields[p.targets[k].field]); code != "" {
			p.rejects = append(p.rejects, Reject{line, p.targets[k].Name, code})
			ok = false
		}
	}
	if !ok {
		p.rejected++
		for k := range p.vecs {
			p.vecs[k].truncate(p.rows)
		}
		return
	}
	if b := len(p.breaks); b == 0 || p.breaks[b-1].line+p.rows-p.breaks[b-1].row != line {
		p.breaks = append(p.breaks, lineBreak{p.rows, line})
	}
	p.rows++
}

// truncate takes back what a rejected row put in.
func (v *vec) truncate(n int) {
	v.f, v.n, v.d, v.b = v.f[:min(n, len(v.f))], v.n[:min(n, len(v.n))], v.d[:min(n, len(v.d))], v.b[:min(n, len(v.b))]
	if len(v.off) > n+1 {
		v.text, v.off = v.text[:v.off[n]], v.off[:n+1]
	}
	if v.valid != nil {
		v.valid = v.valid[:min(n, len(v.valid))]
	}
	v.rows = min(v.rows, n)
}

// present notes whether the row has a value.
func (v *vec) present(has bool) {
	if !has && v.valid == nil {
		v.valid = slices.Repeat([]bool{true}, v.rows)
	}
	if v.valid != nil {
		v.valid = append(v.valid, has)
	}
	v.rows++
}

// trim cuts spaces, tabs and no-break spaces off both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	if len(b) > 1 && (b[0] == 0xC2 || b[len(b)-1] == 0xA0) {
		nbsp := []byte{0xC2, 0xA0}
		if bytes.HasPrefix(b, nbsp) {
			return trim(b[2:])
		}
		if bytes.HasSuffix(b, nbsp) {
			return trim(b[:len(b)-2])
		}
	}
	return b
}

// cell types one value and appends it, or says why it cannot.
func (p *part) cell(k int, raw []byte) (code string) {
	t, v := &p.targets[k], &p.vecs[k]
	b := raw
	if len(b) > 0 && (b[0] <= ' ' || b[0] == 0xC2 || b[len(b)-1] <= ' ' || b[len(b)-1] == 0xA0) {
		b = trim(b)
	}
	missing := len(b) == 0
	for _, m := range t.missing {
		missing = missing || string(b) == m
	}
	if why, ok := t.why[string(b)]; ok {
		if v.why == nil {
			v.why = map[string]int{}
		}
		v.why[why]++
		if missing = why != trueZero; !missing {
			b = []byte{'0'}
		}
	}
	if !missing && t.of != nil {
		if to, ok := t.of[string(b)]; ok {
			b = []byte(to)
			v.recoded++
		}
	}
	if missing {
		if t.required {
			return "required"
		}
		return v.null(t.kind)
	}
	switch t.kind {
	case table.FloatKind:
		x, code := parseNumber(b, p.mark)
		if code != "" {
			return code
		}
		if t.Min != nil && x < *t.Min || t.Max != nil && x > *t.Max {
			return "out-of-range"
		}
		v.f = append(v.f, x)
	case table.IntegerKind:
		x, code := parseInteger(b, p.mark)
		if code != "" {
			return code
		}
		if t.Min != nil && float64(x) < *t.Min || t.Max != nil && float64(x) > *t.Max {
			return "out-of-range"
		}
		v.n = append(v.n, x)
	case table.BooleanKind:
		x, ok := parseBoolean(b)
		if !ok {
			return "not-a-boolean"
		}
		v.b = append(v.b, x)
	case table.DateKind:
		x, ok := parseDate(b)
		if t.month {
			if x, ok = parseMonth(b); !ok {
				return "not-a-month"
			}
		}
		if !ok {
			return "not-a-date"
		}
		v.d = append(v.d, x)
	default:
		return v.string(t, b, len(b) != len(raw))
	}
	v.present(true)
	return ""
}

// null appends a row without a value.
func (v *vec) null(kind table.Kind) string {
	switch kind {
	case table.FloatKind:
		v.f = append(v.f, 0)
	case table.IntegerKind:
		v.n = append(v.n, 0)
	case table.BooleanKind:
		v.b = append(v.b, false)
	case table.TextKind:
		v.off = append(v.off, int32(len(v.text)))
	default:
		v.d = append(v.d, 0)
	}
	v.present(false)
	return ""
}

// string appends text or the code of a level.
func (v *vec) string(t *target, b []byte, trimmed bool) (code string) {
	odd := false
	if !plainText(b) {
		for i := 0; i < len(b); {
			r, w := utf8.DecodeRune(b[i:])
			switch {
			case r == utf8.RuneError && w == 1:
				return "encoding"
			case r < ' ' && r != '\n' && r != '\t' && r != '\r', r >= 0x7F && r < 0xA0:
				return "control-character"
			case r >= 0x200B && r <= 0x200F, r >= 0x2028 && r <= 0x202E, r >= 0x2066 && r <= 0x2069, r == 0xFEFF:
				odd = true
			}
			i += w
		}
		if !norm.NFC.IsNormal(b) {
			b = norm.NFC.Bytes(b)
			v.folded++
		}
	}
	if t.Pad > 0 && onlyDigits(b) {
		if len(b) > t.Pad {
			return "too-long"
		}
		if n := t.Pad - len(b); n > 0 {
			b = append(bytes.Repeat([]byte{'0'}, n), b...)
			v.padded++
		}
	}
	if trimmed {
		v.trimmed++
	}
	if odd {
		v.odd++
	}
	if t.kind == table.TextKind {
		v.text = append(v.text, b...)
		v.off = append(v.off, int32(len(v.text)))
		v.present(true)
		return ""
	}
	c, known := v.last, v.last >= 0 && t.levels == nil && string(b) == v.levels[max(v.last, 0)]
	switch {
	case known:
	case t.levels != nil:
		if c, known = t.levels[string(b)]; !known {
			return "not-a-level"
		}
	default:
		if c, known = v.dict[string(b)]; !known {
			if v.dict == nil {
				v.dict = map[string]int32{}
			}
			c = int32(len(v.levels))
			l := string(b)
			v.dict[l] = c
			v.levels = append(v.levels, l)
		}
	}
	v.last = c
	v.d = append(v.d, c)
	v.present(true)
	return ""
}

// plainText is true for printable ASCII, which needs no further look.
func plainText(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c >= 0x7F {
			return false
		}
	}
	return true
}

func onlyDigits(b []byte) bool {
	for _, c := range b {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}
