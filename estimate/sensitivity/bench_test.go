package sensitivity

import (
	"strconv"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/effect"
	"utfall/internal/num"
)

// A matched programme as large as the field has: 28,500 pairs, four gammas, eight shifts.
func BenchmarkRosenbaum(b *testing.B) {
	s := num.NewStream(1, "bench", 0)
	d := make([]float64, 28500)
	for i := range d {
		d[i] = .1 + s.Normal()
	}
	f := withDifferences(d...)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (Rosenbaum{}).Fit(b.Context(), f); err != nil {
			b.Fatal(err)
		}
	}
}

// programme is 28,500 pairs in 290 places.
func programme() (*estimate.Frame, []int, []string) {
	s := num.NewStream(2, "bench", 0)
	f := &estimate.Frame{Level: .95, Weight: estimate.Weights{Kind: estimate.Matching}}
	var group []int
	names := make([]string, 290)
	for g := range names {
		names[g] = strconv.Itoa(g)
	}
	for i := range 57000 {
		f.Unit, f.Y, f.Treated, f.Set = append(f.Unit, strconv.Itoa(i)), append(f.Y, s.Normal()), append(f.Treated, i%2 == 0), append(f.Set, i/2)
		f.Weight.Values = append(f.Weight.Values, 1)
		group = append(group, i/2%290)
	}
	return f, group, names
}

// 290 exact refits of a matched difference.
func BenchmarkLeaveOut(b *testing.B) {
	f, group, names := programme()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (LeaveOut{Each: effect.Difference{}, Group: group, Names: names}).Fit(b.Context(), f); err != nil {
			b.Fatal(err)
		}
	}
}

// A tenth of the outcomes missing, a curve of 21 points on three paths.
func BenchmarkTipping(b *testing.B) {
	f, group, _ := programme()
	f.Cluster = group
	o := Tipping{Missing: make([]bool, len(f.Y))}
	for i := range o.Missing {
		o.Missing[i] = i%10 == 3
	}
	for d := range 21 {
		o.Delta = append(o.Delta, float64(d-10)/10)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := o.Fit(b.Context(), f); err != nil {
			b.Fatal(err)
		}
	}
}

// 30 correlated controls, each against the others too.
func BenchmarkCalibration(b *testing.B) {
	s := num.NewStream(3, "bench", 0)
	const k = 30
	o := Calibration{Estimate: .3, SE: .1, Level: .95, Cov: mat.NewSymDense(k, nil)}
	for i := range k {
		o.Controls = append(o.Controls, Control{Name: strconv.Itoa(i), Estimate: .2 * s.Normal(), SE: .1})
		for j := i; j < k; j++ {
			o.Cov.SetSym(i, j, .003)
		}
		o.Cov.SetSym(i, i, .01)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := o.Value(); err != nil {
			b.Fatal(err)
		}
	}
}
