package num

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"utfall/internal/reftest"
)

// With a constant and one column, whether a finite maximum exists can be read off the
// data: the values with outcome 0 and those with 1 must overlap in more than a point.
// Every small data set must give one or the other, never a fit that gave up.
func TestLogitExistsExactlyWhereTheDataOverlap(t *testing.T) {
	for rep := range uint64(1500) {
		s := NewStream(77, "overlap", rep)
		n := 4 + s.Intn(9)
		d := LogitData{N: n, K: 2, Link: []Link{LogitLink, ProbitLink, CloglogLink}[rep%3]}
		min0, max0, min1, max1 := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
		unit := math.Pow(10, float64(s.Intn(9)-4))
		for range n {
			x, y := float64(s.Intn(7)), 0.0
			if s.Bernoulli(0.1 + 0.12*x) {
				y = 1
				min1, max1 = math.Min(min1, x), math.Max(max1, x)
			} else {
				min0, max0 = math.Min(min0, x), math.Max(max0, x)
			}
			d.X, d.Y = append(d.X, 1, 50+unit*x), append(d.Y, y)
		}
		_, err := Logit(d)
		switch separated := min1 >= max0 || min0 >= max1; {
		case math.Min(min0, min1) == math.Max(max0, max1):
			if !errors.Is(err, ErrSingular) {
				t.Errorf("rep %d: constant column: %v", rep, err)
			}
		case separated != errors.Is(err, ErrSeparated) || (!separated && err != nil):
			t.Errorf("rep %d, %s, unit %g: separated %t, error %v; x, y %v %v", rep, d.Link, unit, separated, err, d.X, d.Y)
		}
	}
}

// The links keep their digits in the tails: R 4.2.2, pnorm(log.p=TRUE) and dnorm/pnorm.
func TestLinkTails(t *testing.T) {
	p := ProbitLink.at(-40)
	reftest.Agree(t, "log Φ(-40)", p.logMu, -804.60844201375255, 13)
	reftest.Agree(t, "φ/Φ(-40)", p.a, 40.024968847206338, 13)
	p = ProbitLink.at(-29)
	reftest.Agree(t, "log Φ(-29)", p.logMu, -424.787419909730147, 13)
	reftest.Agree(t, "log Φ(8)", ProbitLink.at(8).logMu, -6.2209605742717841e-16, 13)
	c := CloglogLink.at(-40)
	reftest.Agree(t, "cloglog log μ(-40)", c.logMu, -40, 15)
	reftest.Agree(t, "cloglog a(-40)", c.a, 1, 15)
	reftest.Agree(t, "logit log(1-μ)(800)", LogitLink.at(800).logQ, -800, 15)
	for _, l := range []Link{LogitLink, ProbitLink, CloglogLink} {
		for _, eta := range []float64{-6, -1.5, 0, 0.3, 2} {
			q := l.at(eta)
			h := 1e-6
			d := (l.Mean(eta+h) - l.Mean(eta-h)) / (2 * h)
			reftest.Agree(t, string(l)+" a", q.a, d/q.mu, 7)
			reftest.Agree(t, string(l)+" b", q.b, d/(1-q.mu), 7)
			reftest.Agree(t, string(l)+" log μ", q.logMu, math.Log(l.Mean(eta)), 12)
			reftest.Agree(t, string(l)+" log(1-μ)", q.logQ, math.Log1p(-l.Mean(eta)), 12)
			reftest.Agree(t, string(l)+" inverse", l.of(q.mu), eta, 12)
		}
	}
}

func BenchmarkLogit(b *testing.B) {
	for _, k := range []int{8, 20} {
		d := simLogit(1, 1_000_000, k)
		b.Run(fmt.Sprintf("1Mx%d", k), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				mustLogit(b, d)
			}
		})
	}
	d := simLogit(1, 200, 6)
	b.Run("200x6", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			mustLogit(b, d)
		}
	})
}
