package panel

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/effect"
	"utfall/table"
)

// Displacement estimates what a programme does to those who take part and to those who
// do not, by how many take part where they live (two-level exposure: Crépon, Duflo,
// Gurgand, Rathelot and Zamora 2013). Places, the clusters, have an intensity; those with
// none are the comparison. With P participation and B_b the bin of the place's intensity,
//
//	y = α + Σ_b (β_b·P·B_b + δ_b·(1-P)·B_b) + x'γ + ε
//
// by least squares: δ_b is the effect on non-participants of places in bin b (below 0
// where the good outcome is high: displacement), β_b that on participants, both against
// people in places without the programme; β_b - δ_b is what a comparison within places
// takes for the effect. It is causal in so far as places with and without, and within
// places participants and others, are alike given x.
//
// Errors are clustered on places (cr2 with Satterthwaite's degrees of freedom; cr1 with
// weights). Terms, B the lower border of a bin (exclusive):
// "participants,above=B", "non-participants,above=B", "within,above=B" (β - δ), and
// "net,above=B", the mean effect on everybody there, p·β + (1-p)·δ with p the share of
// participants among the people of the bin, taken as known. Details: bins {above, places,
// participants, others, share}, comparison {places, people}, vcov.
type Displacement struct {
	// Borders divide intensities above 0 into bins, ascending; nil = one bin.
	Borders []float64
	Workers int
}

// Fit estimates the effects. f.Treated is participation, f.Cluster the place, and
// intensity, one number of at least 0 for each row, the same within a place; nil takes
// the share of participants among the rows of the place.
//
// Errors: [ErrOption]; [estimate.ErrInvalidFrame]; [estimate.ErrNoControls] when no place
// has intensity 0; [estimate.ErrNoTreated] when a bin has no participants or no others;
// those of [effect.OLS].
func (d Displacement) Fit(ctx context.Context, f *estimate.Frame, intensity []float64) (*estimate.Result, error) {
	res, err := d.fit(ctx, f, intensity)
	if err != nil {
		return nil, fmt.Errorf("displacement: %w", err)
	}
	return res, nil
}

// displacementBin counts the people of a bin.
type displacementBin struct {
	above                float64
	participants, others int
	weightP, weight      float64
	places               map[int]bool
}

func (d Displacement) fit(ctx context.Context, f *estimate.Frame, intensity []float64) (*estimate.Result, error) {
	intensity, err := d.check(f, intensity)
	if err != nil {
		return nil, err
	}
	n := len(f.Y)
	edges := append([]float64{0}, d.Borders...)
	bins := make([]displacementBin, len(edges)+1) // the last is the comparison
	for b := range bins {
		bins[b].places = map[int]bool{}
		if b < len(edges) {
			bins[b].above = edges[b]
		}
	}
	of := make([]int, n)
	for i, v := range intensity {
		b := len(edges)
		for k := len(edges) - 1; k >= 0; k-- {
			if v > edges[k] {
				b = k
				break
			}
		}
		of[i] = b
		w := 1.0
		if f.Weight.Values != nil {
			w = f.Weight.Values[i]
		}
		bins[b].places[f.Cluster[i]] = true
		bins[b].weight += w
		if f.Treated[i] {
			bins[b].participants++
			bins[b].weightP += w
		} else {
			bins[b].others++
		}
	}
	if err := checkBins(bins); err != nil {
		return nil, err
	}
	k := len(f.XNames)
	g := *f
	g.Treated, g.Set = nil, nil
	g.XNames = nil
	for _, e := range edges {
		g.XNames = append(g.XNames, fmt.Sprintf("participants,above=%v", e), fmt.Sprintf("non-participants,above=%v", e))
	}
	g.XNames = append(g.XNames, f.XNames...)
	g.X = mat.NewDense(n, 2*len(edges)+k, nil)
	for i := range n {
		if b := of[i]; b < len(edges) {
			col := 2 * b
			if !f.Treated[i] {
				col++
			}
			g.X.Set(i, col, 1)
		}
		for j := range k {
			g.X.Set(i, 2*len(edges)+j, f.X.At(i, j))
		}
	}
	o := effect.OLS{Vcov: effect.CR2, Workers: d.Workers}
	if f.Weight.Values != nil {
		o.Vcov = effect.CR1
	}
	ols, err := o.Fit(ctx, &g)
	if err != nil {
		return nil, err
	}
	return d.combine(f, ols, bins, string(o.Vcov))
}

// check resolves the intensities.
func (d Displacement) check(f *estimate.Frame, intensity []float64) ([]float64, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	last := 0.0
	for _, b := range d.Borders {
		if !(b > last) || math.IsInf(b, 1) {
			return nil, fmt.Errorf("%w: borders must ascend and be above 0", ErrOption)
		}
		last = b
	}
	switch {
	case f.Treated == nil:
		return nil, fmt.Errorf("%w: who takes part is not given", estimate.ErrInvalidFrame)
	case f.Cluster == nil:
		return nil, fmt.Errorf("%w: the place of each person is needed", estimate.ErrInvalidFrame)
	}
	if intensity == nil {
		count, part := map[int]float64{}, map[int]float64{}
		for i, c := range f.Cluster {
			count[c]++
			if f.Treated[i] {
				part[c]++
			}
		}
		intensity = make([]float64, len(f.Y))
		for i, c := range f.Cluster {
			intensity[i] = part[c] / count[c]
		}
		return intensity, nil
	}
	if len(intensity) != len(f.Y) {
		return nil, fmt.Errorf("%w: %d intensities for %d outcomes", estimate.ErrInvalidFrame, len(intensity), len(f.Y))
	}
	first := map[int]int{}
	for i, v := range intensity {
		was, seen := first[f.Cluster[i]]
		if !seen {
			first[f.Cluster[i]] = i
		}
		switch {
		case !(v >= 0) || math.IsInf(v, 1):
			return nil, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: the intensity is not a finite number of at least 0", estimate.ErrInvalidFrame)}
		case seen && intensity[was] != v:
			return nil, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: the intensity differs from that of row %d of the same place", estimate.ErrInvalidFrame, was+1)}
		case v == 0 && f.Treated[i]:
			return nil, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: a participant in a place of intensity 0", estimate.ErrInvalidFrame)}
		}
	}
	return intensity, nil
}

func checkBins(bins []displacementBin) error {
	last := len(bins) - 1
	if len(bins[last].places) == 0 {
		return fmt.Errorf("%w: no place has intensity 0; without one displacement cannot be told from what happens anyway", estimate.ErrNoControls)
	}
	for _, b := range bins[:last] {
		if b.participants == 0 || b.others == 0 {
			return fmt.Errorf("%w: the bin above %v has no participants, or nobody else; give other borders", estimate.ErrNoTreated, b.above)
		}
	}
	return nil
}

// combine adds within and net to the coefficients.
func (d Displacement) combine(f *estimate.Frame, ols *estimate.Result, bins []displacementBin, vcov string) (*estimate.Result, error) {
	at := map[string]int{}
	for j, e := range ols.Estimates {
		at[e.Term] = j
	}
	last := len(bins) - 1
	res := &estimate.Result{Method: "displacement", N: ols.N, Fit: ols.Fit, InfluenceUnit: ols.InfluenceUnit, Details: map[string]any{"vcov": vcov}}
	for _, t := range f.Treated {
		if t {
			res.N.Treated++
		}
	}
	var forms [][3]any // term, index and weight of two coefficients
	rows := make([]map[string]any, 0, last)
	for _, b := range bins[:last] {
		p, q := at[fmt.Sprintf("participants,above=%v", b.above)], at[fmt.Sprintf("non-participants,above=%v", b.above)]
		if math.IsNaN(ols.Estimates[p].Value) || math.IsNaN(ols.Estimates[q].Value) {
			return nil, fmt.Errorf("%w: covariates tell who lives in places of the bin above %v", estimate.ErrCollinear, b.above)
		}
		share := b.weightP / b.weight
		for _, x := range []struct {
			term string
			a, b float64
		}{{"participants", 1, 0}, {"non-participants", 0, 1}, {"within", 1, -1}, {"net", share, 1 - share}} {
			forms = append(forms, [3]any{fmt.Sprintf("%s,above=%v", x.term, b.above), [2]int{p, q}, [2]float64{x.a, x.b}})
		}
		rows = append(rows, map[string]any{"above": b.above, "places": len(b.places), "participants": b.participants, "others": b.others, "share": share})
	}
	n, _ := ols.Influence.Dims()
	res.Influence = mat.NewDense(n, len(forms), nil)
	cov := mat.NewDense(len(forms), len(ols.Estimates), nil)
	for j, form := range forms {
		i, w := form[1].([2]int), form[2].([2]float64)
		var value, df float64 = 0, math.Inf(1)
		for s := range 2 {
			cov.Set(j, i[s], w[s])
			value += float64(w[s] * ols.Estimates[i[s]].Value)
			if w[s] != 0 {
				df = min(df, ols.Estimates[i[s]].Test.DF)
			}
			for r := range n {
				res.Influence.Set(r, j, res.Influence.At(r, j)+float64(w[s]*ols.Influence.At(r, i[s])))
			}
		}
		variance := 0.0
		for s := range 2 {
			for u := range 2 {
				variance += float64(float64(w[s]*w[u]) * ols.Cov.At(i[s], i[u]))
			}
		}
		res.Estimates = append(res.Estimates, estimate.Wald(form[0].(string), estimate.MeanDifference, value, math.Sqrt(max(0, variance)), df, f.Level))
	}
	var half, full mat.Dense
	half.Mul(cov, ols.Cov)
	full.Mul(&half, cov.T())
	res.Cov = mat.NewSymDense(len(forms), nil)
	for a := range forms {
		for b := range a + 1 {
			res.Cov.SetSym(a, b, full.At(a, b))
		}
	}
	res.Details["bins"] = rows
	res.Details["comparison"] = map[string]any{"places": len(bins[last].places), "people": bins[last].others}
	for _, note := range ols.Notes {
		if !strings.HasPrefix(note.Code, "few-effective") && !slices.ContainsFunc(res.Notes, func(o table.Note) bool { return o.Code == note.Code }) {
			res.Notes = append(res.Notes, note)
		}
	}
	return res, nil
}
