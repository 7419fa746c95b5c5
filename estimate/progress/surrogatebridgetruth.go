package progress

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/survive"
)

// Truths tests the forecast on older cohorts that take the programme's place one at a time, as it would have been made then: what
// leads to the outcome is learnt in the cohorts before, the effect forecast without the cohort's own outcomes, and held against the
// effect estimated from them. cohort numbers the n people of the sample in the order of time, below 0 for those of the programme, who
// have no part; the first cohort, and one that cannot be tested (too few, no overlap), has no row. The last row, of sample "older", is
// the mean of the others weighted by people, with the influence functions of all fits joined; without a row there is none.
//
// Errors: those of [OutcomeBridge.Fit] that are not about a cohort's data; [estimate.ErrInvalidFrame].
func (b OutcomeBridge) Truths(ctx context.Context, s *SurrogateSample, cohort []int) ([]SurrogateTruth, error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("outcome bridge: %w", err)
	}
	if len(cohort) != len(s.Unit) {
		return nil, fmt.Errorf("outcome bridge: %w: %d units, %d cohorts", estimate.ErrInvalidFrame, len(s.Unit), len(cohort))
	}
	b.Tilt, b.Region, b.Population = nil, nil, ""
	s, cohort = s.inTurn(cohort, math.MaxInt), slices.DeleteFunc(slices.Clone(cohort), func(c int) bool { return c < 0 })
	order := make([]int32, len(s.Unit))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(x, y int32) int { return strings.Compare(s.Unit[x], s.Unit[y]) })
	place := map[string]int{}
	for i, u := range s.Unit {
		place[u] = i
	}
	levels := slices.Compact(slices.Sorted(slices.Values(cohort)))
	all := SurrogateTruth{Sample: "older"}
	joint := mat.NewDense(len(s.Unit), 3, nil) // long-term, index, their difference
	var rows []SurrogateTruth
	binary := true
	for _, level := range levels[min(1, len(levels)):] {
		part := s.inTurn(cohort, level)
		res, err := b.Fit(ctx, part)
		if err != nil {
			if ctx.Err() == nil && (impossible(err) || noArm(err)) {
				continue
			}
			return nil, err
		}
		found, ok := res.Details["truth"].([]SurrogateTruth)
		if !ok || len(found) == 0 {
			continue
		}
		row := found[0]
		row.Sample = strconv.Itoa(level)
		rows = append(rows, row)
		k := slices.IndexFunc(res.Estimates, func(e estimate.Estimate) bool { return e.Term == "rectified" })
		binary = binary && res.Estimates[0].Measure == estimate.RiskDifference
		people := float64(row.Persons)
		all.Persons += row.Persons
		all.LongTerm, all.Index = all.LongTerm+float64(people*row.LongTerm), all.Index+float64(people*row.Index)
		for i, u := range res.InfluenceUnit {
			to := joint.RawRowView(place[u])
			to[0], to[1] = to[0]+float64(people*res.Influence.At(i, k)), to[1]+float64(people*res.Influence.At(i, 0))
		}
	}
	if len(rows) == 0 {
		return nil, nil
	}
	n := float64(all.Persons)
	all.LongTerm, all.Index = all.LongTerm/n, all.Index/n
	for i := range s.Unit {
		v := joint.RawRowView(i)
		v[0], v[1] = v[0]/n, v[1]/n
		v[2] = v[0] - v[1]
	}
	cov, _, err := survive.Covariance(joint, order, s.Cluster, b.Workers)
	if err != nil {
		return nil, err
	}
	all.LongTermError, all.IndexError = math.Sqrt(cov.At(0, 0)), math.Sqrt(cov.At(1, 1))
	all.Direct, all.DirectError = all.LongTerm-all.Index, math.Sqrt(cov.At(2, 2))
	all.judge(all.DirectError, s.Level, binary)
	return append(rows, all), nil
}

// inTurn is the sample with the older cohort of a number, if there is one, in the programme's place and those before it for the older.
func (s *SurrogateSample) inTurn(cohort []int, level int) *SurrogateSample {
	var rows []int
	for i, c := range cohort {
		if c >= 0 && (c < level || c == level && !math.IsNaN(s.Y[i]) && (s.TreatedKnown == nil || s.TreatedKnown[i])) {
			rows = append(rows, i)
		}
	}
	o := &SurrogateSample{SNames: s.SNames, XNames: s.XNames, Level: s.Level, Weight: estimate.Weights{Kind: s.Weight.Kind}}
	take := func(m *mat.Dense) *mat.Dense {
		if m == nil {
			return nil
		}
		_, k := m.Dims()
		out := mat.NewDense(len(rows), k, nil)
		for to, from := range rows {
			out.SetRow(to, m.RawRowView(from))
		}
		return out
	}
	o.S, o.X = take(s.S), take(s.X)
	number := map[int]int{}
	for _, i := range rows {
		o.Unit, o.Older, o.Treated, o.Y = append(o.Unit, s.Unit[i]), append(o.Older, cohort[i] != level), append(o.Treated, s.Treated[i]), append(o.Y, s.Y[i])
		if s.TreatedKnown != nil {
			o.TreatedKnown = append(o.TreatedKnown, s.TreatedKnown[i])
		}
		if s.Weight.Values != nil {
			o.Weight.Values = append(o.Weight.Values, s.Weight.Values[i])
		}
		if s.Fold != nil {
			o.Fold = append(o.Fold, s.Fold[i])
		}
		if s.Cluster != nil {
			c, ok := number[s.Cluster[i]]
			if !ok {
				c = len(number)
				number[s.Cluster[i]] = c
			}
			o.Cluster = append(o.Cluster, c)
		}
	}
	return o
}
