package progress

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/table"
)

// Profiles are J dimensions of n persons before and after, on levels that have an order and
// no common scale. NaN is no answer.
type Profiles struct {
	Persons
	Names         []string
	Before, After *mat.Dense // n×J
}

// ParetianChange counts who got better without weighing one dimension against another:
// improved if better in one or more and worse in none, worsened the other way round, mixed if
// better in some and worse in others, unchanged else; net = improved less worsened. Without weights
//
//	net = (I − D)/n,  SE = √(((I + D)/n − net²)/n)
//
// For two groups the net share of participants less that of comparison people. Weighted shares and
// variance as [BeyondChange].
//
// Estimates: difference (net-improved), then for each group share-improved, share-worsened,
// share-mixed, share-unchanged, net-improved with term group=G (overall for one). Details: counts {improved,
// worsened, mixed, unchanged, no_problems} of all persons (no_problems: unchanged at the best level of everything).
//
// A person with a level outside the declared ones, or without one, is left out and counted. Errors
// as [BeyondChange].
//
// Devlin, Parkin and Browne (2010).
type ParetianChange struct {
	Lowest, Highest float64 // declared levels
	HighIsWorse     bool    // as in EQ-5D
	MinPerArm       int     // fewest persons per group; 0 means 15
	Workers         int     // goroutines; 0 means all cores. Never changes a result
}

// classes of a Paretian change; 1 and −1 count for net.
const (
	paretoMixed = 2
	paretoSame  = 0
)

// Fit counts in the profiles, which it does not change.
func (e ParetianChange) Fit(ctx context.Context, p *Profiles) (*estimate.Result, error) {
	res, err := e.fit(p)
	if err != nil {
		return nil, fmt.Errorf("paretian change: %w", err)
	}
	return res, ctx.Err()
}

func (e ParetianChange) fit(p *Profiles) (*estimate.Result, error) {
	n, J := len(p.Unit), len(p.Names)
	if !(e.Lowest < e.Highest) || math.IsInf(e.Highest-e.Lowest, 0) {
		return nil, invalid("declare the lowest and the highest level")
	}
	for _, x := range []*mat.Dense{p.Before, p.After} {
		if x == nil {
			return nil, invalid("both waves are needed")
		}
		if r, c := x.Dims(); r != n || c != J || J == 0 {
			return nil, invalid("levels are %d×%d, %d×%d expected", r, c, n, J)
		}
	}
	best := e.Highest
	if e.HighIsWorse {
		best = e.Lowest
	}
	class, known := make([]int, n), make([]bool, n)
	counts := map[string]int{"improved": 0, "worsened": 0, "mixed": 0, "unchanged": 0, "no_problems": 0}
	outside, missing := 0, 0
	for i := range n {
		up, down, full, gone, bad := false, false, true, false, false
		for j := range J {
			a, b := p.Before.At(i, j), p.After.At(i, j)
			for _, v := range []float64{a, b} {
				gone = gone || math.IsNaN(v)
				bad = bad || v < e.Lowest || v > e.Highest || v != math.Trunc(v) && !math.IsNaN(v)
			}
			if e.HighIsWorse {
				a, b = -a, -b
			}
			up, down = up || b > a, down || b < a
			full = full && p.After.At(i, j) == best
		}
		switch {
		case bad:
			outside++
			continue
		case gone:
			missing++
			continue
		case up && down:
			class[i] = paretoMixed
			counts["mixed"]++
		case up:
			class[i] = 1
			counts["improved"]++
		case down:
			class[i] = -1
			counts["worsened"]++
		case full:
			counts["no_problems"]++
		default:
			counts["unchanged"]++
		}
		known[i] = true
	}
	res, err := netShares(&p.Persons, class, known, []shareOf{{ShareImproved, 1}, {ShareWorsened, -1}, {ShareMixed, paretoMixed}, {ShareSame, paretoSame}}, e.MinPerArm, e.Workers)
	if err != nil {
		return nil, err
	}
	if outside > 0 {
		res.Notes = append(res.Notes, table.Note{Code: "levels-outside", Text: "Some persons have a level that is not declared; they were left out.", Args: map[string]any{"persons": outside}})
	}
	if missing > 0 {
		res.Notes = append(res.Notes, table.Note{Code: "levels-missing", Text: "Some persons lack a level; they were left out.", Args: map[string]any{"persons": missing}})
	}
	for i, note := range res.Notes {
		if note.Code == "change-unknown" { // said by the two above
			res.Notes = append(res.Notes[:i], res.Notes[i+1:]...)
			break
		}
	}
	res.Method = "paretian-change"
	res.Fit.Converged = true
	res.Details["counts"] = counts
	return res, nil
}
