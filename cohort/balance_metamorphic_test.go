package cohort

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/table"
)

// M1, M2, M22: rows permuted, columns permuted, workers: every bit the same.
func TestBalanceRowsColumnsWorkers(t *testing.T) {
	n := 3*num.Chunk + 77
	p, w := mixed(80, n)
	base := mustCompare(t, p.table(t), balanceSpec, BalanceOptions{Weight: w, Squares: true})
	order := indices(n)
	s := num.NewStream(81, "permute", 0)
	for i := n - 1; i > 0; i-- {
		j := s.Intn(i + 1)
		order[i], order[j] = order[j], order[i]
	}
	pw := make([]float64, n)
	for i, r := range order {
		pw[i] = w[r]
	}
	for _, workers := range []int{1, 2, 7} {
		d := balanceSpec
		d.Workers = workers
		got := mustCompare(t, p.take(order).table(t), d, BalanceOptions{Weight: pw, Squares: true})
		require.Equal(t, exactly(base), exactly(got))
		d.Covariates = slices.Clone(d.Covariates)
		slices.Reverse(d.Covariates)
		other := mustCompare(t, p.take(order).table(t), d, BalanceOptions{Weight: pw, Squares: true})
		for _, r := range base.Rows {
			require.Equal(t, exactly(Balance{Rows: []BalanceRow{r}}), exactly(Balance{Rows: []BalanceRow{rowOf(t, other, r.Variable)}}))
		}
	}
}

// M3: other ids change the order of sums, and with it no more than the last digits.
// M4: levels renamed in their order are the same rows under the other names.
func TestBalanceNames(t *testing.T) {
	p, w := mixed(82, 300)
	base := mustCompare(t, p.table(t), balanceSpec, BalanceOptions{Weight: w, Interactions: true})
	q := p.take(indices(300))
	for i := range q.id {
		q.id[i], q.group[i] = "other "+q.id[i], "level "+q.group[i]
	}
	got := mustCompare(t, q.table(t), balanceSpec, BalanceOptions{Weight: w, Interactions: true})
	require.Len(t, got.Rows, len(base.Rows))
	for i, r := range base.Rows {
		g := got.Rows[i]
		require.Equal(t, strings.ReplaceAll(r.Variable, "group[", "group[level "), g.Variable)
		for _, s := range [][2]BalanceStat{{g.Before, r.Before}, {g.After, r.After}} {
			close := func(a, b float64) {
				if !(math.IsNaN(a) && math.IsNaN(b)) {
					reftest.Near(t, r.Variable, a, b, 1e-12*max(1, math.Abs(b)))
				}
			}
			close(s[0].SMD, s[1].SMD)
			close(s[0].VarianceRatio, s[1].VarianceRatio)
			close(s[0].ECDFMean, s[1].ECDFMean)
			close(s[0].ECDFMax, s[1].ECDFMax)
			close(s[0].Overlap, s[1].Overlap)
		}
	}
}

// M5: a covariate times 2^k: every number that has no unit is the same to the bit;
// times another number, and moved: to rounding. (Whole numbers are counted, halves sorted:
// the two ways agree.)
func TestBalanceUnits(t *testing.T) {
	p, w := mixed(83, 400)
	base := mustCompare(t, p.table(t), balanceSpec, BalanceOptions{Weight: w, Denominator: PooledSD})
	for _, c := range []struct {
		factor, move float64
		exact        bool
	}{{1024, 0, true}, {0.25, 0, true}, {0.3, 0, false}, {-1, 0, false}, {1, 0.5, false}} {
		q := p.take(indices(400))
		for i := range q.id {
			q.x[0][i] = c.factor*q.x[0][i] + c.move
			q.x[1][i] = c.factor*q.x[1][i] + c.move
		}
		got := mustCompare(t, q.table(t), balanceSpec, BalanceOptions{Weight: w, Denominator: PooledSD})
		for _, name := range []string{"x0", "x1"} {
			r, g := rowOf(t, base, name), rowOf(t, got, name)
			for _, s := range [][2]BalanceStat{{g.Before, r.Before}, {g.After, r.After}} {
				sign := math.Copysign(1, c.factor)
				for what, v := range map[string][2]float64{"SMD": {sign * s[0].SMD, s[1].SMD}, "ratio": {s[0].VarianceRatio, s[1].VarianceRatio},
					"max": {s[0].ECDFMax, s[1].ECDFMax}, "overlap": {s[0].Overlap, s[1].Overlap}} {
					switch {
					case c.exact && (name == "x1" || what == "SMD" || what == "ratio"): // counted and sorted sums differ in the last digit
						require.Equal(t, v[1], v[0], "%s %s times %v", name, what, c.factor)
					case what == "overlap" && c.factor < 0: // the grid starts at the other end
						reftest.Near(t, name+" "+what, v[0], v[1], 2e-3)
					default:
						reftest.Near(t, name+" "+what, v[0], v[1], 1e-9)
					}
				}
			}
		}
	}
}

// Swapping the groups turns the sign of the SMD and leaves the distances. Weights times
// a constant change nothing.
func TestBalanceSwappedGroups(t *testing.T) {
	p, w := mixed(84, 200)
	base := mustCompare(t, p.table(t), balanceSpec, BalanceOptions{Weight: w, Denominator: PooledSD})
	q := p.take(indices(200))
	w2 := make([]float64, 200)
	for i := range q.treat {
		q.treat[i] = !q.treat[i]
		w2[i] = 8 * w[i]
	}
	got := mustCompare(t, q.table(t), balanceSpec, BalanceOptions{Weight: w2, Denominator: PooledSD})
	for i, r := range base.Rows {
		for _, s := range [][2]BalanceStat{{got.Rows[i].Before, r.Before}, {got.Rows[i].After, r.After}} {
			require.Equal(t, -s[1].SMD, s[0].SMD, r.Variable)
			reftest.Near(t, r.Variable, s[0].ECDFMax, s[1].ECDFMax, 1e-14)
			reftest.Near(t, r.Variable, s[0].Overlap, s[1].Overlap, 1e-12)
		}
	}
}

// Options matter: each changes a number or adds rows. The context and the input are respected.
func TestBalanceOptionsMatter(t *testing.T) {
	p, w := mixed(85, 100)
	tab := p.table(t)
	seen := map[string]string{}
	for name, o := range map[string]BalanceOptions{
		"none": {}, "weight": {Weight: w}, "control": {Weight: w, Denominator: ControlSD}, "pooled": {Weight: w, Denominator: PooledSD}, "all": {Weight: w, Denominator: AllSD},
		"squares": {Squares: true}, "interactions": {Interactions: true}, "score": {Score: p.x[1]}, "others": {Others: []NamedWeight{{"a", w}}}, "pairs": {Weight: w, Pairs: [][2]int{{0, 1}}},
	} {
		text := exactly(mustCompare(t, tab, balanceSpec, o))
		for other, s := range seen {
			require.NotEqual(t, s, text, "%s is %s", name, other)
		}
		seen[name] = text
	}
	f, err := tab.Float("x1")
	require.NoError(t, err)
	require.Equal(t, p.x[1], f.Values)
	_, _, err = Compare(t.Context(), tab, balanceSpec, BalanceOptions{Score: slices.Repeat([]float64{math.NaN()}, 100)})
	require.ErrorContains(t, err, "score of row 1")
	var empty table.Table
	_, _, err = Compare(t.Context(), &empty, balanceSpec, BalanceOptions{})
	require.Error(t, err)
}
