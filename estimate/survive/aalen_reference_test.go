//go:build reference

package survive

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/internal/reftest"
)

func mvad(t testing.TB, group []string) *Spells {
	d := reftest.ReadCSV(t, "progress", "mvad-censored-aj", "data.csv")
	r := Rows{
		Person: d["id"], From: d["from"], To: d["to"], Start: d.Floats(t, "start"), Stop: d.Floats(t, "stop"),
		States: []string{"EM", "FE", "HE", "JL", "SC", "TR"}, Level: 0.95,
	}
	if group != nil {
		r.Group = group
	}
	s, err := r.Spells()
	require.NoError(t, err)
	return s
}

func value(t testing.TB, res *estimate.Result, term string, m estimate.Measure) estimate.Estimate {
	t.Helper()
	for _, e := range res.Estimates {
		if e.Term == term && e.Measure == m {
			return e
		}
	}
	t.Fatalf("no estimate %s/%s", term, m)
	return estimate.Estimate{}
}

// Standard errors of survival 3.5-3, survfit(Surv(start, stop, ev) ~ 1, id, istate,
// influence = TRUE)$std.err at 12, 24, 36, 48, 60, 69. The errors stored with the case
// are those of the same call without influence = TRUE, which leave out that the shares
// of the starting states are estimated: at 12, before anybody is censored, ours are
// the binomial sqrt(p(1-p)/712) and the stored ones are not.
var mvadSE = [][]float64{
	{0.0158794880305, 0.0173387143763, 0, 0.00810230086756, 0.0150142679258, 0.0151308962373},
	{0.0191039735226, 0.015707378379, 0.00972736834636, 0.010912537468, 0.0106063982852, 0.012653800647},
	{0.0200866622957, 0.0130562689538, 0.0151115742444, 0.0111781510368, 0.00453146200596, 0.0102773671901},
	{0.0209491792751, 0.0099684423544, 0.0166616935314, 0.0137327129912, 0, 0.00782273242578},
	{0.0225048082871, 0.00851397755767, 0.0173867099982, 0.0159111027088, 0, 0.00573396913549},
	{0.0240866852073, 0.00741782197007, 0.0179761360937, 0.0187721724985, 0, 0.00443494524213},
}

// Reference: survival 3.5-3, survfit with id and influence; numbers are stored with 10 digits.
func TestMvadAgainstSurvival(t *testing.T) {
	var ref struct {
		StateOrder   []string                      `json:"state_order"`
		Times        []float64                     `json:"times"`
		Occupation   [][]float64                   `json:"occupation"`
		OccupationSE [][]float64                   `json:"occupation_se"`
		RMTS         map[string]float64            `json:"rmts69"`
		RMTSSE       map[string]float64            `json:"rmts69_se"`
		By           map[string]map[string]float64 `json:"rmts69_by_gcse5eq"`
	}
	reftest.ReadJSON(t, &ref, "progress", "mvad-censored-aj", "expected.json")
	res, err := AalenJohansen{At: ref.Times, Tau: 69}.Fit(t.Context(), mvad(t, nil))
	require.NoError(t, err)
	for a, time := range ref.Times {
		for j, st := range ref.StateOrder {
			e := value(t, res, fmt.Sprintf("time=%g,state=%s", time, st), estimate.Occupation)
			reftest.Near(t, e.Term, e.Value, ref.Occupation[a][j], 1e-10)
			reftest.Near(t, e.Term+" se", e.SE, mvadSE[a][j], 1e-12)
		}
	}
	o, err := Occupy(mvad(t, nil), 69)
	require.NoError(t, err)
	for a, time := range ref.Times {
		for j, se := range givenStart(o[0], time) {
			reftest.Near(t, "se given the starting states", se, ref.OccupationSE[a][j], 1e-10)
		}
	}
	for st, want := range ref.RMTS {
		e := value(t, res, "state="+st, estimate.RestrictedMeanTime)
		reftest.Agree(t, e.Term, e.Value, want, 9)
		reftest.Agree(t, e.Term+" se", e.SE, ref.RMTSSE[st], 9)
	}
	s := mvad(t, reftest.ReadCSV(t, "progress", "mvad-censored-aj", "data.csv")["gcse5eq"])
	res, err = AalenJohansen{At: []float64{36}, Tau: 69}.Fit(t.Context(), s)
	require.NoError(t, err)
	for i, g := range []string{"no", "yes"} {
		for _, st := range ref.StateOrder {
			e := value(t, res, fmt.Sprintf("state=%s,group=%d", st, i), estimate.RestrictedMeanTime)
			reftest.Agree(t, e.Term, e.Value, ref.By[g][st], 9)
			reftest.Agree(t, e.Term+" se", e.SE, ref.By[g+"_se"][st], 9)
		}
	}
}

// givenStart is the standard error of the occupation probabilities at t without the
// uncertainty of p(0): IF_i less (P_{X_i(0),j}(0,t) - p_j(t))/n.
func givenStart(o *Occupation, t float64) []float64 {
	K, at := len(o.States), o.Index(t)
	inf := o.Influences(K, 1, func(k, from, to int, c []float64) {
		for j := from; j < to && k == at; j++ {
			c[j*(to-from)+j-from] = 1
		}
	})
	P := make([][]float64, K)
	for h := range P {
		P[h] = make([]float64, K)
		P[h][h] = 1
		for k := 1; k <= at; k++ {
			step := append([]float64(nil), P[h]...)
			for _, c := range o.cells[o.cellAt[k]:o.cellAt[k+1]] {
				step[c.j] += P[h][c.h] * c.rate
				step[c.h] -= P[h][c.h] * c.rate
			}
			P[h] = step
		}
	}
	se := make([]float64, K)
	for r := range o.Persons {
		x := o.stays[o.stayAt[r]].h
		for j := range K {
			d := inf[r*K+j] - (P[x][j]-o.At(t)[j])/float64(len(o.Persons))
			se[j] += d * d
		}
	}
	for j := range se {
		se[j] = math.Sqrt(se[j])
	}
	return se
}

// Reference: mstate 0.3.3, probtrans from the first state at 0. Its standard errors are Greenwood's, not compared.
func TestEbmt3AgainstMstate(t *testing.T) {
	d := reftest.ReadCSV(t, "05f_ebmt3_mstate", "data.csv")
	pr, prs := d.Floats(t, "prtime"), d.Floats(t, "prstat")
	rf, rfs := d.Floats(t, "rfstime"), d.Floats(t, "rfsstat")
	r := Rows{States: []string{"Tx", "PR", "RelDeath"}, Level: 0.95}
	add := func(id, from, to string, start, stop float64) {
		r.Person, r.From, r.To = append(r.Person, id), append(r.From, from), append(r.To, to)
		r.Start, r.Stop = append(r.Start, start), append(r.Stop, stop)
	}
	for i, id := range d["id"] {
		end := "cens"
		if rfs[i] == 1 {
			end = "RelDeath"
		}
		if prs[i] == 1 && pr[i] < rf[i] {
			add(id, "Tx", "PR", 0, pr[i])
			add(id, "PR", end, pr[i], rf[i])
		} else {
			add(id, "Tx", end, 0, rf[i])
		}
	}
	s, err := r.Spells()
	require.NoError(t, err)
	var ref struct {
		Times []float64 `json:"times"`
		P     struct {
			A []float64 `json:"pstate1"`
			B []float64 `json:"pstate2"`
			C []float64 `json:"pstate3"`
		} `json:"from_Tx_predt0"`
	}
	reftest.ReadJSON(t, &ref, "05f_ebmt3_mstate", "expected.json")
	res, err := AalenJohansen{At: ref.Times, Tau: 1825}.Fit(t.Context(), s)
	require.NoError(t, err)
	for a, time := range ref.Times {
		for st, want := range map[string][]float64{"Tx": ref.P.A, "PR": ref.P.B, "RelDeath": ref.P.C} {
			e := value(t, res, "time="+FormatTime(time)+",state="+st, estimate.Occupation)
			reftest.Agree(t, e.Term, e.Value, want[a], 11)
		}
	}
}

// Reference: survival 3.5-3, competing risks of mgus2; restricted mean times by sex and their difference.
func TestMgus2AgainstSurvival(t *testing.T) {
	d := reftest.ReadCSV(t, "progress", "mgus2-statetime-pseudo", "data.csv")
	names := []string{"(s0)", "pcm", "death"}
	r := Rows{Person: d["id"], States: names, Level: 0.95, Stop: d.Floats(t, "etime")}
	for _, ev := range d["ev"] {
		to := map[string]string{"0": "", "1": "pcm", "2": "death"}[ev]
		r.From, r.To, r.Start = append(r.From, "(s0)"), append(r.To, to), append(r.Start, 0)
	}
	var ref struct {
		Times        []float64                               `json:"times"`
		Occupation   [][]float64                             `json:"occupation"`
		OccupationSE [][]float64                             `json:"occupation_se"`
		All          struct{ Months, SE map[string]float64 } `json:"rmts240"`
		F            struct{ Months, SE map[string]float64 } `json:"rmts240_F"`
		M            struct{ Months, SE map[string]float64 } `json:"rmts240_M"`
		Diff         struct{ Est, SE []float64 }             `json:"rmts_diff_M_minus_F"`
	}
	reftest.ReadJSON(t, &ref, "progress", "mgus2-statetime-pseudo", "expected.json")
	s, err := r.Spells()
	require.NoError(t, err)
	res, err := AalenJohansen{At: ref.Times, Tau: 240}.Fit(t.Context(), s)
	require.NoError(t, err)
	for a, time := range ref.Times {
		for j, st := range names {
			e := value(t, res, "time="+FormatTime(time)+",state="+st, estimate.Occupation)
			reftest.Agree(t, e.Term, e.Value, ref.Occupation[a][j], 9)
			reftest.Agree(t, e.Term+" se", e.SE, ref.OccupationSE[a][j], 9)
		}
	}
	for st, want := range ref.All.Months {
		e := value(t, res, "state="+st, estimate.RestrictedMeanTime)
		reftest.Agree(t, e.Term, e.Value, want, 9)
		reftest.Agree(t, e.Term+" se", e.SE, ref.All.SE[st], 9)
	}
	r.Group = d["sex"]
	s, err = r.Spells()
	require.NoError(t, err)
	res, err = AalenJohansen{Tau: 240}.Fit(t.Context(), s)
	require.NoError(t, err)
	for j, st := range names {
		e := value(t, res, "state="+st+",group=F", estimate.RestrictedMeanTime)
		reftest.Agree(t, e.Term, e.Value, ref.F.Months[st], 9)
		e = value(t, res, "state="+st+",group=M", estimate.RestrictedMeanTime)
		reftest.Agree(t, e.Term+" se", e.SE, ref.M.SE[st], 9)
		e = value(t, res, "state="+st+",contrast=M-F", RestrictedMeanTimeDifference)
		reftest.Agree(t, e.Term, e.Value, ref.Diff.Est[j], 9)
		reftest.Agree(t, e.Term+" se", e.SE, ref.Diff.SE[j], 9)
	}
}

// Reference: survival 3.5-3, case 05d: cumulative incidences of competing risks.
func TestCompetingRisksAgainstSurvival(t *testing.T) {
	d := reftest.ReadCSV(t, "05d_mgus2_competing", "data.csv")
	r := Rows{Person: d["id"], States: []string{"s0", "pcm", "death"}, Level: 0.95, Stop: d.Floats(t, "etime")}
	for _, ev := range d["event"] {
		to := map[string]string{"0": "", "1": "pcm", "2": "death"}[ev]
		r.From, r.To, r.Start = append(r.From, "s0"), append(r.To, to), append(r.Start, 0)
	}
	s, err := r.Spells()
	require.NoError(t, err)
	var ref struct {
		All map[string]json.RawMessage `json:"aj_overall"`
	}
	reftest.ReadJSON(t, &ref, "05d_mgus2_competing", "expected.json")
	column := func(name string) (x []float64) {
		require.NoError(t, json.Unmarshal(ref.All[name], &x))
		return x
	}
	times := column("time")
	res, err := AalenJohansen{At: times, Tau: 240}.Fit(t.Context(), s)
	require.NoError(t, err)
	for _, st := range []string{"pcm", "death"} {
		p, se := column("p_"+st), column("se_"+st)
		for a, time := range times {
			e := value(t, res, "time="+FormatTime(time)+",state="+st, estimate.Occupation)
			reftest.Agree(t, e.Term, e.Value, p[a], 11)
			reftest.Agree(t, e.Term+" se", e.SE, se[a], 11)
		}
	}
}
