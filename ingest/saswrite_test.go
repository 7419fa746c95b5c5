package ingest

import (
	"encoding/binary"
	"math"
)

// sasBytes writes a data set of four columns, one page, in any byte order and width:
// id (text of 5), x (a number), short (a number of 3 bytes), day (a date of 4 bytes).
// packed puts each row into a subheader of its own, run-length encoded.
func sasBytes(big, wide, packed bool, rows [][4]any) []byte {
	order, n, b := binary.AppendByteOrder(binary.LittleEndian), 4, 16
	if big {
		order = binary.BigEndian
	}
	if wide {
		n, b = 8, 32
	}
	w := &dtaWriter{order: order}
	head := make([]byte, 1024)
	copy(head, sasMagic)
	head[32], head[35], head[37], head[39], head[70] = '"', '"', 1, '2', 20
	a := 0
	if wide {
		head[32], head[35], a = '3', '3', 4
	}
	if big {
		head[37] = 0
	}
	copy(head[84:], "SAS FILEX")
	copy(head[156:], "DATA    ")
	put := func(p []byte, at, width int, v uint64) { copy(p[at:], w.uint(nil, int64(width), v)) }
	const size = 4096
	put(head, 196+a, 4, 1024)
	put(head, 200+a, 4, size)
	put(head, 204+a, n, 1)
	copy(head[212+n+a:], "9.0401M2X64")

	signature := func(s uint32) []byte {
		if n == 4 {
			return w.uint(nil, 4, uint64(s))
		}
		if s == sasRowSize || s == sasColumnSize {
			return append(w.uint(nil, 4, uint64(s)), 0, 0, 0, 0)
		}
		return w.uint(nil, 8, uint64(int64(int32(s))))
	}
	sub := func(s uint32, size int) []byte { return append(signature(s), make([]byte, size-n)...) }
	const width = 24 // x 0–7, id 8–12, short 13–15, day 16–19, nothing
	rs := sub(sasRowSize, 120*n)
	put(rs, 5*n, n, width)
	put(rs, 6*n, n, uint64(len(rows)))
	put(rs, 15*n, n, uint64(len(rows)))
	cs := sub(sasColumnSize, 3*n)
	put(cs, n, n, 4)
	text := "\x00\x00\x00\x00\x00\x00\x00\x00        " + "DATASTEP" + "id  x   short   day Datum   DATE9   "
	ct := append(sub(sasColumnText, n), text...)
	tail := 8
	if wide {
		tail = 12
	}
	tail = n + 8 + tail
	cn, ca := sub(sasName, tail+4*8), sub(sasAttributes, tail+4*(n+8))
	for _, s := range [][]byte{ct, cn, ca} { // readers of others check what is left of a subheader
		put(s, n, 2, uint64(len(s)-2*n-4))
	}
	base := 24
	names := [4][2]int{{base, 2}, {base + 4, 1}, {base + 8, 5}, {base + 16, 3}}
	place := [4][3]int{{8, 5, 2}, {0, 8, 1}, {13, 3, 1}, {16, 4, 1}}
	all := [][]byte{rs, cs, ct, cn, ca}
	for i := range 4 {
		put(cn, n+8+8*i+2, 2, uint64(names[i][0]))
		put(cn, n+8+8*i+4, 2, uint64(names[i][1]))
		at := n + 8 + (n+8)*i
		put(ca, at, n, uint64(place[i][0]))
		put(ca, at+n, 4, uint64(place[i][1]))
		ca[at+n+6] = byte(place[i][2])
		cf := sub(sasFormat, 52+12*(n/8))
		if i == 3 {
			at = 34 + 12*(n/8)
			put(cf, at+2, 2, uint64(base+28))
			put(cf, at+4, 2, 5)
			put(cf, at+8, 2, uint64(base+20))
			put(cf, at+10, 2, 5)
		}
		all = append(all, cf)
	}
	var data [][]byte
	for _, r := range rows {
		row := make([]byte, width)
		copy(row[8:13], r[0].(string)+"     ")
		for j := 1; j < 4; j++ {
			full := w.uint(nil, 8, math.Float64bits(r[j].(float64)))
			if at, k := place[j][0], place[j][1]; big {
				copy(row[at:at+k], full)
			} else {
				copy(row[at:at+k], full[8-k:])
			}
		}
		data = append(data, row)
	}
	plain := len(all)
	if packed {
		for i, row := range data {
			if i%2 == 0 { // one copy of 17 + 7 bytes; every other row as it is
				all = append(all, append([]byte{9<<4 | 7}, row...))
			} else {
				all = append(all, row)
			}
		}
		all = append(all, []byte{9<<4 | 7, 1, 2, 3}) // the beginning of a row that goes on to the next page
	}
	page := make([]byte, size)
	at, each := 24, 12
	if wide {
		at, each = 40, 24
	}
	end := size
	for i, s := range all {
		end -= len(s)
		e := at + i*each
		put(page, e, n, uint64(end))
		put(page, e+n, n, uint64(len(s)))
		if packed {
			page[e+2*n+1] = 1
		}
		if i >= plain && (i-plain)%2 == 0 {
			page[e+2*n] = 4
		}
		if packed && i == len(all)-1 {
			page[e+2*n] = 1
		}
		copy(page[end:], s)
	}
	put(page, b+2, 2, uint64(len(all)))
	put(page, b+4, 2, uint64(len(all)))
	if !packed {
		put(page, b, 2, sasMix)
		put(page, b+2, 2, uint64(len(all)+len(rows)))
		from := (at + len(all)*each + 7) / 8 * 8
		for i, row := range data {
			copy(page[from+i*width:], row)
		}
	}
	return append(head, page...)
}
