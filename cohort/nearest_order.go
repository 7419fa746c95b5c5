package cohort

import (
	"slices"

	"utfall/internal/num"
)

// ties is the place of each row by the tie rule; nil = the row itself.
type ties []int32

func (t ties) of(row int32) int32 {
	if t == nil {
		return row
	}
	return t[row]
}

// tiesBy gives each row its place by a tie rule and its seed.
func (u *units) tiesBy(rule string, seed uint64, workers int) ties {
	if rule == DataTies {
		return nil
	}
	order := u.order
	if seed != 0 {
		order = u.hashOrder(order, seed, workers)
	}
	out := make(ties, u.n)
	num.ForChunks(u.n, workers, func(_, lo, hi int) {
		for place := lo; place < hi; place++ {
			out[order[place]] = int32(place)
		}
	})
	return out
}

// hashOrder sorts rows by the hash of their id under a key; rows that share one keep their order.
func (u *units) hashOrder(rows []int32, key uint64, workers int) []int32 {
	hash := make([]uint64, len(rows))
	num.ForChunks(len(rows), workers, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			hash[i] = num.KeyedHash(key, u.id(int(rows[i])))
		}
	})
	order, _ := num.SortKeys(hash, workers)
	return reorder(rows, order)
}

func reorder(rows, order []int32) []int32 {
	out := make([]int32, len(rows))
	for i, o := range order {
		out[i] = rows[o]
	}
	return out
}

// randomKey keeps the random order apart from the ties of the same seed.
const randomKey = 0x7a6d_6f72_6465_7221

// byScore sorts rows, ascending, by (sign·score, tie) and returns that score with them.
func (j *job) byScore(rows []int32, sign float64, workers int) ([]int32, []float64) {
	v := make([]float64, len(rows))
	for i, r := range rows {
		v[i] = sign * j.out.Score[r]
	}
	order, equal := num.SortFloats(v, workers)
	out := reorder(rows, order)
	for i := 0; i < len(equal); {
		lo, hi := equal[i]-1, equal[i]+1
		for i++; i < len(equal) && equal[i] == hi; i++ {
			hi++
		}
		j.byTie(out[lo:hi])
	}
	return out, v
}

// byTie sorts rows, ascending, by the tie rule.
func (j *job) byTie(rows []int32) {
	if j.tie == nil {
		return
	}
	if len(rows) < 64 {
		slices.SortFunc(rows, func(a, b int32) int { return int(j.tie[a] - j.tie[b]) })
		return
	}
	places := make([]uint64, len(rows))
	for i, r := range rows {
		places[i] = uint64(j.tie[r])
	}
	copy(rows, reorder(rows, num.OrderKeys(places)))
}

// split deals the rows to the blocks, ascending.
func (j *job) split() (focal, pool [][]int32) {
	size := make([][2]int32, j.blocks)
	side := arm(j.Estimand == ATT)
	block := func(row int) int32 {
		if j.block == nil {
			return 0
		}
		return j.block[row]
	}
	for r, treated := range j.u.treated {
		size[block(r)][arm(treated)]++
	}
	focal, pool = make([][]int32, j.blocks), make([][]int32, j.blocks)
	for b, s := range size {
		pool[b], focal[b] = make([]int32, 0, s[1-side]), make([]int32, 0, s[side])
	}
	for r, treated := range j.u.treated {
		if b := block(r); arm(treated) == side {
			focal[b] = append(focal[b], int32(r))
		} else {
			pool[b] = append(pool[b], int32(r))
		}
	}
	return focal, pool
}
