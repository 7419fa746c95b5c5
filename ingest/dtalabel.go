package ingest

import (
	"encoding/binary"
	"errors"
)

// dtaKey names a long text: the variable and observation where it came first.
type dtaKey struct{ v, o uint64 }

// dtaText is where a long text lies.
type dtaText struct {
	at, size int64
	text     bool // ends in a zero byte; else it is binary
}

var errNoText = errors.New("no such text")

// longString finds the text that a cell points to; (0, 0) is the empty one.
func (d *dtaFile) longString(cell []byte) (dtaText, error) {
	v := 4 // bytes of the variable's number; the observation has the rest
	switch d.version {
	case 118:
		v = 2
	case 119:
		v = 3
	}
	k := dtaKey{unsignedOf(cell[:v], d.in.order), unsignedOf(cell[v:], d.in.order)}
	if k == (dtaKey{}) {
		return dtaText{text: true}, nil
	}
	s, ok := d.strls[k]
	if !ok {
		return s, errNoText
	}
	return s, nil
}

// longStrings notes where each long text lies, up to the end of their section.
func (d *dtaFile) longStrings() error {
	in := &d.in
	d.strls = map[dtaKey]dtaText{}
	width := int64(8)
	if d.version == 117 {
		width = 4
	}
	for {
		mark, err := in.take(3)
		if err != nil {
			return err
		}
		if string(mark) != "GSO" {
			in.at -= 3
			return in.tags("</strls>")
		}
		b, err := in.take(4 + width + 1 + 4)
		if err != nil {
			return err
		}
		k := dtaKey{unsignedOf(b[:4], in.order), unsignedOf(b[4:4+width], in.order)}
		t, size := b[4+width], int64(unsignedOf(b[5+width:], in.order))
		if t != 129 && t != 130 {
			return errTag
		}
		d.strls[k] = dtaText{at: in.at, size: size, text: t == 130}
		if err := in.skip(size); err != nil {
			return err
		}
	}
}

// characteristics are passed over.
func (d *dtaFile) characteristics() error {
	in := &d.in
	if err := in.tags("<characteristics>"); err != nil {
		return err
	}
	for {
		mark, err := in.take(4)
		if err != nil {
			return err
		}
		if string(mark) != "<ch>" {
			in.at -= 4
			return in.tags("</characteristics>")
		}
		if err := in.skipSized(4); err != nil {
			return err
		}
		if err := in.tags("</ch>"); err != nil {
			return err
		}
	}
}

func (d *dtaFile) allValueLabels(name int64) error {
	in := &d.in
	if err := in.tags("<value_labels>"); err != nil {
		return err
	}
	for {
		mark, err := in.take(5)
		if err != nil {
			return err
		}
		if string(mark) != "<lbl>" {
			in.at -= 5
			return in.tags("</value_labels>")
		}
		if err := d.valueLabels(name); err != nil {
			return err
		}
		if err := in.tags("</lbl>"); err != nil {
			return err
		}
	}
}

// valueLabels reads one table: number of entries, length of the texts, where in the
// texts each label begins, the values, the texts.
func (d *dtaFile) valueLabels(nameWidth int64) error {
	in := &d.in
	size, err := in.number(4)
	if err != nil {
		return err
	}
	head, err := in.take(nameWidth + 3)
	if err != nil {
		return err
	}
	b, err := in.take(int64(size))
	if err != nil {
		return err
	}
	labels, err := labelTable(b, in.order)
	if err != nil {
		return err
	}
	if d.tables == nil {
		d.tables = map[string]map[int32][]byte{}
	}
	d.tables[string(upToNUL(head[:nameWidth]))] = labels
	return nil
}

func labelTable(b []byte, order binary.ByteOrder) (map[int32][]byte, error) {
	if len(b) < 8 {
		return nil, errTag
	}
	n, text := int64(order.Uint32(b)), int64(order.Uint32(b[4:]))
	if n > int64(len(b)-8)/8 || 8+8*n+text > int64(len(b)) {
		return nil, errTag
	}
	texts := b[8+8*n : 8+8*n+text]
	out, total := map[int32][]byte{}, 0
	for i := range n {
		off := int64(order.Uint32(b[8+4*i:]))
		if off >= text {
			return nil, errTag
		}
		l := upToNUL(texts[off:])
		// Labels that lie in each other could add up to far more than the file has.
		if total += len(l); total > 4*len(texts) {
			return nil, errTag
		}
		out[int32(order.Uint32(b[8+4*n+4*i:]))] = l
	}
	return out, nil
}
