//go:build reference

package sensitivity

import (
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/reftest"
)

func agree(t *testing.T, what string, got, want float64, digits reftest.Digits) {
	t.Helper()
	if d := reftest.LRE(got, want); d < digits {
		t.Errorf("%s: got %.16g, want %.16g (%.1f digits, %v wanted)", what, got, want, float64(d), float64(digits))
	}
}

// Case 07b, formulas of VanderWeele and Ding.
func TestReferenceEValue(t *testing.T) {
	type row struct {
		RR     float64 `json:"rr"`
		Lo, Hi float64
		Point  float64 `json:"evalue_point"`
		CI     float64 `json:"evalue_ci"`
	}
	var ref struct {
		RR      map[string]row `json:"rr"`
		OR      row            `json:"or_common_outcome_1.9_ci_1.2_3.0"`
		HR      row            `json:"hr_common_outcome_0.56_ci_0.46_0.69"`
		SMD     row            `json:"smd_d0.42_se0.14"`
		NonNull float64        `json:"nonnull_true_rr1.5_for_rr3.9"`
	}
	reftest.ReadJSON(t, &ref, "07b_evalue", "expected.json")
	nan := math.NaN()
	check := func(name string, o EValue, want row) {
		r, err := o.Value()
		require.NoError(t, err, name)
		agree(t, name+" rr", r.Estimates[0].Value, want.RR, 14)
		agree(t, name+" lo", r.Estimates[0].CI.Lo, want.Lo, 14)
		agree(t, name+" hi", r.Estimates[0].CI.Hi, want.Hi, 14)
		agree(t, name+" point", r.Estimates[1].Value, want.Point, 14)
		agree(t, name+" interval", r.Estimates[2].Value, want.CI, 14)
	}
	require.Len(t, ref.RR, 5)
	for name, w := range ref.RR {
		check(name, EValue{Measure: "rr", Estimate: w.RR, ConfLow: w.Lo, ConfHi: w.Hi, StdError: nan, Level: .95}, w)
	}
	check("or", EValue{Measure: "or", Estimate: 1.9, ConfLow: 1.2, ConfHi: 3, StdError: nan, Level: .95}, ref.OR)
	check("hr", EValue{Measure: "hr", Estimate: .56, ConfLow: .46, ConfHi: .69, StdError: nan, Level: .95}, ref.HR)
	check("smd", EValue{Measure: "smd", Estimate: .42, ConfLow: nan, ConfHi: nan, StdError: .14, Level: .95}, ref.SMD)
	r, err := EValue{Measure: "rr", Estimate: 3.9, ConfLow: nan, ConfHi: nan, StdError: nan, Null: 1.5, Level: .95}.Value()
	require.NoError(t, err)
	agree(t, "nonnull", r.Estimates[1].Value, ref.NonNull, 14)
}

func pairsOf(treated, control []float64) *estimate.Frame {
	f := &estimate.Frame{Level: .95}
	for i := range treated {
		for arm, y := range []float64{control[i], treated[i]} {
			f.Unit = append(f.Unit, strconv.Itoa(2*i+arm))
			f.Y, f.Treated, f.Set = append(f.Y, y), append(f.Treated, arm == 1), append(f.Set, i)
		}
	}
	return f
}

// Case 07c, formulas of Rosenbaum 2002, chapter 4; rbounds 2.2 is rounded.
func TestReferenceRosenbaum(t *testing.T) {
	var ref struct {
		Signed []SignedRankBound `json:"signed_rank"`
		HL     []ShiftBound      `json:"hodges_lehmann"`
		McN    []McNemarBound    `json:"mcnemar_binary"`
	}
	reftest.ReadJSON(t, &ref, "07c_rosenbaum_pairs", "expected.json")
	d := reftest.ReadCSV(t, "07c_rosenbaum_pairs", "data.csv")
	var gammas []float64
	for _, s := range ref.Signed {
		gammas = append(gammas, s.Gamma)
	}
	require.Len(t, gammas, 8)
	r, err := Rosenbaum{Gamma: gammas}.Fit(t.Context(), pairsOf(d.Floats(t, "treated"), d.Floats(t, "control")))
	require.NoError(t, err)
	tests := r.Details["signed_rank"].([]SignedRankBound)
	shifts := r.Details["hodges_lehmann"].([]ShiftBound)
	for i, w := range ref.Signed {
		require.Equal(t, w.Pairs, tests[i].Pairs)
		require.Equal(t, w.W, tests[i].W)
		agree(t, "p_upper", tests[i].PUpper, w.PUpper, 10)
		agree(t, "p_lower", tests[i].PLower, w.PLower, 10)
		agree(t, "z_upper", tests[i].ZUpper, w.ZUpper, 13)
		agree(t, "z_lower", tests[i].ZLower, w.ZLower, 13)
		require.LessOrEqual(t, math.Abs(shifts[i].Min-ref.HL[i].Min), .01)
		require.LessOrEqual(t, math.Abs(shifts[i].Max-ref.HL[i].Max), .01)
	}
	r, err = Rosenbaum{Gamma: gammas, Binary: true}.Fit(t.Context(), pairsOf(d.Floats(t, "t_bin"), d.Floats(t, "c_bin")))
	require.NoError(t, err)
	for i, got := range r.Details["mcnemar_binary"].([]McNemarBound) {
		w := ref.McN[i]
		require.Equal(t, w.TreatedOnly, got.TreatedOnly)
		require.Equal(t, w.ControlOnly, got.ControlOnly)
		agree(t, "mcnemar upper", got.PUpper, w.PUpper, 12)
		agree(t, "mcnemar lower", got.PLower, w.PLower, 12)
	}
}

// Case 07a, sensemakr 0.1.3.9000.
func TestReferenceOmittedVariable(t *testing.T) {
	var ref struct {
		Estimate, SE, T, Dof float64
		R2                   float64 `json:"partial_r2_yd_x"`
		RV                   float64 `json:"RV_q1"`
		RVA                  float64 `json:"RV_q1_alpha05"`
		RVHalf               float64 `json:"RV_q0.5"`
		RV01                 float64 `json:"RV_q1_alpha01"`
		F2                   float64 `json:"f2"`
		Bounds               struct {
			Label []string
			DZ    []float64 `json:"r2dz_x"`
			YZ    []float64 `json:"r2yz_dx"`
			B     []float64 `json:"adjusted_estimate"`
			SE    []float64 `json:"adjusted_se"`
			T     []float64 `json:"adjusted_t"`
			Lo    []float64 `json:"adjusted_lower_CI"`
			Hi    []float64 `json:"adjusted_upper_CI"`
		}
		Group struct {
			DZ float64 `json:"r2dz_x"`
			YZ float64 `json:"r2yz_dx"`
			B  float64 `json:"adjusted_estimate"`
			SE float64 `json:"adjusted_se"`
		} `json:"ovb_group_benchmark"`
	}
	reftest.ReadJSON(t, &ref, "07a_darfur_sensemakr", "expected.json")
	data := reftest.ReadCSV(t, "07a_darfur_sensemakr", "data.csv")
	f := darfur(t, data)
	o := OmittedVariable{Treatment: "directlyharmed", Strength: []float64{1, 2, 3},
		Benchmarks: []Benchmark{{"female", []string{"female"}}, {"age", []string{"age"}}, {"pastvoted", []string{"pastvoted"}}}}
	r, err := o.Fit(t.Context(), f)
	require.NoError(t, err)
	d := func(key string) float64 { return r.Details[key].(float64) }
	for key, want := range map[string]float64{"estimate": ref.Estimate, "se": ref.SE, "t": ref.T, "dof": ref.Dof, "r2yd.x": ref.R2, "rv_q": ref.RV, "rv_qa": ref.RVA, "f2yd.x": ref.F2} {
		agree(t, key, d(key), want, 10)
	}
	bounds := r.Details["bounds"].([]Bound)
	require.Len(t, bounds, 9)
	w := ref.Bounds
	for i, b := range bounds {
		require.Equal(t, w.Label[i], b.Label)
		agree(t, b.Label+" dz", b.R2DZ, w.DZ[i], 10)
		agree(t, b.Label+" yz", b.R2YZ, w.YZ[i], 10)
		agree(t, b.Label+" estimate", b.Estimate, w.B[i], 10)
		agree(t, b.Label+" se", b.SE, w.SE[i], 10)
		agree(t, b.Label+" t", b.T, w.T[i], 10)
		agree(t, b.Label+" lo", b.Lower, w.Lo[i], 10)
		agree(t, b.Label+" hi", b.Upper, w.Hi[i], 10)
	}
	half, err := OmittedVariable{Treatment: "directlyharmed", Q: .5, Alpha: .01}.Fit(t.Context(), f)
	require.NoError(t, err)
	agree(t, "rv q .5", half.Details["rv_q"].(float64), ref.RVHalf, 10)
	strict, err := OmittedVariable{Treatment: "directlyharmed", Alpha: .01,
		Benchmarks: []Benchmark{{"grp", []string{"female", "age"}}}}.Fit(t.Context(), f)
	require.NoError(t, err)
	agree(t, "rv alpha .01", strict.Details["rv_qa"].(float64), ref.RV01, 10)
	g := strict.Details["bounds"].([]Bound)[0]
	agree(t, "group dz", g.R2DZ, ref.Group.DZ, 10)
	agree(t, "group yz", g.R2YZ, ref.Group.YZ, 10)
	agree(t, "group estimate", g.Estimate, ref.Group.B, 10)
	agree(t, "group se", g.SE, ref.Group.SE, 10)
}

func darfur(t *testing.T, data reftest.CSV) *estimate.Frame {
	f := &estimate.Frame{Level: .95, Y: data.Floats(t, "peacefactor")}
	var cols [][]float64
	for _, n := range []string{"directlyharmed", "age", "farmer_dar", "herder_dar", "pastvoted", "hhsize_darfur", "female"} {
		f.XNames = append(f.XNames, n)
		cols = append(cols, data.Floats(t, n))
	}
	villages := map[string]int{}
	for i, v := range data["village"] {
		f.Unit = append(f.Unit, strconv.Itoa(i))
		if _, ok := villages[v]; !ok {
			villages[v] = len(villages)
			if len(villages) > 1 {
				f.XNames = append(f.XNames, "village["+v+"]")
			}
		}
	}
	f.X = mat.NewDense(len(f.Y), len(f.XNames), nil)
	for i := range f.Y {
		for j := range cols {
			f.X.Set(i, j, cols[j][i])
		}
		if v := villages[data["village"][i]]; v > 0 {
			f.X.Set(i, len(cols)+v-1, 1)
		}
	}
	return f
}
