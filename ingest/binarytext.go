package ingest

import "unicode/utf8"

// binaryText is the encoding of the texts in a Stata or SAS file.
type binaryText struct {
	encoding string // utf-8, windows-1252 or iso-8859-1
	declared bool   // by the file or the user; else it is a guess
}

// decode turns text of the file into UTF-8, or says why it cannot. Where neither the
// file nor the user says the encoding, text that can only be UTF-8 is not taken for another.
func (d binaryText) decode(b []byte) ([]byte, string) {
	switch {
	case isASCII(b):
		return b, ""
	case d.encoding == "utf-8":
		if !utf8.Valid(b) {
			return nil, "the text is not UTF-8"
		}
		return b, ""
	case !d.declared && utf8.Valid(b):
		return nil, "the text is UTF-8, which the file does not say: declare the encoding utf-8 (or windows-1252)"
	}
	out, at := singleByte(b, d.encoding)
	if at >= 0 {
		return nil, "the text has a byte that " + d.encoding + " does not have: declare the encoding"
	}
	return out, ""
}
