package cohort

import "utfall/internal/num"

// tieOrder lists the rows by the tie rule.
func (j *job) tieOrder() {
	n := j.u.n
	switch {
	case j.Ties == DataTies:
		j.order = make([]int32, n)
		for i := range j.order {
			j.order[i] = int32(i)
		}
	case j.Seed == 0:
		j.order = j.u.order
	default:
		j.order = j.hashOrder(j.u.order, j.Seed)
	}
	j.tie = make([]int32, n)
	for place, row := range j.order {
		j.tie[row] = int32(place)
	}
}

// hashOrder sorts rows by the hash of their id under a key; rows that share one keep their order.
func (j *job) hashOrder(rows []int32, key uint64) []int32 {
	hash := make([]uint64, len(rows))
	num.ForChunks(len(rows), j.d.Workers, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			hash[i] = num.KeyedHash(key, j.u.id(int(rows[i])))
		}
	})
	return reorder(rows, num.OrderKeys(hash))
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

// byScore sorts rows by sign·score; equal scores keep their order.
func byScore(rows []int32, score []float64, sign float64) []int32 {
	v := make([]float64, len(rows))
	for i, r := range rows {
		v[i] = sign * score[r]
	}
	return reorder(rows, num.OrderFloats(v))
}

// split deals the rows to the blocks, in tie order.
func (j *job) split() (focal, pool [][]int32) {
	size := make([][2]int32, j.blocks)
	at := func(row int32) int32 {
		if j.block == nil {
			return 0
		}
		return j.block[row]
	}
	for _, r := range j.order {
		size[at(r)][arm(j.focal(int(r)))]++
	}
	focal, pool = make([][]int32, j.blocks), make([][]int32, j.blocks)
	for b, s := range size {
		pool[b], focal[b] = make([]int32, 0, s[0]), make([]int32, 0, s[1])
	}
	for _, r := range j.order {
		if b := at(r); j.focal(int(r)) {
			focal[b] = append(focal[b], r)
		} else {
			pool[b] = append(pool[b], r)
		}
	}
	return focal, pool
}
