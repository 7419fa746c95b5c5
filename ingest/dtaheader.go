package ingest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
)

// dtaFile is a Stata file: what it describes, and where its data are. Written from the
// published description of the format (Stata's help dta, versions 113 to 119).
type dtaFile struct {
	file    string
	in      cursor
	version int
	binaryText
	cols   []dtaColumn
	rows   int
	width  int // bytes of a row
	data   int64
	strls  map[dtaKey]dtaText
	tables map[string]map[int32][]byte // value labels, not decoded
}

// dtaLayout are the widths that differ between versions.
type dtaLayout struct {
	count, rows, title          int64 // bytes of the number of variables, of rows, of the length of the title
	name, format, labels, label int64
}

var dtaLayouts = map[int]dtaLayout{
	113: {2, 4, 0, 33, 12, 33, 81}, 114: {2, 4, 0, 33, 49, 33, 81}, 115: {2, 4, 0, 33, 49, 33, 81},
	117: {2, 4, 1, 33, 49, 33, 81}, 118: {2, 8, 2, 129, 57, 129, 321}, 119: {4, 8, 2, 129, 57, 129, 321},
}

// cursor reads a binary file piece by piece and never more than it has.
type cursor struct {
	r        io.ReaderAt
	at, size int64
	order    binary.ByteOrder
}

var (
	errCut = errors.New("the file ends before what it announces")
	errTag = errors.New("a mark is not where it should be")
)

func (c *cursor) take(n int64) ([]byte, error) {
	if n < 0 || n > c.size-c.at {
		return nil, errCut
	}
	b := make([]byte, n)
	if k, err := c.r.ReadAt(b, c.at); int64(k) < n {
		return nil, errors.Join(errCut, err)
	}
	c.at += n
	return b, nil
}

func (c *cursor) skip(n int64) error {
	if n < 0 || n > c.size-c.at {
		return errCut
	}
	c.at += n
	return nil
}

// number reads an unsigned integer of 1 to 8 bytes.
func (c *cursor) number(width int64) (uint64, error) {
	b, err := c.take(width)
	if err != nil {
		return 0, err
	}
	return unsignedOf(b, c.order), nil
}

func unsignedOf(b []byte, order binary.ByteOrder) (v uint64) {
	for i := range b {
		k := i
		if order == binary.LittleEndian {
			k = len(b) - 1 - i
		}
		v = v<<8 | uint64(b[k])
	}
	return v
}

// tags reads marks that must come here.
func (c *cursor) tags(s string) error {
	b, err := c.take(int64(len(s)))
	if err != nil {
		return err
	}
	if string(b) != s {
		return errTag
	}
	return nil
}

// upToNUL cuts a text of fixed width at its end.
func upToNUL(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

const dtaMagic = "<stata_dta><header><release>"

// parseDTA reads everything but the data and the long texts.
func parseDTA(r io.ReaderAt, size int64, file, encoding string) (*dtaFile, error) {
	d := &dtaFile{file: file, in: cursor{r: r, size: size, order: binary.LittleEndian}, binaryText: binaryText{encoding, encoding != ""}}
	head := make([]byte, min(size, int64(len(dtaMagic)+3)))
	if _, err := r.ReadAt(head, 0); err != nil && err != io.EOF {
		return nil, err
	}
	tagged := bytes.HasPrefix(head, []byte(dtaMagic))
	switch {
	case tagged && len(head) == len(dtaMagic)+3:
		for _, c := range head[len(dtaMagic):] {
			d.version = d.version*10 + int(c-'0')
		}
	case len(head) >= 4 && (head[1] == 1 || head[1] == 2) && head[2] == 1 && head[0] >= 102 && head[0] <= 116:
		d.version = int(head[0])
	default:
		return nil, problem(file, 0, "", "not-stata", "this is not a Stata file: it does not begin like one")
	}
	if _, known := dtaLayouts[d.version]; !known || tagged != (d.version >= 117) {
		return nil, problem(file, 0, "", "format-version", "the file has Stata's format %d; 113, 114, 115, 117, 118 and 119 can be read: save it again with saveold or as CSV", d.version)
	}
	if err := d.chooseEncoding(); err != nil {
		return nil, err
	}
	parse := d.parseOld
	if tagged {
		parse = d.parseTagged
	}
	err := parse()
	if errors.Is(err, errCut) {
		return nil, problem(file, 0, "", "cut-off", "the file ends before what it announces: it was cut off or is damaged")
	}
	return d, err
}

func (d *dtaFile) chooseEncoding() error {
	switch {
	case d.encoding == "" && d.version >= 118:
		d.encoding = "utf-8"
	case d.encoding == "":
		d.encoding = "windows-1252"
	case d.version >= 118 && d.encoding != "utf-8", d.encoding != "utf-8" && d.encoding != "windows-1252" && d.encoding != "iso-8859-1":
		return problem(d.file, 0, "", "encoding", "a Stata file of format %d cannot have the encoding that is declared (before 118: windows-1252, iso-8859-1 or utf-8; from 118: utf-8)", d.version)
	}
	return nil
}

// parseOld reads formats 113 to 115.
func (d *dtaFile) parseOld() error {
	in := &d.in
	head, err := in.take(4)
	if err != nil {
		return err
	}
	if head[1] == 1 {
		in.order = binary.BigEndian
	}
	l := dtaLayouts[d.version]
	k, err := in.number(l.count)
	if err != nil {
		return err
	}
	n, err := in.number(l.rows)
	if err != nil {
		return err
	}
	if err := in.skip(81 + 18); err != nil { // title and time
		return err
	}
	if err := d.describe(k, l, func(string) error { return nil }); err != nil {
		return err
	}
	for {
		typ, err := in.number(1)
		if err != nil {
			return err
		}
		size, err := in.number(4)
		if err != nil {
			return err
		}
		if typ == 0 && size == 0 {
			break
		}
		if err := in.skip(int64(size)); err != nil {
			return err
		}
	}
	if err := d.place(n); err != nil {
		return err
	}
	for in.at < in.size {
		if err := d.valueLabels(l.labels); err != nil {
			return err
		}
	}
	return nil
}

// parseTagged reads formats 117 to 119 section by section; the map of sections is not
// needed for that, and some writers get it wrong.
func (d *dtaFile) parseTagged() error {
	in, l := &d.in, dtaLayouts[d.version]
	in.at = int64(len(dtaMagic)) + 3
	if err := in.tags("</release><byteorder>"); err != nil {
		return err
	}
	order, err := in.take(3)
	if err != nil {
		return err
	}
	switch string(order) {
	case "MSF":
		in.order = binary.BigEndian
	case "LSF":
	default:
		return errTag
	}
	var k, n uint64
	for _, step := range []func() error{
		func() error { return in.tags("</byteorder><K>") },
		func() (err error) { k, err = in.number(l.count); return },
		func() error { return in.tags("</K><N>") },
		func() (err error) { n, err = in.number(l.rows); return },
		func() error { return in.tags("</N><label>") },
		func() error { return in.skipSized(l.title) },
		func() error { return in.tags("</label><timestamp>") },
		func() error { return in.skipSized(1) },
		func() error { return in.tags("</timestamp></header><map>") },
		func() error { return in.skip(14 * 8) },
		func() error { return in.tags("</map>") },
		func() error { return d.describe(k, l, in.tags) },
		func() error { return d.characteristics() },
		func() error { return in.tags("<data>") },
		func() error { return d.place(n) },
		func() error { return in.tags("</data><strls>") },
		func() error { return d.longStrings() },
		func() error { return d.allValueLabels(l.labels) },
		func() error { return in.tags("</stata_dta>") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (c *cursor) skipSized(width int64) error {
	n, err := c.number(width)
	if err != nil {
		return err
	}
	return c.skip(int64(n))
}

// describe reads types, names, formats and labels of the variables.
func (d *dtaFile) describe(k uint64, l dtaLayout, tags func(string) error) error {
	in := &d.in
	if k == 0 {
		return problem(d.file, 0, "", "empty", "the file has no variable")
	}
	if k > uint64(in.size) {
		return errCut
	}
	n, typeWidth := int64(k), int64(1)
	if d.version >= 117 {
		typeWidth = 2
	}
	section := func(name string, width int64) ([]byte, error) {
		if err := tags("<" + name + ">"); err != nil {
			return nil, err
		}
		b, err := in.take(n * width)
		if err != nil {
			return nil, err
		}
		return b, tags("</" + name + ">")
	}
	types, err := section("variable_types", typeWidth)
	if err != nil {
		return err
	}
	names, err := section("varnames", l.name)
	if err != nil {
		return err
	}
	if err := tags("<sortlist>"); err != nil {
		return err
	}
	if err := in.skip((n + 1) * max(2, l.count)); err != nil {
		return err
	}
	if err := tags("</sortlist>"); err != nil {
		return err
	}
	formats, err := section("formats", l.format)
	if err != nil {
		return err
	}
	tables, err := section("value_label_names", l.labels)
	if err != nil {
		return err
	}
	labels, err := section("variable_labels", l.label)
	if err != nil {
		return err
	}
	d.cols = make([]dtaColumn, n)
	for i := range d.cols {
		c, at := &d.cols[i], int64(i)
		name, bad := d.decode(upToNUL(names[at*l.name:][:l.name]))
		if bad != "" {
			return problem(d.file, 0, "", "encoding", "the name of variable %d: %s", i+1, bad)
		}
		label, bad := d.decode(upToNUL(labels[at*l.label:][:l.label]))
		if bad != "" {
			label = nil // a cut label is no reason to refuse the data
		}
		if holdsIdentifier(string(label)) {
			return identifierProblem(d.file, "a variable label")
		}
		c.name, c.label = string(name), string(label)
		c.format = string(upToNUL(formats[at*l.format:][:l.format]))
		c.table = string(upToNUL(tables[at*l.labels:][:l.labels]))
		if !c.setType(int(unsignedOf(types[at*typeWidth:][:typeWidth], in.order)), d.version) {
			return problem(d.file, 0, c.name, "damaged", "the file gives the variable a type that its format does not have: it is damaged")
		}
		if c.at = d.width; d.width > math.MaxInt32 {
			return errCut
		}
		d.width += c.width
	}
	return nil
}

// setType reads a storage type. Texts are at least one byte wide, so that every row has a width.
func (c *dtaColumn) setType(t, version int) bool {
	longest, k := 244, t-251 // byte 251 … double 255
	if version >= 117 {
		longest, k = 2045, 65530-t // byte 65530 … double 65526
	}
	switch {
	case t >= 1 && t <= longest:
		c.kind, c.width = dtaString, t
	case version >= 117 && t == 32768:
		c.kind, c.width = dtaLongString, 8
	case k >= 0 && k <= 4:
		c.kind, c.width = dtaKind(k), []int{1, 2, 4, 4, 8}[k]
	default:
		return false
	}
	return true
}

// place checks that the rows lie in the file and passes over them.
func (d *dtaFile) place(n uint64) error {
	d.data = d.in.at
	if n > uint64(d.in.size-d.in.at)/uint64(d.width) {
		return errCut
	}
	d.rows = int(n)
	return d.in.skip(int64(n) * int64(d.width))
}
