package effect

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// Conley says which rows are dependent by where they are: those within Cutoff
// kilometres of each other, great-circle distance on a sphere of radius 6371.0088 km.
//
//	M = N/(N-K)·Σ_ij k(d_ij)·s_i·s_j',  s = w·e·x
//
// with k(d) = 1 for d ≤ Cutoff (Conley 1999; the factor is that of hc1, which a
// cutoff of 0 with one row a place gives). Negative directions of M are set to 0 and
// noted. t on N-K.
type Conley struct {
	Lat, Lon []float64 // degrees, one per frame row
	Cutoff   float64   // kilometres, > 0
	// Bartlett lets the dependence fall linearly to 0 at the cutoff, k(d) = 1 - d/Cutoff.
	Bartlett bool
}

const earthRadius = 6371.0088

// places are the coordinates of the sample rows.
type places struct {
	Conley
	lat, lon []float64
}

func (c Conley) check(n int) error {
	switch {
	case len(c.Lat) != n || len(c.Lon) != n:
		return fmt.Errorf("%w: %d latitudes and %d longitudes for %d rows", ErrOption, len(c.Lat), len(c.Lon), n)
	case !(c.Cutoff > 0) || math.IsInf(c.Cutoff, 1):
		return fmt.Errorf("%w: vcov conley needs a cutoff above 0 km", ErrOption)
	}
	for i := range n {
		if !(math.Abs(c.Lat[i]) <= 90) || !(math.Abs(c.Lon[i]) <= 360) {
			return &estimate.RowError{Row: i, Err: fmt.Errorf("%w: a latitude is between -90 and 90 degrees and a longitude between -360 and 360", estimate.ErrInvalidFrame)}
		}
	}
	return nil
}

// distance is the great-circle distance in km by the haversine formula, exact for
// near places.
func distance(lat1, lon1, lat2, lon2 float64) float64 {
	const rad = math.Pi / 180
	a := math.Sin((lat2 - lat1) * rad / 2)
	b := math.Sin((lon2 - lon1) * rad / 2)
	h := float64(a*a) + float64(math.Cos(lat1*rad)*math.Cos(lat2*rad))*float64(b*b)
	return 2 * earthRadius * math.Asin(math.Min(1, math.Sqrt(h)))
}

// meatConley adds the scores of each place, sorts the places by latitude and pairs
// each with those that follow within the cutoff.
func (l *linear) meatConley(s *solution) (*mat.SymDense, error) {
	q, p := s.fit.Rank, l.place
	order := make([]int, l.n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(p.lat[a], p.lat[b]), cmp.Compare(p.lon[a], p.lon[b]))
	})
	type place struct{ lat, lon float64 }
	var at []place
	var score []float64
	z := make([]float64, q)
	for _, r := range order {
		here := place{p.lat[r], p.lon[r]}
		if len(at) == 0 || at[len(at)-1] != here {
			at = append(at, here)
			score = append(score, make([]float64, q)...)
		}
		l.score(s, r, z)
		into := score[(len(at)-1)*q:]
		for i, v := range z {
			into[i] += v
		}
	}
	const degree = earthRadius * math.Pi / 180
	sum := num.SumChunks(len(at), q*q, l.workers, func(lo, hi int, acc []float64) {
		near := make([]float64, q) // Σ k·s of the places that follow, plus half of its own
		for i := lo; i < hi; i++ {
			own := score[i*q : (i+1)*q]
			for j, v := range own {
				near[j] = v / 2
			}
			for h := i + 1; h < len(at) && (at[h].lat-at[i].lat)*degree <= p.Cutoff*(1+1e-12); h++ {
				d := distance(at[i].lat, at[i].lon, at[h].lat, at[h].lon)
				if d > p.Cutoff {
					continue
				}
				k := 1.0
				if p.Bartlett {
					k = 1 - d/p.Cutoff
				}
				for j, v := range score[h*q : (h+1)*q] {
					near[j] += float64(k * v)
				}
			}
			for a, x := range own {
				for b, y := range near {
					acc[a*q+b] += float64(x * y)
				}
			}
		}
	})
	f := s.units / (s.units - float64(s.params))
	m := mat.NewSymDense(q, nil)
	for a := range q {
		for b := a; b < q; b++ {
			m.SetSym(a, b, f*(sum[a*q+b]+sum[b*q+a]))
		}
	}
	kernel := "uniform"
	if p.Bartlett {
		kernel = "Bartlett"
	}
	s.vcov = fmt.Sprintf("conley: %d places, %s kernel with cutoff %g km, factor N/(N-K); t on N-K", len(at), kernel, p.Cutoff)
	return m, nil
}
