//go:build reference

package progress

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/internal/reftest"
)

func referenceWaves(t *testing.T) *Waves {
	d := reftest.ReadCSV(t, "progress", "twowave-grm", "data.csv")
	w := &Waves{Level: 0.95}
	for _, v := range d.Floats(t, "treat") {
		w.Unit = append(w.Unit, fmt.Sprintf("p%04d", len(w.Unit)))
		w.Treated = append(w.Treated, v == 1)
	}
	w.Before, w.After = mat.NewDense(len(w.Unit), 6, nil), mat.NewDense(len(w.Unit), 6, nil)
	for j := range 6 {
		w.Names = append(w.Names, fmt.Sprint("i", j+1))
		w.Before.SetCol(j, d.Floats(t, fmt.Sprint("w1_i", j+1)))
		w.After.SetCol(j, d.Floats(t, fmt.Sprint("w2_i", j+1)))
	}
	return w
}

type referenceWave struct {
	LogLik     float64 `json:"logLik"`
	Slopes     []float64
	Thresholds [][]float64
	Mean1      float64 `json:"mean1_treat"`
	Mean2      float64 `json:"mean2_control"`
	Mean2SE    float64 `json:"mean2_control_se"`
	Mean2T     float64 `json:"mean2_treat"`
	SD2, Rho   float64
	Shift      float64 `json:"shift_item6"`
	ShiftSE    float64 `json:"shift_se"`
	Diff       float64 `json:"diff_in_change"`
	DiffSE     float64 `json:"diff_in_change_se"`
}

// Reference: base R, two-dimensional marginal likelihood on a 41 × 41 grid (case progress/twowave-grm), by
// BFGS with numerical derivatives: its errors hold to about a per cent.
func TestTwoWavesAgainstR(t *testing.T) {
	var ref struct {
		Invariant referenceWave
		Freed     referenceWave `json:"shift_freed"`
		LR        float64       `json:"LR_response_shift_1df"`
	}
	reftest.ReadJSON(t, &ref, "progress", "twowave-grm", "expected.json")
	w := referenceWaves(t)
	var ll [2]float64
	for i, c := range []struct {
		e    LatentChange
		want referenceWave
	}{{LatentChange{}, ref.Invariant}, {LatentChange{Shift: []string{"i6"}}, ref.Freed}} {
		r, err := c.e.Fit(context.Background(), w)
		require.NoError(t, err)
		ll[i] = r.Details["loglik"].(float64)
		reftest.Near(t, "loglik", ll[i], c.want.LogLik, 1e-5)
		near := func(term string, want float64) { reftest.Near(t, term, named(t, r, term).Value, want, 2e-4) }
		near("difference", c.want.Diff)
		near("trait/mean,wave=1,group=1", c.want.Mean1)
		near("trait/mean,wave=2,group=0", c.want.Mean2)
		near("trait/mean,wave=2,group=1", c.want.Mean2T)
		near("trait/variance,wave=2", c.want.SD2*c.want.SD2)
		near("trait/correlation", c.want.Rho)
		for j := range 6 {
			near(fmt.Sprintf("i%d/a", j+1), c.want.Slopes[j])
			for k, b := range c.want.Thresholds[j] {
				near(fmt.Sprintf("i%d/b%d", j+1, k+1), b)
			}
		}
		reftest.Near(t, "se", named(t, r, "difference").SE/c.want.DiffSE, 1, 0.01)
		reftest.Near(t, "se", named(t, r, "trait/mean,wave=2,group=0").SE/c.want.Mean2SE, 1, 0.01)
		t.Logf("loglik %.2g, difference %.2g, errors %.2g %.2g, nodes %v, %+v", ll[i]-c.want.LogLik, named(t, r, "difference").Value-c.want.Diff,
			named(t, r, "difference").SE/c.want.DiffSE-1, named(t, r, "trait/mean,wave=2,group=0").SE/c.want.Mean2SE-1, r.Details["nodes"], r.Fit)
		if i == 1 {
			near("i6/shift", c.want.Shift)
			reftest.Near(t, "se", named(t, r, "i6/shift").SE/c.want.ShiftSE, 1, 0.01)
		}
	}
	reftest.Near(t, "likelihood ratio", 2*(ll[1]-ll[0]), ref.LR, 1e-4)
}

// Reference: base R on the data of eq5d 0.16.0 (case progress/eq5d-paretian).
func TestParetianChangeAgainstR(t *testing.T) {
	var ref struct {
		Computed struct {
			Valid   int            `json:"n_valid"`
			Invalid int            `json:"n_invalid"`
			PCHC    map[string]int `json:"PCHC"`
			Net     float64        `json:"net_improved"`
			SE      float64        `json:"net_improved_se"`
		}
	}
	reftest.ReadJSON(t, &ref, "progress", "eq5d-paretian", "expected.json")
	d := reftest.ReadCSV(t, "progress", "eq5d-paretian", "data.csv")
	p := &Profiles{Names: []string{"MO", "SC", "UA", "PD", "AD"}}
	p.Level = 0.95
	p.Unit = append(p.Unit, d["id"]...)
	p.Before, p.After = mat.NewDense(len(p.Unit), 5, nil), mat.NewDense(len(p.Unit), 5, nil)
	for j, name := range p.Names {
		p.Before.SetCol(j, d.Floats(t, "pre_"+name))
		p.After.SetCol(j, d.Floats(t, "post_"+name))
	}
	r, err := ParetianChange{Lowest: 1, Highest: 3, HighIsWorse: true}.Fit(context.Background(), p)
	require.NoError(t, err)
	want := map[string]int{"improved": ref.Computed.PCHC["improve"], "worsened": ref.Computed.PCHC["worsen"], "mixed": ref.Computed.PCHC["mixed"],
		"unchanged": ref.Computed.PCHC["no_change"], "no_problems": ref.Computed.PCHC["no_problems"]}
	require.Equal(t, want, r.Details["counts"])
	require.Equal(t, ref.Computed.Valid, r.N.Units)
	invalid := 0 // a level that does not exist, or none
	for _, n := range r.Notes {
		invalid += n.Args["persons"].(int)
	}
	require.Equal(t, ref.Computed.Invalid, invalid)
	net := r.Estimates[len(r.Estimates)-1]
	reftest.Agree(t, "net", net.Value, ref.Computed.Net, 10)
	reftest.Agree(t, "se", net.SE, ref.Computed.SE, 10)
}
