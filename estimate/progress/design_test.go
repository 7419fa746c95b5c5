package progress

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/num"
)

// params of a reversible ladder of states 0 … 5 with frailty u ~ N(0, 0.8²): each month
// exit to 0 with .003; else up with logit(up·(1, u, W)), down with logit(down·(1, u))·(1 − up).
type params struct {
	start []float64 // probabilities of the states 1, 2, …
	up    [3]float64
	down  [2]float64
	top   int
}

var (
	d1       = params{start: []float64{0.5, 0.3, 0.2}, up: [3]float64{-2.3, 0.8, 0.35}, down: [2]float64{-2.7, -0.8}, top: 5}
	d3       = params{start: []float64{0.8, 0.2}, up: [3]float64{-3.2, 0.5, 0.4}, down: [2]float64{-2.7, -0.5}, top: 5}
	sixSteps = Ladder{"0": 0, "1": 1, "2": 2, "3": 3, "4": 4, "5": 5}
	dropOut  = []float64{0, 0.06, 0.05, 0.03, 0.01, 0.005} // D2: by current step
)

const (
	exit    = 0.003
	frailty = 0.8
	months  = 24
)

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func (p params) rates(u, w float64) (up, down float64) {
	up = logistic(p.up[0] + p.up[1]*u + p.up[2]*w)
	return up, logistic(p.down[0]+p.down[1]*u) * (1 - up)
}

// far draws n persons an arm; observation ends at U{12 … 24}, or by step where drop is given.
func far(seed uint64, rep, n int, p params, drop []float64) *survive.Spells {
	s := &survive.Spells{States: []string{"0", "1", "2", "3", "4", "5"}, GroupNames: []string{"c", "t"}, Level: 0.95}
	for i := range 2 * n {
		st := num.NewStream(seed, fmt.Sprint("ladder", rep), uint64(i))
		w := i / n
		s.ID, s.Group = append(s.ID, fmt.Sprintf("p%05d", i)), append(s.Group, w)
		up, down := p.rates(frailty*st.Normal(), float64(w))
		end := months
		if drop == nil {
			end = 12 + st.Intn(13)
		}
		now, x := 1, st.Float()
		for x > p.start[now-1] && now < len(p.start) {
			x -= p.start[now-1]
			now++
		}
		start := 0
		add := func(to, stop int) {
			s.Person, s.From, s.To = append(s.Person, i), append(s.From, now), append(s.To, to)
			s.Start, s.Stop = append(s.Start, float64(start)), append(s.Stop, float64(stop))
			now, start = to, stop
		}
		for m := 1; m <= end; m++ {
			next := now
			switch x := st.Float(); {
			case st.Bernoulli(exit):
				next = 0
			case x < up:
				next = min(now+1, p.top)
			case x < up+down:
				next = max(now-1, 1)
			}
			if next != now {
				add(next, m)
			}
			if now == 0 {
				break
			}
			if m == end || drop != nil && st.Bernoulli(drop[now]) {
				if start < m {
					add(survive.Censored, m)
				}
				break
			}
		}
	}
	return s
}

// truth is exact: the frailty by a fine rectangle rule, months as they are simulated.
func (p params) truth() (net, work float64) {
	const points = 2001
	var P [2][months + 1][6]float64
	for w := range 2 {
		for i := range points {
			z := -8 + 16*float64(i)/(points-1)
			mass := math.Exp(-z*z/2) / math.Sqrt(2*math.Pi) * 16 / (points - 1)
			up, down := p.rates(frailty*z, float64(w))
			var q [6]float64
			for j, x := range p.start {
				q[j+1] = x
			}
			for m := range months + 1 {
				for j, x := range q {
					P[w][m][j] += mass * x
				}
				next := [6]float64{q[0]}
				for j := 1; j <= 5; j++ {
					x := q[j] * (1 - exit)
					next[0] += q[j] * exit
					next[min(j+1, p.top)] += x * up
					next[max(j-1, 1)] += x * down
					next[j] += x * (1 - up - down)
				}
				q = next
			}
		}
	}
	for m := range months {
		for j := range 6 {
			for h := range 6 {
				net += float64(sign(float64(j-h))) * P[1][m][j] * P[0][m][h]
			}
		}
		work += P[1][m][5] - P[0][m][5]
	}
	return net, work
}

// normal is the coverage of value ± z·se.
type tally struct{ mean, sd, se, coverage, normal float64 }

func simulate(t *testing.T, seed uint64, reps, n int, p params, drop []float64, cluster bool) (net, work tally) {
	t.Helper()
	trueNet, trueWork := p.truth()
	type draw struct{ net, work estimate.Estimate }
	draws := make([]draw, reps)
	num.ForEach(reps, 0, func(r int) {
		s := far(seed, r, n, p, drop)
		if cluster {
			for i := range s.ID {
				s.Cluster = append(s.Cluster, i)
			}
		}
		res, err := NetMonths{Ladder: sixSteps, Tau: months, Workers: 1}.Fit(t.Context(), s)
		if err != nil {
			t.Error(err)
			return
		}
		aj, err := survive.AalenJohansen{Tau: months, Workers: 1}.Fit(t.Context(), s)
		if err != nil {
			t.Error(err)
			return
		}
		draws[r].net = res.Estimates[0]
		for _, e := range aj.Estimates {
			if e.Term == "state=5,contrast=t-c" {
				draws[r].work = e
			}
		}
	})
	require.False(t, t.Failed())
	sum := func(of func(draw) estimate.Estimate, truth float64) (y tally) {
		var sq float64
		for _, d := range draws {
			e := of(d)
			y.mean += e.Value / float64(reps)
			sq += e.Value * e.Value / float64(reps)
			y.se += e.SE / float64(reps)
			if e.CI.Lo <= truth && truth <= e.CI.Hi {
				y.coverage += 1 / float64(reps)
			}
			if math.Abs(e.Value-truth) <= num.StudentQuantile(.95, math.Inf(1))*e.SE {
				y.normal += 1 / float64(reps)
			}
		}
		y.sd = math.Sqrt(sq - y.mean*y.mean)
		return y
	}
	net = sum(func(d draw) estimate.Estimate { return d.net }, trueNet)
	work = sum(func(d draw) estimate.Estimate { return d.work }, trueWork)
	t.Logf("truth net %.4f work %.4f; net %+.4v; work %+.4v", trueNet, trueWork, net, work)
	return net, work
}

// replicates is the number of replicates and the half-width of the band around 0.95:
// the design's two standard errors, and the 99.8% band when there are few.
func replicates() (int, float64) {
	reps, width := 1000, 2.0
	if testing.Short() {
		reps, width = 200, 3.09
	}
	return reps, width * math.Sqrt(0.95*0.05/float64(reps))
}

// The exact truths of D1 and D3, and that they are what the design's Monte Carlo says to two digits.
func TestTruths(t *testing.T) {
	net, work := d1.truth()
	require.InDelta(t, 2.395, net, 0.05)
	require.InDelta(t, 1.309, work, 0.01)
	net, _ = d3.truth()
	require.InDelta(t, 2.19, net, 0.06)
}

// D1: reversible ladder with frailty, random end of observation, 200 an arm.
func TestD1RandomCensoring(t *testing.T) {
	reps, band := replicates()
	trueNet, _ := d1.truth()
	net, work := simulate(t, 101, reps, 200, d1, nil, false)
	require.InDelta(t, trueNet, net.mean, 0.1+2*1.11/math.Sqrt(float64(reps)))
	require.InDelta(t, 1.11, net.sd, 0.12)
	require.InDelta(t, 1.12, net.se, 0.05)
	require.InDelta(t, 0.95, net.coverage, band)
	require.InDelta(t, 0.95, work.coverage, band)
}

// D2: drop-out by the current step.
func TestD2DropOutByStep(t *testing.T) {
	reps, band := replicates()
	trueNet, _ := d1.truth()
	net, work := simulate(t, 102, reps, 200, d1, dropOut, false)
	require.InDelta(t, trueNet, net.mean, 0.2)
	require.InDelta(t, net.sd, net.se, 0.12)
	require.InDelta(t, 0.95, net.coverage, band)
	require.InDelta(t, 0.943, work.coverage, band)
}

// D3: people far from work. Net months keep their coverage; months in work do with a score interval, and lose it with value ± z·se.
func TestD3FarFromWork(t *testing.T) {
	reps, band := replicates()
	trueNet, _ := d3.truth()
	net, work := simulate(t, 103, reps, 200, d3, nil, false)
	require.InDelta(t, trueNet, net.mean, 0.1+2*1.0/math.Sqrt(float64(reps)))
	require.InDelta(t, 0.95, net.coverage, band)
	require.InDelta(t, 0.95, work.coverage, band)
	require.Less(t, work.normal, 0.94)
}

// No effect: 5% of the tests reject, inside the 99.8% binomial band.
func TestNullRejectsAtItsLevel(t *testing.T) {
	p := d1
	p.up[2] = 0
	reps, _ := replicates()
	band := 3.09 * math.Sqrt(0.95*0.05/float64(reps))
	net, _ := simulate(t, 104, reps, 150, p, nil, true)
	require.InDelta(t, 0.95, net.coverage, band)
	require.InDelta(t, 0, net.mean, 3*net.sd/math.Sqrt(float64(reps)))
}
