//go:build reference

package num

import (
	"fmt"
	"math"
	"testing"

	"utfall/internal/reftest"
)

// lalonde is the data of case 01a: a constant and eight columns.
func lalonde(t *testing.T) (x, y []float64) {
	t.Helper()
	data := reftest.ReadCSV(t, "01a_lalonde_propensity", "data.csv")
	y = data.Floats(t, "treat")
	for i := range y {
		row := []float64{1, data.Floats(t, "age")[i], data.Floats(t, "educ")[i], 0, 0, data.Floats(t, "married")[i], data.Floats(t, "nodegree")[i], data.Floats(t, "re74")[i], data.Floats(t, "re75")[i]}
		switch data["race"][i] {
		case "hispan":
			row[3] = 1
		case "white":
			row[4] = 1
		}
		x = append(x, row...)
	}
	return x, y
}

// R 4.2.2, glmnet 4.1-6 on the data of case 01a: glmnet(thresh = 1e-18, maxit = 1e8) and
// cv.glmnet with the folds (7i mod 5) + 1 at nine given λ.
func TestReferencePenalisedLogitLalonde(t *testing.T) {
	x, y := lalonde(t)
	fold := make([]int32, len(y))
	for i := range fold {
		fold[i] = int32((i + 1) * 7 % 5)
	}
	for _, c := range []struct {
		alpha, first float64
		coef         map[int][]float64
		dev, cv, se  []float64
		min, oneSE   int
	}{
		{0, 10, map[int][]float64{
			2: {-0.529821913042718, -0.00238561512905765, 0.00506659413759883, -0.172153484534479, -0.375929607217321, -0.194527880838932, 0.0693680698422884, -1.17025727907319e-05, -9.88528990031356e-06},
			5: {-0.710346431315488, 0.00628551031723824, 0.0834010456311038, -1.5436334183076, -2.28144076106267, -0.683704383137691, 0.406686295963946, -4.77473574929487e-05, 1.64289446163225e-05},
			8: {-1.59425476293512, 0.0151684191167947, 0.156102283695992, -2.05667839267346, -3.02518120500329, -0.823525188296152, 0.686940706179377, -7.01604052944218e-05, 5.10269807244074e-05}},
			[]float64{740.009874967437, 718.763690582902, 671.738697080816, 600.529410669346, 534.792236196549, 500.423844826875, 490.086616719537, 488.137903706514, 487.876519260634},
			[]float64{1.20558845008769, 1.17166596403189, 1.096674816265, 0.983491797117692, 0.880421784152897, 0.829858345852291, 0.818346634582783, 0.818418312506285, 0.81937209164551},
			[]float64{0.00105709097465766, 0.00173493088265135, 0.00338460799722495, 0.00539697750072628, 0.00692463668058311, 0.00871006734445696, 0.0104605175852731, 0.0115867775789568, 0.012091059475066}, 6, 6},
		{1, 0.234899235557323, map[int][]float64{
			2: {0.548777267498199, 0, 0, -1.5376352104889, -2.56022782480967, -0.494154792152435, 0, -2.29595037733172e-05, 0},
			5: {-1.50777767630657, 0.0141396619077781, 0.151836345013993, -2.05953262969834, -3.04390677714448, -0.806459789363591, 0.664639428205004, -6.8199541774642e-05, 4.732191394889e-05},
			8: {-1.65832628098753, 0.0157249270476854, 0.16100478588228, -2.08101744519273, -3.06467388460217, -0.831290340838321, 0.705937115106715, -7.16620353122075e-05, 5.32503248249548e-05}},
			[]float64{751.492080045472, 567.175364257818, 506.301502158594, 493.144298899538, 488.438877247155, 487.905460546665, 487.850153682621, 487.844555798019, 487.843993830968},
			[]float64{1.21855150378658, 0.932139410034686, 0.836328902651531, 0.823306494089118, 0.820336986599143, 0.819891099680429, 0.819968227134036, 0.820015511384286, 0.820032790229909},
			[]float64{0.00385463829223531, 0.018454024760522, 0.0140644089048232, 0.0113316103907225, 0.0106587872890955, 0.0117201778557328, 0.0121499491115912, 0.0122942074766859, 0.0123406304759028}, 5, 3},
	} {
		d := PenalisedData{N: len(y), K: 9, X: x, Y: y, Alpha: c.alpha, Fold: fold, Folds: 5}
		for i := range 9 {
			d.Lambda = append(d.Lambda, c.first*math.Pow(10, -float64(i)/2))
		}
		f, err := PenalisedLogit(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range c.coef {
			for j, w := range want {
				if w == 0 && f.Coef[i][j] == 0 {
					continue
				}
				reftest.Agree(t, fmt.Sprintf("α %g, λ %d, coefficient %d", c.alpha, i, j), f.Coef[i][j], w, 6)
			}
		}
		for i := range d.Lambda {
			reftest.Agree(t, "deviance", f.Deviance[i], c.dev[i], 9)
			reftest.Agree(t, "held-out deviance", f.CV.Mean[i], c.cv[i], 7)
			reftest.Agree(t, "its error", f.CV.SE[i], c.se[i], 4)
		}
		if f.CV.Min != c.min || f.CV.OneSE != c.oneSE {
			t.Errorf("α %g: chosen %d and %d", c.alpha, f.CV.Min, f.CV.OneSE)
		}
	}
	null := PenalisedData{N: len(y), K: 9, X: x, Y: y, Alpha: 1}
	f, err := PenalisedLogit(t.Context(), null)
	if err != nil {
		t.Fatal(err)
	}
	reftest.Agree(t, "first λ", f.Lambda[0], 0.234899235557323, 12)
	reftest.Agree(t, "null deviance", f.NullDev, 751.492080045472, 12)
	if len(f.Lambda) != 66 {
		t.Errorf("a path of %d, glmnet's has 66", len(f.Lambda))
	}
}

// Case 08c: lme4 1.1.31, one row an animal instead of one a herd and period, so that the
// log-likelihoods differ by the binomial coefficients. The case asks for 1e-3.
func TestReferenceSiteLogitCBPP(t *testing.T) {
	data := reftest.ReadCSV(t, "08c_cbpp_glmm", "data.csv")
	sick, size, period, herd := data.Floats(t, "incidence"), data.Floats(t, "size"), data.Floats(t, "period"), data.Floats(t, "herd")
	d := SiteLogitData{K: 2, Sites: 15}
	constants := 0.0
	for i := range sick {
		for a := range int(size[i]) {
			d.X = append(d.X, 1, period[i])
			d.Site = append(d.Site, int32(herd[i])-1)
			y := 0.0
			if a < int(sick[i]) {
				y = 1
			}
			d.Y = append(d.Y, y)
			d.N++
		}
		all, _ := math.Lgamma(size[i] + 1)
		in, _ := math.Lgamma(sick[i] + 1)
		out, _ := math.Lgamma(size[i] - sick[i] + 1)
		constants += all - in - out
	}
	type model struct {
		Fixed, SE  map[string]float64
		LogLik     float64
		Components struct{ Sdcor []float64 } `json:"var_components"`
		Ranef      map[string]map[string]map[string]float64
	}
	var ref struct{ NAGQ1, NAGQ25 model }
	reftest.ReadJSON(t, &ref, "08c_cbpp_glmm", "expected.json")
	for nodes, want := range map[int]model{1: ref.NAGQ1, 25: ref.NAGQ25} {
		d.Nodes = nodes
		f, err := SiteLogit(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		for j, name := range []string{"(Intercept)", "period"} {
			reftest.Agree(t, fmt.Sprintf("%d nodes, %s", nodes, name), f.Coef[j], want.Fixed[name], 5)
			reftest.Agree(t, "its error", math.Sqrt(f.Cov.At(j, j)), want.SE[name], 5)
		}
		reftest.Agree(t, "SD", f.SD, want.Components.Sdcor[0], 5)
		if nodes == 1 {
			reftest.Agree(t, "log-likelihood", f.LogLik+constants, want.LogLik, 8)
		}
		for j, u := range f.Effect {
			reftest.Near(t, "mode", u, want.Ranef["herd"][fmt.Sprint(j+1)]["(Intercept)"], 1e-4)
		}
	}
}
