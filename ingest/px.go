package ingest

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// pxFile is the metadata of a PC-Axis file that its rows need.
type pxFile struct {
	name    string
	lists   map[string][]string            // STUB, HEADING, CODEPAGE, …
	of      map[string]map[string][]string // keyword → variable → values
	text    []byte
	at      int // where reading stands
	dataRow int // line of DATA
}

// openPX reads a PC-Axis file into memory: a column per variable, and value.
func openPX(f *os.File, size int64, name string) (input, error) {
	b, err := readAll(f, size, name)
	if err != nil {
		return nil, err
	}
	if b, err = pxText(name, b); err != nil {
		return nil, err
	}
	p := &pxFile{name: name, text: b, lists: map[string][]string{}, of: map[string]map[string][]string{}}
	if err := p.keywords(); err != nil {
		return nil, err
	}
	t, err := p.table()
	if err != nil {
		return nil, err
	}
	return openTable(f, name, t), nil
}

// pxText is the file as UTF-8. CODEPAGE, which is ASCII itself, names the encoding.
func pxText(name string, b []byte) ([]byte, error) {
	page := ""
	if i := bytes.Index(b, []byte("CODEPAGE=\"")); i >= 0 {
		rest := b[i+len("CODEPAGE=\""):]
		if j := bytes.IndexByte(rest, '"'); j >= 0 && j < 40 {
			page = strings.ToLower(string(rest[:j]))
		}
	}
	var set *charmap.Charmap
	switch page {
	case "utf-8":
		if !utf8.Valid(b) {
			return nil, problem(name, 0, "", "encoding", "CODEPAGE says utf-8 and the text is not")
		}
		return b, nil
	case "":
		if utf8.Valid(b) {
			return b, nil
		}
		set = charmap.Windows1252
	case "windows-1252":
		set = charmap.Windows1252
	case "iso-8859-1":
		set = charmap.ISO8859_1
	case "iso-8859-15":
		set = charmap.ISO8859_15
	case "ibm850", "850":
		set = charmap.CodePage850
	default:
		return nil, problem(name, 0, "", "encoding", "CODEPAGE names an encoding that cannot be read (utf-8, windows-1252, iso-8859-1, iso-8859-15, ibm850)")
	}
	out, err := set.NewDecoder().Bytes(b)
	if err != nil {
		return nil, problem(name, 0, "", "encoding", "the text is not in the encoding that CODEPAGE names")
	}
	return out, nil
}

func (p *pxFile) line() int { return 1 + bytes.Count(p.text[:min(p.at, len(p.text))], []byte{'\n'}) }

func (p *pxFile) bad(code, format string, a ...any) error {
	return problem(p.name, p.line(), "", code, format, a...)
}

func (p *pxFile) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// keywords reads KEYWORD[lang]("variable")=values; up to DATA=.
func (p *pxFile) keywords() error {
	for {
		if p.space(); p.at >= len(p.text) {
			return p.bad("px-shape", "the file has no DATA")
		}
		start := p.at
		for p.at < len(p.text) && (p.text[p.at] == '-' || p.text[p.at] >= 'A' && p.text[p.at] <= 'Z' || p.text[p.at] >= '0' && p.text[p.at] <= '9') {
			p.at++
		}
		word := string(p.text[start:p.at])
		if word == "" {
			return p.bad("px-shape", "a keyword in capital letters must stand here: this is not a PX file, or it is damaged")
		}
		foreign := false
		if p.at < len(p.text) && p.text[p.at] == '[' {
			end := bytes.IndexByte(p.text[p.at:], ']')
			if end < 0 {
				return p.bad("px-shape", "%s: the bracket of the language is not closed", word)
			}
			p.at, foreign = p.at+end+1, true
		}
		var subject []string
		if p.at < len(p.text) && p.text[p.at] == '(' {
			p.at++
			var err error
			if subject, err = p.values(word, ')'); err != nil {
				return err
			}
		}
		if p.space(); p.at >= len(p.text) || p.text[p.at] != '=' {
			return p.bad("px-shape", "%s: an equals sign must stand here", word)
		}
		p.at++
		if word == "DATA" {
			p.dataRow = p.line()
			return nil
		}
		values, err := p.values(word, ';')
		if err != nil {
			return err
		}
		switch {
		case foreign:
		case len(subject) == 1:
			if p.of[word] == nil {
				p.of[word] = map[string][]string{}
			}
			p.of[word][subject[0]] = values
		case subject == nil:
			p.lists[word] = values
		}
	}
}

// values reads a list of quoted or bare values up to the closing byte. Quoted pieces that
// follow each other without a comma are one value over several lines.
func (p *pxFile) values(word string, until byte) ([]string, error) {
	var out []string
	fresh := true // the next piece begins a value
	for {
		if p.space(); p.at >= len(p.text) {
			return nil, p.bad("px-shape", "%s is not closed", word)
		}
		switch c := p.text[p.at]; {
		case c == until:
			p.at++
			return out, nil
		case c == ',':
			p.at++
			fresh = true
		case c == '"':
			end := bytes.IndexByte(p.text[p.at+1:], '"')
			if end < 0 {
				return nil, p.bad("px-shape", "%s: a quotation mark is not closed", word)
			}
			piece := string(p.text[p.at+1 : p.at+1+end])
			p.at += end + 2
			if fresh {
				out, fresh = append(out, piece), false
			} else {
				out[len(out)-1] += piece
			}
		case c == '(': // TLIST(A1,"2001"-"2005")
			depth := bytes.IndexByte(p.text[p.at:], ')')
			if depth < 0 {
				return nil, p.bad("px-shape", "%s: a bracket is not closed", word)
			}
			p.at += depth + 1
		default:
			start := p.at
			for p.at < len(p.text) && strings.IndexByte(" \t\r\n,;()\"", p.text[p.at]) < 0 {
				p.at++
			}
			if p.at == start {
				return nil, p.bad("px-shape", "%s: this sign cannot stand here", word)
			}
			if fresh {
				out, fresh = append(out, string(p.text[start:p.at])), false
			}
		}
	}
}

// table lays out the cells: the variables of STUB, then of HEADING, the last running fastest.
func (p *pxFile) table() (*tableRows, error) {
	stub := p.lists["STUB"]
	variables := append(append([]string(nil), stub...), p.lists["HEADING"]...)
	if len(variables) == 0 {
		return nil, p.bad("px-shape", "neither STUB nor HEADING names a variable")
	}
	codes := make([][]string, len(variables))
	for j, v := range variables {
		texts := p.of["VALUES"][v]
		codes[j] = texts
		if c := p.of["CODES"][v]; c != nil {
			if texts != nil && len(c) != len(texts) {
				return nil, p.bad("px-shape", "CODES and VALUES of %q are not of one length", v)
			}
			codes[j] = c
		}
		if len(codes[j]) == 0 {
			return nil, p.bad("px-shape", "%q has neither VALUES nor CODES", v)
		}
		if err := distinct(p.name, "CODES of "+v, codes[j]); err != nil {
			return nil, err
		}
	}
	cells, err := cellCount(p.name, codes)
	if err != nil {
		return nil, err
	}
	if p.of["KEYS"] != nil {
		return p.keyed(variables, len(stub), codes)
	}
	value := make([][]byte, 0, min(cells, len(p.text)/2+1))
	for {
		v, err := p.cell()
		if errors.Is(err, errEndOfData) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(value) == cells {
			return nil, p.bad("px-shape", "DATA has more numbers than the variables make cells (%d)", cells)
		}
		value = append(value, v)
	}
	if len(value) != cells {
		return nil, p.bad("px-shape", "DATA has %d numbers and the variables make %d cells: the file is cut off, or damaged", len(value), cells)
	}
	at := crossed(codes)
	return &tableRows{header: append(variables, "value"), rows: cells, fill: func(row int, fields [][]byte) {
		at(row, fields)
		fields[len(fields)-1] = value[row]
	}}, nil
}

var errEndOfData = errors.New("end of data")

// cell is the next value of DATA; nil where a symbol says that there is none.
func (p *pxFile) cell() ([]byte, error) {
	p.space()
	if p.at >= len(p.text) || p.text[p.at] == ';' {
		return nil, errEndOfData
	}
	start := p.at
	if p.text[p.at] == '"' {
		end := bytes.IndexByte(p.text[p.at+1:], '"')
		if end < 0 {
			return nil, p.bad("px-shape", "DATA: a quotation mark is not closed")
		}
		p.at += end + 2
		return withoutSymbol(p.text[start+1 : p.at-1]), nil
	}
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n,;", p.text[p.at]) < 0 {
		p.at++
	}
	v := p.text[start:p.at]
	if p.at < len(p.text) && p.text[p.at] == ',' {
		p.at++
	}
	if len(v) == 0 {
		return nil, p.bad("px-shape", "DATA: a comma must stand behind a value")
	}
	return withoutSymbol(v), nil
}

// keyed reads DATA where every row of the stub begins with its own keys: rows without
// numbers are left out of the file, and stay out.
func (p *pxFile) keyed(variables []string, stub int, codes [][]string) (*tableRows, error) {
	wide, err := cellCount(p.name, codes[stub:])
	if err != nil {
		return nil, err
	}
	known := make([]map[string]string, stub)
	for j := range known {
		known[j] = map[string]string{}
		by := p.of["KEYS"][variables[j]]
		list := codes[j]
		switch {
		case len(by) == 1 && strings.EqualFold(by[0], "CODES"):
		case len(by) == 1 && strings.EqualFold(by[0], "VALUES"):
			list = p.of["VALUES"][variables[j]]
		default:
			return nil, p.bad("px-shape", "KEYS of %q is neither VALUES nor CODES", variables[j])
		}
		for k, key := range list {
			known[j][key] = codes[j][k]
		}
	}
	var keys [][]byte
	var value [][]byte
	for {
		p.space()
		if p.at >= len(p.text) || p.text[p.at] == ';' {
			break
		}
		for j := range known {
			p.space()
			raw, err := p.cell()
			if err != nil {
				return nil, p.bad("px-shape", "DATA: a row of keys is cut off")
			}
			if p.at < len(p.text) && p.text[p.at] == ',' {
				p.at++
			}
			code, ok := known[j][string(raw)]
			if !ok {
				return nil, p.bad("px-shape", "DATA: a key is not among those of %q", variables[j])
			}
			keys = append(keys, []byte(code))
		}
		for range wide {
			v, err := p.cell()
			if err != nil {
				return nil, p.bad("px-shape", "DATA: a row has fewer numbers than HEADING makes columns (%d)", wide)
			}
			value = append(value, v)
		}
		if len(value) > maxTableCells {
			return nil, p.bad("too-large", "the table has more than %d cells", maxTableCells)
		}
	}
	at := crossed(codes[stub:])
	return &tableRows{header: append(variables, "value"), rows: len(value), fill: func(row int, fields [][]byte) {
		copy(fields, keys[row/wide*stub:row/wide*stub+stub])
		at(row%wide, fields[stub:len(fields)-1])
		fields[len(fields)-1] = value[row]
	}}, nil
}
