package ingest

import (
	"fmt"

	"utfall/table"
)

// detector counts what looks like Swedish personal identity numbers in one column:
// personnummer and samordningsnummer (day + 60), ten or twelve digits, with or without
// - or +, also with the letter of an interim number.
//
// By chance 7 in 100 random ten-digit numbers begin with a date, and one in ten of
// those has the right check digit. So a column is refused when, of the values that
// begin with a date, more than a quarter have the right check digit (chance: a tenth),
// there are at least three of them, and they are more than 5 % of the values, or 1 %
// where they have twelve digits or a sign between date and number, which random
// numbers hardly ever do. A single value written YYYYMMDD-NNNN is enough by itself.
type detector struct {
	name                string
	values              int
	short, long, signed int // valid: ten digits; twelve digits or a sign; twelve digits and a sign
	dated               int // begins with a date, whatever the check digit
}

func newDetectors(t *table.Table) []*detector {
	var out []*detector
	for _, f := range t.Fields() {
		if f.Kind != table.BooleanKind && f.Kind != table.DateKind {
			out = append(out, &detector{name: f.Name})
		}
	}
	return out
}

// column counts the values of the detector's column in a table.
func (d *detector) column(t *table.Table) {
	c, err := t.Column(d.name)
	if err != nil {
		return
	}
	switch c.Kind {
	case table.FloatKind, table.IntegerKind:
		v, err := t.Float(d.name)
		if err != nil {
			return
		}
		for i, x := range v.Values {
			if !v.Has(i) {
				continue
			}
			d.values++
			if x >= 1e8 && x < 1e13 && x == float64(int64(x)) {
				d.count(fmt.Appendf(nil, "%010d", int64(x)), 1)
			}
		}
	case table.CategoryKind:
		v, err := t.Category(d.name)
		if err != nil {
			return
		}
		n := make([]int, len(v.Levels))
		for i, k := range v.Codes {
			if v.Has(i) {
				n[k]++
			}
		}
		for k, l := range v.Levels {
			d.values += n[k]
			d.text(l, n[k])
		}
	default:
		v, ok, err := t.Text(d.name)
		if err != nil {
			return
		}
		for i, s := range v {
			if ok == nil || ok[i] {
				d.values++
				d.text(s, 1)
			}
		}
	}
}

// text counts a value, or the pieces of free text that have the form.
func (d *detector) text(s string, weight int) {
	if len(s) < 10 || weight == 0 {
		return
	}
	if len(s) <= 13 {
		d.count([]byte(s), weight)
		return
	}
	pieces(s, func(p []byte) {
		if k := kindOf(p); k.dated && (k.sign || len(p) == 12) {
			d.count(p, weight)
		}
	})
}

// pieces calls each with every run of digits and signs that could be a number.
func pieces(s string, each func([]byte)) {
	for i := 0; i < len(s); {
		if s[i]-'0' > 9 {
			i++
			continue
		}
		j := i
		for j < len(s) && (s[j]-'0' <= 9 || s[j] == '-' || s[j] == '+' || j-i >= 6 && j-i <= 9 && interim(s[j])) {
			j++
		}
		if n := j - i; n >= 10 && n <= 13 {
			each([]byte(s[i:j]))
		}
		i = j
	}
}

func (d *detector) count(b []byte, weight int) {
	k := kindOf(b)
	if !k.dated {
		return
	}
	d.dated += weight
	switch {
	case !k.valid:
	case k.long && k.sign:
		d.signed += weight
	case k.long || k.sign:
		d.long += weight
	default:
		d.short += weight
	}
}

// form is what a text has of an identity number.
type form struct{ dated, valid, long, sign bool }

func interim(c byte) bool {
	switch c {
	case 'T', 'R', 'S', 'U', 'W', 'X', 'J', 'K', 'L', 'M', 'N':
		return true
	}
	return false
}

// kindOf looks at YYMMDDNNNC or YYYYMMDDNNNC with an optional - + or space before NNNC.
func kindOf(b []byte) (f form) {
	var d [12]byte
	n := 0
	for i, c := range b {
		switch {
		case c-'0' <= 9 && n < 12:
			d[n] = c - '0'
			n++
		case (c == '-' || c == '+' || c == ' ') && i == len(b)-5 && (n == 6 || n == 8) && !f.sign:
			f.sign = true
		case interim(c) && i == len(b)-4 && (n == 6 || n == 8):
			d[n] = 1
			n++
		default:
			return form{}
		}
	}
	var ten []byte
	switch n {
	case 10:
		ten = d[:10]
	case 12:
		if century := d[0]*10 + d[1]; century < 18 || century > 20 {
			return form{}
		}
		f.long, ten = true, d[2:12]
	default:
		return form{}
	}
	year, month, day := int(ten[0])*10+int(ten[1]), int(ten[2])*10+int(ten[3]), int(ten[4])*10+int(ten[5])
	if day > 60 {
		day -= 60
	}
	// 2000 was a leap year, as 1900 + a multiple of 4 is, but for 1900 itself
	if month < 1 || month > 12 || day < 1 || day > monthDays(2000+year, month) {
		return form{}
	}
	f.dated = true
	sum := 0
	for i, v := range ten {
		x := int(v)
		if i%2 == 0 {
			if x *= 2; x > 9 {
				x -= 9
			}
		}
		sum += x
	}
	f.valid = sum%10 == 0
	return f
}

// found is the verdict on the column.
func (d *detector) found() bool {
	hits := d.short + d.long + d.signed
	if hits*4 <= d.dated {
		return false
	}
	share := func(n int, s float64) bool { return n >= 3 && float64(n) > s*float64(d.values) }
	return d.signed > 0 || share(d.long, 0.01) || share(hits, 0.05)
}

// judge refuses a table with identity numbers. The message says where, not what.
func judge(file string, ds []*detector) error {
	var ps Problems
	for _, d := range ds {
		if d.found() {
			ps = append(ps, &Problem{File: file, Column: d.name, Code: "identity-number", kind: ErrIdentifier,
				Text: "the column looks like personal identity numbers: replace them by running numbers before the data come here"})
		}
	}
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// holdsIdentifier looks for a whole identity number in a name.
func holdsIdentifier(s string) (found bool) {
	pieces(s, func(p []byte) {
		if f := kindOf(p); f.valid {
			found = true
		}
	})
	return found
}

func identifierProblem(file, where string) error {
	return &Problem{File: file, Code: "identity-number", kind: ErrIdentifier,
		Text: where + " holds what looks like a personal identity number: rename it"}
}
