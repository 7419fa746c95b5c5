package num

import (
	"math"
	"slices"
	"testing"
)

func TestOrderFloatsIsTheStableOrder(t *testing.T) {
	s := NewStream(1, "radix", 0)
	for _, n := range []int{0, 1, 2, 17, 5000} {
		x := make([]float64, n)
		for i := range x {
			switch s.Intn(4) {
			case 0:
				x[i] = float64(s.Intn(50))
			case 1:
				x[i] = s.Normal() * 1e-300
			case 2:
				x[i] = math.Copysign(0, s.Normal())
			default:
				x[i] = s.Normal() * 1e6
			}
		}
		want := make([]int32, n)
		for i := range want {
			want[i] = int32(i)
		}
		slices.SortStableFunc(want, func(a, b int32) int {
			switch {
			case x[a] < x[b]:
				return -1
			case x[a] > x[b]:
				return 1
			}
			return 0
		})
		if got := OrderFloats(x); !slices.Equal(got, want) {
			t.Fatalf("n=%d: order differs", n)
		}
	}
}

func TestRanksOfWholeAndOtherNumbers(t *testing.T) {
	for _, scale := range []float64{1, 0.1, -3} {
		x := []float64{4, 2, 4, 0, 7, 2}
		for i := range x {
			x[i] *= scale
		}
		d, r := Ranks(x)
		if !slices.IsSorted(d) || len(d) != 4 {
			t.Fatalf("scale %v: distinct %v", scale, d)
		}
		for i, v := range x {
			if d[r[i]] != v {
				t.Fatalf("scale %v: rank of %v is %v", scale, v, d[r[i]])
			}
		}
	}
	if d, r := Ranks(nil); len(d) != 0 || len(r) != 0 {
		t.Fatal("ranks of nothing")
	}
}

// Ranks are the same by any number of workers, and go with the order; whole numbers are counted and have none.
func TestRanksOrder(t *testing.T) {
	x := make([]float64, 30000)
	for i := range x {
		x[i] = math.Floor(100*NewStream(4, "ranks", uint64(i)).Normal()) / 8
	}
	check := func(x []float64) {
		t.Helper()
		distinct, rank := Ranks(x)
		for _, workers := range []int{1, 2, 5} {
			d, r, order := RanksOrder(x, workers)
			if !slices.Equal(d, distinct) || !slices.Equal(r, rank) || !slices.Equal(order, OrderFloats(x)) {
				t.Errorf("%d workers give other ranks or another order", workers)
			}
		}
		if !slices.IsSorted(distinct) || len(slices.Compact(slices.Clone(distinct))) != len(distinct) {
			t.Error("the distinct values are not in order, or not distinct")
		}
		for i, v := range x {
			if distinct[rank[i]] != v {
				t.Fatalf("value %d has the rank of another", i)
			}
		}
	}
	check(x)
	for i := range x {
		x[i] += float64(i) / 1e6 // no two the same
	}
	check(x)
	if _, _, order := RanksOrder([]float64{2, 0, 7}, 2); order != nil {
		t.Error("whole numbers were not counted")
	}
}
