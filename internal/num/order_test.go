package num

import (
	"slices"
	"testing"
)

// The stable order by a comparison sort is the same order, ties included.
func TestOrderKeysIsTheStableOrder(t *testing.T) {
	s := NewStream(1, "order-keys", 0)
	for _, n := range []int{0, 1, 2, 17, 5000} {
		keys := make([]uint64, n)
		for i := range keys {
			keys[i] = s.Uint64()
			if s.Bernoulli(0.5) {
				keys[i] = uint64(s.Intn(4)) << 60 // ties, and digits that all share
			}
		}
		want := make([]int32, n)
		for i := range want {
			want[i] = int32(i)
		}
		slices.SortStableFunc(want, func(a, b int32) int {
			switch {
			case keys[a] < keys[b]:
				return -1
			case keys[a] > keys[b]:
				return 1
			}
			return 0
		})
		if !slices.Equal(OrderKeys(keys), want) {
			t.Errorf("order of %d keys is not the stable one", n)
		}
	}
}
