package study

import (
	"strings"

	"utfall/estimate"
	"utfall/estimate/effect"
)

// simulatePower finds the chance that the analysis sees a difference of the size that
// matters, on the cohort's own people, sets and weights, before outcomes are opened: they
// are drawn from what is expected of the comparison people. Covariates of a regression are
// not counted on, and methods that model who takes part are not simulated. The test is passed if the chance, with twice its Monte Carlo error, is
// that asked for.
func (s *state) simulatePower(b *built, a *Analysis, rows []int, g Gate) (GateResult, error) {
	f, err := s.designFrame(b, rows)
	if err != nil {
		return GateResult{}, err
	}
	if !strings.HasPrefix(a.Effect.Vcov, "cr") {
		f.Cluster, f.Set = nil, nil
	}
	size := a.Relevant
	if p := a.Expect.Share; p > 0 && (a.Good == "down" && p-size >= 0 || p+size > 1) {
		size = -size
	}
	o := effect.SimulatedPower{
		Power:      effect.Power{Expected: effect.Expected{SD: a.Expect.SD, Share: a.Expect.Share}, Level: s.spec.Level, Power: *g.Power},
		Replicates: g.Simulate, Seed: s.seedOf("gate/" + a.Name), Workers: s.o.Workers,
	}
	r, err := o.At(s.ctx, f, size)
	if err != nil {
		return GateResult{}, err
	}
	return GateResult{
		Cohort: b.spec.Name, Check: "simulated", Analysis: a.Name,
		Value: rounded(r[0].Share, 2), Threshold: *g.Power, AtLeast: true,
		Passed: r[0].Share+2*r[0].Error >= *g.Power,
	}, nil
}

// designFrame is the frame of an analysis without its outcome.
func (s *state) designFrame(b *built, rows []int) (*estimate.Frame, error) {
	t := b.table.Take(rows)
	units, _, err := t.Text(b.spec.ID)
	if err != nil {
		return nil, err
	}
	f := &estimate.Frame{Unit: units, Y: make([]float64, len(rows)), Treated: pickBool(b.treated, rows), Level: s.spec.Level}
	if b.weight != nil {
		w := make([]float64, len(rows))
		for k, i := range rows {
			w[k] = b.weight[i]
		}
		f.Weight = estimate.Weights{Kind: estimate.Matching, Values: w}
	}
	if b.set != nil {
		f.Set = dense(b.set, rows)
	}
	if b.cluster != nil {
		f.Cluster = dense(b.cluster, rows)
	}
	return f, nil
}
