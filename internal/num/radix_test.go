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
