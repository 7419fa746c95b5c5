package ingest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// Limits of a text file. A file beyond them is not a table.
const (
	maxField   = 1 << 20
	maxRecord  = 16 << 20
	maxColumns = 10_000
	csvBlock   = 1 << 20 // bytes read at a time: chunk boundaries are a property of the file alone
)

// consumer takes the records of one chunk.
type consumer interface {
	row(line int, fields [][]byte)
	badRow(line int, code string)
}

// A chunk is a run of whole records.
type chunk struct {
	data   []byte
	line   int   // of the first record
	offset int64 // of the first byte, in the bytes that were split
}

// csvFile reads the records of one text file.
type csvFile struct {
	name    string // in messages
	d       Dialect
	sniffed bool // the encoding was not declared
	r       io.Reader
	carry   []byte
	line    int
	offset  int64
	eof     bool
	first   *chunk // what follows the header in the first chunk
	header  []string
	free    sync.Pool // buffers of chunks that are done: *[]byte
}

// buffer gives a used buffer where one is large enough.
func (c *csvFile) buffer(n int) []byte {
	if b, ok := c.free.Get().(*[]byte); ok && cap(*b) >= n {
		return (*b)[:n]
	}
	return make([]byte, n, n+n/8)
}

// open reads the header.
func (c *csvFile) open() error {
	if strings.HasPrefix(c.d.Encoding, "utf-16") {
		c.r = &utf16Reader{r: c.r, big: c.d.Encoding == "utf-16be", file: c.name}
	}
	c.line = 1
	ch, err := c.next()
	if err != nil {
		return err
	}
	if ch == nil {
		return problem(c.name, 0, "", "empty", "the file is empty")
	}
	if c.d.Encoding == "utf-8-bom" {
		if !bytes.HasPrefix(ch.data, bomUTF8) {
			return problem(c.name, 1, "", "encoding", "the file does not begin with a byte order mark, though utf-8-bom is declared")
		}
	}
	if bytes.HasPrefix(ch.data, bomUTF8) && strings.HasPrefix(c.d.Encoding, "utf-8") {
		ch.data, ch.offset = ch.data[3:], ch.offset+3
	}
	h := &headerRow{}
	n, err := c.records(*ch, h, true)
	if err != nil {
		return err
	}
	if h.code != "" || h.names == nil {
		if h.code != "" {
			return problem(c.name, h.line, "", h.code, "%s", reasonText[h.code])
		}
		return problem(c.name, 0, "", "empty", "the file has no header line")
	}
	c.header = h.names
	rest := chunk{ch.data[n:], ch.line + bytes.Count(ch.data[:n], []byte{'\n'}), ch.offset + int64(n)}
	c.first = &rest
	return nil
}

type headerRow struct {
	names []string
	line  int
	code  string
}

func (h *headerRow) row(line int, fields [][]byte) {
	h.line = line
	for _, f := range fields {
		h.names = append(h.names, string(f))
	}
}

func (h *headerRow) badRow(line int, code string) { h.line, h.code = line, code }

// next returns the next run of whole records, nil at the end.
func (c *csvFile) next() (*chunk, error) {
	for {
		if c.eof && len(c.carry) == 0 {
			return nil, nil
		}
		have := len(c.carry)
		buf := c.buffer(have + csvBlock)
		copy(buf, c.carry)
		n, err := io.ReadFull(c.r, buf[have:])
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			c.eof = true
		case err != nil:
			return nil, c.located(err)
		}
		buf = buf[:have+n]
		end, quote := lastRecord(buf, c.d.Separator, c.eof)
		if quote >= 0 && (c.eof || len(buf)-quote > maxField+4) {
			line := c.line + bytes.Count(buf[:quote], []byte{'\n'})
			if c.eof {
				return nil, problem(c.name, line, "", "unclosed-quote", "a quotation mark is opened here and never closed")
			}
			return nil, problem(c.name, line, "", "unclosed-quote", "a quotation mark is opened here and not closed within 1 MiB")
		}
		if c.eof {
			end = len(buf)
		}
		if end == 0 && len(buf) > 0 {
			if len(buf) > maxRecord {
				return nil, problem(c.name, c.line, "", "too-long", "a row is longer than 16 MiB")
			}
			c.carry = buf
			continue
		}
		if len(buf) == 0 {
			return nil, nil
		}
		ch := &chunk{buf[:end], c.line, c.offset}
		c.carry = bytes.Clone(buf[end:])
		c.line += bytes.Count(ch.data, []byte{'\n'})
		c.offset += int64(end)
		return ch, nil
	}
}

// located keeps a Problem and gives another read error the file's name.
func (c *csvFile) located(err error) error {
	var p *Problem
	if errors.As(err, &p) {
		return err
	}
	return problem(c.name, 0, "", "read", "the file cannot be read to its end")
}

// lastRecord returns the end of the last whole record in buf, which begins at a record,
// and where the quotation mark stands that is still open, or -1.
func lastRecord(buf []byte, sep byte, eof bool) (end, open int) {
	i := 0 // everything before is outside quotes or in closed ones
	for {
		q := bytes.IndexByte(buf[i:], '"')
		if q < 0 {
			if k := bytes.LastIndexByte(buf[i:], '\n'); k >= 0 {
				end = i + k + 1
			}
			return end, -1
		}
		q += i
		if k := bytes.LastIndexByte(buf[i:q], '\n'); k >= 0 {
			end = i + k + 1
		}
		if q > 0 && buf[q-1] != sep && buf[q-1] != '\n' && !(q == 3 && bytes.HasPrefix(buf, bomUTF8)) {
			i = q + 1
			continue
		}
		j := q + 1
		for {
			k := bytes.IndexByte(buf[j:], '"')
			if k < 0 || j+k+1 == len(buf) && !eof {
				return end, q
			}
			if j += k + 1; j < len(buf) && buf[j] == '"' {
				j++
				continue
			}
			break
		}
		i = j
	}
}

// work is a chunk with what became of it.
type work[C consumer] struct {
	chunk
	out  C
	err  error
	done chan struct{}
}

// parse gives every chunk after the header a consumer of its own and hands them to
// each in file order. At most three chunks a worker are in memory.
func parse[C consumer](ctx context.Context, c *csvFile, workers int, make_ func() C, each func(C) error) error {
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	jobs, order := make(chan *work[C]), make(chan *work[C], 2*workers)
	for range workers {
		wg.Go(func() {
			for w := range jobs {
				_, w.err = c.records(w.chunk, w.out, false)
				used := w.data[:0] // consumers copy what they keep
				w.data = nil
				c.free.Put(&used)
				close(w.done)
			}
		})
	}
	wg.Go(func() {
		defer close(order)
		defer close(jobs)
		ch := c.first
		for ch != nil {
			w := &work[C]{chunk: *ch, out: make_(), done: make(chan struct{})}
			select {
			case order <- w:
			case <-ctx.Done():
				return
			}
			select {
			case jobs <- w:
			case <-ctx.Done():
				return
			}
			var err error
			if ch, err = c.next(); err != nil {
				w := &work[C]{err: err, done: make(chan struct{})}
				close(w.done)
				select {
				case order <- w:
				case <-ctx.Done():
				}
				return
			}
		}
	})
	for w := range order {
		select {
		case <-w.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if w.err != nil {
			return w.err
		}
		if err := each(w.out); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// records cuts a chunk into fields and gives them to out; with one it stops after the
// first record. It returns how many bytes it used.
func (c *csvFile) records(ch chunk, out consumer, one bool) (int, error) {
	data := ch.data
	if at := bytes.IndexByte(data, 0); at >= 0 {
		return 0, c.bytesProblem(ch, at, "nul", "a NUL byte: this is not a text file")
	}
	decoded := data
	switch c.d.Encoding {
	case "utf-8", "utf-8-bom":
		if !utf8.Valid(data) {
			how := "is not UTF-8, though " + c.d.Encoding + " is declared"
			if c.sniffed {
				how = "is not UTF-8, though text before it is: the file mixes encodings; declare one if that is wrong"
			}
			return 0, c.bytesProblem(ch, invalidUTF8(data), "encoding", how)
		}
	case "windows-1252", "iso-8859-1":
		if c.sniffed && !isASCII(data) {
			if at := multibyteUTF8(data); at >= 0 {
				return 0, c.bytesProblem(ch, at, "encoding", "is UTF-8, though other text is not: the file mixes encodings; declare one if that is wrong")
			}
		}
		var at int
		if decoded, at = singleByte(data, c.d.Encoding); at >= 0 {
			return 0, c.bytesProblem(ch, at, "encoding", "is not "+c.d.Encoding)
		}
	}
	if e, ok := out.(interface{ expect(rows int) }); ok {
		e.expect(bytes.Count(decoded, []byte{'\n'}) + 1)
	}
	f := fielder{file: c.name, data: decoded, sep: c.d.Separator, line: ch.line, out: out}
	n, err := f.run(one)
	if one && len(decoded) != len(data) && err == nil { // the header's length in the bytes of the file
		if n == len(decoded) {
			return len(data), nil
		}
		n = headerLength(data, f.line-ch.line)
	}
	return n, err
}

// headerLength finds the end of the first lines of undecoded text.
func headerLength(data []byte, lines int) int {
	n := 0
	for range lines {
		k := bytes.IndexByte(data[n:], '\n')
		if k < 0 {
			return len(data)
		}
		n += k + 1
	}
	return n
}

func (c *csvFile) bytesProblem(ch chunk, at int, code, what string) error {
	line := ch.line + bytes.Count(ch.data[:at], []byte{'\n'})
	if code == "nul" {
		return problem(c.name, line, "", code, "%s (byte %d of the file)", what, ch.offset+int64(at))
	}
	return problem(c.name, line, "", code, "byte %d of the file %s", ch.offset+int64(at), what)
}
