package ingest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/bits"
	"sort"

	"utfall/table"
)

// LogicalHash identifies the contents of a table: the same for any order of rows and
// columns and any file format, different when a value, a column's name or its kind is.
//
// Each row is encoded column by column, in byte order of names, as a mark and the value
// (numbers as the 8 bytes of their float64 with -0 as 0, whole numbers, dates and truth
// values as 8 bytes, text and categories with their length), and hashed by HMAC-SHA-256
// under the key, or plain SHA-256 if the key is empty. The hashes are added modulo
// 2^256, so that a row that comes twice counts twice, and the sum is hashed with the
// number of rows and the columns' names and kinds.
func LogicalHash(t *table.Table, key []byte) ([32]byte, error) {
	s, err := newLogicalSum(t.Fields(), key)
	if err != nil {
		return [32]byte{}, err
	}
	if err := s.add(t); err != nil {
		return [32]byte{}, err
	}
	return s.value(), nil
}

// logicalSum adds up the rows of the parts of one table.
type logicalSum struct {
	names []string
	head  []byte
	key   []byte
	sum   [4]uint64 // least significant first
	rows  uint64
}

func newLogicalSum(fields []table.Field, key []byte) (*logicalSum, error) {
	fields = append([]table.Field(nil), fields...)
	sort.Slice(fields, func(i, j int) bool { return fields[i].Name < fields[j].Name })
	s := &logicalSum{key: key}
	for _, f := range fields {
		s.names = append(s.names, f.Name)
		for _, text := range []string{f.Name, string(f.Kind)} {
			s.head = append(binary.AppendUvarint(s.head, uint64(len(text))), text...)
		}
	}
	return s, nil
}

func (s *logicalSum) hasher() hash.Hash {
	if len(s.key) == 0 {
		return sha256.New()
	}
	return hmac.New(sha256.New, s.key)
}

func (s *logicalSum) add(t *table.Table) error {
	enc, err := newRowBytes(t, s.names)
	if err != nil {
		return err
	}
	h := s.hasher()
	var row, sum []byte
	for i := range t.Rows() {
		h.Reset()
		row = enc.append(row[:0], i)
		h.Write(row)
		sum = h.Sum(sum[:0])
		carry := uint64(0)
		for k := range s.sum {
			s.sum[k], carry = bits.Add64(s.sum[k], binary.BigEndian.Uint64(sum[24-8*k:]), carry)
		}
	}
	s.rows += uint64(t.Rows())
	return nil
}

func (s *logicalSum) value() (out [32]byte) {
	h := s.hasher()
	h.Write(s.head)
	var b []byte
	for _, v := range append([]uint64{s.rows}, s.sum[:]...) {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	h.Write(b)
	h.Sum(out[:0])
	return out
}
