package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// textInput is a delimited text file.
type textInput struct {
	csvFile
	f     *os.File
	h     hash.Hash
	bytes int64
}

func openText(f *os.File, name string, src *Source, rep *Report, numeric func(string) bool) (input, error) {
	head := make([]byte, sniffBytes)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, problem(name, 0, "", "read", "the file cannot be read")
	}
	head = head[:n]
	t := &textInput{f: f, h: sha256.New()}
	t.csvFile.name = name
	t.d.Encoding = src.Encoding
	if src.Encoding == "" {
		var sure bool
		t.sniffed = true
		if t.d.Encoding, sure = sniffEncoding(head); !sure && n == sniffBytes {
			t.d.Encoding = firstNonASCII(f)
		}
	}
	if bytesAreBinary(head) {
		return nil, problem(name, 0, "", "binary", "this is not a text file: the name must end as its format does (.xlsx, .parquet, .arrow)")
	}
	sep, _ := separatorOf(src.Separator)
	dec, _ := decimalOf(src.Decimal)
	if sep == 0 && strings.EqualFold(filepath.Ext(f.Name()), ".tsv") {
		sep = '\t'
	}
	if err := t.d.sniff(head, sep, dec, numeric); err != nil {
		return nil, problem(name, 0, "", "dialect", "%v", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, problem(name, 0, "", "read", "the file cannot be read")
	}
	rep.Encoding, rep.Separator, rep.Decimal = t.d.Encoding, separatorNames[t.d.Separator], decimalNames[t.d.Decimal]
	t.r = io.TeeReader(f, t)
	return t, t.open()
}

// bytesAreBinary knows the formats that are often given a wrong ending.
func bytesAreBinary(head []byte) bool {
	for _, magic := range []string{"PAR1", "ARROW1", "PK\x03\x04", "\x1f\x8b", "\x28\xb5\x2f\xfd", "\xd0\xcf\x11\xe0"} {
		if strings.HasPrefix(string(head[:min(len(head), 8)]), magic) {
			return true
		}
	}
	return false
}

// firstNonASCII reads on to the first block that is not plain ASCII and judges by it.
func firstNonASCII(f *os.File) string {
	buf := make([]byte, 1<<20)
	for {
		n, err := f.Read(buf)
		if block := buf[:n]; !isASCII(block) {
			head := bytes.Clone(block)
			more, _ := io.ReadFull(f, buf)
			name, _ := sniffEncoding(append(head, buf[:more]...))
			return name
		}
		if n == 0 || err != nil {
			return "utf-8"
		}
	}
}

// Write makes the file's hash of what is read.
func (t *textInput) Write(p []byte) (int, error) {
	t.bytes += int64(len(p))
	return t.h.Write(p)
}

func (t *textInput) name() string    { return t.csvFile.name }
func (t *textInput) names() []string { return t.header }
func (t *textInput) mark() byte      { return t.d.Decimal }
func (t *textInput) plan(*plan)      {}
func (t *textInput) close()          { t.f.Close() }

func (t *textInput) parts(ctx context.Context, workers int, make_ func() *part, each func(*part) error) error {
	return parse(ctx, &t.csvFile, workers, make_, each)
}

func (t *textInput) kinds(ctx context.Context, workers int, make_ func() *guess, each func(*guess) error) error {
	return parse(ctx, &t.csvFile, workers, make_, each)
}

func (t *textInput) sum() (string, int64, error) {
	return hex.EncodeToString(t.h.Sum(nil)), t.bytes, nil
}
