package cohort

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/table"
)

func weigh(t testing.TB, tab *table.Table, w Weighting, d Spec) *Weighted {
	t.Helper()
	got, err := w.Fit(t.Context(), tab, d)
	require.NoError(t, err)
	return got
}

// Scores 1/4 and 4/5: a treated one of 1/4 weighs 4 (ate), 1 (att), 3 (atc), 3/4
// (overlap), 1 (matching: 1/4 over 1/4); an untreated one 4/3, 1/3, 1, 1/4 and 1/3. Of
// 4/5: treated 5/4, 1, 1/4, 1/5, 1/4; untreated 5, 4, 1, 4/5, 1.
func TestWeightingByHand(t *testing.T) {
	tab := scored(t, []int64{1, 0, 1, 0}, []float64{0.25, 0.25, 0.8, 0.8})
	for _, c := range []struct {
		w    Weighting
		want []float64
		aim  string
	}{
		{Weighting{Estimand: ATE}, []float64{4, 4.0 / 3, 1.25, 5}, ATE},
		{Weighting{}, []float64{1, 1.0 / 3, 1, 4}, ATT},
		{Weighting{Method: IPWMethod, Estimand: ATC}, []float64{3, 1, 0.25, 1}, ATC},
		{Weighting{Method: OverlapMethod}, []float64{0.75, 0.25, 0.2, 0.8}, ATO},
		{Weighting{Method: MatchingWeightsMethod}, []float64{1, 1.0 / 3, 0.25, 1}, ATM},
	} {
		got := weigh(t, tab, c.w, scoreSpec)
		for i, w := range c.want {
			require.InDelta(t, w, got.Weight[i], 1e-14, "%+v row %d", c.w, i+1)
		}
		require.Equal(t, c.aim, got.Estimand)
		// (Σw)²/Σw² of the untreated.
		a, b := c.want[1], c.want[3]
		require.InDelta(t, (a+b)*(a+b)/(a*a+b*b), got.ESSControl, 1e-13)
		require.True(t, math.IsNaN(got.Imbalance))
	}
}

// Treated have x = 1, 1, 0 (mean 2/3), untreated 1, 0, 0, 0. To reach 2/3 the one at 1
// has 2/3 of the untreated's weight of 4 and the others share 1/3: e^λ/3 = 2.
func TestEntropyByHand(t *testing.T) {
	tab := scored(t, []int64{1, 1, 1, 0, 0, 0, 0}, []float64{1, 1, 0, 1, 0, 0, 0})
	d := Spec{Treatment: "treated", ID: "id", Covariates: []string{"score"}}
	got := weigh(t, tab, Weighting{Method: EntropyMethod}, d)
	for i, w := range []float64{1, 1, 1, 8.0 / 3, 4.0 / 9, 4.0 / 9, 4.0 / 9} {
		require.InDelta(t, w, got.Weight[i], 1e-12)
	}
	// All have mean 3/7: the treated at 1 share 3/7 of 3, the untreated at 1 has 3/7 of 4.
	got = weigh(t, tab, Weighting{Method: EntropyMethod, Estimand: ATE}, d)
	for i, w := range []float64{9.0 / 14, 9.0 / 14, 12.0 / 7, 12.0 / 7, 16.0 / 21, 16.0 / 21, 16.0 / 21} {
		require.InDelta(t, w, got.Weight[i], 1e-12)
	}
	// A model with a parameter for every cell is exact: the balancing logit is the plain one.
	ipw := weigh(t, tab, Weighting{Estimand: ATE}, d)
	cbps := weigh(t, tab, Weighting{Method: CBPSMethod, Estimand: ATE}, d)
	for i := range ipw.Weight {
		require.InDelta(t, ipw.Weight[i], cbps.Weight[i], 1e-9)
	}
	require.InDelta(t, -math.Log(3), cbps.Coef[0], 1e-9) // 1 of 4 at x = 0
	require.InDelta(t, math.Log(2)+math.Log(3), cbps.Coef[1], 1e-9)
}

func weightData(seed uint64, n int) (plain, Spec) {
	return smooth(num.NewStream(seed, "weighting", 0), n), Spec{Treatment: "treated", ID: "id", Covariates: []string{"x0", "x1", "x2", "group"}}
}

func allWeightings() []Weighting {
	return []Weighting{
		{}, {Estimand: ATC}, {Estimand: ATE}, {Method: OverlapMethod}, {Method: MatchingWeightsMethod},
		{Method: EntropyMethod}, {Method: EntropyMethod, Estimand: ATC}, {Method: EntropyMethod, Estimand: ATE},
		{Method: CBPSMethod}, {Method: CBPSMethod, Estimand: ATC}, {Method: CBPSMethod, Estimand: ATE},
	}
}

// The means that are to be equal are, by the balance table, which is other code; and
// by overlap weights too, as the logit's score equations say so.
func TestWeightingBalances(t *testing.T) {
	p, d := weightData(41, 400)
	tab := p.table(t)
	for _, w := range allWeightings() {
		got := weigh(t, tab, w, d)
		exact := w.Method == EntropyMethod || w.Method == CBPSMethod || w.Method == OverlapMethod
		b, _, err := got.Balance(t.Context(), tab, d)
		require.NoError(t, err)
		for _, r := range b.Rows {
			if r.Variable == "distance" {
				continue
			}
			if exact {
				require.InDelta(t, r.After.MeanTreated, r.After.MeanControl, 1e-9, "%+v %s", w, r.Variable)
			}
			switch {
			case got.Estimand == ATT:
				require.InDelta(t, r.Before.MeanTreated, r.After.MeanTreated, 1e-12)
			case got.Estimand == ATC:
				require.InDelta(t, r.Before.MeanControl, r.After.MeanControl, 1e-12)
			case got.Estimand == ATE && w.Method == EntropyMethod:
				all := (r.Before.MeanTreated*float64(got.sizes(p)[1]) + r.Before.MeanControl*float64(got.sizes(p)[0])) / float64(len(p.id))
				require.InDelta(t, all, r.After.MeanTreated, 1e-9)
			}
		}
		if w.Method == EntropyMethod || w.Method == CBPSMethod {
			require.Less(t, got.Imbalance, 1e-10)
		}
		require.Equal(t, map[string]string{ATT: TreatedSD, ATC: ControlSD, ATE: PooledSD, ATO: PooledSD, ATM: PooledSD}[got.Estimand], b.Denominator)
	}
}

func (w *Weighted) sizes(p plain) (n [2]int) {
	for _, a := range p.treat {
		n[arm(a)]++
	}
	return n
}

// Row order and workers change no bit; units of measurement, shifts and the order of
// the columns nothing but rounding; swapping the groups swaps att and atc.
func TestWeightingInvariances(t *testing.T) {
	p, d := weightData(42, 300)
	s := num.NewStream(43, "order", 0)
	perm := indices(300)
	for i := range perm {
		j := s.Intn(i + 1)
		perm[i], perm[j] = perm[j], perm[i]
	}
	shuffled, scaled, swapped := p.take(perm), p.take(indices(300)), p.take(indices(300))
	for i := range scaled.id {
		scaled.x[0][i] = 1000*scaled.x[0][i] - 7
		scaled.x[1][i] *= -1e-4
		swapped.treat[i] = !swapped.treat[i]
	}
	mirror := map[string]string{ATT: ATC, ATC: ATT}
	for _, w := range allWeightings() {
		d.Workers = 1
		got := weigh(t, p.table(t), w, d)
		d.Workers = 3
		other := weigh(t, shuffled.table(t), w, d)
		for i, k := range perm {
			require.Equal(t, math.Float64bits(got.Weight[k]), math.Float64bits(other.Weight[i]), "%+v", w)
		}
		e := d
		e.Covariates = []string{"group", "x2", "x1", "x0"}
		units := weigh(t, scaled.table(t), w, e)
		turn := w
		if m, ok := mirror[got.Estimand]; ok {
			turn.Estimand = m
		}
		back := weigh(t, swapped.table(t), turn, d)
		for i := range got.Weight {
			require.InEpsilon(t, got.Weight[i], units.Weight[i], 1e-8, "%+v", w)
			require.InEpsilon(t, got.Weight[i], back.Weight[i], 1e-8, "%+v", w)
		}
	}
	// Entropy balancing and the balancing logit are one for att and atc (Zhao and Percival
	// 2017), up to the scale: both weigh a group by exp(λ'x) and balance the same means.
	for _, estimand := range []string{ATT, ATC} {
		a, b := weigh(t, p.table(t), Weighting{Method: EntropyMethod, Estimand: estimand}, d), weigh(t, p.table(t), Weighting{Method: CBPSMethod, Estimand: estimand}, d)
		n := a.sizes(p)
		factor := [2]float64{float64(n[1]) / float64(n[0]), 1}
		if estimand == ATC {
			factor = [2]float64{1, float64(n[0]) / float64(n[1])}
		}
		for i := range a.Weight {
			require.InEpsilon(t, a.Weight[i]*factor[arm(p.treat[i])], b.Weight[i], 1e-8)
		}
	}
}

// The effect differs by x, y = x + A(1 + x) + noise, x higher among the treated: each
// estimand has its own truth, and every method that aims at it finds it.
func TestWeightingFindsTheEstimand(t *testing.T) {
	s := num.NewStream(44, "effect", 0)
	const n = 20000
	p := fuzzed(s, n)
	y, tau := make([]float64, n), make([]float64, n)
	prob := make([]float64, n)
	for i := range n {
		for j := range p.x {
			p.x[j][i] = s.Normal()
		}
		prob[i] = num.LogitLink.Mean(-1 + 0.8*p.x[0][i])
		p.treat[i] = s.Bernoulli(prob[i])
		tau[i] = 1 + p.x[0][i]
		y[i] = p.x[0][i] + tau[i]*float64(arm(p.treat[i])) + s.Normal()
	}
	d := Spec{Treatment: "treated", ID: "id", Covariates: []string{"x0", "x1"}}
	tab := p.table(t)
	truth := map[string]func(q float64, a int) float64{
		ATT: func(_ float64, a int) float64 { return float64(a) }, ATC: func(_ float64, a int) float64 { return float64(1 - a) },
		ATE: func(float64, int) float64 { return 1 }, ATO: func(q float64, _ int) float64 { return q * (1 - q) },
		ATM: func(q float64, _ int) float64 { return math.Min(q, 1-q) },
	}
	for _, w := range allWeightings() {
		got := weigh(t, tab, w, d)
		var sum, weight [2]float64
		top, bottom := 0.0, 0.0
		for i := range n {
			a := arm(p.treat[i])
			sum[a] += got.Weight[i] * y[i]
			weight[a] += got.Weight[i]
			v := truth[got.Estimand](prob[i], a)
			top += v * tau[i]
			bottom += v
		}
		require.InDelta(t, top/bottom, sum[1]/weight[1]-sum[0]/weight[0], 0.08, "%+v", w) // some 4 standard errors of the worst, ate
	}
}

func TestWeightingBadInput(t *testing.T) {
	tab := cellTable(t)
	age := Spec{Treatment: "treated", ID: "id", Covariates: []string{"age"}}
	apart := scored(t, []int64{1, 1, 0, 0}, []float64{3, 4, 1, 2})
	self := Spec{Treatment: "treated", ID: "id", Covariates: []string{"score"}}
	twice, err := tab.With(table.NewFloat(table.Field{Name: "twice"}, []float64{140, 40, 60, 62, 42, 58, 78, 180, 100, 120}, nil))
	require.NoError(t, err)
	flat, err := tab.With(table.NewFloat(table.Field{Name: "flat"}, make([]float64, 10), nil))
	require.NoError(t, err)
	// Each column's mean can be reached, both together cannot: the treated are on a corner's far side.
	corner, err := table.New(table.NewInteger(table.Field{Name: "treated"}, []int64{1, 1, 0, 0, 0}, nil),
		table.NewFloat(table.Field{Name: "a"}, []float64{0.9, 0.8, 0, 1, 0}, nil), table.NewFloat(table.Field{Name: "b"}, []float64{0.8, 0.9, 0, 0, 1}, nil))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		t    *table.Table
		w    Weighting
		d    Spec
		want error
		text string
	}{
		"method":                 {tab, Weighting{Method: "stable"}, age, ErrOption, "stable"},
		"overlap for all":        {tab, Weighting{Method: OverlapMethod, Estimand: ATE}, age, ErrOption, "ato"},
		"ato by ipw":             {tab, Weighting{Method: IPWMethod, Estimand: ATO}, age, ErrOption, "att, atc, ate"},
		"nothing":                {tab, Weighting{}, Spec{Treatment: "treated"}, ErrOption, "covariates"},
		"score of entropy":       {tab, Weighting{Method: EntropyMethod}, Spec{Treatment: "treated", Score: "age", Covariates: []string{"sex"}}, ErrOption, "age"},
		"score beyond 1":         {tab, Weighting{}, Spec{Treatment: "treated", Score: "age"}, ErrNoSupport, "10 values"},
		"separated, ipw":         {apart, Weighting{}, self, ErrSeparation, "score"},
		"separated, entropy":     {apart, Weighting{Method: EntropyMethod}, self, ErrNoSupport, `"score"`},
		"separated, cbps":        {apart, Weighting{Method: CBPSMethod}, self, ErrNoSupport, `"score"`},
		"separated, cbps ate":    {apart, Weighting{Method: CBPSMethod, Estimand: ATE}, self, ErrNoSupport, `"score"`},
		"corner, entropy":        {corner, Weighting{Method: EntropyMethod}, Spec{Treatment: "treated", Covariates: []string{"a", "b"}}, ErrNoSupport, "no weights"},
		"corner, cbps":           {corner, Weighting{Method: CBPSMethod}, Spec{Treatment: "treated", Covariates: []string{"a", "b"}}, ErrNoSupport, "no weights"},
		"collinear":              {twice, Weighting{Method: EntropyMethod}, Spec{Treatment: "treated", Covariates: []string{"age", "twice"}}, ErrCovariate, "twice"},
		"constant":               {flat, Weighting{Method: CBPSMethod}, Spec{Treatment: "treated", Covariates: []string{"age", "flat"}}, ErrCovariate, "flat"},
		"the treatment":          {tab, Weighting{Method: EntropyMethod}, Spec{Treatment: "treated", Covariates: []string{"treated"}}, ErrCovariate, "treated"},
		"a level of one group":   {tab, Weighting{Method: EntropyMethod}, sexSpec, ErrNoSupport, "sex[x]"},
		"categories without any": {tab, Weighting{}, Spec{Treatment: "treated", Score: "age", Categorical: []string{"sex"}}, ErrOption, "categorical"},
	} {
		_, err := c.w.Fit(t.Context(), c.t, c.d)
		require.ErrorIs(t, err, c.want, name)
		require.ErrorContains(t, err, c.text, name)
	}
}

func TestWeightingNotes(t *testing.T) {
	tab := scored(t, []int64{1, 1, 0, 0, 0, 0, 0, 0}, []float64{0.05, 0.5, 0.95, 0.02, 0.02, 0.02, 0.02, 0.02})
	note := func(w Weighting, code string) map[string]any {
		for _, n := range weigh(t, tab, w, scoreSpec).Notes {
			if n.Code == code {
				return n.Args
			}
		}
		return nil
	}
	require.Equal(t, 2, note(Weighting{Estimand: ATE}, "scores-near-bounds")["n"])
	require.Equal(t, 1, note(Weighting{}, "scores-near-bounds")["n"])
	require.Equal(t, 1, note(Weighting{Estimand: ATC}, "scores-near-bounds")["n"])
	require.Nil(t, note(Weighting{Method: OverlapMethod}, "scores-near-bounds"))
	require.Equal(t, "control", note(Weighting{}, "thin-weights")["group"])
}
