package effect

import (
	"context"
	"fmt"
	"math"
	"sort"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// WildBootstrap is the restricted wild cluster bootstrap of Student's t (Cameron,
// Gelbach and Miller 2008; Djogbenou, MacKinnon and Nielsen 2019). To test β_j = b it
// draws outcomes that obey it,
//
//	y* = x'β̃ + ω_g·ẽ,  ẽ the residuals of the fit with β_j = b
//
// one ω per cluster, and p is the share of draws with |t*| ≥ |t|. The interval holds
// every b with p ≥ 1 - level, found by inverting the test with the same draws. With
// scores S_g = Σ_{i∈g} w·z·ẽ, N_g = Z_g'W_gZ_g, κ = R⁻ᵀe_j and T = Σω_gS_g,
//
//	t* = κ'T/√Σ_g(ω_g·κ'S_g - κ'N_gT)²
//
// in which ẽ = ê + (β̂_j - b)·v is linear in b, so that five sums a draw serve every b.
type WildBootstrap struct {
	// Replicates is the number of draws; 0 = 9999. Where the 2^G sign patterns of
	// Rademacher weights are not more than that, all of them are taken once and p is
	// exact; otherwise p = (1 + draws with |t*| ≥ |t|)/(1 + Replicates).
	Replicates int
	// Webb draws from ±√½, ±1, ±√1½ (Webb 2023) instead of ±1: more distinct values when
	// clusters are few.
	Webb bool
	Seed uint64
}

func (w WildBootstrap) check() (WildBootstrap, error) {
	if w.Replicates == 0 {
		w.Replicates = 9999
	}
	if w.Replicates < 99 || w.Replicates > 1<<22 {
		return w, fmt.Errorf("%w: %d wild bootstrap replicates; between 99 and %d", ErrOption, w.Replicates, 1<<22)
	}
	return w, nil
}

// maxWild bounds the draws and the cluster matrices held at a time: 800 MB of each.
const maxWild = 100_000_000

// wildDraws are the weights ω: draw by draw, a weight a cluster. count is how many
// draws each stands for.
type wildDraws struct {
	omega      []float64
	g, draws   int
	enumerated bool
}

// draw makes the weights. Mirrored patterns have the same |t*|: an enumeration takes
// one of each pair, with +1 for the first cluster.
func (w WildBootstrap) draw(g int) wildDraws {
	d := wildDraws{g: g}
	if !w.Webb && g < 23 && 1<<g <= w.Replicates {
		d.enumerated, d.draws = true, 1<<(g-1)
		d.omega = make([]float64, d.draws*g)
		for b := range d.draws {
			for c := range g {
				d.omega[b*g+c] = 1
				if c > 0 && b>>(c-1)&1 == 1 {
					d.omega[b*g+c] = -1
				}
			}
		}
		return d
	}
	d.draws = w.Replicates
	d.omega = make([]float64, d.draws*g)
	webb := [6]float64{-math.Sqrt(1.5), -1, -math.Sqrt(0.5), math.Sqrt(0.5), 1, math.Sqrt(1.5)}
	for b := range d.draws {
		s := num.NewStream(w.Seed, "wild cluster bootstrap", uint64(b))
		row := d.omega[b*g : (b+1)*g]
		var bits uint64
		for c := range row {
			if w.Webb {
				row[c] = webb[s.Intn(6)]
				continue
			}
			if c%64 == 0 {
				bits = s.Uint64()
			}
			row[c] = float64(2*int(bits&1) - 1)
			bits >>= 1
		}
	}
	return d
}

// wild replaces interval and p-value of the estimates of the kept coefficients.
func (l *linear) wild(ctx context.Context, s *solution, w WildBootstrap, es []estimate.Estimate) ([]table.Note, error) {
	// Clusters in the order of their codes, so that the draws do not follow the rows.
	codes, g := ranked(l.cluster)
	rows := rowsOf(codes, g)
	q := s.fit.Rank
	if w.Replicates > maxWild/g || q*q > maxWild/g {
		return nil, fmt.Errorf("%w: a wild bootstrap with %d clusters, %d coefficients and %d replicates would hold more than %d numbers; absorb effects or take fewer replicates", ErrOption, g, q, w.Replicates, maxWild)
	}
	d := w.draw(g)
	scores, z := make([]float64, g*q), make([]float64, q)
	grams := make([][]float64, g)
	for c, rs := range rows {
		into := scores[c*q : (c+1)*q]
		for _, r := range rs {
			l.score(s, r, z)
			for i, v := range z {
				into[i] += v
			}
		}
		m := l.gram(s, rs)
		grams[c] = make([]float64, q*q)
		for i := range q {
			for j := range q {
				grams[c][i*q+j] = m.At(i, j)
			}
		}
	}
	var notes []table.Note
	unbounded := 0
	for _, a := range s.fit.Kept {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e := &es[a]
		if !(e.SE > 0) {
			continue
		}
		x := make([]float64, l.k)
		x[a] = 1
		kappa := make([]float64, q)
		s.fit.Basis(x, kappa)
		t := l.wildTerm(d, kappa, scores, grams)
		alpha := 1 - e.CI.Level
		e.CI.Method = "wild-bootstrap"
		e.Test.DF, e.Test.P = math.NaN(), t.P(e.Value)
		e.CI.Lo, e.CI.Hi = t.Bounds(e.Value, e.SE/4, alpha)
		if math.IsNaN(e.CI.Lo) || math.IsNaN(e.CI.Hi) {
			unbounded++
		}
	}
	if unbounded > 0 {
		notes = append(notes, table.Note{Code: "wild-unbounded",
			Text: fmt.Sprintf("For %d coefficients the wild bootstrap cannot reject any value at this level, so that an end of the interval does not exist: %d clusters have too few sign patterns; more clusters or a lower level are needed.", unbounded, g),
			Args: map[string]any{"clusters": g, "estimates": unbounded}})
	}
	name := "rademacher"
	if w.Webb {
		name = "webb"
	}
	draws := d.draws
	if d.enumerated {
		draws = 1 << g
	}
	s.wild = map[string]any{"weights": name, "draws": draws, "enumerated": d.enumerated}
	return notes, nil
}

// wildTerm is the bootstrap of one coefficient: of each draw κ'T = n₀ + δ·n₁ and the variance
// q₀₀ + 2δ·q₀₁ + δ²·q₁₁, where δ = β̂_j - b; for the data the cr0 variance of β̂_j.
func (l *linear) wildTerm(d wildDraws, kappa, scores []float64, grams [][]float64) *num.RatioTest {
	q, g := len(kappa), d.g
	length := num.Dot(kappa, kappa)
	n := make([]float64, g*q) // N_gκ, which is (κ'κ)·Z_g'W_gv_g
	a, c := make([]float64, g), make([]float64, g)
	t := &num.RatioTest{Sums: make([]float64, 5*d.draws), Exact: d.enumerated}
	for h := range g {
		row := n[h*q : (h+1)*q]
		for i := range q {
			row[i] = num.Dot(grams[h][i*q:(i+1)*q], kappa)
		}
		a[h] = num.Dot(kappa, scores[h*q:(h+1)*q])
		c[h] = num.Dot(kappa, row) / length
		t.Variance += float64(a[h] * a[h])
	}
	num.ForEach((d.draws+255)/256, l.workers, func(block int) {
		te, tv := make([]float64, q), make([]float64, q)
		for b := block * 256; b < min(block*256+256, d.draws); b++ {
			omega := d.omega[b*g : (b+1)*g]
			clear(te)
			clear(tv)
			for h, w := range omega {
				for i, v := range scores[h*q : (h+1)*q] {
					te[i] += float64(w * v)
				}
				for i, v := range n[h*q : (h+1)*q] {
					tv[i] += float64(w * v)
				}
			}
			for i := range tv {
				tv[i] /= length
			}
			out := t.Sums[5*b : 5*b+5]
			out[0], out[1] = num.Dot(kappa, te), num.Dot(kappa, tv)
			for h, w := range omega {
				e, v := w*a[h], w*c[h]
				for i, x := range n[h*q : (h+1)*q] {
					e -= float64(x * te[i])
					v -= float64(x * tv[i])
				}
				out[2] += float64(e * e)
				out[3] += float64(e * v)
				out[4] += float64(v * v)
			}
		}
	})
	return t
}

// ranked renumbers codes from 0 in ascending order.
func ranked(codes []int) ([]int, int) {
	seen := map[int]int{}
	var values []int
	for _, c := range codes {
		if _, ok := seen[c]; !ok {
			seen[c] = 0
			values = append(values, c)
		}
	}
	sort.Ints(values)
	for i, v := range values {
		seen[v] = i
	}
	out := make([]int, len(codes))
	for i, c := range codes {
		out[i] = seen[c]
	}
	return out, len(values)
}
