package ingest

import (
	"bufio"
	"bytes"
	"context"
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

	"utfall/internal/num"
	"utfall/table"
)

// StoreOptions say how a store is divided. They are part of the store.
type StoreOptions struct {
	Shards  int    // 64 if 0
	Key     uint64 // of the hash that gives a person a shard
	HashKey []byte // of the logical hash; plain SHA-256 if empty
	// Pending is the number of rows held in memory before they are set down by shard;
	// half a million if 0. It decides memory, never a byte of the store.
	Pending int
}

// StoreWriter writes a store into a folder beside its own and renames it when all is
// there and on disk, so that no half store is ever seen.
type StoreWriter struct {
	dir, tmp string
	o        StoreOptions
	m        storeManifest
	open     *TableWriter
}

// CreateStore begins a store. dir must not exist or be an empty folder.
func CreateStore(dir string, o StoreOptions) (*StoreWriter, error) {
	if o.Shards == 0 {
		o.Shards = 64
	}
	if o.Shards < 1 || o.Shards > 4096 {
		return nil, fmt.Errorf("%w: %d shards: choose 1 to 4096", ErrSpec, o.Shards)
	}
	if o.Pending == 0 {
		o.Pending = 500_000
	}
	dir = filepath.Clean(dir)
	entries, err := os.ReadDir(dir)
	switch {
	case err == nil && len(entries) > 0:
		return nil, fmt.Errorf("%w: %s: the folder for the store is not empty", ErrSpec, filepath.Base(dir))
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: the folder for the store: %w", ErrResource, err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, fmt.Errorf("%w: the folder for the store: %w", ErrResource, err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+"-partial-")
	if err != nil {
		return nil, fmt.Errorf("%w: the folder for the store: %w", ErrResource, err)
	}
	return &StoreWriter{dir: dir, tmp: tmp, o: o, m: storeManifest{Format: storeFormat, Shards: o.Shards, Key: o.Key}}, nil
}

// Abort removes everything. After Commit it does nothing.
func (w *StoreWriter) Abort() {
	if w.open != nil {
		w.open.closeSpills()
	}
	if w.tmp != "" {
		os.RemoveAll(w.tmp)
		w.tmp = ""
	}
}

// Commit gives the store its name. A table that is still open is an error.
func (w *StoreWriter) Commit() error {
	if w.tmp == "" || w.open != nil {
		return fmt.Errorf("%w: the store is closed or a table of it is still open", ErrSpec)
	}
	sort.Slice(w.m.Tables, func(i, j int) bool { return w.m.Tables[i].Name < w.m.Tables[j].Name })
	b, err := json.MarshalIndent(w.m, "", " ")
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := writeSynced(filepath.Join(w.tmp, storeFile), append(b, '\n')); err != nil {
		return err
	}
	if err := os.Chmod(w.tmp, 0o755); err != nil {
		return fmt.Errorf("%w: store: %w", ErrResource, err)
	}
	if err := os.Remove(w.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: store: %w", ErrResource, err)
	}
	if err := os.Rename(w.tmp, w.dir); err != nil {
		return fmt.Errorf("%w: store: %w", ErrResource, err)
	}
	w.tmp = ""
	if d, err := os.Open(filepath.Dir(w.dir)); err == nil {
		d.Sync() // makes the new name last; not every system can sync a folder
		d.Close()
	}
	return nil
}

// TableWriter takes the rows of one table, in any order and in any number of pieces.
type TableWriter struct {
	w              *StoreWriter
	name           string
	person, second string
	fields         []table.Field
	sum            *logicalSum
	pending        []*table.Table
	waiting        int
	spills         []*os.File
	levels         map[string][]string // of categories; in byte order once pieces differ
	mixed          map[string]bool
}

// Table begins a table. person names the column that decides the shard: text, integer
// or category; second, which may be empty, orders the rows of a person.
func (w *StoreWriter) Table(name, person, second string) (*TableWriter, error) {
	switch {
	case w.tmp == "" || w.open != nil:
		return nil, fmt.Errorf("%w: the store is closed or another table of it is still open", ErrSpec)
	case !validTableName(name):
		return nil, fmt.Errorf("%w: table name %q: lower-case letters, digits, - and _ only", ErrSpec, name)
	case slices.ContainsFunc(w.m.Tables, func(t TableInfo) bool { return t.Name == name }):
		return nil, fmt.Errorf("%w: table %q is written twice", ErrSpec, name)
	}
	if err := os.Mkdir(filepath.Join(w.tmp, name), 0o755); err != nil {
		return nil, fmt.Errorf("%w: store: %w", ErrResource, err)
	}
	w.open = &TableWriter{w: w, name: name, person: person, second: second, levels: map[string][]string{}, mixed: map[string]bool{}}
	return w.open, nil
}

// Add takes rows. All pieces must have the same fields.
func (t *TableWriter) Add(rows *table.Table) error {
	if t.fields == nil {
		t.fields = rows.Fields()
		s, err := newLogicalSum(t.fields, t.w.o.HashKey)
		if err != nil {
			return err
		}
		t.sum = s
		for _, n := range []string{t.person, t.second} {
			if n != "" && !rows.Has(n) {
				return fmt.Errorf("%w: table %q has no column %q", ErrSpec, t.name, n)
			}
		}
	} else if !slices.Equal(t.fields, rows.Fields()) {
		return fmt.Errorf("table %q: pieces with other columns: %w", t.name, table.ErrShape)
	}
	for _, f := range t.fields {
		if f.Kind == table.CategoryKind {
			if err := t.unite(rows, f.Name); err != nil {
				return err
			}
		}
	}
	if err := t.sum.add(rows); err != nil {
		return err
	}
	t.pending = append(t.pending, rows)
	if t.waiting += rows.Rows(); t.waiting < t.w.o.Pending {
		return nil
	}
	return t.spill()
}

func (t *TableWriter) unite(rows *table.Table, name string) error {
	c, err := rows.Column(name)
	if err != nil {
		return err
	}
	now, was := c.Levels(), t.levels[name]
	switch {
	case was == nil:
		t.levels[name] = slices.Clone(now)
	case !t.mixed[name] && slices.Equal(was, now):
	default:
		t.mixed[name] = true
		all := append(slices.Clone(was), now...)
		sort.Strings(all)
		t.levels[name] = slices.Compact(all)
	}
	return nil
}

// divide returns the rows that wait, by shard; nil where a shard has none.
func (t *TableWriter) divide() ([]*table.Table, error) {
	out := make([]*table.Table, t.w.o.Shards)
	if len(t.pending) == 0 {
		return out, nil
	}
	all, err := table.Concat(t.pending...)
	if err != nil {
		return nil, err
	}
	t.pending, t.waiting = nil, 0
	ids, ok, err := all.Text(t.person)
	if err != nil {
		return nil, err
	}
	rows := make([][]int, t.w.o.Shards)
	for i, id := range ids {
		if ok != nil && !ok[i] {
			return nil, problem(t.name, i+1, t.person, "required", "a row without a person cannot be stored")
		}
		k := num.KeyedHash(t.w.o.Key, id) % uint64(t.w.o.Shards)
		rows[k] = append(rows[k], i)
	}
	for k, r := range rows {
		if len(r) > 0 {
			out[k] = all.Take(r)
		}
	}
	return out, nil
}

// spill sets the waiting rows down, each shard in a file of its own.
func (t *TableWriter) spill() error {
	if t.spills == nil {
		t.spills = make([]*os.File, t.w.o.Shards)
	}
	parts, err := t.divide()
	if err != nil {
		return err
	}
	for k, p := range parts {
		if p == nil {
			continue
		}
		if t.spills[k] == nil {
			if t.spills[k], err = os.Create(filepath.Join(t.w.tmp, t.name, fmt.Sprintf("%04d.part", k))); err != nil {
				return fmt.Errorf("%w: store: %w", ErrResource, err)
			}
		}
		var b bytes.Buffer
		if err := writeStream(&b, p); err != nil {
			return err
		}
		if _, err := t.spills[k].Write(b.Bytes()); err != nil {
			return fmt.Errorf("%w: store: %w", ErrResource, err)
		}
	}
	return nil
}

func (t *TableWriter) closeSpills() {
	for _, f := range t.spills {
		if f != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}
	t.spills = nil
}

// Close sorts and writes the shards, one after the other.
func (t *TableWriter) Close(ctx context.Context) error {
	defer t.closeSpills()
	if t.fields == nil {
		return fmt.Errorf("%w: table %q was given no rows, not even their columns", ErrSpec, t.name)
	}
	empty := t.pendingEmpty()
	if t.spills != nil {
		if err := t.spill(); err != nil {
			return err
		}
	}
	parts, err := t.divide()
	if err != nil {
		return err
	}
	info := TableInfo{Name: t.name, Person: t.person, Second: t.second}
	for k := range parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		ts := []*table.Table{empty}
		if t.spills != nil && t.spills[k] != nil {
			b, err := os.ReadFile(t.spills[k].Name())
			if err != nil {
				return fmt.Errorf("%w: store: %w", ErrResource, err)
			}
			if ts, err = readStreams(t.name, b); err != nil {
				return err
			}
		} else if parts[k] != nil {
			ts = []*table.Table{parts[k]}
		}
		f, err := t.shard(k, ts)
		if err != nil {
			return err
		}
		info.Files = append(info.Files, f)
		info.Rows += f.Rows
	}
	sum := t.sum.value()
	info.LogicalHash = hex.EncodeToString(sum[:])
	t.w.m.Tables = append(t.w.m.Tables, info)
	t.w.open = nil
	return nil
}

// pendingEmpty is a table of the right columns without rows, for shards that have none.
func (t *TableWriter) pendingEmpty() *table.Table {
	cols := make([]table.Column, len(t.fields))
	for i, f := range t.fields {
		switch f.Kind {
		case table.FloatKind:
			cols[i] = table.NewFloat(f, nil, nil)
		case table.IntegerKind:
			cols[i] = table.NewInteger(f, nil, nil)
		case table.BooleanKind:
			cols[i] = table.NewBoolean(f, nil, nil)
		case table.DateKind:
			cols[i] = table.NewDate(f, nil, nil)
		case table.CategoryKind:
			cols[i], _ = table.NewCategory(f, nil, t.levels[f.Name], nil) // levels are distinct
		default:
			cols[i] = table.NewText(f, nil, nil)
		}
	}
	out, _ := table.New(cols...) // names were distinct in the first piece
	return out
}

func (t *TableWriter) shard(k int, ts []*table.Table) (StoreFile, error) {
	all, err := table.Concat(ts...)
	if err != nil {
		return StoreFile{}, err
	}
	for name, levels := range t.levels {
		if all, err = all.WithLevels(name, levels); err != nil {
			return StoreFile{}, err
		}
	}
	rows, err := sortedRows(all, t.person, t.second)
	if err != nil {
		return StoreFile{}, err
	}
	var b bytes.Buffer
	if err := writeStream(&b, all.Take(rows)); err != nil {
		return StoreFile{}, err
	}
	sum := sha256.Sum256(b.Bytes())
	f := StoreFile{Rows: len(rows), Bytes: int64(b.Len()), SHA256: hex.EncodeToString(sum[:])}
	return f, writeSynced(filepath.Join(t.w.tmp, filepath.FromSlash(shardFile(t.name, k))), b.Bytes())
}

// writeSynced writes a file and waits until it is on disk.
func writeSynced(path string, body []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w: store: %w", ErrResource, err)
		}
	}()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	if _, err = w.Write(body); err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
