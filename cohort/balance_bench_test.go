package cohort

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/table"
)

// wide simulates n people with 20 covariates and a weight of a matched design (most
// weights 0) or of inverse probabilities (none 0). The covariates are all continuous,
// or as in a register: 9 amounts, 6 numbers of months, 4 of 0 and 1, 1 of 21 levels.
func wide(t testing.TB, n int, continuous, matched bool) (*table.Table, Spec, []float64) {
	t.Helper()
	x := make([][]float64, 20)
	for j := range x {
		x[j] = make([]float64, n)
	}
	treated, id, weight, county := make([]bool, n), make([]string, n), make([]float64, n), make([]int32, n)
	num.ForChunks(n, 0, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			s := num.NewStream(11, "wide", uint64(i))
			treated[i] = s.Bernoulli(0.03)
			id[i] = fmt.Sprintf("P%08d", i)
			weight[i] = 0.2 + s.Float()
			if matched {
				weight[i] = float64(arm(treated[i] || s.Bernoulli(0.03)))
			}
			for j := range x {
				v := s.Normal() + 0.2*float64(arm(treated[i]))
				switch {
				case continuous || j < 9:
				case j < 15:
					v = math.Round(20 + 12*v)
				case j < 19:
					v = float64(arm(v > 1))
				}
				x[j][i] = v
			}
			county[i] = int32(s.Intn(21))
		}
	})
	cols := []table.Column{table.NewText(table.Field{Name: "id"}, id, nil), table.NewBoolean(table.Field{Name: "treated"}, treated, nil)}
	d := Spec{Treatment: "treated", ID: "id"}
	for j := range x {
		d.Covariates = append(d.Covariates, fmt.Sprintf("x%02d", j))
		if !continuous && j == 19 {
			levels := make([]string, 21)
			for l := range levels {
				levels[l] = fmt.Sprintf("county %02d", l)
			}
			c, err := table.NewCategory(table.Field{Name: d.Covariates[j]}, county, levels, nil)
			require.NoError(t, err)
			cols = append(cols, c)
			continue
		}
		cols = append(cols, table.NewFloat(table.Field{Name: d.Covariates[j]}, x[j], nil))
	}
	tab, err := table.New(cols...)
	require.NoError(t, err)
	return tab, d, weight
}

func BenchmarkBalanceWide(b *testing.B) {
	for _, c := range []struct {
		name                string
		continuous, matched bool
	}{{"register-matched", false, true}, {"continuous-matched", true, true}, {"continuous-weighted", true, false}} {
		b.Run(c.name, func(b *testing.B) {
			tab, d, weight := wide(b, 1_000_000, c.continuous, c.matched)
			b.ReportAllocs()
			for b.Loop() {
				_, _, err := Compare(b.Context(), tab, d, BalanceOptions{Weight: weight})
				require.NoError(b, err)
			}
		})
	}
}
