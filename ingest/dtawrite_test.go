package ingest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// dtaVar is a variable of a Stata file to write: cells are numbers, texts, or a rune for
// a missing value ('.', 'a' to 'z').
type dtaVar struct {
	name, format, table, label string
	kind                       dtaKind
	width                      int // of a text
	cells                      []any
}

type dtaWriter struct {
	version int
	order   binary.AppendByteOrder
	tables  map[string]map[int32]string
	strls   bytes.Buffer
}

func (w *dtaWriter) uint(b []byte, width int64, v uint64) []byte {
	var full [8]byte
	if w.order == binary.AppendByteOrder(binary.BigEndian) {
		binary.BigEndian.PutUint64(full[:], v)
		return append(b, full[8-width:]...)
	}
	binary.LittleEndian.PutUint64(full[:], v)
	return append(b, full[:width]...)
}

func padded(b []byte, s string, width int64) []byte {
	return append(append(b, s...), make([]byte, int(width)-len(s))...)
}

func (w *dtaWriter) cell(b []byte, v dtaVar, j, i int) []byte {
	missing := uint64(0)
	r, gone := v.cells[i].(rune)
	if gone && r != '.' {
		missing = uint64(r-'a') + 1
	}
	if gone {
		switch v.kind {
		case dtaByte:
			return append(b, byte(101+missing))
		case dtaInt:
			return w.uint(b, 2, 32741+missing)
		case dtaLong:
			return w.uint(b, 4, 2147483621+missing)
		case dtaFloat:
			return w.uint(b, 4, 0x7f000000+missing<<11)
		}
		return w.uint(b, 8, 0x7fe0000000000000+missing<<40)
	}
	switch v.kind {
	case dtaString:
		return padded(b, v.cells[i].(string), int64(v.width))
	case dtaLongString:
		s := v.cells[i].(string)
		vw := map[int]int64{117: 4, 118: 2, 119: 3}[w.version]
		if s == "" {
			return append(b, make([]byte, 8)...)
		}
		ow := int64(8)
		if w.version == 117 {
			ow = 4
		}
		g := w.uint(w.uint([]byte("GSO"), 4, uint64(j+1)), ow, uint64(i+1))
		g = append(w.uint(append(g, 130), 4, uint64(len(s)+1)), s...)
		w.strls.Write(append(g, 0))
		return w.uint(w.uint(b, vw, uint64(j+1)), 8-vw, uint64(i+1))
	}
	x := v.cells[i].(float64)
	switch v.kind {
	case dtaByte:
		return append(b, byte(int8(x)))
	case dtaInt:
		return w.uint(b, 2, uint64(uint16(int16(x))))
	case dtaLong:
		return w.uint(b, 4, uint64(uint32(int32(x))))
	case dtaFloat:
		return w.uint(b, 4, uint64(math.Float32bits(float32(x))))
	}
	return w.uint(b, 8, math.Float64bits(x))
}

// write gives the whole file.
func (w *dtaWriter) write(vars []dtaVar, rows int) []byte {
	l, tagged := dtaLayouts[w.version], w.version >= 117
	tag := func(b []byte, name string, body []byte) []byte {
		if !tagged {
			return append(b, body...)
		}
		return append(append(append(b, "<"+name+">"...), body...), "</"+name+">"...)
	}
	var types, names, formats, tables, labels, data []byte
	for _, v := range vars {
		t := uint64(251 + int(v.kind))
		if tagged {
			t = uint64(65530 - int(v.kind))
		}
		switch v.kind {
		case dtaString:
			t = uint64(v.width)
		case dtaLongString:
			t = 32768
		}
		width := int64(1)
		if tagged {
			width = 2
		}
		types = w.uint(types, width, t)
		names, formats, tables, labels = padded(names, v.name, l.name), padded(formats, v.format, l.format), padded(tables, v.table, l.labels), padded(labels, v.label, l.label)
	}
	for i := range rows {
		for j, v := range vars {
			data = w.cell(data, v, j, i)
		}
	}
	var b []byte
	if tagged {
		order := "LSF"
		if w.order == binary.AppendByteOrder(binary.BigEndian) {
			order = "MSF"
		}
		b = append(b, "<stata_dta><header>"...)
		b = tag(b, "release", fmt.Append(nil, w.version))
		b = tag(b, "byteorder", []byte(order))
		b = tag(b, "K", w.uint(nil, l.count, uint64(len(vars))))
		b = tag(b, "N", w.uint(nil, l.rows, uint64(rows)))
		b = tag(b, "label", append(w.uint(nil, l.title, 4), "note"...))
		b = append(tag(b, "timestamp", w.uint(nil, 1, 0)), "</header>"...)
		b = tag(b, "map", make([]byte, 14*8))
	} else {
		b = append(b, byte(w.version), 2, 1, 0)
		if w.order == binary.AppendByteOrder(binary.BigEndian) {
			b[1] = 1
		}
		b = w.uint(w.uint(b, 2, uint64(len(vars))), 4, uint64(rows))
		b = append(b, make([]byte, 81+18)...)
	}
	b = tag(b, "variable_types", types)
	b = tag(b, "varnames", names)
	b = tag(b, "sortlist", make([]byte, int64(len(vars)+1)*max(2, l.count)))
	b = tag(b, "formats", formats)
	b = tag(b, "value_label_names", tables)
	b = tag(b, "variable_labels", labels)
	ch := w.uint(nil, 4, 9)
	if tagged {
		b = tag(b, "characteristics", tag(nil, "ch", append(ch, "character"...)))
	} else {
		b = append(append(append(b, 1), append(ch, "character"...)...), 0, 0, 0, 0, 0)
	}
	b = tag(b, "data", data)
	var all []byte
	for name, labels := range w.tables {
		var offs, vals []byte
		var text strings.Builder
		for _, v := range slices.Sorted(maps.Keys(labels)) {
			s := labels[v]
			offs, vals = w.uint(offs, 4, uint64(text.Len())), w.uint(vals, 4, uint64(uint32(v)))
			text.WriteString(s + "\x00")
		}
		body := append(append(w.uint(w.uint(nil, 4, uint64(len(labels))), 4, uint64(text.Len())), offs...), vals...)
		body = append(body, text.String()...)
		one := append(padded(w.uint(nil, 4, uint64(len(body))), name, l.labels), 0, 0, 0)
		if one = append(one, body...); tagged {
			one = tag(nil, "lbl", one)
		}
		all = append(all, one...)
	}
	if tagged {
		b = tag(b, "strls", w.strls.Bytes())
		b = append(tag(b, "value_labels", all), "</stata_dta>"...)
		return w.mapSections(b)
	}
	return append(b, all...)
}

// mapSections fills in where the sections begin, which other readers go by.
func (w *dtaWriter) mapSections(b []byte) []byte {
	var m []byte
	for _, s := range []string{"<stata_dta>", "<map>", "<variable_types>", "<varnames>", "<sortlist>", "<formats>", "<value_label_names>", "<variable_labels>",
		"<characteristics>", "<data>", "<strls>", "<value_labels>", "</stata_dta>"} {
		m = w.uint(m, 8, uint64(bytes.Index(b, []byte(s))))
	}
	copy(b[bytes.Index(b, []byte("<map>"))+5:], w.uint(m, 8, uint64(len(b))))
	return b
}
