package progress

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/table"
)

// surrogateCells has no covariates and one surrogate of 0 and 1: rows are
// {older, treated (-1 not known), surrogate, outcome}.
func surrogateCells(rows ...[4]float64) *SurrogateSample {
	s := &SurrogateSample{S: mat.NewDense(len(rows), 1, nil), SNames: []string{"s"}, Level: 0.95}
	for i, r := range rows {
		s.Unit = append(s.Unit, fmt.Sprintf("u%03d", i))
		s.Older, s.Treated, s.TreatedKnown, s.Y = append(s.Older, r[0] == 1), append(s.Treated, r[1] == 1), append(s.TreatedKnown, r[1] >= 0), append(s.Y, r[3])
		s.S.Set(i, 0, r[2])
	}
	return s
}

var noOutcome = math.NaN()

// older: 3 of 4 with s = 1 have the outcome and 1 of 4 with s = 0; programme: s = 1 for 3 of
// 4 treated and 1 of 4 others.
func byHand(w ...float64) *SurrogateSample {
	rows := [][4]float64{
		{1, 1, 1, 1}, {1, 1, 1, 1}, {1, 0, 1, 1}, {1, 0, 1, 0}, {1, 1, 0, 1}, {1, 1, 0, 0}, {1, 0, 0, 0}, {1, 0, 0, 0},
		{0, 1, 1, noOutcome}, {0, 1, 1, noOutcome}, {0, 1, 1, noOutcome}, {0, 1, 0, noOutcome}, {0, 0, 1, noOutcome}, {0, 0, 0, noOutcome}, {0, 0, 0, noOutcome}, {0, 0, 0, noOutcome},
	}
	for i := range w {
		rows[i][1] = w[i]
	}
	return surrogateCells(rows...)
}

// ν(1) = 3/4, ν(0) = 1/4: ν̄₁ = 5/8, ν̄₀ = 3/8, index ¼; the corrections are 0 in saturated cells.
// ξ: 2·(±1)·(Y-ν) in the older cohort (½, ½, ½, -3/2 in each cell) and ±4(ν-ν̄) in the programme
// (the same), so that Σξ² = 12 and SE = √12/16. 1/(1-R²) = 4/3 with R² = ¼; breakdown 1/3. Its
// influence in the programme is ¼/6·(1, …) : 1/24 + ¼·(¼-4/3·1/16)/(3/2) = 5/72 for six and -15/72
// for two; in the older cohort 1/24 for six, -1/8 for two.
func TestSurrogateByHand(t *testing.T) {
	unknown := []float64{-1, -1, -1, -1, -1, -1, -1, -1}
	r, err := Surrogate{MinPerArm: 1}.Fit(t.Context(), byHand(unknown...))
	require.NoError(t, err)
	require.Len(t, r.Estimates, 3, "no long-term")
	requireClose := func(want, got float64) { t.Helper(); require.InDelta(t, want, got, 1e-12) }
	requireClose(0.25, r.Estimates[0].Value)
	requireClose(math.Sqrt(12)/16, r.Estimates[0].SE)
	require.Equal(t, estimate.RiskDifference, r.Estimates[0].Measure)
	require.True(t, math.IsNaN(r.Estimates[1].Value) && math.IsNaN(r.Estimates[1].SE))
	requireClose(1.0/3, r.Estimates[2].Value)
	requireClose(math.Sqrt(6*math.Pow(5.0/72, 2)+2*math.Pow(15.0/72, 2)+6.0/(24*24)+2.0/64), r.Estimates[2].SE)
	require.Equal(t, []string{"surrogacy-untested"}, noteCodes(r.Notes))
	requireClose(0.25, r.Details["partial_r2_treatment"].(float64))
	requireClose(1, r.Details["max_weight"].(float64))
	requireClose(8, r.Details["ess"].(float64))
	// Treatment balanced over the surrogate: direct and long-term are 3/4 - 1/4 and the linear index
	// 0; HC0: residuals ¼, ¼, ¼, -3/4 in each arm, Σe²·¼/2² = 3/32.
	r, err = Surrogate{MinPerArm: 1}.Fit(t.Context(), byHand())
	require.NoError(t, err)
	requireClose(0.5, r.Estimates[3].Value)
	requireClose(math.Sqrt(3.0/32), r.Estimates[3].SE)
	requireClose(0.5, r.Estimates[1].Value)
	truth := r.Details["truth"].([]SurrogateTruth)
	require.Len(t, truth, 2)
	requireClose(0, truth[0].Index)
	requireClose(0.5, truth[0].Difference)
	requireClose(0.5/3, truth[0].Margin)
	require.Equal(t, "unproven", truth[0].Verdict)
	require.Contains(t, noteCodes(r.Notes), "breakdown-within-reach", "0.5 is beyond 1/3")
}

func noteCodes(notes []table.Note) (codes []string) {
	for _, n := range notes {
		codes = append(codes, n.Code)
	}
	return codes
}

// With one surrogate of 0 and 1 and no covariates every model is a cell mean, so that
// cross-fitting can be done with a table of counts.
func TestSurrogateFoldsAreCells(t *testing.T) {
	var rows [][4]float64
	for i := range 300 {
		g, w, s := float64(i%2), float64(i/2%2), 0.0
		if (i*7+i/3)%5 < 2+int(w) {
			s = 1
		}
		y := noOutcome
		if g == 1 {
			y = 0.5*s + float64((i*11)%13)/13
		}
		rows = append(rows, [4]float64{g, w, s, y})
	}
	d := surrogateCells(rows...)
	for i := range rows {
		d.Fold = append(d.Fold, (i*i/7)%3)
	}
	r, err := Surrogate{}.Fit(t.Context(), d)
	require.NoError(t, err)
	mean := func(out int, value func(r [4]float64) float64, keep func(r [4]float64) bool) float64 {
		sum, n := 0.0, 0.0
		for i, row := range rows {
			if d.Fold[i] != out && keep(row) {
				sum, n = sum+value(row), n+1
			}
		}
		return sum / n
	}
	psi := make([]float64, len(rows))
	tau, n := 0.0, float64(len(rows))
	for i, row := range rows {
		k := d.Fold[i]
		nuAt := func(s float64) float64 {
			return mean(k, func(r [4]float64) float64 { return r[3] }, func(r [4]float64) bool { return r[0] == 1 && r[2] == s })
		}
		nu := [2]float64{nuAt(0), nuAt(1)}
		bar := func(w float64) float64 {
			return mean(k, func(r [4]float64) float64 { return nu[int(r[2])] }, func(r [4]float64) bool { return r[0] == 0 && r[1] == w })
		}
		rho := mean(k, func(r [4]float64) float64 { return r[1] }, func(r [4]float64) bool { return r[0] == 0 })
		rhoS := mean(k, func(r [4]float64) float64 { return r[1] }, func(r [4]float64) bool { return r[0] == 0 && r[2] == row[2] })
		gamma := mean(k, func(r [4]float64) float64 { return r[0] }, func(r [4]float64) bool { return r[2] == row[2] })
		if row[0] == 1 {
			psi[i] = 2 * (1 - gamma) / gamma * (rhoS - rho) / (rho * (1 - rho)) * (row[3] - nu[int(row[2])])
		} else {
			psi[i] = 2 * (row[1]*(nu[int(row[2])]-bar(1))/rho - (1-row[1])*(nu[int(row[2])]-bar(0))/(1-rho) + bar(1) - bar(0))
		}
		tau += psi[i] / n
	}
	v := 0.0
	for i, row := range rows {
		x := psi[i] - (1-row[0])*2*tau
		v += x * x
	}
	require.InDelta(t, tau, r.Estimates[0].Value, 1e-10)
	require.InDelta(t, math.Sqrt(v)/n, r.Estimates[0].SE, 1e-10)
	require.Equal(t, estimate.MeanDifference, r.Estimates[0].Measure)
}

func TestSurrogateRelations(t *testing.T) {
	s := d5(1, 0, 600, 0, false)
	fit := func(e Surrogate, s *SurrogateSample) *estimate.Result {
		t.Helper()
		r, err := e.Fit(t.Context(), s)
		require.NoError(t, err)
		return r
	}
	e := Surrogate{Folds: 5, Seed: 3}
	base := fit(e, s)
	require.Len(t, base.Estimates, 5, "with the rectified estimate, as all outcomes have come")
	// Rows in another order, workers: the same bytes.
	turned := s.pick(func(i int) int { return (i*7 + 3) % 600 })
	again := fit(Surrogate{Folds: 5, Seed: 3, Workers: 1}, turned)
	require.Equal(t, base.Estimates, again.Estimates)
	require.Equal(t, base.Details, again.Details)
	require.Equal(t, base.InfluenceUnit, again.InfluenceUnit)
	// The errors are those of the influence function.
	for k, est := range base.Estimates {
		sum := 0.0
		for i := range base.InfluenceUnit {
			sum += base.Influence.At(i, k) * base.Influence.At(i, k)
		}
		require.InEpsilon(t, est.SE, math.Sqrt(sum), 1e-12)
	}
	// The difference is the direct effect's part that surrogates do not share.
	for _, row := range base.Details["truth"].([]SurrogateTruth) {
		require.InDelta(t, row.Direct*(1-row.PartialR2), row.Difference, 1e-12)
	}
	// Arms exchanged: another sign.
	other := s.pick(func(i int) int { return i })
	for i := range other.Treated {
		other.Treated[i] = !other.Treated[i]
	}
	plain, swapped := fit(Surrogate{}, s), fit(Surrogate{}, other)
	for k := range plain.Estimates {
		require.InDelta(t, -plain.Estimates[k].Value, swapped.Estimates[k].Value, 1e-9)
		require.InDelta(t, plain.Estimates[k].SE, swapped.Estimates[k].SE, 1e-9)
	}
	// Surrogates and covariates in other units; outcome in other units with the linear model.
	units := s.pick(func(i int) int { return i })
	units.S.Apply(func(_, j int, v float64) float64 { return 1000*v + float64(j) }, units.S)
	units.X.Apply(func(_, _ int, v float64) float64 { return v/50 - 3 }, units.X)
	require.InDelta(t, plain.Estimates[0].Value, fit(Surrogate{}, units).Estimates[0].Value, 1e-9)
	linear := fit(Surrogate{OutcomeModel: "linear"}, s)
	scaled := s.pick(func(i int) int { return i })
	for i := range scaled.Y {
		scaled.Y[i] = 5 - 3*scaled.Y[i]
	}
	for k, est := range fit(Surrogate{}, scaled).Estimates {
		require.InDelta(t, -3*linear.Estimates[k].Value, est.Value, 1e-9)
	}
	// Each option moves the answer.
	for name, change := range map[string]Surrogate{"folds": {}, "seed": {Folds: 5, Seed: 4}, "fold number": {Folds: 4, Seed: 3}, "outcome": {Folds: 5, Seed: 3, OutcomeModel: "linear"},
		"treatment": {Folds: 5, Seed: 3, TreatmentModel: "constant"}, "population": {Folds: 5, Seed: 3, Population: "older"}} {
		require.NotEqual(t, base.Estimates[0].Value, fit(change, s).Estimates[0].Value, name)
	}
	// Clusters: each person one of their own is G/(G-1); pairs stay together.
	single := s.pick(func(i int) int { return i })
	for i := range single.Unit {
		single.Cluster = append(single.Cluster, i)
	}
	alone := fit(Surrogate{}, single)
	require.InEpsilon(t, plain.Estimates[0].SE*math.Sqrt(600.0/599), alone.Estimates[0].SE, 1e-12)
	require.Equal(t, 600, alone.N.Clusters)
	for i := range single.Cluster {
		single.Cluster[i] = i / 2
	}
	require.NotEqual(t, base.Estimates[0].Value, fit(e, single).Estimates[0].Value)
	// The programme's own outcomes are no part of the forecast; a third of them is said.
	require.Contains(t, noteCodes(base.Notes), "outcome-arrived")
	hidden := s.pick(func(i int) int { return i })
	for i, g := range hidden.Older {
		if !g {
			hidden.Y[i] = math.NaN()
		}
	}
	forecast := fit(e, hidden)
	require.Equal(t, base.Estimates[0], forecast.Estimates[0])
	require.Equal(t, base.Estimates[2], forecast.Estimates[2])
	require.NotEqual(t, base.Estimates[3], forecast.Estimates[3])
	require.NotContains(t, noteCodes(forecast.Notes), "outcome-arrived")
	// A column that follows from others is left out and said.
	more := s.pick(func(i int) int { return i })
	r, k := more.S.Dims()
	more.S = mat.NewDense(r, k+1, nil)
	for i := range r {
		a, b := s.S.At(i, 0), s.S.At(i, 1)
		more.S.SetRow(i, []float64{a, b, a + 2*b})
	}
	more.SNames = []string{"s", "s2", "sum"}
	extra := fit(e, more)
	require.Contains(t, noteCodes(extra.Notes), "collinear-dropped")
	require.InDelta(t, base.Estimates[0].Value, extra.Estimates[0].Value, 1e-12)
}

func TestSurrogateBad(t *testing.T) {
	good := func() *SurrogateSample { return d5(1, 0, 200, 0, false) }
	for name, c := range map[string]struct {
		e    Surrogate
		s    func(s *SurrogateSample)
		is   error
		says string
	}{
		"one fold":            {e: Surrogate{Folds: 1}, says: "at least 2"},
		"seed without folds":  {e: Surrogate{Seed: 1}, says: "seed goes with"},
		"outcome model":       {e: Surrogate{OutcomeModel: "forest"}, says: "linear, logistic"},
		"treatment model":     {e: Surrogate{TreatmentModel: "forest"}, says: "logistic, constant"},
		"population":          {e: Surrogate{Population: "all"}, says: "programme, older"},
		"few":                 {e: Surrogate{MinPerArm: 90}, is: estimate.ErrTooFew, says: "at least 90"},
		"too many folds":      {e: Surrogate{Folds: 90}, is: estimate.ErrTooFew, says: "90 folds"},
		"no older":            {s: func(s *SurrogateSample) { mark(s.Older, false) }, is: estimate.ErrTooFew, says: "older cohort"},
		"no programme":        {s: func(s *SurrogateSample) { mark(s.Older, true) }, is: estimate.ErrNoTreated},
		"no controls":         {s: func(s *SurrogateSample) { mark(s.Treated, true) }, is: estimate.ErrNoControls},
		"unknown treatment":   {s: func(s *SurrogateSample) { s.TreatedKnown = make([]bool, 200) }, is: estimate.ErrInvalidFrame, says: "treatment"},
		"twice":               {s: func(s *SurrogateSample) { s.Unit[3] = s.Unit[4] }, is: estimate.ErrInvalidFrame, says: "twice"},
		"infinite":            {s: func(s *SurrogateSample) { s.Y[3] = math.Inf(1) }, is: estimate.ErrInvalidFrame},
		"missing surrogate":   {s: func(s *SurrogateSample) { s.S.Set(3, 0, math.NaN()) }, is: estimate.ErrInvalidFrame, says: `"s"`},
		"constant surrogate":  {s: func(s *SurrogateSample) { fill(s.S, 1) }, is: estimate.ErrNotIdentified, says: "varies"},
		"logistic of numbers": {e: Surrogate{OutcomeModel: "logistic"}, s: func(s *SurrogateSample) { s.Y[0], s.Older[0] = 7, true }, is: estimate.ErrInvalidFrame},
		"folds of its own":    {e: Surrogate{Folds: 2}, s: func(s *SurrogateSample) { s.Fold = make([]int, 200) }, says: "folds of its own"},
		"one fold of its own": {s: func(s *SurrogateSample) { s.Fold = make([]int, 200) }, is: estimate.ErrInvalidFrame},
		"level":               {s: func(s *SurrogateSample) { s.Level = 0.4 }, is: estimate.ErrInvalidFrame},
		"cohorts apart": {s: func(s *SurrogateSample) {
			for i, g := range s.Older {
				if g {
					s.S.Set(i, 1, 100+s.S.At(i, 1))
				}
			}
		}, is: estimate.ErrSeparated, says: "s2"},
	} {
		t.Run(name, func(t *testing.T) {
			s := good()
			if c.s != nil {
				c.s(s)
			}
			r, err := c.e.Fit(t.Context(), s)
			require.Error(t, err)
			require.Nil(t, r)
			require.ErrorContains(t, err, c.says)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
		})
	}
	// Older people without outcome are left out and counted.
	s := good()
	gone := 0
	for i, g := range s.Older {
		if g && gone < 7 {
			s.Y[i] = math.NaN()
			gone++
		}
	}
	r, err := Surrogate{}.Fit(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, 193, r.N.Units)
	require.Equal(t, "older-outcome-missing", r.Notes[0].Code)
	require.Equal(t, 7, r.Notes[0].Args["persons"])
}

// The error of the truth test's difference is near the jackknife's, which refits the first stage too.
func TestSurrogateTruthErrorIsTheJackknifes(t *testing.T) {
	s := d5(4, 0, 300, .3, true)
	truth := func(s *SurrogateSample) SurrogateTruth {
		r, err := Surrogate{}.Fit(t.Context(), s)
		require.NoError(t, err)
		return r.Details["truth"].([]SurrogateTruth)[0]
	}
	n := len(s.Unit)
	sum, square := [2]float64{}, [2]float64{}
	for out := range n {
		known := make([]bool, n)
		for i := range known {
			known[i] = i != out || !s.Older[i]
		}
		less := *s
		less.TreatedKnown, less.Y = known, append([]float64(nil), s.Y...)
		if !s.Older[out] {
			less.Y[out] = math.NaN()
		}
		row := truth(&less)
		require.Equal(t, n-1, row.Persons)
		for k, v := range []float64{row.Difference, row.Index} {
			sum[k], square[k] = sum[k]+v, square[k]+v*v
		}
	}
	row := truth(s)
	for k, se := range []float64{row.StdError, row.IndexError} {
		require.InEpsilon(t, math.Sqrt(square[k]-sum[k]*sum[k]/float64(n)), se, .03)
	}
}
