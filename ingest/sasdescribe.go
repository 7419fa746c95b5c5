package ingest

import "bytes"

// describe takes in one subheader. Several of one kind add to each other in file order.
func (d *sasFile) describe(signature uint32, b []byte) error {
	n := int(d.int())
	number := func(at, width int) int {
		if v := unsignedOf(b[at:at+width], d.in.order); v < 1<<40 {
			return int(v)
		}
		return 1 << 40 // too large for anything; checked by whoever uses it
	}
	longer := func(need int) bool { return len(b) >= need }
	tail := 2*n + 12 // of the lists: signature and two fields before, a field after
	if n == 8 {
		tail = 28
	}
	switch signature {
	case sasRowSize:
		if !longer(7 * n) {
			return errTag
		}
		d.width, d.rows = number(5*n, n), number(6*n, n)
	case sasColumnSize:
		if !longer(2 * n) {
			return errTag
		}
		d.want = number(n, n)
	case sasColumnText:
		block := bytes.Clone(b[n:])
		if len(d.texts) == 0 && bytes.Contains(block[:min(len(block), 40)], []byte("SASYZCR2")) {
			return problem(d.file, 0, "", "compression", "the file is compressed with COMPRESS=BINARY, which cannot be read: save it with COMPRESS=NO or COMPRESS=CHAR")
		}
		d.texts = append(d.texts, block)
	case sasName:
		for at := n + 8; at+8 <= len(b)-(tail-n-8); at += 8 {
			d.names = append(d.names, sasText{number(at, 2), number(at+2, 2), number(at+4, 2)})
		}
	case sasAttributes:
		for at := n + 8; at+n+8 <= len(b)-(tail-n-8); at += n + 8 {
			c := sasColumn{at: number(at, n), width: number(at+n, 4)}
			switch b[at+n+6] {
			case 1:
				if c.width < 2 || c.width > 8 {
					return errTag
				}
			case 2:
				c.text = true
			default:
				return errTag
			}
			d.cols = append(d.cols, c)
		}
	case sasFormat:
		at := 34
		if n == 8 {
			at = 46
		}
		if !longer(at + 12) {
			return errTag
		}
		d.formats = append(d.formats, sasText{number(at, 2), number(at+2, 2), number(at+4, 2)})
		d.labels = append(d.labels, sasText{number(at+6, 2), number(at+8, 2), number(at+10, 2)})
	}
	return nil
}

// piece looks up a text.
func (d *sasFile) piece(t sasText) ([]byte, bool) {
	if t.size == 0 {
		return nil, true
	}
	if t.block >= len(d.texts) || t.at+t.size > len(d.texts[t.block]) {
		return nil, false
	}
	return bytes.TrimRight(d.texts[t.block][t.at:t.at+t.size], " \x00"), true
}

// columns puts together what the subheaders said.
func (d *sasFile) columns() error {
	if d.want == 0 && len(d.cols) == 0 {
		return problem(d.file, 0, "", "empty", "the file has no variable")
	}
	if d.want != len(d.cols) || d.want != len(d.names) || len(d.formats) != 0 && d.want != len(d.formats) || d.width <= 0 || d.width > maxSASRow || d.rows >= 1<<40 {
		return errTag
	}
	for i := range d.cols {
		c := &d.cols[i]
		if c.width <= 0 || c.at > d.width || c.width > d.width-c.at {
			return errTag
		}
		name, ok := d.piece(d.names[i])
		if !ok {
			return errTag
		}
		text, bad := d.decode(name)
		if bad != "" {
			return problem(d.file, 0, "", "encoding", "the name of variable %d: %s", i+1, bad)
		}
		c.name = string(text)
		if len(d.formats) == 0 {
			continue
		}
		format, ok := d.piece(d.formats[i])
		label, ok2 := d.piece(d.labels[i])
		if !ok || !ok2 {
			return errTag
		}
		if label, bad = d.decode(label); bad != "" {
			label = nil // a cut label is no reason to refuse the data
		}
		if holdsIdentifier(string(label)) {
			return identifierProblem(d.file, "a variable label")
		}
		c.format, c.label = string(bytes.ToUpper(format)), string(label)
	}
	return nil
}

// unpackRLE undoes SAS's run-length encoding into out, which must become exactly width
// bytes: a control byte is a command (upper four bits) with a length (lower four).
func unpackRLE(out, in []byte, width int) ([]byte, bool) {
	for len(in) > 0 {
		command, l := in[0]>>4, int(in[0]&15)
		in = in[1:]
		if command <= 7 { // the length goes on in the next byte
			if len(in) == 0 {
				return out, false
			}
			if command == 4 {
				l = l*16 + int(in[0])
			} else {
				l = l*256 + int(in[0])
			}
			in = in[1:]
		}
		fill, n := byte(0), 0
		switch command {
		case 0, 8, 9, 10, 11: // the next bytes as they are
			n = l + map[byte]int{0: 64, 8: 1, 9: 17, 10: 33, 11: 49}[command]
			if n > len(in) || n > width-len(out) {
				return out, false
			}
			out, in = append(out, in[:n]...), in[n:]
			continue
		case 4, 12: // the next byte many times
			if len(in) == 0 {
				return out, false
			}
			fill, in = in[0], in[1:]
			n = l + map[byte]int{4: 18, 12: 3}[command]
		case 5, 13:
			fill, n = '@', l+map[byte]int{5: 17, 13: 2}[command]
		case 6, 14:
			fill, n = ' ', l+map[byte]int{6: 17, 14: 2}[command]
		case 7, 15:
			n = l + map[byte]int{7: 17, 15: 2}[command]
		default:
			return out, false
		}
		if n > width-len(out) {
			return out, false
		}
		for range n {
			out = append(out, fill)
		}
	}
	return out, len(out) == width
}
