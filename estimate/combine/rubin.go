package combine

import (
	"fmt"
	"math"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/table"
)

// Imputed is the answer of one method on one completed data set.
type Imputed struct {
	Name      string // for messages
	Estimates []estimate.Estimate
	// DF are the complete-data degrees of freedom of each estimate; +Inf for the normal
	// distribution, nil for all of them.
	DF []float64
}

// Rubin pools the answers of one method on m completed data sets. With q̂ᵢ and uᵢ = SEᵢ²,
//
//	q̄ = Σq̂ᵢ/m,  ū = Σuᵢ/m,  b = Σ(q̂ᵢ-q̄)²/(m-1),  T = ū + (1+1/m)b
//	λ = (1+1/m)b/T,  r = (1+1/m)b/ū,  ν₁ = (m-1)/λ²
//	ν₂ = (ν+1)/(ν+3)·ν·(1-λ),  df = ν₁ν₂/(ν₁+ν₂)
//	fmi = (r + 2/(df+3))/(1+r)
//
// with ν the complete-data degrees of freedom (the smallest, with the note
// "df-differ", if the tables differ; ν = ∞ gives df = ν₁). Interval and test are of
// Student's t on df. Where b = 0 nothing is known to be missing: df = ν₂ and fmi = 0.
//
// Terms and measures are those of the tables, in the order of the first. Pool on the
// scale on which the estimate is nearly normal: log ratios, not ratios.
// Details, each {term: number} (key "term,measure" where a term has several): fmi,
// lambda, riv, ubar, b, t, df, dfcom (null for ∞), df_rubin1987; and m.
//
// Errors: [estimate.ErrTooFew] (one table), [ErrTables] (a term that is missing or twice),
// [estimate.ErrInvalidFrame] (a number that is not finite, a negative error, df ≤ 0).
//
// Source: Rubin (1987); Barnard and Rubin (1999), Biometrika 86:948–955.
type Rubin struct {
	Level float64
}

// Pool returns the pooled estimates.
func (o Rubin) Pool(tables []Imputed) (*estimate.Result, error) {
	res, err := o.pool(tables)
	if err != nil {
		return nil, fmt.Errorf("rubin's rules: %w", err)
	}
	return res, nil
}

type poolKey struct {
	term    string
	measure estimate.Measure
}

func (o Rubin) pool(tables []Imputed) (*estimate.Result, error) {
	m := len(tables)
	switch {
	case !(o.Level > 0 && o.Level < 1):
		return nil, fmt.Errorf("%w: confidence level %v is not between 0 and 1", ErrOption, o.Level)
	case m < 2:
		return nil, fmt.Errorf("%w: %d table; the spread between completed data sets needs two", estimate.ErrTooFew, m)
	case len(tables[0].Estimates) == 0:
		return nil, fmt.Errorf("%w: %s has no estimate", estimate.ErrTooFew, tables[0].Name)
	}
	rows := make([]map[poolKey]int, m)
	terms := map[string]int{}
	for i, t := range tables {
		var err error
		if rows[i], err = t.index(); err != nil {
			return nil, err
		}
		if len(rows[i]) != len(rows[0]) {
			return nil, fmt.Errorf("%w: %s has %d estimates, %s has %d", ErrTables, t.Name, len(rows[i]), tables[0].Name, len(rows[0]))
		}
	}
	for _, e := range tables[0].Estimates {
		terms[e.Term]++
	}
	res := &estimate.Result{Method: "pool", Fit: estimate.Convergence{Converged: true}}
	details := map[string]map[string]float64{}
	put := func(name, key string, v float64) {
		if details[name] == nil {
			details[name] = map[string]float64{}
		}
		details[name][key] = v
	}
	differ := 0
	q, u := make([]float64, m), make([]float64, m)
	for _, first := range tables[0].Estimates {
		k := poolKey{first.Term, first.Measure}
		dfcom := math.Inf(1)
		same := true
		for i, t := range tables {
			at, ok := rows[i][k]
			if !ok {
				return nil, fmt.Errorf("%w: %s has no term %q with measure %q", ErrTables, t.Name, k.term, k.measure)
			}
			q[i], u[i] = t.Estimates[at].Value, float64(t.Estimates[at].SE*t.Estimates[at].SE)
			v := t.df(at)
			if i > 0 && v != dfcom {
				same = false
			}
			dfcom = math.Min(dfcom, v)
		}
		if !same {
			differ++
		}
		p := rubin(q, u, dfcom)
		res.Estimates = append(res.Estimates, estimate.Wald(first.Term, first.Measure, p.q, math.Sqrt(p.t), p.df, o.Level))
		key := k.term
		if terms[k.term] > 1 {
			key += "," + string(k.measure)
		}
		for name, v := range map[string]float64{"fmi": p.fmi, "lambda": p.lambda, "riv": p.r, "ubar": p.u, "b": p.b, "t": p.t, "df": p.df, "dfcom": dfcom, "df_rubin1987": p.old} {
			put(name, key, v)
		}
	}
	res.Details = map[string]any{"m": m}
	for name, v := range details {
		res.Details[name] = v
	}
	if differ > 0 {
		res.Notes = append(res.Notes, table.Note{Code: "df-differ", Args: map[string]any{"estimates": differ},
			Text: fmt.Sprintf("The complete-data degrees of freedom of %d estimates differ between the tables; the smallest are used.", differ)})
	}
	return res, nil
}

func (t Imputed) df(at int) float64 {
	if t.DF == nil {
		return math.Inf(1)
	}
	return t.DF[at]
}

// index says where each estimate is, and checks the numbers.
func (t Imputed) index() (map[poolKey]int, error) {
	if t.DF != nil && len(t.DF) != len(t.Estimates) {
		return nil, fmt.Errorf("%w: %s has %d degrees of freedom for %d estimates", estimate.ErrInvalidFrame, t.Name, len(t.DF), len(t.Estimates))
	}
	out := map[poolKey]int{}
	for i, e := range t.Estimates {
		k := poolKey{e.Term, e.Measure}
		if _, twice := out[k]; twice {
			return nil, fmt.Errorf("%w: %s has the term %q twice", ErrTables, t.Name, e.Term)
		}
		out[k] = i
		switch {
		case math.IsNaN(e.Value) || math.IsInf(e.Value, 0):
			return nil, fmt.Errorf("%w: %s: the estimate of %q is not a finite number", estimate.ErrInvalidFrame, t.Name, e.Term)
		case !(e.SE >= 0) || math.IsInf(e.SE, 0):
			return nil, fmt.Errorf("%w: %s: the standard error of %q is not a finite number of at least 0", estimate.ErrInvalidFrame, t.Name, e.Term)
		case !(t.df(i) > 0):
			return nil, fmt.Errorf("%w: %s: the degrees of freedom of %q are not above 0", estimate.ErrInvalidFrame, t.Name, e.Term)
		}
	}
	return out, nil
}

type pooled struct{ q, u, b, t, lambda, r, old, df, fmi float64 }

func rubin(q, u []float64, dfcom float64) pooled {
	m := float64(len(q))
	// About the first, so that a large common level costs no digits.
	var p pooled
	d := make([]float64, len(q))
	for i := range q {
		d[i] = q[i] - q[0]
	}
	centre := num.Sum(d) / m
	p.q, p.u = q[0]+centre, num.Sum(u)/m
	for i := range d {
		d[i] = float64((d[i] - centre) * (d[i] - centre))
	}
	p.b = num.Sum(d) / (m - 1)
	between := (1 + 1/m) * p.b
	p.t = p.u + between
	if p.t == 0 { // no variance of either kind
		p.lambda, p.r, p.old, p.df = 0, 0, math.Inf(1), dfcom
		return p
	}
	p.lambda, p.r = between/p.t, between/p.u
	p.old = (m - 1) / float64(p.lambda*p.lambda)
	switch observed := (dfcom + 1) / (dfcom + 3) * dfcom * (1 - p.lambda); {
	case math.IsInf(dfcom, 1):
		p.df = p.old
	case math.IsInf(p.old, 1):
		p.df = observed
	default:
		p.df = p.old * observed / (p.old + observed)
	}
	switch {
	case p.b == 0:
	case p.u == 0:
		p.fmi = 1
	default:
		p.fmi = (p.r + 2/(p.df+3)) / (1 + p.r)
	}
	return p
}
