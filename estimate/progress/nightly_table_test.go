//go:build nightly

package progress

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/combine"
	"utfall/estimate/sensitivity"
	"utfall/estimate/survive"
	"utfall/internal/num"
)

// known is one number of a replicate: its estimate and what is true of it.
type known struct {
	name  string
	truth float64
	e     estimate.Estimate
}

func plainValue(name string, truth, v float64) known {
	return known{name, truth, estimate.Estimate{Value: v, SE: math.NaN(), CI: noInterval()}}
}

// TestNightlyKnownTruths runs every design of the plan 1,000 times and prints the table of METHODS.md.
func TestNightlyKnownTruths(t *testing.T) {
	const reps = 1000
	var table strings.Builder
	table.WriteString("\n| design | number | truth | mean | SD | mean SE | coverage | replicates |\n|---|---|---|---|---|---|---|---|\n")
	for _, d := range nightlyDesigns(t) {
		t.Run(d.name, func(t *testing.T) {
			all := make([][]known, reps)
			num.ForEach(reps, 0, func(rep int) {
				var err error
				if all[rep], err = d.run(rep); err != nil {
					t.Errorf("%s, replicate %d: %v", d.name, rep, err)
				}
			})
			require.False(t, t.Failed())
			for k, first := range all[0] {
				var truth, mean, square, se, covered float64
				with := 0.0
				for _, row := range all {
					x := row[k]
					truth, mean, square = truth+x.truth/reps, mean+x.e.Value/reps, square+x.e.Value*x.e.Value/reps
					if x.e.HasSE() {
						with++
						se += x.e.SE
						if x.e.CI.Lo <= x.truth && x.truth <= x.e.CI.Hi {
							covered++
						}
					}
				}
				line := fmt.Sprintf("| %s | %s | %.4f | %.4f | %.4f | ", d.name, first.name, truth, mean, math.Sqrt(max(0, square-mean*mean)))
				if with > 0 {
					line += fmt.Sprintf("%.4f | %.3f | ", se/with, covered/with)
				} else {
					line += "– | – | "
				}
				line += fmt.Sprintf("%d |", reps)
				fmt.Println(line) // as they come: the whole takes a while
				table.WriteString(line + "\n")
			}
		})
	}
	t.Log(table.String())
}

type nightlyDesign struct {
	name string
	run  func(rep int) ([]known, error)
}

func nightlyDesigns(t *testing.T) []nightlyDesign {
	ctx := t.Context()
	ladder := func(seed uint64, p params, drop []float64, reweigh bool) func(rep int) ([]known, error) {
		net, work := p.truth()
		return func(rep int) (out []known, err error) {
			s := far(seed, rep, 200, p, drop)
			r, err := NetMonths{Ladder: sixSteps, Tau: months, ReweighLoss: reweigh, Workers: 1}.Fit(ctx, s)
			if err != nil {
				return nil, err
			}
			if out = append(out, known{"net months", net, r.Estimates[0]}); reweigh {
				return out, nil
			}
			aj, err := survive.AalenJohansen{Tau: months, Workers: 1}.Fit(ctx, s)
			if err != nil {
				return nil, err
			}
			for _, e := range aj.Estimates {
				if e.Term == "state=5,contrast=t-c" {
					out = append(out, known{"months in work", work, e},
						known{"months in work, ± z·se", work, estimate.Wald(e.Term, e.Measure, e.Value, e.SE, math.Inf(1), .95)})
				}
			}
			return out, nil
		}
	}
	null := d1
	null.up[2] = 0
	landmark, _ := null.later()
	d12, holds := d12Truth(), d5Truth()
	e15 := math.Exp(-1.5)
	untied := 1 / (1 + .34/4)
	d7 := average(func(x float64) float64 { return .5 + .5*x*x }, func(x float64) float64 { return 1 - logistic(.5*x) })
	designs := []nightlyDesign{
		{"D1 reversible ladder, frailty, 200 an arm", ladder(101, d1, nil, false)},
		{"D2 drop-out by step", ladder(102, d1, dropOut, false)},
		{"D2, loss reweighed", ladder(102, d1, dropOut, true)},
		{"D3 far from work", ladder(103, d3, nil, false)},
		{"D1 without effect", ladder(104, null, nil, false)},
		{"D4 picked for a low score, 600", func(rep int) ([]known, error) {
			p, change, before := d4(rep)
			r, err := BeyondChange{SDC: 1, Workers: 1}.Fit(ctx, p, change)
			if err != nil {
				return nil, err
			}
			gain := num.Sum(change) / float64(len(change))
			return []known{{"net share improved", 0, r.Estimates[0]}, plainValue("pre–post, nothing done", RegressionToMean(1/1.49, 0, before), gain)}, nil
		}},
		{"D5 surrogacy holds, 1,000", func(rep int) ([]known, error) {
			r, err := Surrogate{Folds: 4, Workers: 1}.Fit(ctx, d5(5, uint64(rep), 1000, 0, false))
			if err != nil {
				return nil, err
			}
			return []known{{"index", holds, r.Estimates[0]}}, nil
		}},
		{"D6 surrogacy fails, 2,000", func(rep int) ([]known, error) {
			const direct = -.1
			r, err := Surrogate{Workers: 1}.Fit(ctx, d5(6, uint64(rep), 2000, direct, true))
			if err != nil {
				return nil, err
			}
			return []known{{"index, for the effect", .125 + direct, r.Estimates[0]}, {"index, for what it sees", .125 + direct*(1-untied), r.Estimates[0]}, {"direct", direct, r.Estimates[1]}}, nil
		}},
		{"D7 ν̄ wrong, ν and weights right, 4,000", func(rep int) ([]known, error) {
			r, err := Surrogate{Workers: 1}.Fit(ctx, d7Sample(uint64(rep), 4000))
			if err != nil {
				return nil, err
			}
			return []known{{"index", d7, r.Estimates[0]}, plainValue("plug-in", d7, r.Details["plug_in"].(float64))}, nil
		}},
		{"D8 partial follow-up, 2,000", func(rep int) ([]known, error) {
			s := d8(uint64(rep), 2000)
			e, err := Surrogate{Workers: 1}.check(s)
			if err != nil {
				return nil, err
			}
			f, err := newSurrogateFit(e, s)
			if err != nil {
				return nil, err
			}
			if err := f.nuisances(ctx); err != nil {
				return nil, err
			}
			tau, inf, err := f.rectified(ctx)
			if err != nil {
				return nil, err
			}
			index, own, err := f.index()
			if err != nil {
				return nil, err
			}
			wald := func(v float64, inf []float64) estimate.Estimate {
				return estimate.Wald("", estimate.MeanDifference, v, math.Sqrt(num.Dot(inf, inf)), math.Inf(1), .95)
			}
			return []known{{"rectified", .4, wald(tau, inf)}, {"index", .4, wald(index, own)}}, nil
		}},
		{"D9 not at random, 4,000", func(rep int) ([]known, error) {
			f, missing, delta := d9(rep, 4000)
			r, err := sensitivity.Tipping{Missing: missing}.Fit(ctx, f)
			if err != nil {
				return nil, err
			}
			value := map[string]estimate.Estimate{}
			for _, e := range r.Estimates {
				value[e.Term] = e
			}
			shifted := value["known"].Value + value["arm=treated"].Value*delta[1] - value["arm=control"].Value*delta[0]
			return []known{{"answers only", .3, value["known"]}, plainValue("shifted by the truth", .3, shifted)}, nil
		}},
		{"D10 two waves, 240", func(rep int) ([]known, error) {
			r, err := LatentChange{Workers: 1}.Fit(ctx, simWaves(62, rep, 240, d10()))
			if err != nil {
				return nil, err
			}
			return []known{{"difference in change", .35, r.Estimates[0]}, {"change of comparison people", .2, r.Estimates[1]}}, nil
		}},
		{"D11 deaths, 200", func(rep int) ([]known, error) {
			r, err := MeanCumulative{At: []float64{3}, Workers: 1}.Fit(ctx, d11(rep))
			if err != nil {
				return nil, err
			}
			return []known{{"mean count by 3 years", 6 * (1 - math.Exp(-.6)), r.Estimates[0]}}, nil
		}},
		{"D12 stable run, 400", func(rep int) ([]known, error) {
			r, err := StableExit{Authority: offices, At: []float64{25}, Workers: 1}.Fit(ctx, inMonths(d12Rows(12000+rep, 400)...))
			if err != nil {
				return nil, err
			}
			for _, e := range r.Estimates {
				if e.Term == "time=25,cause=stable" {
					return []known{{"share by month 36", d12, e}}, nil
				}
			}
			return nil, fmt.Errorf("no number")
		}},
		{"D13 landmark, 1,000", func(rep int) (out []known, err error) {
			s := far(113, rep, 500, null, make([]float64, 6))
			s.Group, s.GroupNames = nil, nil
			for step := 1; step <= 4; step++ {
				r, err := survive.Landmark{State: fmt.Sprint(step), Time: 12, At: []float64{24}, Workers: 1}.Fit(ctx, s)
				if err != nil {
					return nil, err
				}
				sum := 0.0
				for _, e := range r.Estimates {
					for high := 4; high <= 5; high++ {
						if e.Term == fmt.Sprintf("from=%d@12,time=24,state=%d", step, high) {
							sum += e.Value
						}
					}
				}
				out = append(out, plainValue(fmt.Sprintf("step 4 or 5 at 24 from step %d", step), landmark[step], sum))
			}
			return out, nil
		}},
	}
	for _, n := range []int{15, 30, 60} {
		designs = append(designs, nightlyDesign{fmt.Sprintf("D14 win probability, %d an arm", n), func(rep int) ([]known, error) {
			r, err := Wins{Workers: 1}.Fit(ctx, d14(rep, n))
			if err != nil {
				return nil, err
			}
			return []known{{"win probability", .575, r.Estimates[0]}}, nil
		}})
	}
	designs = append(designs, nightlyDesign{"D15 80 associations", func(rep int) ([]known, error) {
		f, truth := d15(rep)
		r, err := combine.Meta{}.Fit(ctx, f)
		if err != nil {
			return nil, err
		}
		raw, best, own := 0, -1, estimate.Estimate{}
		for i := range f.Y {
			if f.Y[i] > f.Y[raw] {
				raw = i
			}
		}
		for _, e := range r.Estimates {
			for i, u := range f.Unit {
				if e.Term == "unit="+u && (best < 0 || e.Value > own.Value) {
					best, own = i, e
				}
			}
		}
		return []known{plainValue("raw best, less its truth", 0, f.Y[raw]-truth[raw]), plainValue("shrunken best, less its truth", 0, own.Value-truth[best])}, nil
	}})
	for _, rate := range []float64{0, .15, .5} {
		designs = append(designs, nightlyDesign{fmt.Sprintf("D16 opposing effects, censoring at %v, 150 an arm", rate), func(rep int) ([]known, error) {
			s := d16(uint64(rep), 150, rate)
			r, err := PrioritisedPairs{Horizon: 3, Workers: 1}.Fit(ctx, s)
			if err != nil {
				return nil, err
			}
			truth := .2*(1-e15) - .3*e15
			return []known{{"net benefit", truth, r.Estimates[2]}, plainValue("Gehan's scoring", truth, gehan(s, 3))}, nil
		}})
	}
	return designs
}

// d7Sample is the part of design D7 in which the effect on the surrogate grows with x².
func d7Sample(rep uint64, n int) *SurrogateSample {
	s := &SurrogateSample{S: mat.NewDense(n, 1, nil), SNames: []string{"s"}, X: mat.NewDense(n, 1, nil), XNames: []string{"x"}, Level: 0.95}
	for i := range n {
		st := num.NewStream(7, "d7", rep<<32|uint64(i))
		x := st.Normal()
		s.Older = append(s.Older, st.Bernoulli(logistic(.5*x)))
		s.Treated = append(s.Treated, st.Bernoulli(logistic(.4*x)))
		a := .5*x + st.Normal()
		if s.Treated[i] {
			a += .5 + .5*x*x
		}
		s.Unit, s.Y = append(s.Unit, fmt.Sprintf("u%06d", i)), append(s.Y, a+x+st.Normal())
		s.X.Set(i, 0, x)
		s.S.Set(i, 0, a)
	}
	return s
}
