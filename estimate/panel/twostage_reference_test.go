//go:build reference

package panel

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/internal/reftest"
)

type did2s struct {
	Estimate, SE map[string]float64
}

// Case 03c: did2s 1.0.1, clusters: state. Its values agree. Its errors are not those of
// its own documented formula: TestReferenceTwoStageRowsLeftOut says what they are. The
// expected errors here are the dense algebra of that formula in R 4.2.2: overall
// 0.0961388277373 (stored 0.0739275861).
func TestReferenceTwoStage(t *testing.T) {
	const name = "03c_did2s_imputation"
	c := reftest.ReadCSV(t, name, "data.csv")
	f := &Frame{Unit: c["unit"], Time: ints(t, c, "year"), Cohort: ints(t, c, "g"), Y: c.Floats(t, "dep_var"), Cluster: c["state"], Level: 0.95}
	var ref struct {
		Static did2s `json:"did2s_static"`
		Event  did2s `json:"did2s_event"`
	}
	reftest.ReadJSON(t, &ref, name, "expected.json")
	res, err := TwoStage{EventOptions: EventOptions{Bands: Pointwise}}.Fit(t.Context(), f)
	require.NoError(t, err)
	checkResult(t, res)
	terms := byTerm(res)
	worst, low, high := 0.0, math.Inf(1), 0.0
	compare := func(got, want, stored float64, seen float64) {
		worst = max(worst, math.Abs(got-want))
		low, high = min(low, seen/stored), max(high, seen/stored)
	}
	for key, want := range ref.Event.Estimate {
		e, err := strconv.Atoi(strings.TrimPrefix(key, "rel_year::"))
		require.NoError(t, err)
		got := terms[eventTerm(e)]
		compare(got.Value, want, ref.Event.SE[key], got.SE)
	}
	o := terms[Overall]
	compare(o.Value, ref.Static.Estimate["treat::1"], ref.Static.SE["treat::1"], o.SE)
	require.Less(t, worst, 2e-8) // fixest's fit of the first step stops there
	reftest.Near(t, "overall se, dense algebra", o.SE, 0.0961388277373, 1e-12)
	t.Logf("two-stage: values within %.1g; errors %.2f to %.2f times those stored", worst, low, high)
}

// The stored errors of 03c are the sandwich whose X0 is X with the first two rows of the data set to 0, in place of
// the rows that are treated: the treatment, 0 and 1, taken for row numbers. All 31 of them, to the digits that the
// first stage was fitted to; they change with the order of the rows.
func TestReferenceTwoStageRowsLeftOut(t *testing.T) {
	const name = "03c_did2s_imputation"
	c := reftest.ReadCSV(t, name, "data.csv")
	var ref struct {
		Static did2s `json:"did2s_static"`
		Event  did2s `json:"did2s_event"`
	}
	reftest.ReadJSON(t, &ref, name, "expected.json")
	y, treat := c.Floats(t, "dep_var"), ints(t, c, "treat")
	n, column := len(y), map[string]int{}
	for i := range n {
		for _, key := range []string{c["unit"][i], "year " + c["year"][i]} {
			if _, ok := column[key]; !ok && key != "year "+c["year"][0] {
				column[key] = len(column)
			}
		}
	}
	x, free, y0 := mat.NewDense(n, len(column), nil), mat.NewDense(n, len(column), nil), mat.NewVecDense(n, nil)
	for i := range n {
		x.Set(i, column[c["unit"][i]], 1)
		if k, ok := column["year "+c["year"][i]]; ok {
			x.Set(i, k, 1)
		}
		if treat[i] == 0 {
			free.SetRow(i, x.RawRowView(i))
			y0.SetVec(i, y[i])
		}
	}
	var b, r, gram mat.Dense
	require.NoError(t, b.Solve(free, y0))
	r.Mul(x, &b)
	left := mat.DenseCopyOf(x)
	left.SetRow(0, make([]float64, len(column)))
	left.SetRow(1, make([]float64, len(column)))
	gram.Mul(left.T(), left)
	worst := 0.0
	check := func(what string, want float64, in func(i int) bool) {
		d, size, theta := mat.NewVecDense(n, nil), 0.0, 0.0
		for i := range n {
			if in(i) {
				d.SetVec(i, 1)
				size++
				theta += y[i] - r.At(i, 0)
			}
		}
		theta /= size
		var xd, gamma, first mat.VecDense
		xd.MulVec(x.T(), d)
		require.NoError(t, gamma.SolveVec(&gram, &xd))
		first.MulVec(left, &gamma)
		sums := map[string]float64{}
		for i := range n {
			u := y[i] - r.At(i, 0)
			if in(i) {
				sums[c["state"][i]] += (u - theta) / size
			}
			if treat[i] == 0 {
				sums[c["state"][i]] -= first.AtVec(i) * u / size
			}
		}
		v := 0.0
		for _, q := range sums {
			v += q * q
		}
		near := math.Abs(math.Sqrt(v)/want - 1)
		require.Less(t, near, 1e-8, what)
		worst = max(worst, near)
	}
	check("overall", ref.Static.SE["treat::1"], func(i int) bool { return treat[i] == 1 })
	require.Len(t, ref.Event.SE, 30)
	for key, want := range ref.Event.SE {
		check(key, want, func(i int) bool { return "rel_year::"+c["rel_year"][i] == key })
	}
	t.Logf("31 stored errors to %.1g", worst)
}
