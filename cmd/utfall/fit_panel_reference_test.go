//go:build reference

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

type didAggregate struct {
	ATT  float64    `json:"overall_att"`
	SE   float64    `json:"overall_se"`
	EGT  []int      `json:"egt"`
	ATTS []float64  `json:"att_egt"`
	SES  []*float64 `json:"se_egt"`
}

type didReference struct {
	Group, Time []int
	ATT         []float64
	SE          []*float64
	N           int
	W           *float64     `json:"pretest_wald_W"`
	P           [][]float64  `json:"pretest_p"`
	Simple      didAggregate `json:"agg_simple"`
	ByGroup     didAggregate `json:"agg_group"`
	Dynamic     didAggregate `json:"agg_dynamic"`
	Calendar    didAggregate `json:"agg_calendar"`
	Balance     didAggregate `json:"agg_dynamic_balance_e1"`
}

// Cases 03a and 03a2: every key of R's did 2.1.2, with the command's defaults for errors.
func TestReferenceFitDid(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags []string
	}{
		{"03a_mpdta_attgt", []string{"--unit", "countyreal"}},
		{"03a2_mpdta_rc_weights", []string{"--panel=false", "--id", "rowid", "--weights", "pw"}},
	} {
		var raw map[string]json.RawMessage
		reftest.ReadJSON(t, &raw, c.name, "expected.json")
		for key, text := range raw {
			if key == "package" {
				continue
			}
			t.Run(c.name+"/"+key, func(t *testing.T) {
				var ref didReference
				require.NoError(t, json.Unmarshal(text, &ref))
				p := strings.Split(key, "__")
				args := append([]string{"did", "--data", casePath(t, c.name), "--time", "year", "--cohort", "first.treat", "--outcome", "lemp",
					"--method", p[1], "--control", map[string]string{"nevertreated": "never", "notyettreated": "not-yet"}[p[2]],
					"--base", p[3], "--anticipation", strings.TrimPrefix(p[4], "anticip"), "--bands", "pointwise"}, c.flags...)
				tol := 1e-7
				if p[0] != "none" {
					args = append(args, "--covariates", p[0])
					tol = map[string]float64{"dr": 1e-6, "ipw": 3e-6, "reg": 1e-7}[p[1]]
				}
				var worst float64
				a := fitted(t, args...)
				require.Len(t, a.Estimates, len(ref.ATT))
				require.Equal(t, ref.N, a.N["units"])
				check := func(e fitEstimateJSON, what string, att float64, se *float64) {
					near(t, &worst, what, e.Estimate, att, tol)
					if se == nil {
						require.Nil(t, e.StdError, what)
						return
					}
					near(t, &worst, what+" se", e.StdError, *se, tol)
				}
				for i := range ref.ATT {
					term := fmt.Sprintf("group=%d,time=%d", ref.Group[i], ref.Time[i])
					check(a.get(t, term, "mean-difference"), term, ref.ATT[i], ref.SE[i])
				}
				if ref.W != nil {
					var pre struct {
						Statistic *float64
						P         *float64 `json:"p_value"`
					}
					a.detail(t, "pretest", &pre)
					near(t, &worst, "W", pre.Statistic, *ref.W, 10*tol)
					require.InDelta(t, ref.P[0][0], *pre.P, 1e-5)
				}
				for kind, want := range map[string]didAggregate{"simple": ref.Simple, "group": ref.ByGroup, "dynamic": ref.Dynamic, "calendar": ref.Calendar, "balance": ref.Balance} {
					more := append(append([]string{}, args...), "--aggregate", kind)
					label := map[string]string{"group": "group", "dynamic": "event", "calendar": "time", "balance": "event"}[kind]
					if kind == "balance" {
						more = append(append([]string{}, args...), "--aggregate", "dynamic", "--balance-event", "1")
					}
					g := fitted(t, more...)
					require.Len(t, g.Estimates, len(want.EGT)+1)
					for i, e := range want.EGT {
						check(g.get(t, fmt.Sprintf("%s=%d", label, e), ""), fmt.Sprintf("%s %d", kind, e), want.ATTS[i], want.SES[i])
					}
					check(g.get(t, "overall", ""), kind+" overall", want.ATT, &want.SE)
				}
				digits(t, key, worst)
			})
		}
	}
}

// Case 05a: survival's survfit.
func TestReferenceFitKM(t *testing.T) {
	var raw map[string]json.RawMessage
	reftest.ReadJSON(t, &raw, "05a_veteran_km", "expected.json")
	var worst float64
	for conf, key := range map[string]string{"plain": "km_plain", "log": "km_log", "loglog": "km_log-log"} {
		var ref struct {
			Strata                 []string
			Time                   []float64
			NRisk                  []int `json:"n_risk"`
			Surv, SE, Lower, Upper []*float64
		}
		require.NoError(t, json.Unmarshal(raw[key], &ref))
		seen := map[float64]bool{}
		var at []string
		for _, x := range ref.Time {
			if !seen[x] {
				at = append(at, shortest(x))
			}
			seen[x] = true
		}
		a := fitted(t, "km", "--data", casePath(t, "05a_veteran_km"), "--time", "time", "--event", "status", "--by", "trt", "--conf", conf, "--at", strings.Join(at, ","))
		for i, x := range ref.Time {
			term := fmt.Sprintf("time=%s,group=%s", shortest(x), strings.TrimPrefix(ref.Strata[i], "trt="))
			e := a.get(t, term, "survival")
			if e.Estimate == nil { // beyond the last observation of the group R carries the last value on
				t.Logf("%s: null here, %v in R", term, *ref.Surv[i])
				continue
			}
			near(t, &worst, term, e.Estimate, *ref.Surv[i], 1e-8)
			if ref.SE[i] != nil && e.StdError != nil {
				near(t, &worst, term+" se", e.StdError, *ref.SE[i], 1e-8)
			}
			if ref.Lower[i] != nil && e.ConfLow != nil {
				near(t, &worst, term+" low", e.ConfLow, *ref.Lower[i], 1e-8)
				near(t, &worst, term+" high", e.ConfHigh, *ref.Upper[i], 1e-8)
			}
		}
		var quantiles []struct {
			Group string
			Q     float64
			Value *float64
			Lo    *float64 `json:"conf_low"`
			Hi    *float64 `json:"conf_high"`
		}
		a.detail(t, "quantiles", &quantiles)
		require.Len(t, quantiles, 6)
	}
	var full struct {
		Time, Surv []float64
		SE         []*float64 `json:"se_of_surv"`
		NEvent     []int      `json:"n_event"`
	}
	require.NoError(t, json.Unmarshal(raw["km_overall_full"], &full))
	a := fitted(t, "km", "--data", casePath(t, "05a_veteran_km"), "--time", "time", "--event", "status")
	k := 0
	for i, x := range full.Time {
		if full.NEvent[i] == 0 {
			continue
		}
		e := a.get(t, "time="+shortest(x), "survival")
		near(t, &worst, e.Term, e.Estimate, full.Surv[i], 1e-8)
		if e.StdError != nil && full.SE[i] != nil {
			near(t, &worst, e.Term+" se", e.StdError, *full.SE[i], 1e-8)
		}
		k++
	}
	require.Len(t, a.Estimates, k)
	digits(t, "05a", worst)
}

// survfitInfluence are the standard errors of survival 3.5-3, survfit(Surv(start, stop,
// ev) ~ 1, id, istate, influence = TRUE), at 12, 24, 36, 48, 60, 69 for EM, FE, HE, JL, SC, TR.
var survfitInfluence = [][]float64{
	{0.0158794880305, 0.0173387143763, 0, 0.00810230086756, 0.0150142679258, 0.0151308962373},
	{0.0191039735226, 0.015707378379, 0.00972736834636, 0.010912537468, 0.0106063982852, 0.012653800647},
	{0.0200866622957, 0.0130562689538, 0.0151115742444, 0.0111781510368, 0.00453146200596, 0.0102773671901},
	{0.0209491792751, 0.0099684423544, 0.0166616935314, 0.0137327129912, 0, 0.00782273242578},
	{0.0225048082871, 0.00851397755767, 0.0173867099982, 0.0159111027088, 0, 0.00573396913549},
	{0.0240866852073, 0.00741782197007, 0.0179761360937, 0.0187721724985, 0, 0.00443494524213},
}

// Case mvad-censored-aj: survival's multi-state survfit; net months by its own definition.
func TestReferenceFitStates(t *testing.T) {
	const name = "progress/mvad-censored-aj"
	var ref struct {
		States     []string `json:"state_order"`
		Times      []float64
		Occupation [][]float64
		SE         [][]float64                   `json:"occupation_se"`
		RMTS       map[string]float64            `json:"rmts69"`
		RMTSSE     map[string]float64            `json:"rmts69_se"`
		ByGroup    map[string]map[string]float64 `json:"rmts69_by_gcse5eq"`
		Net        struct {
			Results []struct {
				Groups string
				N1, N0 int
				Net    float64 `json:"net_months"`
				SE     float64
				Win    float64   `json:"win_months"`
				Loss   float64   `json:"loss_months"`
				At36   []float64 `json:"at_36"`
				At60   []float64 `json:"at_60"`
			}
		} `json:"net_months_higher_step"`
	}
	reftest.ReadJSON(t, &ref, name, "expected.json")
	var est, se float64
	base := []string{"states", "--data", casePath(t, name), "--id", "id", "--from", "from", "--to", "to", "--start", "start", "--stop", "stop", "--at", "12,24,36,48,60,69", "--tau", "69"}
	a := fitted(t, base...)
	for i, at := range ref.Times {
		for j, s := range ref.States {
			e := a.get(t, fmt.Sprintf("time=%s,state=%s", shortest(at), s), "occupation-probability")
			near(t, &est, e.Term, e.Estimate, ref.Occupation[i][j], 1e-8)
			// The stored errors leave out that the shares of the starting states are estimated.
			// Ours are those of survfit(…, influence = TRUE): see estimate/survive/METHODS.md.
			near(t, &se, e.Term+" se", e.StdError, survfitInfluence[i][j], 1e-6)
		}
	}
	for _, s := range ref.States {
		e := a.get(t, "state="+s, "restricted-mean-time")
		near(t, &est, e.Term, e.Estimate, ref.RMTS[s], 1e-8)
		near(t, &se, e.Term+" se", e.StdError, ref.RMTSSE[s], 1e-6)
	}
	for _, w := range ref.Net.Results {
		args := append(append([]string{}, base...), "--by", w.Groups, "--ladder", "JL=1,TR=2,SC=3,FE=3,HE=4,EM=4")
		if w.Groups != "gcse5eq" {
			// The other groupings are not in the case's data file.
			if _, ok := reftest.ReadCSV(t, name, "data.csv")[w.Groups]; !ok {
				continue
			}
		}
		g := fitted(t, args...)
		for measure, want := range map[string]float64{"net-months": w.Net, "win-months": w.Win, "loss-months": w.Loss} {
			near(t, &est, measure, g.get(t, measure, measure).Estimate, want, 1e-8)
		}
		near(t, &se, "net se", g.get(t, "net-months", "").StdError, w.SE, 1e-6)
		for at, want := range map[string][]float64{"36": w.At36, "60": w.At60} {
			near(t, &est, "win at "+at, g.get(t, "time="+at, "win-probability").Estimate, want[0], 1e-8)
			near(t, &est, "loss at "+at, g.get(t, "time="+at, "loss-probability").Estimate, want[1], 1e-8)
		}
		if w.Groups == "gcse5eq" {
			for group, key := range map[string]string{"0": "no", "1": "yes"} {
				for s, want := range ref.ByGroup[key] {
					e := g.get(t, fmt.Sprintf("state=%s,group=%s", s, group), "restricted-mean-time")
					near(t, &est, e.Term, e.Estimate, want, 1e-8)
					near(t, &se, e.Term+" se", e.StdError, ref.ByGroup[key+"_se"][s], 1e-6)
				}
			}
			var persons map[string]int
			g.detail(t, "persons", &persons)
			require.Equal(t, map[string]int{"0": w.N0, "1": w.N1}, persons)
		}
	}
	digits(t, "mvad estimates", est)
	digits(t, "mvad standard errors", se)
}
