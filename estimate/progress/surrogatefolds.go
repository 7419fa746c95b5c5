package progress

import (
	"fmt"
	"math"

	"utfall/estimate"
	"utfall/internal/num"
)

// split assigns people to folds: the older cohort, the treated and the others of the
// programme in turn, in the order of the keyed hash of their unit. Clusters go together,
// in the order of the smallest hash in the cluster.
func (f *surrogateFit) split() error {
	f.folds = f.e.Folds
	if f.s.Fold != nil {
		f.fold = make([]int, f.n)
		for i, r := range f.rows {
			f.fold[i] = f.s.Fold[r]
			f.folds = max(f.folds, f.fold[i]+1)
		}
		if f.folds < 2 {
			return fmt.Errorf("%w: one fold; cross-fitting needs 2 or more", estimate.ErrInvalidFrame)
		}
		return nil
	}
	if f.folds == 0 {
		return nil
	}
	f.fold = make([]int, f.n)
	key := num.NewStream(f.e.Seed, "cross-fitting", 0).Uint64()
	hash := make([]uint64, f.n)
	for i, u := range f.unit {
		hash[i] = num.KeyedHash(key, u)
	}
	if f.cluster != nil {
		number := map[int]int{}
		var least []uint64
		for i, c := range f.cluster {
			g, ok := number[c]
			if !ok {
				g = len(least)
				number[c] = g
				least = append(least, math.MaxUint64)
			}
			least[g] = min(least[g], hash[i])
		}
		if f.folds > len(least) {
			return fmt.Errorf("%w: %d folds for %d clusters", estimate.ErrTooFew, f.folds, len(least))
		}
		place := make([]int, len(least))
		for at, g := range num.OrderKeys(least) {
			place[g] = at % f.folds
		}
		for i, c := range f.cluster {
			f.fold[i] = place[number[c]]
		}
		return nil
	}
	next := [4]int{}
	for _, i := range num.OrderKeys(hash) {
		part := int(f.treated[i])
		switch {
		case f.older[i] && f.e.bridge:
			part += 2
		case f.older[i]:
			part = 2
		}
		f.fold[i] = next[part] % f.folds
		next[part]++
	}
	least := min(next[0], next[1], next[2])
	if f.e.bridge {
		least = min(least, next[3])
	}
	if f.folds > least {
		return fmt.Errorf("%w: %d folds for %d people of the older cohort or of an arm", estimate.ErrTooFew, f.folds, least)
	}
	return nil
}
