package missing

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"utfall/estimate"
	"utfall/estimate/combine"
	"utfall/internal/num"
)

// An Analysis is the analysis of completed data; rows are the rows of the data as given
// that its variables hold, one for each of their values. It must not keep or change them.
type Analysis func(ctx context.Context, rows []int, completed []Variable) (*estimate.Result, error)

// Pool runs the analysis on each completed data set and pools by Rubin's rules with Barnard
// and Rubin's degrees of freedom ([combine.Rubin]); the complete-data degrees of freedom
// are those of the analysis. Details beside Rubin's: imputed {name: missing}.
//
// Valid where analysis and imputation models agree; where they do not (weights, matching,
// a model the imputation does not know) use [BootstrapImpute]. Errors are those of the
// analysis, with the number of the data set, and of Rubin's rules.
func (im *Imputations) Pool(ctx context.Context, level float64, workers int, a Analysis) (*estimate.Result, error) {
	rows := make([]int, len(im.data.Unit))
	for i := range rows {
		rows[i] = i
	}
	tables := make([]combine.Imputed, im.M)
	results := make([]*estimate.Result, im.M)
	errs := make([]error, im.M)
	num.ForEach(im.M, workers, func(k int) {
		if results[k], errs[k] = a(ctx, rows, im.Completed(k)); errs[k] != nil {
			return
		}
		tables[k] = combine.Imputed{Name: fmt.Sprintf("imputation %d", k+1), Estimates: results[k].Estimates}
		for _, e := range results[k].Estimates {
			df := e.Test.DF
			if math.IsNaN(df) {
				df = math.Inf(1)
			}
			tables[k].DF = append(tables[k].DF, df)
		}
	})
	for k, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("imputation %d: %w", k+1, err)
		}
	}
	res, err := combine.Rubin{Level: level}.Pool(tables)
	if err != nil {
		return nil, err
	}
	res.N = results[0].N
	gone := map[string]int{}
	for _, v := range im.Imputed {
		gone[v.Name] = v.Missing
	}
	res.Details["imputed"] = gone
	// Notes of the first data set: what differs between the others is the spread that is pooled.
	res.Notes = append(append(slices.Clone(im.Notes), results[0].Notes...), res.Notes...)
	return res, nil
}

// BootstrapImpute imputes inside the bootstrap: units (or whole clusters) are drawn with
// replacement Replicates times, each resample is imputed Impute.M times, and with θ_bm the
// estimates, B replicates and M imputations,
//
//	MSB = M·Σ(θ̄_b - θ̄)²/(B-1),  MSW = ΣΣ(θ_bm - θ̄_b)²/(B(M-1))
//	V = (B+1)/(BM)·MSB - MSW/M
//	df = V²/[((B+1)/(BM))²·MSB²/(B-1) + MSW²/(B·M²·(M-1))], at least 3
//
// the estimate is θ̄. Unlike Rubin's rules it needs neither an error from the analysis nor
// agreement between its model and the imputation's, and weights, matching and clusters are
// repeated with the people. V ≤ 0 is [estimate.ErrNotConverged]: take more replicates.
//
// A resampled unit is a unit of its own. Details: replicates, imputations, msb, msw, df by
// term. Source: von Hippel and Bartlett (2021), Statistical Science 36(3):400–420.
type BootstrapImpute struct {
	Impute     Impute // M: 0 = 2
	Replicates int    // 0 = 200
	Level      float64
	Cluster    []int // n numbers; nil = units are drawn
}

// Run imputes, analyses and pools.
func (b BootstrapImpute) Run(ctx context.Context, d Data, a Analysis) (*estimate.Result, error) {
	res, err := b.run(ctx, d, a)
	if err != nil {
		return nil, fmt.Errorf("bootstrap and impute: %w", err)
	}
	return res, nil
}

func (b BootstrapImpute) run(ctx context.Context, d Data, a Analysis) (*estimate.Result, error) {
	if b.Replicates == 0 {
		b.Replicates = 200
	}
	if b.Impute.M == 0 {
		b.Impute.M = 2
	}
	switch {
	case b.Replicates < 20 || b.Replicates > 100000:
		return nil, fmt.Errorf("%w: %d replicates; between 20 and 100000", ErrOption, b.Replicates)
	case b.Impute.M < 2:
		return nil, fmt.Errorf("%w: two imputations of each resample at least", ErrOption)
	case !(b.Level > 0 && b.Level < 1):
		return nil, fmt.Errorf("%w: the level lies between 0 and 1", ErrOption)
	case b.Cluster != nil && len(b.Cluster) != len(d.Unit):
		return nil, fmt.Errorf("%w: %d cluster numbers for %d rows", ErrOption, len(b.Cluster), len(d.Unit))
	}
	groups := b.units(d)
	if len(groups) < 2 {
		return nil, fmt.Errorf("%w: a bootstrap needs two clusters", estimate.ErrTooFew)
	}
	theta := make([][]*estimate.Result, b.Replicates)
	errs := make([]error, b.Replicates)
	num.ForEach(b.Replicates, b.Impute.Workers, func(r int) {
		theta[r], errs[r] = b.replicate(ctx, d, a, groups, r)
	})
	for r, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("replicate %d: %w", r+1, err)
		}
	}
	return b.pool(theta)
}

// units are the rows that are drawn together, in an order that is that of no file.
func (b BootstrapImpute) units(d Data) [][]int {
	order := make([]int, len(d.Unit))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return strings.Compare(d.Unit[i], d.Unit[j]) })
	var out [][]int
	at := map[int]int{}
	for _, i := range order {
		if b.Cluster == nil {
			out = append(out, []int{i})
			continue
		}
		g, ok := at[b.Cluster[i]]
		if !ok {
			g = len(out)
			at[b.Cluster[i]] = g
			out = append(out, nil)
		}
		out[g] = append(out[g], i)
	}
	return out
}

func (b BootstrapImpute) replicate(ctx context.Context, d Data, a Analysis, groups [][]int, r int) ([]*estimate.Result, error) {
	s := num.NewStream(b.Impute.Seed, "impute/bootstrap", uint64(r))
	var rows []int
	times := map[int]int{}
	e := Data{}
	for range groups {
		g := s.Intn(len(groups))
		times[g]++
		for _, i := range groups[g] {
			rows = append(rows, i)
			e.Unit = append(e.Unit, fmt.Sprintf("%s\x00%d", d.Unit[i], times[g]))
		}
	}
	for _, v := range d.Variables {
		w := v
		w.Values, w.Missing = make([]float64, len(rows)), make([]bool, len(rows))
		none := true
		for at, i := range rows {
			w.Values[at], w.Missing[at] = v.Values[i], v.missing(i)
			none = none && !w.Missing[at]
		}
		if none {
			w.Missing, w.Method = nil, ""
		}
		e.Variables = append(e.Variables, w)
	}
	if d.Arm != nil {
		for _, i := range rows {
			e.Arm = append(e.Arm, d.Arm[i])
		}
	}
	o := b.Impute
	o.Workers, o.Seed = 1, s.Uint64()
	if o.Donors > 0 && !slices.ContainsFunc(e.Variables, Variable.byDonors) && slices.ContainsFunc(d.Variables, Variable.byDonors) {
		o.Donors = 0 // by chance the resample lacks nothing that they would fill
	}
	im, err := o.Run(ctx, e)
	if err != nil {
		return nil, err
	}
	out := make([]*estimate.Result, o.M)
	for k := range out {
		if out[k], err = a(ctx, rows, im.Completed(k)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (b BootstrapImpute) pool(theta [][]*estimate.Result) (*estimate.Result, error) {
	B, M := float64(b.Replicates), float64(b.Impute.M)
	first := theta[0][0].Estimates
	res := &estimate.Result{Method: "bootstrap-impute", N: theta[0][0].N, Fit: estimate.Convergence{Converged: true}}
	details := map[string]map[string]float64{"msb": {}, "msw": {}}
	for j, e := range first {
		var means []float64
		msw := 0.0
		for _, reps := range theta {
			var v []float64
			for _, r := range reps {
				if len(r.Estimates) != len(first) || r.Estimates[j].Term != e.Term || r.Estimates[j].Measure != e.Measure {
					return nil, fmt.Errorf("%w: the analysis does not give the same terms in every resample; a level that is rare may be missing from some", estimate.ErrNotIdentified)
				}
				v = append(v, r.Estimates[j].Value)
			}
			mean, within := meanVar(v)
			means = append(means, mean)
			msw += within / B
		}
		mean, between := meanVar(means)
		msb := M * between
		v := (B+1)/(B*M)*msb - msw/M
		if !(v > 0) {
			return nil, fmt.Errorf("%w: the resamples of %q differ less than the imputations of one; take more replicates", estimate.ErrNotConverged, e.Term)
		}
		share := (B + 1) / (B * M) * msb
		df := v * v / (share*share/(B-1) + msw*msw/(B*M*M*(M-1)))
		res.Estimates = append(res.Estimates, estimate.Wald(e.Term, e.Measure, mean, math.Sqrt(v), math.Max(3, df), b.Level))
		details["msb"][e.Term], details["msw"][e.Term] = msb, msw
	}
	res.Details = map[string]any{"replicates": b.Replicates, "imputations": b.Impute.M, "msb": details["msb"], "msw": details["msw"]}
	return res, nil
}
