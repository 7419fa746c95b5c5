package effect

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
	"utfall/internal/reftest"
)

// formulaFrame is a cohort of 120 that any program can make: covariates sin 1.7i and
// cos(0.9i + 1), uniform numbers from the fractions of sines, weights 1 + i mod 3, clusters
// i mod 15. B is an outcome of 0 and 1.
func formulaFrame(binary bool) *estimate.Frame {
	const n = 120
	uniform := func(i, f float64) float64 {
		v := float64(math.Sin(f*i) * 437.585453)
		return v - math.Floor(v)
	}
	f := &estimate.Frame{Level: 0.95, X: mat.NewDense(n, 2, nil), XNames: []string{"x1", "x2"}}
	for r := range n {
		i := float64(r + 1)
		a, b := math.Sin(1.7*i), math.Cos(0.9*i+1)
		treated := uniform(i, 12.9898) < num.LogitLink.Mean(0.2+0.8*a-0.6*b)
		t := float64(index(treated))
		y := 1 + a + 0.5*b + t*(1+0.4*a) + 2*(uniform(i, 78.233)-0.5)
		if binary {
			y = float64(index(uniform(i, 37.719) < num.LogitLink.Mean(-0.4+0.9*a+0.7*t)))
		}
		f.X.SetRow(r, []float64{a, b})
		f.Unit, f.Treated, f.Y = append(f.Unit, strconv.Itoa(r+1)), append(f.Treated, treated), append(f.Y, y)
	}
	return f
}

// Numbers of R 4.2.2. ipw, gcomp and aipw stacked: all estimating equations stacked by
// hand, solved by Newton, with the Jacobian by the complex step (exact); tmle: glm with offset and
// weights; aipw: the influence function by hand; match: Matching 4.10-8 with Weight 2, M 2,
// bias adjustment and Var.calc 4; match1 with Weight 1, M 1. w: sampling weights, cl: clusters, B: the
// outcome of 0 and 1, with risk ratio, its error, odds ratio, its error.
func TestMeansAgainstR(t *testing.T) {
	for name, want := range rMeans {
		part := strings.Fields(name)
		estimand := strings.ToLower(part[len(part)-1])
		binary := strings.Contains(name, " B ")
		f := formulaFrame(binary)
		if strings.Contains(name, " w ") {
			f.Weight.Kind = estimate.Sampling
			for i := range f.Y {
				f.Weight.Values = append(f.Weight.Values, float64(1+(i+1)%3))
			}
		}
		if strings.Contains(name, " cl ") {
			for i := range f.Y {
				f.Cluster = append(f.Cluster, (i+1)%15)
			}
		}
		ratios := len(want) > 2
		var e estimate.Estimator
		switch part[0] {
		case "ipw":
			e = IPW{Estimand: estimand, Ratios: ratios}
		case "gcomp":
			e = GComputation{Estimand: estimand, Ratios: ratios}
		case "tmle":
			e = TMLE{Estimand: estimand}
		case "match":
			e = BiasCorrectedMatching{Estimand: estimand, Ratio: 2, Metric: MahalanobisMetric, Variance: 4}
		case "match1":
			e = BiasCorrectedMatching{Estimand: estimand}
		default:
			e = AIPW{Estimand: estimand, Ratios: ratios}
			if part[1] == "stacked" {
				e = AIPW{Estimand: estimand, Ratios: ratios, Errors: "stacked"}
			}
		}
		res, err := e.Fit(t.Context(), f)
		if err != nil {
			t.Fatal(name, err)
		}
		for j := 0; j < len(want); j += 2 {
			reftest.Agree(t, name+" "+string(res.Estimates[j/2].Measure), res.Estimates[j/2].Value, want[j], 10)
			reftest.Agree(t, name+" error", res.Estimates[j/2].SE, want[j+1], 10)
		}
	}
}

// Quantile effects by hand in R: value, error, lower and upper limit.
func TestQuantilesAgainstR(t *testing.T) {
	for estimand, want := range map[string][3][4]float64{
		"att": {{1.0136023213549, 0.30656272146604, 0.26212575485314, 1.635680305587}, {1.0104422656862, 0.31237028445212, 0.46445158710301, 1.7081555873597},
			{1.2668870478292, 0.26327596297368, 0.61937196874219, 1.696875415214}},
		"ate": {{0.88460809190083, 0.3349838991354, 0.088513541967817, 1.5347907220304}, {0.92931454034805, 0.23894669224823, 0.47060095566917, 1.4090700640945},
			{1.317487737516, 0.22308932906372, 0.66917276504096, 1.5436670525171}},
	} {
		res, err := IPW{Estimand: estimand, Quantiles: []float64{0.25, 0.5, 0.75}}.Fit(t.Context(), formulaFrame(false))
		if err != nil {
			t.Fatal(err)
		}
		for j, w := range want {
			e := res.Estimates[j+1]
			for k, got := range [4]float64{e.Value, e.SE, e.CI.Lo, e.CI.Hi} {
				reftest.Agree(t, e.Term, got, w[k], 10)
			}
		}
	}
}

var rMeans = map[string][]float64{
	"ipw att":                  {0.98230532027901, 0.15761144170116},
	"ipw w att":                {1.1332212632544, 0.18122241745889},
	"ipw cl att":               {0.98230532027901, 0.17210652593971},
	"ipw B att":                {0.22687231935337, 0.10882269396947, 1.580570585655, 0.40133976301848, 2.5184153778669, 1.1538250720358},
	"ipw atc":                  {0.95168522326207, 0.16315891442737},
	"ipw w atc":                {1.0620869793104, 0.17540686968958},
	"ipw cl atc":               {0.95168522326207, 0.13479172567654},
	"ipw B atc":                {0.1346145216393, 0.1021929192621, 1.3684186908023, 0.32589812693091, 1.7368361098607, 0.73309376956569},
	"ipw ate":                  {0.96867941931875, 0.13725633523734},
	"ipw w ate":                {1.1029189067035, 0.15203619687381},
	"ipw cl ate":               {0.96867941931875, 0.1449333760597},
	"ipw B ate":                {0.18731006354289, 0.097810149066559, 1.4928927866078, 0.34010741492834, 2.1391939520265, 0.87418351299496},
	"ipw ato":                  {0.99807976473432, 0.13247785038433},
	"ipw w ato":                {1.0947734403744, 0.14563053639299},
	"ipw cl ato":               {0.99807976473432, 0.12751740232567},
	"ipw B ato":                {0.17590946822385, 0.096138390187673, 1.4603866469376, 0.32114530128865, 2.0415992067079, 0.81568308877359},
	"gcomp att":                {0.99794450367636, 0.14387140677542},
	"gcomp w att":              {1.0927644929736, 0.16684431928716},
	"gcomp cl att":             {0.99794450367636, 0.14636859123696},
	"gcomp logit B att":        {0.21680312264373, 0.10297367127977, 1.5408666642433, 0.35933666331631, 2.4145743526363, 1.0407134219906},
	"aipw stacked att":         {0.97887998280527, 0.14727378956056},
	"aipw stacked w att":       {1.1022967523396, 0.1780031171853},
	"aipw stacked logit B att": {0.2307095629089, 0.1056534088559, 1.5962450404646, 0.39391913851248, 2.5594101058306, 1.1414800422525},
	"gcomp atc":                {1.0012910135064, 0.13935483088198},
	"gcomp w atc":              {1.0989140977698, 0.14588269357838},
	"gcomp cl atc":             {1.0012910135064, 0.11765700521895},
	"gcomp logit B atc":        {0.14317026381013, 0.1009346117217, 1.3918344062172, 0.3256170984968, 1.7973106042342, 0.74965769499148},
	"aipw stacked atc":         {0.98284358210067, 0.15117695997043},
	"aipw stacked w atc":       {1.0991361119572, 0.15782060591299},
	"aipw stacked logit B atc": {0.13220722357419, 0.10235431458067, 1.3618302960978, 0.32491966300296, 1.7201919159672, 0.72686807175436},
	"gcomp ate":                {0.99939465793606, 0.13086173349179},
	"gcomp w ate":              {1.0954549450719, 0.14360883299998},
	"gcomp cl ate":             {0.99939465793606, 0.131077945428},
	"gcomp logit B ate":        {0.1848955504825, 0.095695080813776, 1.4796523794399, 0.32428279903174, 2.1164411253552, 0.84348823140826},
	"aipw stacked ate":         {0.98059754249994, 0.13407295886062},
	"aipw stacked w ate":       {1.1009139721723, 0.1497041106596},
	"aipw stacked logit B ate": {0.18802521586386, 0.096457769563079, 1.4979508856311, 0.33679196717887, 2.1463568165546, 0.86550358492619},
	"tmle att":                 {0.97985736433516, 0.16142455278469},
	"tmle B att":               {0.23014452586821, 0.11171955593485},
	"tmle w att":               {1.1018805963522, 0.19623305566004},
	"tmle atc":                 {0.98228470713522, 0.14881652747255},
	"tmle B atc":               {0.13188459056156, 0.098911094080751},
	"tmle w atc":               {1.0895374930685, 0.15102024261128},
	"tmle ate":                 {0.9807273296598, 0.14126806410446},
	"tmle B ate":               {0.18777627161208, 0.098652730680363},
	"tmle w ate":               {1.0964216121092, 0.15787686691422},
	"aipw Y att":               {0.97887998280527, 0.15661197112413},
	"aipw B att":               {0.2307095629089, 0.11190235967673},
	"aipw Y atc":               {0.98284358210067, 0.14714760357392},
	"aipw B atc":               {0.13220722357419, 0.098959688512357},
	"aipw Y ate":               {0.98059754249994, 0.13809748390746},
	"aipw B ate":               {0.18802521586386, 0.098710243809715},
	"match ATT":                {0.95009724120239, 0.15326107604974},
	"match1 ATT":               {0.90777092594651, 0.15470044005925},
	"match ATC":                {1.0107847628844, 0.16051041154313},
	"match1 ATC":               {0.988710693147, 0.16030371466866},
	"match ATE":                {0.9763951672646, 0.14327613685651},
	"match1 ATE":               {0.94284482506672, 0.13675077086245},
}
