package table

import (
	"math"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/require"
)

// sample has one column of each kind, each with a missing value in its own row.
func sample(t testing.TB) *Table {
	t.Helper()
	cat, err := NewCategory(Field{Name: "sex", Role: CovariateRole}, []int32{1, 0, 1, -7}, []string{"man", "woman"}, []bool{true, true, true, false})
	require.NoError(t, err)
	tab, err := New(
		NewText(Field{Name: "id", Role: UnitRole}, []string{"a", "b", "ö", ""}, []bool{true, true, true, false}),
		NewFloat(Field{Name: "income", Unit: "SEK"}, []float64{1.5, -2, math.MaxFloat64, 0}, []bool{true, false, true, true}),
		NewInteger(Field{Name: "days"}, []int64{1<<53 + 1, 0, -4, 7}, []bool{true, true, false, true}),
		NewBoolean(Field{Name: "ill"}, []bool{true, false, true, true}, []bool{false, true, true, true}),
		NewDate(Field{Name: "from"}, []int32{0, 16436, -1, 5}, nil),
		cat,
	)
	require.NoError(t, err)
	return tab
}

func TestViewsOfEachKind(t *testing.T) {
	tab := sample(t)
	require.Equal(t, 4, tab.Rows())
	f, err := tab.Float("income")
	require.NoError(t, err)
	require.Equal(t, []float64{1.5, -2, math.MaxFloat64, 0}, f.Values)
	require.Equal(t, []bool{true, false, true, true}, f.Valid)
	require.Equal(t, "SEK", f.Unit)
	n, err := tab.Integer("days")
	require.NoError(t, err)
	require.Equal(t, int64(9007199254740993), n.Values[0])
	require.False(t, n.Has(2))
	d, err := tab.Float("from")
	require.NoError(t, err)
	require.Equal(t, []float64{0, 16436, -1, 5}, d.Values)
	require.Nil(t, d.Valid)
	b, err := tab.Float("ill")
	require.NoError(t, err)
	require.Equal(t, []float64{0, 1, 1}, b.Values[1:], "row 0 is missing")
	c, err := tab.Category("sex")
	require.NoError(t, err)
	require.Equal(t, []string{"man", "woman"}, c.Levels)
	require.Equal(t, []int32{1, 0, 1, 0}, c.Codes)
	require.False(t, c.Has(3))
	x, ok, err := tab.Text("sex")
	require.NoError(t, err)
	require.Equal(t, []string{"woman", "man", "woman", ""}, x)
	require.Equal(t, []bool{true, true, true, false}, ok)
	x, _, err = tab.Text("days")
	require.NoError(t, err)
	require.Equal(t, []string{"9007199254740993", "0", "", "7"}, x)
	x, _, err = tab.Text("ill")
	require.NoError(t, err)
	require.Equal(t, []string{"", "false", "true", "true"}, x)
}

func TestMissingCounts(t *testing.T) {
	tab := sample(t)
	for name, want := range map[string]int{"id": 1, "income": 1, "days": 1, "ill": 1, "from": 0, "sex": 1} {
		c, err := tab.Column(name)
		require.NoError(t, err)
		require.Equal(t, want, c.Missing(), name)
		require.Equal(t, 4, c.Len())
	}
}

func TestCategoryOfOtherKinds(t *testing.T) {
	tab, err := New(
		NewText(Field{Name: "x"}, []string{"b", "a", "b", "zz"}, []bool{true, true, true, false}),
		NewInteger(Field{Name: "n"}, []int64{10, 9, 10, 5}, []bool{true, true, true, false}),
	)
	require.NoError(t, err)
	c, err := tab.Category("x")
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, c.Levels)
	require.Equal(t, []int32{1, 0, 1, 0}, c.Codes)
	c, err = tab.Category("n")
	require.NoError(t, err)
	require.Equal(t, []string{"9", "10"}, c.Levels)
	_, err = sample(t).Category("income")
	require.ErrorIs(t, err, ErrKind)
}

func TestIntegerOfNumbers(t *testing.T) {
	for _, c := range []struct {
		v  float64
		ok bool
	}{{3, true}, {math.Copysign(0, -1), true}, {1.5, false}, {1 << 62, true}, {1 << 63, false}, {-(1 << 63), false}, {math.NaN(), false}, {math.Inf(1), false}} {
		tab, err := New(NewFloat(Field{Name: "v"}, []float64{c.v}, nil))
		require.NoError(t, err)
		n, err := tab.Integer("v")
		if !c.ok {
			require.ErrorIs(t, err, ErrKind)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, c.v, float64(n.Values[0]))
	}
}

func TestErrors(t *testing.T) {
	tab := sample(t)
	_, err := tab.Float("nothing")
	require.ErrorIs(t, err, ErrNoColumn)
	require.ErrorContains(t, err, "id, income, days, ill, from, sex")
	_, err = tab.Float("sex")
	require.ErrorIs(t, err, ErrKind)
	_, _, err = tab.Text("income")
	require.ErrorIs(t, err, ErrKind)
	_, err = New(NewInteger(Field{Name: "a"}, []int64{1}, nil), NewInteger(Field{Name: "a"}, []int64{1}, nil))
	require.ErrorIs(t, err, ErrShape)
	_, err = New(NewInteger(Field{Name: "a"}, []int64{1}, nil), NewInteger(Field{Name: "b"}, []int64{1, 2}, nil))
	require.ErrorIs(t, err, ErrShape)
	_, err = NewCategory(Field{Name: "c"}, []int32{2}, []string{"a", "b"}, nil)
	require.Error(t, err)
	_, err = NewCategory(Field{Name: "c"}, []int32{-1}, []string{"a", "b"}, nil)
	require.Error(t, err)
	_, err = NewCategory(Field{Name: "c"}, nil, []string{"a", "a"}, nil)
	require.Error(t, err)
}

func TestTakeWithWithout(t *testing.T) {
	tab := sample(t)
	got := tab.Take([]int{3, 0, 0})
	require.Equal(t, 3, got.Rows())
	id, ok, err := got.Text("id")
	require.NoError(t, err)
	require.Equal(t, []string{"", "a", "a"}, id)
	require.Equal(t, []bool{false, true, true}, ok)
	c, err := got.Category("sex")
	require.NoError(t, err)
	require.Equal(t, []string{"man", "woman"}, c.Levels, "levels stay, also those without rows")
	require.Equal(t, []bool{false, true, true}, c.Valid)
	for _, name := range []string{"income", "days", "ill", "from"} {
		a, err := tab.Float(name)
		require.NoError(t, err)
		b, err := got.Float(name)
		require.NoError(t, err)
		for i, r := range []int{3, 0, 0} {
			require.Equal(t, a.Has(r), b.Has(i), name)
			if a.Has(r) {
				require.Equal(t, a.Values[r], b.Values[i], name)
			}
		}
	}
	require.Equal(t, 0, tab.Take(nil).Rows())

	more, err := tab.With(NewInteger(Field{Name: "set"}, []int64{1, 1, 2, 2}, nil))
	require.NoError(t, err)
	require.True(t, more.Has("set"))
	require.False(t, tab.Has("set"), "the table itself does not change")
	replaced, err := more.With(NewInteger(Field{Name: "set"}, []int64{9, 9, 9, 9}, nil))
	require.NoError(t, err)
	n, err := replaced.Integer("set")
	require.NoError(t, err)
	require.Equal(t, int64(9), n.Values[0])
	_, err = tab.With(NewInteger(Field{Name: "short"}, []int64{1}, nil))
	require.ErrorIs(t, err, ErrShape)
	less := more.Without("set", "nothing", "id")
	require.False(t, less.Has("id"))
	require.Equal(t, 4, less.Rows())
	require.Equal(t, "income", less.Fields()[0].Name)
}

func TestRecordRoundTrip(t *testing.T) {
	tab := sample(t)
	back, err := FromRecord(tab.Record())
	require.NoError(t, err)
	require.Equal(t, tab.Fields(), back.Fields())
	same(t, tab, back)
	// a slice of a record starts at an offset of its arrays
	part, err := FromRecord(tab.Record().NewSlice(1, 4))
	require.NoError(t, err)
	same(t, tab.Take([]int{1, 2, 3}), part)
	// and taking rows of a slice counts from the slice
	same(t, tab.Take([]int{3, 1}), part.Take([]int{2, 0}))
}

// same compares tables by what a reader of them sees.
func same(t testing.TB, a, b *Table) {
	t.Helper()
	require.Equal(t, a.Fields(), b.Fields())
	require.Equal(t, a.Rows(), b.Rows())
	for _, f := range a.Fields() {
		switch f.Kind {
		case TextKind, CategoryKind, IntegerKind:
			x, xok, err := a.Text(f.Name)
			require.NoError(t, err)
			y, yok, err := b.Text(f.Name)
			require.NoError(t, err)
			require.Equal(t, x, y, f.Name)
			require.Equal(t, xok, yok, f.Name)
		default:
			x, err := a.Float(f.Name)
			require.NoError(t, err)
			y, err := b.Float(f.Name)
			require.NoError(t, err)
			for i := range x.Values {
				require.Equal(t, x.Has(i), y.Has(i), f.Name)
				if x.Has(i) {
					require.Equal(t, x.Values[i], y.Values[i], f.Name)
				}
			}
		}
	}
}

func TestFromRecordRefusesOtherTypes(t *testing.T) {
	b := array.NewInt16Builder(memory.DefaultAllocator)
	b.Append(1)
	rec := array.NewRecord(arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Int16}}, nil), []arrow.Array{b.NewArray()}, 1)
	_, err := FromRecord(rec)
	require.ErrorIs(t, err, ErrKind)
}

// A record reader releases each record when it gives the next; a table outlives that.
func TestTableOutlivesItsRecord(t *testing.T) {
	rec := sample(t).Record()
	tab, err := FromRecord(rec)
	require.NoError(t, err)
	for _, c := range rec.Columns() {
		c.Release()
	}
	same(t, sample(t), tab)
}

func TestTextBytes(t *testing.T) {
	c, err := NewTextBytes(Field{Name: "x"}, []byte("aåb"), []int32{0, 1, 1, 4}, []bool{true, false, true})
	require.NoError(t, err)
	tab, err := New(c)
	require.NoError(t, err)
	v, ok, err := tab.Text("x")
	require.NoError(t, err)
	require.Equal(t, []string{"a", "", "åb"}, v)
	require.Equal(t, []bool{true, false, true}, ok)
	for _, off := range [][]int32{nil, {0, 1}, {1, 4}, {0, 3, 2, 4}} {
		_, err := NewTextBytes(Field{Name: "x"}, []byte("aåb"), off, nil)
		require.ErrorIs(t, err, ErrShape)
	}
	_, err = NewTextBytes(Field{Name: "x"}, []byte("ab"), []int32{0, 2}, []bool{true, true})
	require.ErrorIs(t, err, ErrShape)
	col, err := sample(t).Column("sex")
	require.NoError(t, err)
	require.Equal(t, []string{"man", "woman"}, col.Levels())
	require.Nil(t, c.Levels())
}
