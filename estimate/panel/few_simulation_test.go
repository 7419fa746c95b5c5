package panel

import (
	"fmt"
	"math"
	"testing"

	"utfall/internal/num"
)

// fewDesign is a panel of one entry date without an effect.
type fewScenario struct {
	units, treated int
	shock          func(s *num.Stream) float64 // nil = normal
	sd             func(u int) float64         // of a unit's errors; nil = 1
	rho            float64                     // correlation over time
	entry          func(u int) int             // of a treated unit; nil = 4
	size           func(u int) float64
}

const fewPeriods = 6

func (c fewScenario) draw(seed uint64) *Frame {
	f := &Frame{Level: 0.95}
	for u := range c.units {
		s := num.NewStream(seed, "few-test", uint64(u))
		normal := func() float64 {
			if c.shock != nil {
				return c.shock(s)
			}
			return s.Normal()
		}
		sd, g := 1.0, 0
		if c.sd != nil {
			sd = c.sd(u)
		}
		if u < c.treated {
			g = 4
			if c.entry != nil {
				g = c.entry(u)
			}
		}
		level, e := 3*s.Normal(), normal()
		for t := 1; t <= fewPeriods; t++ {
			f.Unit = append(f.Unit, fmt.Sprintf("u%03d", u))
			f.Time = append(f.Time, t)
			f.Cohort = append(f.Cohort, g)
			f.Y = append(f.Y, level+0.2*float64(t)+float64(sd*e))
			e = float64(c.rho*e) + float64(math.Sqrt(1-c.rho*c.rho)*normal())
		}
	}
	return f
}

func (c fewScenario) sizes() map[string]float64 {
	if c.size == nil {
		return nil
	}
	out := map[string]float64{}
	for u := range c.units {
		out[fmt.Sprintf("u%03d", u)] = c.size(u)
	}
	return out
}

// rejections runs the scenario and returns by method how often p < 0.05; "auto" is the
// chosen method's and "refused" how often there was none.
func (c fewScenario) rejections(t *testing.T, draws, first int, o FewOptions) map[string]float64 {
	answers := make([]map[string]float64, draws)
	num.ForEach(draws, 2, func(i int) {
		out := map[string]float64{}
		r, err := GroupTime{Method: Regression, Workers: 1}.Fit(t.Context(), c.draw(uint64(first+i)))
		if err != nil {
			panic(err)
		}
		o := o
		o.Seed, o.Size, o.Workers = uint64(i), c.sizes(), 1
		res, err := r.Infer(t.Context(), Simple, o)
		if err != nil {
			panic(err)
		}
		term := res.Terms[0]
		for _, a := range term.Answers {
			if a.Computed {
				out[string(a.Method)+"?"] = 1
				if a.Valid {
					out[string(a.Method)+"!"] = 1
				}
				if a.Estimate.Test.P < 0.05 {
					out[string(a.Method)] = 1
				}
			}
		}
		if term.Chosen == "" {
			out["refused"] = 1
		} else {
			out["chosen "+string(term.Chosen)] = 1
			if term.Estimate.Test.P < 0.05 {
				out["auto"] = 1
			}
		}
		answers[i] = out
	})
	total := map[string]float64{}
	for _, a := range answers {
		for k, v := range a {
			total[k] += v / float64(draws)
		}
	}
	return total
}

