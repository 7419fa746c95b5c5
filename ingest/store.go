package ingest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"

	"github.com/apache/arrow/go/v15/arrow/ipc"

	"utfall/table"
)

// A store is a folder:
//
//	store.json          what is in it, with a hash of every file
//	NAME/0000.arrow …   the rows of table NAME in each shard
//
// A person's rows of all tables are in the shard num.KeyedHash(key, person) mod shards,
// sorted by person, then the table's second column, then all other values.
const storeFile = "store.json"

const storeFormat = 1

type storeManifest struct {
	Format int         `json:"format"`
	Shards int         `json:"shards"`
	Key    uint64      `json:"key"`
	Tables []TableInfo `json:"tables"`
}

// TableInfo describes a table of a store.
type TableInfo struct {
	Name        string      `json:"name"`
	Person      string      `json:"person"`           // the column that decides the shard
	Second      string      `json:"second,omitempty"` // rows of a person are in its order
	Rows        int         `json:"rows"`
	LogicalHash string      `json:"logical_hash"` // of the contents: the same for any order of rows and any source format
	Files       []StoreFile `json:"files"`        // one a shard
}

// StoreFile is one shard of a table.
type StoreFile struct {
	Rows   int    `json:"rows"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Store is a folder of sharded tables, read shard by shard.
type Store struct {
	dir string
	m   storeManifest
}

// OpenStore opens a store. A folder that is none, or a store that was changed, is [ErrInput].
func OpenStore(dir string) (*Store, error) {
	b, err := os.ReadFile(filepath.Join(dir, storeFile))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &Problem{File: filepath.Base(dir), Code: "no-store", Text: "this folder is not a store", kind: fs.ErrNotExist}
		}
		return nil, problem(storeFile, 0, "", "read", "the file cannot be read")
	}
	s := &Store{dir: dir}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&s.m); err != nil || s.m.Format != storeFormat || s.m.Shards < 1 {
		return nil, problem(storeFile, 0, "", "damaged", "the description of the store is damaged or of another version")
	}
	for _, t := range s.m.Tables {
		if len(t.Files) != s.m.Shards || !validTableName(t.Name) {
			return nil, problem(storeFile, 0, "", "damaged", "the description of the store is damaged")
		}
	}
	return s, nil
}

// Shards is the number of shards.
func (s *Store) Shards() int { return s.m.Shards }

// Tables describes the tables, in byte order of their names.
func (s *Store) Tables() []TableInfo { return slices.Clone(s.m.Tables) }

// Info describes one table.
func (s *Store) Info(name string) (TableInfo, error) {
	for _, t := range s.m.Tables {
		if t.Name == name {
			return t, nil
		}
	}
	return TableInfo{}, problem(storeFile, 0, "", "no-table", "the store has no table %q", name)
}

// Shard reads one shard of a table. The file's hash is checked first: a changed file
// is [ErrInput].
//
// The shard is read into memory and not mapped. It is the unit of bounded memory, a
// small part of the data, is checked byte by byte anyway, and a mapped file cannot be
// replaced or removed on Windows while it is in use.
func (s *Store) Shard(i int, name string) (*table.Table, error) {
	info, err := s.Info(name)
	if err != nil {
		return nil, err
	}
	if i < 0 || i >= s.m.Shards {
		return nil, fmt.Errorf("%w: shard %d of %d", ErrSpec, i, s.m.Shards)
	}
	rel := shardFile(name, i)
	b, err := os.ReadFile(filepath.Join(s.dir, filepath.FromSlash(rel)))
	if err != nil {
		return nil, problem(rel, 0, "", "read", "the shard cannot be read")
	}
	sum := sha256.Sum256(b)
	if want := info.Files[i]; want.Bytes != int64(len(b)) || want.SHA256 != hex.EncodeToString(sum[:]) {
		return nil, problem(rel, 0, "", "changed", "the shard was changed after the store was written")
	}
	ts, err := readStreams(rel, b)
	if err != nil {
		return nil, err
	}
	return ts[0], nil
}

// Table reads all shards of a table, for tables that are known to be small.
func (s *Store) Table(name string) (*table.Table, error) {
	ts := make([]*table.Table, s.m.Shards)
	for i := range ts {
		t, err := s.Shard(i, name)
		if err != nil {
			return nil, err
		}
		ts[i] = t
	}
	return table.Concat(ts...)
}

func shardFile(name string, i int) string { return fmt.Sprintf("%s/%04d.arrow", name, i) }

// validTableName allows what is a plain folder name on every system.
func validTableName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// readStreams decodes the IPC streams that lie one after the other in b, each one table.
func readStreams(name string, b []byte) ([]*table.Table, error) {
	var out []*table.Table
	err := guarded(name, func() error {
		r := bytes.NewReader(b)
		for r.Len() > 0 {
			in, err := ipc.NewReader(r)
			if err != nil {
				return err
			}
			if !in.Next() {
				if in.Err() != nil {
					return in.Err()
				}
				return errShort
			}
			t, err := table.FromRecord(in.Record())
			if err != nil {
				return err
			}
			out = append(out, t)
			for in.Next() { // to the end mark
			}
			in.Release()
		}
		if len(out) == 0 {
			return errShort
		}
		return nil
	})
	return out, err
}

// writeStream encodes a table as one IPC stream of one record.
func writeStream(w *bytes.Buffer, t *table.Table) error {
	out := ipc.NewWriter(w, ipc.WithSchema(t.Schema()))
	if err := out.Write(t.Record()); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// sortedRows orders the rows of a shard: person, second column, then every value, so
// that the file's bytes do not depend on the order in which rows came.
func sortedRows(t *table.Table, person, second string) ([]int, error) {
	ids, _, err := t.Text(person)
	if err != nil {
		return nil, err
	}
	var by []int64
	var text []string
	if second != "" {
		c, err := t.Column(second)
		if err != nil {
			return nil, err
		}
		switch c.Kind {
		case table.DateKind, table.IntegerKind:
			v, err := t.Integer(second)
			if err != nil {
				return nil, err
			}
			by = slices.Clone(v.Values)
			for i := range by {
				if !v.Has(i) {
					by[i] = -1 << 63
				}
			}
		default:
			if text, _, err = t.Text(second); err != nil {
				return nil, fmt.Errorf("%w: the second sort column %q must be a date, an integer or text", ErrSpec, second)
			}
		}
	}
	names := make([]string, 0, len(t.Fields()))
	for _, f := range t.Fields() {
		names = append(names, f.Name)
	}
	sort.Strings(names)
	enc, err := newRowBytes(t, names)
	if err != nil {
		return nil, err
	}
	rows := make([]int, t.Rows())
	for i := range rows {
		rows[i] = i
	}
	var a, b []byte
	slices.SortStableFunc(rows, func(i, j int) int {
		switch {
		case ids[i] != ids[j]:
			return compareText(ids[i], ids[j])
		case by != nil && by[i] != by[j]:
			if by[i] < by[j] {
				return -1
			}
			return 1
		case text != nil && text[i] != text[j]:
			return compareText(text[i], text[j])
		}
		a, b = enc.append(a[:0], i), enc.append(b[:0], j)
		return bytes.Compare(a, b)
	})
	return rows, nil
}

func compareText(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}
