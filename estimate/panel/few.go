package panel

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/table"
)

// A FewMethod is a way to an interval for a term when treated or comparison units are few.
type FewMethod string

// The methods; METHODS.md#few says what each rests on.
const (
	FewCR2           FewMethod = "cr2"           // adjusted cluster errors, t on Satterthwaite's degrees of freedom
	FewCR3           FewMethod = "cr3"           // the same with the residuals of a jackknife
	FewWild          FewMethod = "wild"          // restricted wild cluster bootstrap
	FewRandomisation FewMethod = "randomisation" // entry dates reassigned among the units
	FewSignChanges   FewMethod = "sign-changes"  // signs of the treated units' own effects flipped
	FewConleyTaber   FewMethod = "conley-taber"  // errors of the treated drawn from untreated units
	FewFermanPinto   FewMethod = "ferman-pinto"  // the same, rescaled by size
	FewPlacebo       FewMethod = "placebo"       // entry dates given to untreated units
	FewAuto          FewMethod = "auto"          // the chooser
	Studentised                = "studentised"   // statistic of randomisation
	Difference                 = "difference"    // statistic of randomisation
	fewDraws                   = 999             // default
	fewLeast                   = 99              // fewest draws
	fewEffort                  = 4_000_000_000   // draws × cells × units beyond which resampling is not tried
)

// FewMethods lists the methods in the order in which alternatives are shown.
func FewMethods() []FewMethod {
	return []FewMethod{FewCR2, FewCR3, FewWild, FewRandomisation, FewSignChanges, FewConleyTaber, FewFermanPinto, FewPlacebo}
}

// FewOptions are the options of [GroupTimeResult.Infer].
type FewOptions struct {
	// Method is the method to use; "" or "auto" lets the design choose.
	Method FewMethod
	// Draws is the number of draws of resampling methods; 0 = 999, at least 99. Where there
	// are no more possibilities than that, all are taken.
	Draws int
	Seed  uint64
	// Size holds the size of each unit (its inhabitants, say) by name: the variance of a
	// small unit's outcome is larger. Needed by ferman-pinto; nil = unknown.
	Size map[string]float64
	// Statistic of randomisation: "studentised" or "difference"; "" = studentised from five
	// treated units or clusters on, if no cohort of the term has one only.
	Statistic string
	// BalanceEvent as in [AggregateOptions].
	BalanceEvent *int
	Level        float64 // 0 = the frame's
	// Alternatives computes every method that can be, not the chosen one alone.
	Alternatives bool
	Workers      int

	onlyTest bool // no intervals: for simulations of the test's size
}

// A FewDesign is what the choice of a method rests on.
type FewDesign struct {
	Treated         int     `json:"treated"`          // units
	Comparison      int     `json:"comparison"`       // units, in the cell with the fewest
	Donors          int     `json:"donors"`           // units that every cell compares with
	Clusters        int     `json:"clusters"`         // of all these
	TreatedClusters int     `json:"treated_clusters"` // with a treated unit
	DF              float64 `json:"df"`               // Satterthwaite's, of cr2
	Effective       float64 `json:"effective_clusters"`
	Largest         float64 `json:"largest_share"` // of the variance, by one cluster, if errors are alike
	Alone           float64 `json:"alone_share"`   // of the variance, by clusters that are all of a cohort
	Serial          float64 `json:"serial_correlation"`
	SizeP           float64 `json:"size_p_value"` // that the variance does not depend on size
}

// A FewAnswer is what one method says about a term.
type FewAnswer struct {
	Method   FewMethod
	Estimate estimate.Estimate // without interval where Computed is false
	Computed bool
	Valid    bool // fit for the design
	Why      table.Note
	// Draws is how many a resampling method took, All whether they are all there are.
	Draws int
	All   bool
}

// A FewTerm is a term with the chosen method's interval.
type FewTerm struct {
	Estimate estimate.Estimate // SE NaN where every method is refused
	Chosen   FewMethod         // "" = refused
	Why      table.Note
	Design   FewDesign
	Answers  []FewAnswer
}

// FewResult is the answer of [GroupTimeResult.Infer].
type FewResult struct {
	Terms  []FewTerm
	Method FewMethod
	Draws  int
	fit    *GroupTimeResult
	infl   *mat.Dense
}

// Infer gives the terms of an aggregation intervals that hold with few treated or few
// comparison units. Estimates are those of Aggregate. The uncertainty is that of the
// units' errors given who entered when: unlike Aggregate's it has no part for the
// shares of the cohorts, which are what they are.
//
// Every method reduces a unit to one number a term, its outcomes times fixed weights
// over the periods, so that correlation over time within a unit does no harm. cr2, cr3
// and wild add up over clusters; METHODS.md#few has equations and conditions.
//
// With Method "auto" the first that the design allows is taken (see choose); where none
// is allowed the estimate has no interval and Why says what would help. A method that is
// named is used even where its conditions fail, with a note that says so.
//
// Errors: [ErrOption]; [estimate.ErrNotIdentified] when a named method cannot be computed.
func (r *GroupTimeResult) Infer(ctx context.Context, kind Aggregation, o FewOptions) (*FewResult, error) {
	res, err := r.infer(ctx, kind, o)
	if err != nil {
		return nil, fmt.Errorf("inference: %w", err)
	}
	return res, nil
}

func (o *FewOptions) check(r *GroupTimeResult) error {
	bad := func(format string, a ...any) error { return fmt.Errorf("%w: %s", ErrOption, fmt.Sprintf(format, a...)) }
	if o.Method == "" {
		o.Method = FewAuto
	}
	if o.Draws == 0 {
		o.Draws = fewDraws
	}
	if o.Level == 0 {
		o.Level = r.Level
	}
	if o.Workers == 0 {
		o.Workers = r.Options.Workers
	}
	names := []string{string(FewAuto)}
	for _, m := range FewMethods() {
		names = append(names, string(m))
	}
	switch {
	case !slices.Contains(names, string(o.Method)):
		return bad("method %q is not one of %s", o.Method, strings.Join(names, ", "))
	case o.Draws < fewLeast || o.Draws > 1<<20:
		return bad("%d draws; between %d and %d", o.Draws, fewLeast, 1<<20)
	case !(o.Level > 0 && o.Level < 1):
		return bad("confidence level %v is not between 0 and 1", o.Level)
	case o.Statistic != "" && o.Statistic != Studentised && o.Statistic != Difference:
		return bad("statistic %q is not one of %s, %s", o.Statistic, Studentised, Difference)
	case o.Statistic != "" && o.Method != FewAuto && o.Method != FewRandomisation:
		return bad("a statistic is for method %s", FewRandomisation)
	case o.Method == FewFermanPinto && o.Size == nil:
		return bad("method %s needs the sizes of the units", FewFermanPinto)
	case r.parts != nil:
		return bad("triple differences have errors from their influence functions only: these methods reassign whole units and know no parts")
	case r.Options.RepeatedCrossSection:
		return bad("units that are not followed cannot be reassigned; aggregate the rows to a panel first")
	}
	return nil
}

func (r *GroupTimeResult) infer(ctx context.Context, kind Aggregation, o FewOptions) (*FewResult, error) {
	if err := (AggregateOptions{BalanceEvent: o.BalanceEvent}).check(kind); err != nil {
		return nil, err
	}
	if err := o.check(r); err != nil {
		return nil, err
	}
	w, err := r.prepareFew(o, o.Level)
	if err != nil {
		return nil, err
	}
	out := &FewResult{Method: o.Method, Draws: o.Draws, fit: r}
	terms := w.terms(kind, o.BalanceEvent)
	if len(terms) == 0 {
		return nil, fmt.Errorf("%w: no cell of the aggregation can be estimated", estimate.ErrNotIdentified)
	}
	out.infl = mat.NewDense(w.l.n, len(terms), nil)
	for j, t := range terms {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t.spread()
		t.design.SizeP = math.NaN()
		if w.usable() == nil {
			t.design.SizeP = t.sizeTest()
		}
		answer, err := t.decide(o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		out.Terms = append(out.Terms, answer)
		for a, c := range t.cells {
			c.rows(func(row, pos int, _ bool) {
				out.infl.Set(pos, j, out.infl.At(pos, j)+float64(t.weight[a]*c.inf[row]))
			})
		}
	}
	return out, nil
}

// Result lays the terms out as a result. Details: method, draws and, by term, chosen,
// why, design and alternatives.
func (r *FewResult) Result() *estimate.Result {
	k := len(r.Terms)
	res := &estimate.Result{
		Method: "inference", N: r.fit.counts(), Fit: estimate.Convergence{Converged: true}, Influence: r.infl,
		InfluenceUnit: r.fit.layout.unit, Details: r.fit.details(),
	}
	for _, n := range r.fit.notes { // the choice has an answer to these
		if n.Code != "few-treated" && n.Code != "few-clusters" {
			res.Notes = append(res.Notes, n)
		}
	}
	sums := make([][]float64, k)
	chosen := make([]map[string]any, k)
	codes := map[string]bool{}
	for j := range r.Terms {
		t := &r.Terms[j]
		res.Estimates = append(res.Estimates, t.Estimate)
		sums[j] = mat.Col(nil, j, r.infl)
		if r.fit.layout.cluster != nil {
			sums[j] = r.fit.layout.clusterSums([]span{{0, r.fit.layout.n}}, sums[j])
		}
		rows := make([]map[string]any, len(t.Answers))
		for i, a := range t.Answers {
			e := a.Estimate
			rows[i] = map[string]any{"method": string(a.Method), "valid": a.Valid, "why": a.Why.Text, "std_error": e.SE,
				"conf_low": e.CI.Lo, "conf_high": e.CI.Hi, "p_value": e.Test.P, "computed": a.Computed}
			if a.Draws > 0 {
				rows[i]["draws"], rows[i]["all_possibilities"] = a.Draws, a.All
			}
		}
		chosen[j] = map[string]any{"term": t.Estimate.Term, "chosen": string(t.Chosen), "why": t.Why.Text, "design": t.Design, "alternatives": rows}
		if !codes[t.Why.Code] {
			codes[t.Why.Code] = true
			res.Notes = append(res.Notes, t.Why)
		}
	}
	res.Cov = covarianceOf(sums, 1)
	res.Details["inference"] = chosen
	res.Details["method"], res.Details["draws"] = string(r.Method), r.Draws
	return res
}

// Entries returns the cohort of each row, the first period in which its unit is treated
// (0 = never), from whether rows are treated.
//
// Errors: [ErrNotAbsorbing] with the row in which a unit is no longer treated;
// [ErrOption] when 0 is a period, so that it cannot stand for never.
func Entries(unit []string, time []int, treated []bool) ([]int, error) {
	first := map[string]int{}
	for i, u := range unit {
		if time[i] == 0 {
			return nil, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: period 0 cannot be told from never treated; number the periods from 1", ErrOption)}
		}
		if g, seen := first[u]; treated[i] && (!seen || time[i] < g) {
			first[u] = time[i]
		}
	}
	out := make([]int, len(unit))
	for i, u := range unit {
		g, ever := first[u]
		if ever && time[i] > g && !treated[i] {
			return nil, &estimate.RowError{Row: i, Err: fmt.Errorf("%w: it is treated in an earlier period; units must stay treated", ErrNotAbsorbing)}
		}
		out[i] = g
	}
	return out, nil
}
