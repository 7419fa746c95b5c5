package study

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"utfall/ingest"
	"utfall/table"
)

// storeShards is the number of shards of a study's store: a constant, so that a store
// depends on the data and the seed alone.
const storeShards = 64

// storeRecord says which files, read by which declarations, a store holds.
type storeRecord struct {
	Format  int                      `json:"format"`
	Program string                   `json:"program"`
	Data    map[string]storedDataset `json:"data"`
}

type storedDataset struct {
	Declaration string        `json:"declaration_sha256"`
	Logical     string        `json:"logical_sha256"`
	Sealed      []string      `json:"outcomes"` // columns that lie apart
	Report      ingest.Report `json:"report"`
}

const (
	storeTables     = "tables"   // what the design stage opens
	storeOutcomes   = "outcomes" // outcome columns alone: opened when the plan allows it
	storeIndex      = "store.json"
	storeQuarantine = "quarantine.csv"
)

// personOf names the columns that divide and order a data set's rows in the store:
// the person or unit, and what orders the rows of one.
func personOf(src Source) (person, second string) {
	has := func(name string) bool {
		for _, c := range src.Columns {
			if c.Name == name {
				return true
			}
		}
		return false
	}
	for _, c := range src.Columns {
		if c.Role == "unit" && person == "" {
			person = c.Name
		}
	}
	if person == "" && has("person") {
		person = "person"
	}
	if person == "" && len(src.Key) > 0 {
		person = src.Key[0]
	}
	if person == "" && len(src.Columns) > 0 {
		person = src.Columns[0].Name
	}
	for _, k := range src.Key {
		if k != person {
			return person, k
		}
	}
	return person, ""
}

// declaration is the digest of how a data set is read.
func declaration(src Source) (string, error) {
	b, err := json.Marshal(src)
	return digest(b), err
}

// saveStore keeps the data that were read, in a folder that appears by one rename.
func (s *state) saveStore() error {
	dir := s.o.StoreDir
	parent := filepath.Dir(filepath.Clean(dir))
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return fmt.Errorf("%w: %w", ErrResource, err)
	}
	tmp, err := os.MkdirTemp(parent, ".tmp-store-")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrResource, err)
	}
	defer os.RemoveAll(tmp)
	rec := storeRecord{Format: Version, Program: ProgramVersion, Data: map[string]storedDataset{}}
	var tables, outcomes []ingest.StoreTable
	var results []*ingest.Result
	for _, name := range sortedKeys(s.data) {
		d := s.data[name]
		decl, err := declaration(s.spec.Data[name])
		if err != nil {
			return err
		}
		sealed := s.spec.sealedOf(name)
		rec.Data[name] = storedDataset{decl, d.logical, sealed, d.result.Report}
		person, second := personOf(s.spec.Data[name])
		whole, err := withRow(d.table)
		if err != nil {
			return err
		}
		tables = append(tables, ingest.StoreTable{Name: name, Person: person, Second: second, Table: whole.Without(sealed...)})
		if len(sealed) > 0 {
			keep := []string{rowColumn, person}
			if second != "" {
				keep = append(keep, second)
			}
			part, err := pick(whole, append(keep, sealed...))
			if err != nil {
				return err
			}
			outcomes = append(outcomes, ingest.StoreTable{Name: name, Person: person, Second: second, Table: part})
		}
		results = append(results, d.result)
	}
	for folder, part := range map[string][]ingest.StoreTable{storeTables: tables, storeOutcomes: outcomes} {
		if len(part) == 0 {
			continue
		}
		if err := ingest.WriteStore(s.ctx, filepath.Join(tmp, folder), ingest.StoreOptions{Shards: storeShards, Key: s.spec.Seed}, part...); err != nil {
			return err
		}
	}
	for name, fill := range map[string]func(w io.Writer) error{
		storeQuarantine: func(w io.Writer) error { return ingest.WriteQuarantine(w, results...) },
		storeIndex:      func(w io.Writer) error { return encodeJSON(w, rec) },
	} {
		var b bytes.Buffer
		if err := fill(&b); err != nil {
			return err
		}
		if err := writeSynced(filepath.Join(tmp, name), b.Bytes()); err != nil {
			return fmt.Errorf("%w: %w", ErrResource, err)
		}
	}
	return publish(tmp, dir)
}

// loadStore takes the data from the store where every file and its declaration are
// those that were stored; it reports whether it did.
func (s *state) loadStore() (bool, error) {
	b, err := os.ReadFile(filepath.Join(s.o.StoreDir, storeIndex))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrResource, err)
	}
	var rec storeRecord
	if json.Unmarshal(b, &rec) != nil || rec.Format != Version || rec.Program != ProgramVersion || len(rec.Data) != len(s.spec.Data) {
		return false, nil
	}
	for name, src := range s.spec.Data {
		decl, err := declaration(src)
		if err != nil {
			return false, err
		}
		have, ok := rec.Data[name]
		if !ok || have.Declaration != decl || !slices.Equal(have.Sealed, s.spec.sealedOf(name)) {
			return false, nil
		}
		sum, err := fileDigest(filepath.Join(s.o.DataDir, filepath.FromSlash(src.Path)))
		if err != nil || sum != have.Report.SHA256 {
			return false, nil // the file is gone or another one: read it, and say what is wrong
		}
	}
	store, err := ingest.OpenStore(filepath.Join(s.o.StoreDir, storeTables))
	if err != nil {
		return false, err
	}
	for _, name := range sortedKeys(s.spec.Data) {
		t, err := store.Table(name)
		if err != nil {
			return false, err
		}
		d := &dataset{name: name, result: &ingest.Result{Report: rec.Data[name].Report}, logical: rec.Data[name].Logical}
		if d.table, err = inRowOrder(t); err != nil {
			return false, err
		}
		if columns := s.spec.sealedOf(name); len(columns) > 0 {
			d.sealed = func() (*table.Table, error) {
				return storedOutcomes(filepath.Join(s.o.StoreDir, storeOutcomes), name, columns)
			}
		}
		d.line = func(int) int { return 0 } // lines are known only when the file is read
		s.data[name] = d
	}
	return true, nil
}

func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := newHash()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hexSum(h), nil
}

// writeQuarantine lists the rejected rows (file, line, column, reason; never a value)
// beside the bundle, and returns the list's path; "" where no row was rejected.
func (s *state) writeQuarantine() (string, error) {
	if s.o.OutDir == "" {
		return "", nil
	}
	path := filepath.Clean(s.o.OutDir) + "-quarantine.csv"
	var results []*ingest.Result
	rejected := 0
	for _, name := range sortedKeys(s.data) {
		results = append(results, s.data[name].result)
		rejected += len(s.data[name].result.Quarantine)
	}
	if rejected == 0 {
		// A list from an earlier run would be read as this one's.
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("%w: %w", ErrResource, err)
		}
		return "", nil
	}
	var b bytes.Buffer
	if err := ingest.WriteQuarantine(&b, results...); err != nil {
		return "", err
	}
	tmp := path + ".tmp"
	if err := writeSynced(tmp, b.Bytes()); err != nil {
		return "", fmt.Errorf("%w: %w", ErrResource, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return "", fmt.Errorf("%w: %w", ErrResource, err)
	}
	return path, nil
}
