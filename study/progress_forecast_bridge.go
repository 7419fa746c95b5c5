package study

import (
	"math"
	"strconv"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/progress"
)

// What links what came of older cohorts to what is forecast for those who started later.
const (
	assumeSurrogacy          = "surrogacy"
	assumeLatentUnconfounded = "latent-unconfoundedness"
	largestTilt              = 3.0 // odds by a factor of 20
)

func (f *Forecast) bridges() bool { return f.Assume == assumeLatentUnconfounded }

// fitted estimates the forecast under what is assumed.
func (f *Forecast) fitted(s *state, e progress.Surrogate, sample *progress.SurrogateSample) (*estimate.Result, error) {
	if f.bridges() {
		return progress.OutcomeBridge(e).Fit(s.ctx, sample)
	}
	return e.Fit(s.ctx, sample)
}

// olderYears are the calendar years in which older people whose outcome is known started; -1 for the others.
func (d *forecastData) olderYears(u *progressUnits) []int {
	year := make([]int, len(d.unit))
	for i, unit := range d.unit {
		if year[i] = -1; d.older[i] && !math.IsNaN(d.y[i]) {
			year[i] = u.zero[unit] / 12
		}
	}
	return year
}

// bridgeTests are the forecasts for older years, each from the years before it, against what came; the first is all of them together.
func (s *state) bridgeTests(u *progressUnits, d *forecastData, e progress.Surrogate) ([]truthTest, error) {
	year := d.olderYears(u)
	rows, err := progress.OutcomeBridge(e).Truths(s.ctx, d.sample, year)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	last, tested := len(rows)-1, map[int]bool{}
	out := make([]truthTest, 1, len(rows))
	for _, row := range rows[:last] {
		at, err := strconv.Atoi(row.Sample)
		if err != nil {
			return nil, err
		}
		tested[at] = true
		out = append(out, truthTest{label: row.Sample, row: row, basis: d.basis(u, func(i int) bool { return year[i] == at })})
	}
	out[0] = truthTest{row: rows[last], basis: d.basis(u, func(i int) bool { return tested[year[i]] })}
	return out, nil
}

// byArm is the sample with what the steps lead to apart for participants and the others, as the bridge has it.
func (d *forecastData) byArm() *progress.SurrogateSample {
	n, k := d.sample.S.Dims()
	out := *d.sample
	out.S, out.SNames = mat.NewDense(n, 2*k+1, nil), append([]string{}, d.sample.SNames...)
	for i := range n {
		row := out.S.RawRowView(i)
		copy(row, d.sample.S.RawRowView(i))
		if out.Treated[i] {
			row[k] = 1
			copy(row[k+1:], d.sample.S.RawRowView(i))
		}
	}
	out.SNames = append(out.SNames, "participant")
	for _, name := range d.sample.SNames {
		out.SNames = append(out.SNames, name+", participant")
	}
	return &out
}
