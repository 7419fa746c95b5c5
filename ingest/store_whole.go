package ingest

import (
	"context"

	"utfall/table"
)

// StoreTable is a whole table for [WriteStore].
type StoreTable struct {
	Name, Person, Second string
	Table                *table.Table
}

// WriteStore writes tables that are in memory as a store.
func WriteStore(ctx context.Context, dir string, o StoreOptions, tables ...StoreTable) error {
	w, err := CreateStore(dir, o)
	if err != nil {
		return err
	}
	defer w.Abort()
	for _, t := range tables {
		tw, err := w.Table(t.Name, t.Person, t.Second)
		if err != nil {
			return err
		}
		if err := tw.Add(t.Table); err != nil {
			return err
		}
		if err := tw.Close(ctx); err != nil {
			return err
		}
	}
	return w.Commit()
}
