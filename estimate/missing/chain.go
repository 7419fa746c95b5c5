package missing

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/internal/num"
)

// chain is one imputation on its way.
type chain struct {
	*imputer
	k        int
	values   [][]float64 // variable → completed values by place
	trace    [][2][]float64
	start    map[[2]int][]float64 // (variable, group) → last categorical fit
	constant int
}

func (p *imputer) chain(k int) *chain {
	return &chain{imputer: p, k: k, start: map[[2]int][]float64{}, trace: make([][2][]float64, len(p.vars)), values: make([][]float64, len(p.vars))}
}

// stream is that of a unit (or of the model's own draw, place < 0) in one step.
func (c *chain) stream(step string, v, group, place int) *num.Stream {
	unit := uint64(group) // the model's own
	if place >= 0 {
		unit = c.hash[place]
	}
	return num.NewStream(c.o.Seed, fmt.Sprintf("impute/%d/%s/%s/%t", c.k, step, c.vars[v].Name, place < 0), unit)
}

func (c *chain) run(ctx context.Context) error {
	for v := range c.vars {
		c.values[v] = c.vars[v].Values
		if len(c.gone[v]) == 0 {
			continue
		}
		c.values[v] = slices.Clone(c.vars[v].Values)
		for g, rows := range c.groups {
			seen := c.observed(v, rows)
			for _, i := range rows {
				if c.vars[v].Missing[i] {
					c.values[v][i] = c.vars[v].Values[seen[c.stream("start", v, g, i).Intn(len(seen))]]
				}
			}
			if !slices.ContainsFunc(seen, func(i int) bool { return c.vars[v].Values[i] != c.vars[v].Values[seen[0]] }) && len(seen) < len(rows) {
				c.constant++
			}
		}
	}
	for it := range c.o.Iterations {
		for _, v := range c.visit {
			for g, rows := range c.groups {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := c.draw(fmt.Sprint(it), v, g, rows); err != nil {
					return fmt.Errorf("%q: %w", c.vars[v].Name, err)
				}
			}
			drawn := make([]float64, len(c.gone[v]))
			for i, at := range c.gone[v] {
				drawn[i] = c.values[v][at]
			}
			mean, variance := meanVar(drawn)
			c.trace[v][0] = append(c.trace[v][0], mean)
			c.trace[v][1] = append(c.trace[v][1], math.Sqrt(variance))
		}
	}
	return nil
}

func (c *chain) observed(v int, rows []int) []int {
	var out []int
	for _, i := range rows {
		if !c.vars[v].Missing[i] {
			out = append(out, i)
		}
	}
	return out
}

// design codes all variables but v for the rows: intercept, numbers, and a dummy for
// each level but the first; the first k columns of each row.
func (c *chain) design(v int, rows []int) (x []float64, k int) {
	k = 1
	for j := range c.vars {
		if j != v {
			k += c.width(j)
		}
	}
	x = make([]float64, len(rows)*k)
	for at, i := range rows {
		row := x[at*k : (at+1)*k]
		row[0] = 1
		next := 1
		for j := range c.vars {
			if j == v {
				continue
			}
			y := c.values[j][i]
			if c.vars[j].Levels == nil {
				row[next] = y
			} else if y > 0 {
				row[next+int(y)-1] = 1
			}
			next += c.width(j)
		}
	}
	return x, k
}

func (c *chain) width(j int) int {
	if l := len(c.vars[j].Levels); l > 0 {
		return l - 1
	}
	return 1
}

// draw replaces the missing values of a variable in one group of rows.
func (c *chain) draw(step string, v, group int, rows []int) error {
	seen := c.observed(v, rows)
	if len(seen) == len(rows) {
		return nil
	}
	var gone []int
	for _, i := range rows {
		if c.vars[v].Missing[i] {
			gone = append(gone, i)
		}
	}
	y := make([]float64, len(seen))
	same := true
	for at, i := range seen {
		y[at] = c.vars[v].Values[i]
		same = same && y[at] == y[0]
	}
	if same {
		for _, i := range gone {
			c.values[v][i] = y[0]
		}
		return nil
	}
	x, k := c.design(v, seen)
	z, _ := c.design(v, gone)
	switch c.vars[v].Method {
	case PMM, Linear:
		return c.drawLinear(step, v, group, seen, gone, x, z, k, y)
	}
	return c.drawCategory(step, v, group, gone, x, z, k, y)
}

// drawLinear is Bayesian linear regression with the usual flat prior, and predictive
// mean matching on it.
func (c *chain) drawLinear(step string, v, group int, seen, gone []int, x, z []float64, k int, y []float64) error {
	fit, err := num.LeastSquares(num.LsqData{N: len(y), K: k, X: x, Y: y, DropCollinear: true, Workers: 1})
	if err != nil {
		return modelError(err)
	}
	df := len(y) - fit.Rank
	if df < 1 {
		return fmt.Errorf("%w: %d observed rows for %d columns", estimate.ErrTooFew, len(y), fit.Rank)
	}
	s := c.stream(step, v, group, -1)
	sigma := math.Sqrt(fit.RSS / s.ChiSquare(float64(df)))
	beta := make([]float64, fit.Rank)
	for j := range beta {
		beta[j] = s.Normal()
	}
	fit.Unbasis(beta)
	for j := range beta {
		beta[j] = fit.Coef[j] + float64(sigma*beta[j])
	}
	at := func(row []float64, b []float64) (eta float64) {
		for j, col := range fit.Kept {
			eta += float64(row[col] * b[j])
		}
		return eta
	}
	if c.vars[v].Method == Linear {
		for g, i := range gone {
			c.values[v][i] = at(z[g*k:(g+1)*k], beta) + float64(sigma*c.stream(step, v, group, i).Normal())
		}
		return nil
	}
	near := newDonors(len(seen), func(i int) float64 { return at(x[i*k:(i+1)*k], fit.Coef) })
	for g, i := range gone {
		c.values[v][i] = y[near.pick(at(z[g*k:(g+1)*k], beta), c.o.Donors, c.stream(step, v, group, i))]
	}
	return nil
}

// modelError gives a solver's error the package's own words.
func modelError(err error) error {
	if errors.Is(err, num.ErrNoConvergence) {
		return fmt.Errorf("%w: %v", estimate.ErrNotConverged, err)
	}
	return err
}

// asGiven puts what was imputed in the order of the caller's rows and variables.
func (c *chain) asGiven(n, vars int) [][]float64 {
	out := make([][]float64, vars)
	for v := range c.vars {
		if len(c.gone[v]) == 0 {
			continue
		}
		col := make([]float64, n)
		for i, r := range c.rows {
			col[r] = c.values[v][i]
		}
		out[c.given[v]] = col
	}
	return out
}
