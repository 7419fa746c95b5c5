package ingest

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"math"
	"slices"
	"sort"
)

// spells checks the spells of each person. Where two overlap, the one that begins
// later is rejected; of those that begin together the one that ends later stays, and
// where they end together too, the order of their other values decides.
func (m *Member) spells(reject bool) error {
	if err := m.required("person"); err != nil {
		return err
	}
	if err := m.backwards("from", "to", true); err != nil {
		return err
	}
	if err := m.repeatedSpells(); err != nil || !reject {
		return err
	}
	t := m.Result.Table
	ids, _, err := t.Text("person")
	if err != nil {
		return err
	}
	from, err := t.Float("from")
	if err != nil {
		return err
	}
	to, err := t.Float("to")
	if err != nil {
		return err
	}
	end := func(i int) float64 {
		if to.Has(i) {
			return to.Values[i]
		}
		return math.Inf(1)
	}
	names := make([]string, 0, len(t.Fields()))
	for _, f := range t.Fields() {
		names = append(names, f.Name)
	}
	sort.Strings(names)
	enc, err := newRowBytes(t, names)
	if err != nil {
		return err
	}
	rows := make([]int, t.Rows())
	for i := range rows {
		rows[i] = i
	}
	var a, b []byte
	slices.SortFunc(rows, func(i, j int) int {
		if c := cmp.Or(cmp.Compare(ids[i], ids[j]), cmp.Compare(from.Values[i], from.Values[j]), cmp.Compare(end(j), end(i))); c != 0 {
			return c
		}
		a, b = enc.append(a[:0], i), enc.append(b[:0], j)
		return bytes.Compare(a, b)
	})
	var drop []dropped
	person, until := "", math.Inf(-1)
	for k, i := range rows {
		if k == 0 || ids[i] != person {
			person, until = ids[i], math.Inf(-1)
		}
		if from.Values[i] < until {
			drop = append(drop, dropped{i, "from", "overlap"})
			continue
		}
		until = end(i)
	}
	m.Result.drop(drop)
	return nil
}

// repeatedSpells rejects copies of a whole row.
func (m *Member) repeatedSpells() error {
	t := m.Result.Table
	var all []string
	for _, f := range t.Fields() {
		all = append(all, f.Name)
	}
	enc, err := newRowBytes(t, all)
	if err != nil {
		return err
	}
	one, two := maphash.MakeSeed(), maphash.MakeSeed() // 128 bits: copies are found by hash alone
	seen := make(map[[2]uint64]bool, t.Rows())
	var drop []dropped
	var buf []byte
	for i := range t.Rows() {
		buf = enc.append(buf[:0], i)
		h := [2]uint64{maphash.Bytes(one, buf), maphash.Bytes(two, buf)}
		if seen[h] {
			drop = append(drop, dropped{i, "", "duplicate-row"})
			continue
		}
		seen[h] = true
	}
	m.Result.drop(drop)
	return nil
}
