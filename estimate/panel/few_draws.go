package panel

import (
	"math"

	"utfall/internal/num"
)

// permutations runs f for the arrangements of labels: all distinct ones in ascending
// order if there are at most limit (f gets each in turn), else limit random ones, each
// from its own stream. It returns how many and whether they are all. f may be called
// from several goroutines with its own copy of the labels.
func permutations(labels []int, limit int, seed uint64, stage string, workers int, f func(draw int, labels []int)) (draws int, all bool) {
	if n := arrangements(labels); n <= float64(limit) {
		list := sortedCopy(labels)
		for draws = 0; ; draws++ {
			f(draws, list)
			if !nextPermutation(list) {
				return draws + 1, true
			}
		}
	}
	num.ForEach(limit, workers, func(b int) {
		s := num.NewStream(seed, stage, uint64(b))
		list := sortedCopy(labels)
		for i := len(list) - 1; i > 0; i-- {
			j := s.Intn(i + 1)
			list[i], list[j] = list[j], list[i]
		}
		f(b, list)
	})
	return limit, false
}

// arrangements is the number of distinct orders of the labels.
func arrangements(labels []int) float64 {
	count := map[int]int{}
	log := lfactorial(len(labels))
	for _, v := range labels {
		count[v]++
	}
	for _, c := range sortedValues(count) {
		log -= lfactorial(c)
	}
	if log > 600 {
		return math.Inf(1)
	}
	return math.Round(math.Exp(log))
}

func lfactorial(n int) float64 {
	v, _ := math.Lgamma(float64(n) + 1)
	return v
}

// nextPermutation turns the list into the next one in ascending order; false after the last.
func nextPermutation(a []int) bool {
	i := len(a) - 2
	for i >= 0 && a[i] >= a[i+1] {
		i--
	}
	if i < 0 {
		return false
	}
	j := len(a) - 1
	for a[j] <= a[i] {
		j--
	}
	a[i], a[j] = a[j], a[i]
	for l, r := i+1, len(a)-1; l < r; l, r = l+1, r-1 {
		a[l], a[r] = a[r], a[l]
	}
	return true
}

// assigned evaluates the term's estimate under another assignment of cohorts, for each
// of the vectors of changes (cohort -1: the unit takes no part); ψ is the influence by
// cluster of each, if asked for.
func (t *fewTerm) assigned(cohort []int, vectors [][][]float64, studentised bool) (theta [2]float64, psi [2][]float64) {
	w := t.w
	for v := range vectors {
		if studentised {
			psi[v] = make([]float64, w.groups)
		}
		for a, c := range t.cells {
			d := vectors[v][a]
			var sum, total [2]float64
			for i, g := range cohort {
				switch {
				case g == c.cohort:
					sum[0] += float64(w.weight[i] * d[i])
					total[0] += w.weight[i]
				case g >= 0 && c.controls[g]:
					sum[1] += float64(w.weight[i] * d[i])
					total[1] += w.weight[i]
				}
			}
			m0, m1 := sum[0]/total[0], sum[1]/total[1]
			theta[v] += float64(t.weight[a] * (m0 - m1))
			if !studentised {
				continue
			}
			for i, g := range cohort {
				switch {
				case g == c.cohort:
					psi[v][w.cluster[i]] += float64(float64(t.weight[a]*w.weight[i])*(d[i]-m0)) / total[0]
				case g >= 0 && c.controls[g]:
					psi[v][w.cluster[i]] -= float64(float64(t.weight[a]*w.weight[i])*(d[i]-m1)) / total[1]
				}
			}
		}
	}
	return theta, psi
}

// labels are the cohorts that randomisation reassigns: of units, or of clusters when
// these hold several. ok is false when a cluster holds several cohorts.
func (w *fewWork) labels() (list []int, ok bool) {
	if w.l.cluster == nil {
		return w.cohort, true
	}
	list = make([]int, w.groups)
	seen := make([]bool, w.groups)
	for i, g := range w.cluster {
		if seen[g] && list[g] != w.cohort[i] {
			return nil, false
		}
		seen[g], list[g] = true, w.cohort[i]
	}
	return list, true
}

// spreadLabels writes the cohort of each position.
func (w *fewWork) spreadLabels(labels, into []int) {
	for i, g := range w.cluster {
		into[i] = labels[g]
	}
}

// effectOf is the change that an effect of 1 from entry on makes, in each cell, for all
// units; before entry it counts in the cells of the term alone.
func (t *fewTerm) effectOf() [][]float64 {
	l := t.w.l
	out := make([][]float64, len(t.cells))
	for a, c := range t.cells {
		out[a] = make([]float64, l.n)
		for i, g := range t.w.cohort {
			entry := l.cohorts[g]
			switch {
			case g == c.cohort:
				out[a][i] = 1
			case t.post && l.periods[c.period] >= entry && l.periods[c.base] < entry:
				out[a][i] = 1
			case t.post && l.periods[c.period] < entry && l.periods[c.base] >= entry:
				out[a][i] = -1
			}
		}
	}
	return out
}

// randomisation reassigns the entry dates among the units: the sharp null is no effect
// in any period, the interval is of an effect that is the same from entry on.
func (t *fewTerm) randomisation(studentised bool) *num.RatioTest {
	w := t.w
	labels, ok := w.labels()
	if !ok {
		return nil
	}
	t.adjust()
	one := t.effectOf()
	null := make([][]float64, len(t.cells)) // outcomes with the estimate taken off
	for a := range t.cells {
		null[a] = make([]float64, w.l.n)
		for i, d := range t.changes[a] {
			null[a][i] = d - float64(t.value*one[a][i])
		}
	}
	vectors := [][][]float64{null, one}
	limit := w.o.Draws
	sums := make([]float64, 5*limit)
	draws, all := permutations(labels, limit, w.o.Seed, "few-randomisation", w.o.Workers, func(b int, list []int) {
		cohort := make([]int, w.l.n)
		w.spreadLabels(list, cohort)
		theta, psi := t.assigned(cohort, vectors, studentised)
		s := sums[5*b : 5*b+5]
		s[0], s[1], s[2] = theta[0], theta[1], 1
		if studentised {
			s[2], s[3], s[4] = num.Dot(psi[0], psi[0]), num.Dot(psi[0], psi[1]), num.Dot(psi[1], psi[1])
		}
	})
	r := &num.RatioTest{Sums: sums[:5*draws], Variance: 1, Exact: all}
	if studentised {
		_, psi := t.assigned(w.cohort, vectors[:1], true)
		r.Variance = num.Dot(psi[0], psi[0])
	}
	return r
}

// placebo gives the entry dates of the treated to units that are untreated throughout;
// the treated are left out.
func (t *fewTerm) placebo() *num.RatioTest {
	w := t.w
	t.adjust()
	outside := len(w.l.cohorts) // label of a donor that stays one
	labels := make([]int, len(t.donor))
	for i := range labels {
		labels[i] = outside
	}
	for i, pos := range t.treated {
		labels[i] = w.cohort[pos]
	}
	base := append([]int(nil), w.cohort...)
	for _, pos := range t.treated {
		base[pos] = -1
	}
	sums := make([]float64, 5*w.o.Draws)
	draws, _ := permutations(labels, w.o.Draws, w.o.Seed, "few-placebo", w.o.Workers, func(b int, list []int) {
		cohort := append([]int(nil), base...)
		for i, g := range list {
			if g != outside {
				cohort[t.donor[i]] = g
			}
		}
		theta, _ := t.assigned(cohort, [][][]float64{t.changes}, false)
		sums[5*b], sums[5*b+2] = theta[0], 1
	})
	return &num.RatioTest{Sums: sums[:5*draws], Variance: 1}
}

// signChanges flips the signs of the clusters' own contributions to the estimate.
func (t *fewTerm) signChanges() *num.RatioTest {
	w := t.w
	t.adjust()
	at := map[int]int{}
	var own, share []float64
	for a, c := range t.cells {
		c.rows(func(row, pos int, treated bool) {
			if !treated {
				return
			}
			g := w.cluster[pos]
			if _, ok := at[g]; !ok {
				at[g] = len(own)
				own, share = append(own, 0), append(share, 0)
			}
			v := float64(t.weight[a] * c.k[row])
			own[at[g]] += float64(v * (t.changes[a][pos] - t.control[a]))
			share[at[g]] += v
		})
	}
	for i := range own {
		own[i] -= float64(t.value * share[i])
	}
	q := len(own)
	signs := make([]float64, q)
	all := q < 31 && 1<<q <= 2*w.o.Draws // a pattern and its mirror have one |t|
	draws := w.o.Draws
	if all {
		draws = 1 << (q - 1)
	}
	r := &num.RatioTest{Sums: make([]float64, 5*draws), Variance: 1, Exact: all}
	for b := range draws {
		if all {
			for i := range signs {
				signs[i] = 1
				if i > 0 && b>>(i-1)&1 == 1 {
					signs[i] = -1
				}
			}
		} else {
			rademacher(num.NewStream(w.o.Seed, "few-signs", uint64(b)), signs)
		}
		r.Sums[5*b], r.Sums[5*b+1], r.Sums[5*b+2] = num.Dot(signs, own), num.Dot(signs, share), 1
	}
	return r
}
