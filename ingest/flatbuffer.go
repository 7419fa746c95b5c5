package ingest

import (
	"encoding/binary"
	"io"
)

// checkMessages walks the messages of an Arrow file or stream without decoding them and
// checks what the library trusts: that lengths lie inside the file and that lists in
// the schema are as long as the bytes that hold them. (A damaged length would make it
// allocate more memory than there is, which ends the process.) It returns the part of
// the file that is a stream. It panics on some damaged files: call it guarded.
func checkMessages(f io.ReaderAt, size int64) (*io.SectionReader, error) {
	var head [10]byte
	start, end := int64(0), size
	if size < 8 {
		return nil, io.ErrUnexpectedEOF
	}
	if _, err := f.ReadAt(head[:6], 0); err != nil {
		return nil, err
	}
	if string(head[:6]) == "ARROW1" {
		if size < 18 {
			return nil, io.ErrUnexpectedEOF
		}
		if _, err := f.ReadAt(head[:], size-10); err != nil {
			return nil, err
		}
		footer := int64(int32(binary.LittleEndian.Uint32(head[:])))
		if start, end = 8, size-10-footer; string(head[4:]) != "ARROW1" || footer <= 0 || end < start {
			return nil, io.ErrUnexpectedEOF
		}
	}
	for at := start; at < end; {
		if at+8 > end {
			return nil, io.ErrUnexpectedEOF
		}
		if _, err := f.ReadAt(head[:8], at); err != nil {
			return nil, err
		}
		n := int64(binary.LittleEndian.Uint32(head[:]))
		if at += 4; n == 0xFFFFFFFF {
			n = int64(binary.LittleEndian.Uint32(head[4:]))
			at += 4
		}
		if n == 0 {
			break
		}
		if n > end-at || n > 64<<20 {
			return nil, io.ErrUnexpectedEOF
		}
		meta := make([]byte, n)
		if _, err := f.ReadAt(meta, at); err != nil {
			return nil, err
		}
		body := checkMessage(meta)
		if at += n; body < 0 || body > end-at {
			return nil, io.ErrUnexpectedEOF
		}
		at += body
	}
	return io.NewSectionReader(f, start, end-start), nil
}

// flatTable is a table of a flatbuffer: see the format's internals documentation.
type flatTable struct {
	b   []byte
	pos int
}

func (t flatTable) u32(at int) int { return int(binary.LittleEndian.Uint32(t.b[at:])) }

// field is the position of the i-th field, 0 if it is absent.
func (t flatTable) field(i int) int {
	vt := t.pos - int(int32(t.u32(t.pos)))
	if 4+2*i >= int(binary.LittleEndian.Uint16(t.b[vt:])) {
		return 0
	}
	off := int(binary.LittleEndian.Uint16(t.b[vt+4+2*i:]))
	if off == 0 {
		return 0
	}
	return t.pos + off
}

func (t flatTable) table(i int) (flatTable, bool) {
	at := t.field(i)
	if at == 0 {
		return t, false
	}
	return flatTable{t.b, at + t.u32(at)}, true
}

// tables are the elements of a vector of tables.
func (t flatTable) tables(i int) []flatTable {
	at := t.field(i)
	if at == 0 {
		return nil
	}
	at += t.u32(at)
	n := t.u32(at)
	if n > (len(t.b)-at)/4 {
		panic("vector longer than its message")
	}
	out := make([]flatTable, n)
	for k := range out {
		p := at + 4 + 4*k
		out[k] = flatTable{t.b, p + t.u32(p)}
	}
	return out
}

// checkMessage checks a message's schema, if it is one, and returns the length of its body.
func checkMessage(b []byte) (body int64) {
	root := flatTable{b, 0}
	root.pos = root.u32(0)
	if at := root.field(3); at != 0 {
		body = int64(binary.LittleEndian.Uint64(b[at:]))
	}
	const schemaMessage = 1
	if at := root.field(1); at != 0 && b[at] == schemaMessage {
		if s, ok := root.table(2); ok {
			left := 10 * maxColumns
			s.tables(2)
			checkFields(s.tables(1), 0, &left)
		}
	}
	return body
}

func checkFields(fields []flatTable, depth int, left *int) {
	if *left -= len(fields); depth > 32 || *left < 0 {
		panic("schema too large")
	}
	for _, f := range fields {
		f.tables(6)
		checkFields(f.tables(5), depth+1, left)
	}
}
