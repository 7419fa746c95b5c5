package ingest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
)

// sasFile is a SAS data set: what it describes and how its pages are laid out. Written
// from the published study of the format (Shotwell and Cummins, SAS7BDAT Database
// Binary Format, 2013), which SAS Institute has neither written nor confirmed.
type sasFile struct {
	file string
	in   cursor
	binaryText
	wide              bool // 8-byte integers
	header, page      int64
	pages             int64
	release           string
	cols              []sasColumn
	rows, width, want int
	texts             [][]byte // blocks that names, labels and formats point into
	names, formats    []sasText
	labels            []sasText
}

type sasColumn struct {
	name, label, format string
	at, width           int
	text                bool
}

// sasText is a piece of a text block.
type sasText struct{ block, at, size int }

const sasMagic = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xc2\xea\x81\x60\xb3\x14\x11\xcf\xbd\x92\x08\x00\x09\xc7\x31\x8c\x18\x1f\x10\x11"

const maxSASRow = 16 << 20 // bytes, as for a row of text

// int is the width of the file's longer integers.
func (d *sasFile) int() int64 {
	if d.wide {
		return 8
	}
	return 4
}

// parseSAS reads the header and everything that describes the columns.
func parseSAS(r io.ReaderAt, size int64, file, encoding string) (*sasFile, error) {
	d := &sasFile{file: file, in: cursor{r: r, size: size, order: binary.BigEndian}}
	head := make([]byte, min(size, 360))
	if _, err := r.ReadAt(head, 0); err != nil && err != io.EOF {
		return nil, err
	}
	if len(head) < 360 || !bytes.HasPrefix(head, []byte(sasMagic)) {
		return nil, problem(file, 0, "", "not-sas", "this is not a SAS data set: it does not begin like one")
	}
	d.wide = head[32] == '3'
	at := int64(0)
	if head[35] == '3' {
		at = 4
	}
	if head[37] == 1 {
		d.in.order = binary.LittleEndian
	}
	if err := d.chooseEncoding(head[70], encoding); err != nil {
		return nil, err
	}
	d.header, d.page = int64(unsignedOf(head[196+at:][:4], d.in.order)), int64(unsignedOf(head[200+at:][:4], d.in.order))
	pages := unsignedOf(head[204+at:][:d.int()], d.in.order)
	d.release = string(head[212+d.int()+at:][:8])
	if d.header < 360 || d.page < 256 {
		return nil, errTag
	}
	if d.header > size || d.page > size-d.header || pages > uint64(size-d.header)/uint64(d.page) {
		return nil, problem(file, 0, "", "cut-off", "the file ends before what it announces: it was cut off or is damaged")
	}
	d.pages = int64(pages)
	err := d.eachPage(context.Background(), true, func(p []byte, kind uint64, _, subs int) error {
		return d.eachSubheader(p, subs, func(s sasSub) error {
			if s.row {
				return nil
			}
			return d.describe(s.signature, s.body)
		})
	})
	if err == nil {
		err = d.columns()
	}
	return d, err
}

func (d *sasFile) chooseEncoding(code byte, declared string) error {
	known := map[byte]string{20: "utf-8", 28: "utf-8", 29: "iso-8859-1", 62: "windows-1252"}
	d.encoding, d.binaryText.declared = known[code], true
	switch {
	case declared == "utf-8" || declared == "windows-1252" || declared == "iso-8859-1":
		d.encoding = declared
	case declared != "":
		return problem(d.file, 0, "", "encoding", "a SAS data set is read as utf-8, windows-1252 or iso-8859-1, not in the encoding that is declared")
	case code == 0:
		d.encoding, d.binaryText.declared = "windows-1252", false
	case d.encoding == "":
		return problem(d.file, 0, "", "encoding", "the file's encoding has SAS's number %d, which cannot be read: save the file as UTF-8 (or declare windows-1252, iso-8859-1 or utf-8)", code)
	}
	return nil
}

// Kinds of pages: bits of the page type.
const (
	sasData, sasMix = 0x0100, 0x0200
	sasKind         = 0x0F00
	sasDeleted      = 0x0080 // some rows of the page are marked as deleted
	sasIndex        = 0x9000 // an index of the pages of a compressed file
)

// eachPage hands out the pages with their type, number of blocks and of subheaders;
// meta leaves out pages that hold only rows.
func (d *sasFile) eachPage(ctx context.Context, meta bool, each func(p []byte, kind uint64, blocks, subs int) error) error {
	b := int64(16)
	if d.wide {
		b = 32
	}
	page := make([]byte, d.page)
	for i := range d.pages {
		if err := ctx.Err(); err != nil {
			return err
		}
		from := d.header + i*d.page
		head := page[:b+8]
		if _, err := d.in.r.ReadAt(head, from); err != nil {
			return err
		}
		kind := unsignedOf(head[b:b+2], d.in.order)
		if kind&sasIndex == sasIndex || meta && kind&sasKind == sasData {
			continue
		}
		if kind&sasDeleted != 0 {
			return problem(d.file, 0, "", "deleted-rows", "the file holds rows that are marked as deleted, which cannot be told from the others: copy it with a DATA step and save it again")
		}
		if _, err := d.in.r.ReadAt(page, from); err != nil {
			return err
		}
		blocks, subs := int(unsignedOf(page[b+2:b+4], d.in.order)), int(unsignedOf(page[b+4:b+6], d.in.order))
		if kind&sasKind == sasData {
			subs = 0
		}
		if err := each(page, kind, blocks, subs); err != nil {
			return err
		}
	}
	return nil
}

// sasSub is a subheader: a description, or a row of a compressed file.
type sasSub struct {
	signature uint32
	row       bool
	packed    bool // the row is run-length encoded
	body      []byte
}

var errSASCompression = errors.New("a compression that is not known")

// pointers is where the list of subheaders begins, and how long an entry is.
func (d *sasFile) pointers() (at, each int) {
	if d.wide {
		return 40, 24
	}
	return 24, 12
}

func (d *sasFile) eachSubheader(p []byte, subs int, each func(sasSub) error) error {
	at, width := d.pointers()
	n, total := int(d.int()), uint64(0)
	for i := range subs {
		if at+(i+1)*width > len(p) {
			return errTag
		}
		e := p[at+i*width:][:width]
		from, size := unsignedOf(e[:n], d.in.order), unsignedOf(e[n:2*n], d.in.order)
		compression, kind := e[2*n], e[2*n+1]
		if size == 0 || compression == 1 { // empty, or a row that the next page has whole
			continue
		}
		if from > uint64(len(p)) || size > uint64(len(p))-from {
			return errTag
		}
		// Subheaders that lie in each other could add up to far more than the file has.
		if total += size; total > uint64(len(p)) {
			return errTag
		}
		s := sasSub{body: p[from : from+size]}
		switch compression {
		case 4:
			s.row, s.packed = true, true
		case 0:
			if size < uint64(n) {
				return errTag
			}
			s.signature = uint32(unsignedOf(s.body[:4], d.in.order))
			if d.wide && (s.signature == 0 || d.in.order == binary.BigEndian && s.signature == 0xFFFFFFFF) {
				s.signature = uint32(unsignedOf(s.body[4:8], d.in.order))
			}
			s.row = kind == 1 && !knownSASSignature(s.signature)
		default:
			return errSASCompression
		}
		if err := each(s); err != nil {
			return err
		}
	}
	return nil
}

const (
	sasRowSize    = 0xF7F7F7F7
	sasColumnSize = 0xF6F6F6F6
	sasCounts     = 0xFFFFFC00
	sasFormat     = 0xFFFFFBFE
	sasColumnText = 0xFFFFFFFD
	sasName       = 0xFFFFFFFF
	sasAttributes = 0xFFFFFFFC
)

func knownSASSignature(s uint32) bool {
	return s == sasRowSize || s == sasColumnSize || s == sasCounts || s == sasFormat || s >= 0xFFFFFFF8
}

// eachRow hands out the rows in order; a row is valid until the next.
func (d *sasFile) eachRow(ctx context.Context, each func(row []byte) error) error {
	row := make([]byte, 0, d.width)
	at, width := d.pointers()
	return d.eachPage(ctx, false, func(p []byte, kind uint64, blocks, subs int) error {
		if err := d.eachSubheader(p, subs, func(s sasSub) error {
			switch {
			case !s.row:
				return nil
			case s.packed:
				var ok bool
				if row, ok = unpackRLE(row[:0], s.body, d.width); !ok {
					return errTag
				}
				return each(row)
			case len(s.body) != d.width:
				return errTag
			}
			return each(s.body)
		}); err != nil {
			return err
		}
		from := at
		switch kind & sasKind {
		case sasData:
		case sasMix:
			from += subs * width
			if from%8 == 4 {
				if pad := p[from:min(from+4, len(p))]; (d.release[:1] == "8" || d.release[:1] == "9") && d.release[1:] == ".0000M0" && string(pad) != "\x00\x00\x00\x00" && string(pad) != "    " {
					return problem(d.file, 0, "", "foreign-writer", "the file was not written by SAS, and where its rows begin cannot be told: save it as CSV")
				}
				from += 4
			}
			blocks -= subs
		default:
			return nil
		}
		if blocks < 0 || blocks > (len(p)-from)/d.width {
			return errTag
		}
		for i := range blocks {
			if err := each(p[from+i*d.width:][:d.width]); err != nil {
				return err
			}
		}
		return nil
	})
}
