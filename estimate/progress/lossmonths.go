package progress

import (
	"fmt"
	"math"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/num"
	"utfall/table"
)

// monthWeights are 1/Ĝ by person and month: what a person who is still observed counts for beside her or his own weight.
type monthWeights struct {
	inverse []float64 // n×Length; 0 where the person is not observed
	length  int
	lost    int // persons lost while others of their group were observed
	largest float64
}

// LossWeights are what everybody who is observed in the last month counts for beside her or his own weight, so that those observed
// stand in for those of the same group lost in the same state in an earlier month: 1/Ĝ(Length − 1), 0 for who is not observed then. lost
// counts the persons who are stood in for. Errors: [estimate.ErrInvalidFrame], [estimate.ErrTooFew] without anybody observed.
func (m *Months) LossWeights() (inverse []float64, lost int, err error) {
	if err := m.check(); err != nil {
		return nil, 0, err
	}
	order, _, err := m.order(1)
	if err != nil {
		return nil, 0, err
	}
	w := m.lossWeights(order)
	for i := range m.Unit {
		inverse = append(inverse, w.of(i)[m.Length-1])
	}
	return inverse, w.lost, nil
}

// lossWeights are those of [survive.ReweighLoss] on whole months: in each group, those whose last observed month was u − 1, in
// state j, are stood in for by those in j in that month who are observed in u,
//
//	1/Ĝ_i(k) = Π_{u ≤ k} (1 + l(u, x_i(u−1))/n(u, x_i(u−1)))
//
// with l the weight of those lost and n of those who stay; where nobody stays, nobody can stand in, and the factor is 1.
func (m *Months) lossWeights(order []int32) *monthWeights {
	K, L := len(m.States), m.Length
	out := &monthWeights{inverse: make([]float64, len(m.Code)), length: L, largest: 1}
	for g := range 2 {
		var members []int
		longest := 0
		for _, p := range order {
			if i := int(p); m.group(i) == g {
				members, longest = append(members, i), max(longest, len(m.seen(i)))
			}
		}
		lost, stay := make([][]float64, L*K), make([][]float64, L*K)
		for _, i := range members {
			code := m.seen(i)
			for u := 1; u < len(code); u++ {
				c := u*K + int(code[u-1])
				stay[c] = append(stay[c], m.weight(i))
			}
			if u := len(code); u < longest {
				c := u*K + int(code[u-1])
				lost[c] = append(lost[c], m.weight(i))
				out.lost++
			}
		}
		factor := make([]float64, L*K)
		for c := range factor {
			factor[c] = 1
			if n := num.Sum(stay[c]); n > 0 {
				factor[c] += num.Sum(lost[c]) / n
			}
		}
		for _, i := range members {
			w, code := 1.0, m.seen(i)
			for u := range code {
				if u > 0 {
					w *= factor[u*K+int(code[u-1])]
				}
				out.inverse[i*L+u] = w
			}
			out.largest = math.Max(out.largest, w)
		}
	}
	return out
}

func (w *monthWeights) of(i int) []float64 { return w.inverse[i*w.length : (i+1)*w.length] }

func (w *monthWeights) note() table.Note {
	return table.Note{Code: "loss-reweighed", Text: "Those who are still followed stand in for those who were lost in the same state at the same time.", Args: map[string]any{"persons": w.lost, "largest": w.largest}}
}

// pieces are rows of competing events with weights that change over time: a row for every time in which a person's weight does
// not change. Their clock is one month ahead, as a row begins before it ends.
type pieces struct {
	c     *survive.Competing
	owner []int // by row: its place among the persons whose clock starts
}

// reweighed gives the rows of persons with clocks; month is that by which it is known what happens at time 0.
func (w *monthWeights) reweighed(c *survive.Competing, person, month []int) *pieces {
	out := &pieces{c: &survive.Competing{CauseNames: c.CauseNames}}
	o := out.c
	o.Level, o.GroupNames, o.Weight.Kind = c.Level, c.GroupNames, c.Weight.Kind
	if c.Weight.Values == nil {
		o.Weight.Kind = estimate.Sampling
	}
	for q, i := range person {
		inverse, base, last := w.of(i)[month[q]:], 1.0, int(c.Time[q])
		if c.Weight.Values != nil {
			base = c.Weight.Values[q]
		}
		for from := 0; from <= last; {
			to := from
			for to < last && inverse[to+1] == inverse[from] {
				to++
			}
			cause := survive.Censored
			if to == last {
				cause = c.Cause[q]
			}
			o.Unit = append(o.Unit, fmt.Sprintf("%s\x00%06d", c.Unit[q], from))
			o.Entry, o.Time, o.Cause = append(o.Entry, float64(from)), append(o.Time, float64(to+1)), append(o.Cause, cause)
			o.Weight.Values = append(o.Weight.Values, base*inverse[from])
			if c.Group != nil {
				o.Group = append(o.Group, c.Group[q])
			}
			cluster := q
			if c.Cluster != nil {
				cluster = c.Cluster[q]
			}
			o.Cluster = append(o.Cluster, cluster)
			out.owner = append(out.owner, q)
			from = to + 1
		}
	}
	return out
}

// persons puts a result on the pieces back on the persons and on their own clock.
func (p *pieces) persons(res *estimate.Result, c *survive.Competing, at []float64) {
	k := len(res.Estimates)
	if res.Influence != nil {
		_, columns := res.Influence.Dims()
		own := mat.NewDense(len(c.Unit), columns, nil)
		for row, q := range p.owner {
			to := own.RawRowView(q)
			for j, v := range res.Influence.RawRowView(row) {
				to[j] += v
			}
		}
		res.Influence = own
	}
	res.InfluenceUnit, res.N.Units = c.Unit, len(c.Unit)
	for j := range k {
		e := &res.Estimates[j]
		for _, t := range at {
			if rest, ok := strings.CutPrefix(e.Term, "time="+survive.FormatTime(t+1)+","); ok {
				e.Term = "time=" + survive.FormatTime(t) + "," + rest
				break
			}
		}
	}
	units := map[string]int{}
	for q := range c.Unit {
		name := ""
		if c.Group != nil {
			name = c.GroupNames[c.Group[q]]
		}
		units[name]++
	}
	counts, _ := res.Details["counts"].([]survive.CauseCount)
	for j := range counts {
		counts[j].Units = units[counts[j].Group]
	}
	for j := range res.Notes {
		n := &res.Notes[j]
		for _, name := range []string{"time", "last"} {
			if t, ok := n.Args[name].(float64); ok && n.Code == "beyond-follow-up" {
				n.Args[name] = t - 1
			}
		}
	}
}
