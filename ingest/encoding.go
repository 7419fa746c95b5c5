package ingest

import (
	"bytes"
	"io"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

var encodings = []string{"utf-8", "utf-8-bom", "windows-1252", "iso-8859-1", "utf-16le", "utf-16be"}

var (
	bomUTF8    = []byte{0xEF, 0xBB, 0xBF}
	bomUTF16LE = []byte{0xFF, 0xFE}
	bomUTF16BE = []byte{0xFE, 0xFF}
)

// sniffEncoding tells the encoding of a file from its beginning; sure is false where
// the beginning is plain ASCII and so fits all but UTF-16.
func sniffEncoding(head []byte) (name string, sure bool) {
	switch {
	case bytes.HasPrefix(head, bomUTF8):
		return "utf-8-bom", true
	case bytes.HasPrefix(head, bomUTF16LE):
		return "utf-16le", true
	case bytes.HasPrefix(head, bomUTF16BE):
		return "utf-16be", true
	}
	// Text in UTF-16 without a mark: every second byte of Western text is zero.
	var zeros [2]int
	probe := head[:min(len(head), 4096)]
	for i, c := range probe {
		if c == 0 {
			zeros[i%2]++
		}
	}
	if len(probe) >= 4 {
		switch half := len(probe) / 2; {
		case zeros[1] > half*7/10 && zeros[0] == 0:
			return "utf-16le", true
		case zeros[0] > half*7/10 && zeros[1] == 0:
			return "utf-16be", true
		}
	}
	if isASCII(head) {
		return "utf-8", false
	}
	if validUTF8(head) {
		return "utf-8", true
	}
	// A file that begins as UTF-8 and goes on as something else is called UTF-8, so that
	// the message points to where it stops being that.
	if multibyteUTF8(head) == firstHigh(head) {
		return "utf-8", true
	}
	return "windows-1252", true
}

// firstHigh is the position of the first byte that is not ASCII, or -1.
func firstHigh(b []byte) int {
	for i, c := range b {
		if c >= utf8.RuneSelf {
			return i
		}
	}
	return -1
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// validUTF8 is utf8.Valid for a piece of text that may be cut inside a character at its end.
func validUTF8(b []byte) bool {
	for i := 1; i <= 3 && i <= len(b); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-i:]) {
				b = b[:len(b)-i]
			}
			break
		}
	}
	return utf8.Valid(b)
}

// invalidUTF8 is the position of the first byte that is not UTF-8.
func invalidUTF8(b []byte) int {
	for i := 0; i < len(b); {
		r, w := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && w == 1 {
			return i
		}
		i += w
	}
	return -1
}

// multibyteUTF8 is the position of the first character of several bytes that is valid
// UTF-8: in Windows-1252 such a run of bytes makes no Swedish text.
func multibyteUTF8(b []byte) int {
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, w := utf8.DecodeRune(b[i:])
		if w > 1 && r != utf8.RuneError {
			return i
		}
		i += w
	}
	return -1
}

// singleByte decodes a one-byte encoding; at is the position of a byte that the
// encoding does not have, or -1. Pure ASCII is returned as it is.
func singleByte(b []byte, name string) (out []byte, at int) {
	if isASCII(b) {
		return b, -1
	}
	out = make([]byte, 0, len(b)+len(b)/8)
	for i, c := range b {
		switch {
		case c < utf8.RuneSelf:
			out = append(out, c)
		case c >= 0xA0:
			out = utf8.AppendRune(out, rune(c))
		case name == "iso-8859-1": // control characters: the sign of a wrong declaration
			return nil, i
		default:
			r := charmap.Windows1252.DecodeByte(c)
			if r == utf8.RuneError || r < 0xA0 { // 81, 8D, 8F, 90 and 9D stand for nothing
				return nil, i
			}
			out = utf8.AppendRune(out, r)
		}
	}
	return out, -1
}

// utf16Reader decodes UTF-16 as it is read; a broken pair or an odd byte at the end is a
// Problem with the byte offset.
type utf16Reader struct {
	r      io.Reader
	big    bool
	file   string
	buf    [1 << 16]byte
	have   int // bytes of buf not decoded yet
	offset int64
	out    []byte
	eof    bool
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.out) == 0 {
		if u.eof {
			return 0, io.EOF
		}
		n, err := io.ReadFull(u.r, u.buf[u.have:])
		u.have += n
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			u.eof = true
		default:
			return 0, err
		}
		if err := u.decode(); err != nil {
			return 0, err
		}
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}

func (u *utf16Reader) unit(i int) uint16 {
	if u.big {
		return uint16(u.buf[i])<<8 | uint16(u.buf[i+1])
	}
	return uint16(u.buf[i+1])<<8 | uint16(u.buf[i])
}

func (u *utf16Reader) decode() error {
	i, out := 0, make([]byte, 0, u.have)
	broken := func() error {
		return problem(u.file, 0, "", "encoding", "the text is not valid UTF-16 at byte %d", u.offset+int64(i))
	}
	for i+1 < u.have {
		c := rune(u.unit(i))
		switch {
		case u.offset == 0 && i == 0 && c == 0xFEFF:
			i += 2
			continue
		case !utf16.IsSurrogate(c):
			i += 2
		case i+3 < u.have:
			if c = utf16.DecodeRune(c, rune(u.unit(i+2))); c == utf8.RuneError {
				return broken()
			}
			i += 4
		default: // the pair continues in the next piece
			if u.eof {
				return broken()
			}
			goto done
		}
		out = utf8.AppendRune(out, c)
	}
done:
	if u.eof && i < u.have {
		return broken()
	}
	u.offset += int64(i)
	u.have = copy(u.buf[:], u.buf[i:u.have])
	u.out = out
	return nil
}
