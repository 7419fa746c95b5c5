package progress

import (
	"math"
	"slices"

	"utfall/internal/num"
)

// drift is the slope of prediction less outcome on the year of entry by least squares, with HC0; NaN with people of one year.
func drift(s *DistanceSample, order []int, p, y []float64) (slope, se float64) {
	n := float64(len(order))
	year, off := make([]float64, len(order)), make([]float64, len(order))
	for k, i := range order {
		year[k], off[k] = float64(s.Year[i]), p[k]-y[k]
	}
	middle, mean := num.Sum(year)/n, num.Sum(off)/n
	squares, cross := make([]float64, len(order)), make([]float64, len(order))
	for k := range year {
		year[k] -= middle
		squares[k], cross[k] = year[k]*year[k], year[k]*(off[k]-mean)
	}
	sxx := num.Sum(squares)
	if sxx == 0 {
		return math.NaN(), math.NaN()
	}
	slope = num.Sum(cross) / sxx
	for k := range year {
		e := year[k] * (off[k] - mean - float64(slope*year[k]))
		cross[k] = e * e
	}
	return slope, math.Sqrt(num.Sum(cross)) / sxx
}

// byYear gives the people of each year of entry, the first first.
func byYear(s *DistanceSample, order []int, p, y []float64) []DistanceYear {
	var out []DistanceYear
	for _, year := range slices.Compact(slices.Sorted(slices.Values(s.Year))) {
		d := DistanceYear{Year: year}
		for k, i := range order {
			if s.Year[i] == year {
				d.Persons++
				d.Predicted += p[k]
				d.Observed += y[k]
			}
		}
		d.Predicted /= float64(d.Persons)
		d.Observed /= float64(d.Persons)
		out = append(out, d)
	}
	return out
}

// quintiles are fifths by the prediction, ties to the lower, as R's cut at the type 7 quantiles.
func quintiles(p, y []float64) []DistanceBin {
	sorted := slices.Sorted(slices.Values(p))
	var cut []float64
	for k := 1; k < 5; k++ {
		h := float64(len(p)-1) * float64(k) / 5
		lo := int(h)
		cut = append(cut, sorted[lo]+float64((h-float64(lo))*(sorted[min(lo+1, len(p)-1)]-sorted[lo])))
	}
	out := make([]DistanceBin, 5)
	for i, v := range p {
		b := 0
		for b < 4 && v > cut[b] {
			b++
		}
		out[b].Persons++
		out[b].Predicted += v
		out[b].Observed += y[i]
	}
	for b := range out {
		out[b].Predicted /= float64(out[b].Persons)
		out[b].Observed /= float64(out[b].Persons)
	}
	return out
}

// roc is the area under a curve and what each person adds: the share of the others that it beats.
type roc struct {
	auc  float64
	part [2][]float64 // without and with the outcome
}

func newROC(p, y []float64) *roc {
	all := midranks(p)
	var of [2][]float64
	var ranks [2][]float64
	for k, v := range p {
		a := int(y[k])
		of[a], ranks[a] = append(of[a], v), append(ranks[a], all[k])
	}
	r := &roc{}
	for a := range 2 {
		own := midranks(of[a])
		others := float64(len(of[1-a]))
		for k := range own {
			v := (ranks[a][k] - own[k]) / others
			if a == 0 {
				v = 1 - v
			}
			r.part[a] = append(r.part[a], v)
		}
	}
	r.auc = num.Sum(r.part[1]) / float64(len(r.part[1]))
	return r
}

// against is DeLong's error of the area, or of the difference from another of the same people.
func (r *roc) against(o *roc) float64 {
	v := 0.0
	for a := range 2 {
		n := float64(len(r.part[a]))
		d := slices.Clone(r.part[a])
		if o != nil {
			for k := range d {
				d[k] -= o.part[a][k]
			}
		}
		mean := num.Sum(d) / n
		for k := range d {
			d[k] = (d[k] - mean) * (d[k] - mean)
		}
		v += num.Sum(d) / (n - 1) / n
	}
	return math.Sqrt(v)
}

// midranks gives equal values their mean rank.
func midranks(x []float64) []float64 {
	distinct, rank := num.Ranks(x)
	count := make([]float64, len(distinct)+1)
	for _, r := range rank {
		count[r+1]++
	}
	for k := 1; k < len(count); k++ {
		count[k] += count[k-1]
	}
	out := make([]float64, len(x))
	for i, r := range rank {
		out[i] = (count[r] + 1 + count[r+1]) / 2
	}
	return out
}
