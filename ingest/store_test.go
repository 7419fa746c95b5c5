package ingest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/table"
)

// spellTable has n rows of n/5 people in a scattered order.
func spellTable(t testing.TB, n int, order func(i int) int) *table.Table {
	t.Helper()
	ids, from, state, amount, ok := make([]string, n), make([]int32, n), make([]int32, n), make([]float64, n), make([]bool, n)
	for k := range n {
		i := order(k)
		ids[k], from[k], state[k], amount[k], ok[k] = fmt.Sprintf("p%d", i%(n/5)), int32(i/(n/5)*30), int32(i%3), float64(i)/3, i%11 != 0
	}
	c, err := table.NewCategory(table.Field{Name: "state"}, state, []string{"work", "ill", "study"}, nil)
	require.NoError(t, err)
	tab, err := table.New(table.NewText(table.Field{Name: "person", Role: table.UnitRole}, ids, nil),
		table.NewDate(table.Field{Name: "from"}, from, nil), c, table.NewFloat(table.Field{Name: "amount", Unit: "SEK"}, amount, ok))
	require.NoError(t, err)
	return tab
}

// folderHash identifies all files of a folder.
func folderHash(t testing.TB, dir string) string {
	t.Helper()
	h := sha256.New()
	require.NoError(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			rel, _ := filepath.Rel(dir, path)
			fmt.Fprintf(h, "%s %d ", filepath.ToSlash(rel), len(b))
			h.Write(b)
		}
		return err
	}))
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestStore(t *testing.T) {
	const n = 3000
	ctx := context.Background()
	forward := spellTable(t, n, func(i int) int { return i })
	dir := filepath.Join(t.TempDir(), "a", "store")
	o := StoreOptions{Shards: 7, Key: 42}
	require.NoError(t, WriteStore(ctx, dir, o, StoreTable{"spells", "person", "from", forward}))
	s, err := OpenStore(dir)
	require.NoError(t, err)
	require.Equal(t, 7, s.Shards())
	require.Equal(t, "spells", s.Tables()[0].Name)
	require.Equal(t, n, s.Tables()[0].Rows)
	rows := 0
	for k := range 7 {
		part, err := s.Shard(k, "spells")
		require.NoError(t, err)
		require.Equal(t, forward.Fields(), part.Fields())
		id, _, err := part.Text("person")
		require.NoError(t, err)
		from, err := part.Float("from")
		require.NoError(t, err)
		for i := range id {
			require.Equal(t, uint64(k), num.KeyedHash(42, id[i])%7)
			if i > 0 {
				require.LessOrEqual(t, id[i-1], id[i])
				if id[i-1] == id[i] {
					require.LessOrEqual(t, from.Values[i-1], from.Values[i])
				}
			}
		}
		rows += part.Rows()
	}
	require.Equal(t, n, rows)
	all, err := s.Table("spells")
	require.NoError(t, err)
	want, err := LogicalHash(forward, nil)
	require.NoError(t, err)
	got, err := LogicalHash(all, nil)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Equal(t, fmt.Sprintf("%x", want), s.Tables()[0].LogicalHash)

	// rows in another order, in pieces, set down on the way: the same bytes
	hash := folderHash(t, dir)
	shuffled := spellTable(t, n, func(i int) int { return i * 1231 % n })
	for _, pending := range []int{0, 100, 701} {
		other := filepath.Join(t.TempDir(), "store")
		w, err := CreateStore(other, StoreOptions{Shards: 7, Key: 42, Pending: pending})
		require.NoError(t, err)
		tw, err := w.Table("spells", "person", "from")
		require.NoError(t, err)
		for lo := 0; lo < n; lo += 450 {
			var rows []int
			for i := lo; i < min(lo+450, n); i++ {
				rows = append(rows, i)
			}
			require.NoError(t, tw.Add(shuffled.Take(rows)))
		}
		require.NoError(t, tw.Close(ctx))
		require.NoError(t, w.Commit())
		require.Equal(t, hash, folderHash(t, other), "pending %d", pending)
	}
}

// Rows of a person that nothing orders are ordered by their values.
func TestStoreTies(t *testing.T) {
	var hashes []string
	for _, step := range []int{1, 7} {
		dir := filepath.Join(t.TempDir(), "s")
		tab := spellTable(t, 100, func(i int) int { return i * step % 100 })
		require.NoError(t, WriteStore(context.Background(), dir, StoreOptions{Shards: 3}, StoreTable{"spells", "person", "", tab}))
		hashes = append(hashes, folderHash(t, dir))
	}
	require.Equal(t, hashes[0], hashes[1])
}

func TestStoreRefuses(t *testing.T) {
	ctx := context.Background()
	tab := spellTable(t, 100, func(i int) int { return i })
	parent := t.TempDir()
	dir := filepath.Join(parent, "store")
	require.NoError(t, WriteStore(ctx, dir, StoreOptions{Shards: 3}, StoreTable{"spells", "person", "", tab}))
	require.ErrorIs(t, WriteStore(ctx, dir, StoreOptions{}, StoreTable{"spells", "person", "", tab}), ErrSpec, "not empty")
	entries, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing half-written stays")
	require.ErrorIs(t, WriteStore(ctx, filepath.Join(parent, "b"), StoreOptions{}, StoreTable{"../x", "person", "", tab}), ErrSpec)
	require.ErrorIs(t, WriteStore(ctx, filepath.Join(parent, "b"), StoreOptions{}, StoreTable{"x", "nobody", "", tab}), ErrSpec)
	stopped, stop := context.WithCancel(ctx)
	stop()
	require.ErrorIs(t, WriteStore(stopped, filepath.Join(parent, "b"), StoreOptions{}, StoreTable{"x", "person", "", tab}), context.Canceled)
	entries, err = os.ReadDir(parent)
	require.NoError(t, err)
	require.Len(t, entries, 1)

	shard := filepath.Join(dir, "spells", "0001.arrow")
	b, err := os.ReadFile(shard)
	require.NoError(t, err)
	b[len(b)/2] ^= 1
	require.NoError(t, os.WriteFile(shard, b, 0o600))
	s, err := OpenStore(dir)
	require.NoError(t, err)
	_, err = s.Shard(1, "spells")
	require.ErrorIs(t, err, ErrInput)
	require.EqualError(t, err, "spells/0001.arrow: the shard was changed after the store was written")
	_, err = s.Shard(0, "nothing")
	require.ErrorIs(t, err, ErrInput)
	_, err = OpenStore(parent)
	require.ErrorIs(t, err, ErrInput)
}

// Levels that differ between pieces end in byte order in every shard.
func TestStoreUnitesLevels(t *testing.T) {
	piece := func(id, level string) *table.Table {
		c, err := table.NewCategory(table.Field{Name: "c"}, []int32{0}, []string{level}, nil)
		require.NoError(t, err)
		tab, err := table.New(table.NewText(table.Field{Name: "id"}, []string{id}, nil), c)
		require.NoError(t, err)
		return tab
	}
	dir := filepath.Join(t.TempDir(), "s")
	w, err := CreateStore(dir, StoreOptions{Shards: 2, Pending: 1})
	require.NoError(t, err)
	tw, err := w.Table("t", "id", "")
	require.NoError(t, err)
	for _, p := range [][2]string{{"1", "ö"}, {"2", "a"}, {"3", "b"}} {
		require.NoError(t, tw.Add(piece(p[0], p[1])))
	}
	require.NoError(t, tw.Close(context.Background()))
	require.NoError(t, w.Commit())
	s, err := OpenStore(dir)
	require.NoError(t, err)
	for k := range 2 {
		tab, err := s.Shard(k, "t")
		require.NoError(t, err)
		c, err := tab.Column("c")
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b", "ö"}, c.Levels())
	}
}

// The stream gives the rows of the whole file, and a store from it is the store of the table.
func TestReadStream(t *testing.T) {
	var b strings.Builder
	b.WriteString("id;age;amount;from;sex\n")
	for i := range 60_000 {
		fmt.Fprintf(&b, "p%d;%d;%d,5;2015-01-%02d;K\n", i, i%100, i, 1+i%28)
	}
	body := b.String()
	path, src := dataFile(t, "visits.csv", body), visits("visits.csv")
	whole, err := Read(context.Background(), path, src, Options{})
	require.NoError(t, err)
	var ts []*table.Table
	src.Key = []string{"id"}
	r, err := ReadStream(context.Background(), path, src, Options{}, func(t *table.Table) error { ts = append(ts, t); return nil })
	require.NoError(t, err)
	require.Greater(t, len(ts), 1)
	require.Equal(t, whole.Report, r.Report)
	all, err := table.Concat(ts...)
	require.NoError(t, err)
	require.Equal(t, cellsOf(t, whole.Table), cellsOf(t, all))
	_, err = ReadStream(context.Background(), dataFile(t, "visits.csv", body+"p7;1;1;2015-01-01;K\n"), src, Options{}, func(*table.Table) error { return nil })
	require.EqualError(t, err, `visits.csv:60002: column "id": the same value as in line 9`)
}

// By hand: what a row is decides the hash, in any order, and a copy counts.
func TestLogicalHash(t *testing.T) {
	make_ := func(name string, v ...float64) *table.Table {
		tab, err := table.New(table.NewFloat(table.Field{Name: name}, v, nil), table.NewInteger(table.Field{Name: "n"}, make([]int64, len(v)), nil))
		require.NoError(t, err)
		return tab
	}
	h := func(t2 *table.Table, key string) string {
		b, err := LogicalHash(t2, []byte(key))
		require.NoError(t, err)
		return string(b[:])
	}
	base := h(make_("x", 1, 2, 2), "")
	require.Equal(t, base, h(make_("x", 2, 1, 2), ""))
	require.Equal(t, base, h(make_("x", 2, 1, 2).Take([]int{1, 0, 2}), ""))
	require.Equal(t, h(make_("x", 0), ""), h(make_("x", math.Copysign(0, -1)), ""), "-0 is 0")
	for i, other := range []*table.Table{make_("x", 1, 2), make_("x", 1, 1, 2), make_("y", 1, 2, 2), make_("x", 1, 2, 3), make_("x", 1, 2, 2).Without("n")} {
		require.NotEqual(t, base, h(other, ""), i)
	}
	require.NotEqual(t, base, h(make_("x", 1, 2, 2), "key"))
	missing, err := table.New(table.NewFloat(table.Field{Name: "x"}, []float64{0}, []bool{false}), table.NewInteger(table.Field{Name: "n"}, []int64{0}, nil))
	require.NoError(t, err)
	require.NotEqual(t, h(missing, ""), h(make_("x", 0), ""), "missing is not 0")
	// columns in another order, and text that could run into its neighbour
	text := func(a, b string) *table.Table {
		tab, err := table.New(table.NewText(table.Field{Name: "a"}, []string{a}, nil), table.NewText(table.Field{Name: "b"}, []string{b}, nil))
		require.NoError(t, err)
		return tab
	}
	require.NotEqual(t, h(text("ab", "c"), ""), h(text("a", "bc"), ""))
	swapped, err := table.New(table.NewText(table.Field{Name: "b"}, []string{"c"}, nil), table.NewText(table.Field{Name: "a"}, []string{"ab"}, nil))
	require.NoError(t, err)
	require.Equal(t, h(text("ab", "c"), ""), h(swapped, ""))
}
