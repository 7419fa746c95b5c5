package study

import (
	"strings"

	"utfall/estimate/effect"
)

// simulatePower finds the chance that the analysis sees a difference of the size that
// matters, on the cohort's own people, sets and weights, before outcomes are opened: they
// are drawn from what is expected of the comparison people. Covariates of a regression are
// not counted on, and methods that model who takes part are not simulated. The test is passed if the chance, with twice its Monte Carlo error, is
// that asked for.
func (s *state) simulatePower(b *built, a *Analysis, rows []int, g Gate) (GateResult, error) {
	f, err := s.frameOf(b, &Effect{}, rows, make([]float64, len(rows)), b.weight)
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
