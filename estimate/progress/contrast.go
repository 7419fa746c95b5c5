package progress

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate/survive"
	"utfall/internal/num"
)

// contrast holds two arms and the functionals that compare them, column by column:
// net, win, loss months; win and loss probability at each time; net months of each
// further ladder; and, not reported as estimates, P(Y ≤ k) of participants less
// comparison at each time for each step k below the highest.
type contrast struct {
	arms    [2]*survive.Occupation // comparison, participants
	ladders [][]int
	cuts    []int // steps of the main ladder but the highest
	tau     float64
	at      []float64
	value   []float64
	// mass[a][k*K+h] is ∫ p_h of the other arm over step k of arm a, up to tau.
	mass  [2][]float64
	index [2][]int // by arm: the step that holds at each time
}

func newContrast(arms [2]*survive.Occupation, ladders [][]int, tau float64, at []float64) *contrast {
	c := &contrast{arms: arms, ladders: ladders, tau: tau, at: at}
	c.cuts = slices.Compact(slices.Sorted(slices.Values(ladders[0])))
	c.cuts = c.cuts[:len(c.cuts)-1]
	for a, o := range arms {
		c.mass[a] = overlap(o, arms[1-a], tau)
		for _, t := range at {
			c.index[a] = append(c.index[a], o.Index(t))
		}
	}
	c.evaluate()
	return c
}

func (c *contrast) reported() int { return 3 + 2*len(c.at) + len(c.ladders) - 1 }
func (c *contrast) columns() int  { return c.reported() + len(c.at)*len(c.cuts) }

// overlap integrates the probabilities of another arm over each step of an arm.
func overlap(own, other *survive.Occupation, tau float64) []float64 {
	K := len(own.States)
	mass := make([]float64, len(own.Times)*K)
	o := 0
	for k, t := range own.Times {
		end := t + own.Duration(k, tau)
		for t < end {
			stop := end
			if o+1 < len(other.Times) {
				stop = min(end, other.Times[o+1])
			}
			for h := range K {
				mass[k*K+h] += float64((stop - t) * other.P[o*K+h])
			}
			t = stop
			if o+1 < len(other.Times) && other.Times[o+1] == t {
				o++
			}
		}
	}
	return mass
}

// score is what state j is worth against the states of the other arm, of which mass
// says how much there is: kind 0 net, 1 win, 2 loss of participants. From the
// comparison arm's side a win is a lower step.
func score(step []int, j, arm, kind int, mass []float64) float64 {
	var win, loss float64
	for h, m := range mass {
		d := step[j] - step[h]
		if arm == 0 {
			d = -d
		}
		switch {
		case d > 0:
			win += m
		case d < 0:
			loss += m
		}
	}
	switch kind {
	case 0:
		return win - loss
	case 1:
		return win
	}
	return loss
}

// cost is what functional q pays for state j of an arm in step k; the value of q is Σ P·cost
// over the participants' steps (for the last kind: over both arms').
func (c *contrast) cost(q, arm, k, j int) float64 {
	K := len(c.arms[arm].States)
	times := 2 * len(c.at)
	switch {
	case q < 3:
		return score(c.ladders[0], j, arm, q, c.mass[arm][k*K:(k+1)*K])
	case q < 3+times:
		a := (q - 3) / 2
		if c.index[arm][a] != k {
			return 0
		}
		return score(c.ladders[0], j, arm, 1+(q-3)%2, c.other(arm, a))
	case q < c.reported():
		return score(c.ladders[1+q-3-times], j, arm, 0, c.mass[arm][k*K:(k+1)*K])
	}
	a, cut := (q-c.reported())/len(c.cuts), (q-c.reported())%len(c.cuts)
	if c.index[arm][a] != k || c.ladders[0][j] > c.cuts[cut] {
		return 0
	}
	return float64(2*arm - 1)
}

// other returns the probabilities of the other arm at the a-th time.
func (c *contrast) other(arm, a int) []float64 {
	o, K := c.arms[1-arm], len(c.arms[arm].States)
	k := c.index[1-arm][a]
	return o.P[k*K : (k+1)*K]
}

func (c *contrast) evaluate() {
	c.value = make([]float64, c.columns())
	for q := range c.value {
		for arm := 1; arm >= 0; arm-- {
			if arm == 0 && q < c.reported() {
				break
			}
			o := c.arms[arm]
			K := len(o.States)
			var terms []float64
			for k := range o.Times {
				for j := range K {
					if p := o.P[k*K+j]; p != 0 {
						terms = append(terms, float64(p*c.cost(q, arm, k, j)))
					}
				}
			}
			c.value[q] += num.Sum(terms)
		}
	}
	for a, t := range c.at {
		if !c.arms[0].Observed(t) || !c.arms[1].Observed(t) {
			for _, q := range c.atTime(a) {
				c.value[q] = math.NaN()
			}
		}
	}
}

// atTime lists the columns that belong to the a-th time.
func (c *contrast) atTime(a int) []int {
	cols := []int{3 + 2*a, 4 + 2*a}
	for cut := range c.cuts {
		cols = append(cols, c.reported()+a*len(c.cuts)+cut)
	}
	return cols
}

// erase marks the influence on what does not exist at the a-th time.
func (c *contrast) erase(inf *mat.Dense, a int) {
	for _, o := range c.arms {
		for _, p := range o.Persons {
			for _, q := range c.atTime(a) {
				inf.Set(p, q, math.NaN())
			}
		}
	}
}

// influence returns persons × columns; the arms are independent up to clusters.
func (c *contrast) influence(persons, workers int) *mat.Dense {
	m := c.columns()
	out := mat.NewDense(persons, m, nil)
	for arm, o := range c.arms {
		inf := o.Influences(m, workers, func(k, from, to int, v []float64) {
			for j := range o.States {
				for q := from; q < to; q++ {
					v[j*(to-from)+q-from] += c.cost(q, arm, k, j)
				}
			}
		})
		for r, p := range o.Persons {
			copy(out.RawRowView(p), inf[r*m:(r+1)*m])
		}
	}
	return out
}
