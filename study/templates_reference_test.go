//go:build reference

package study

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// runTemplate runs a template on a reference case's data and gives its numbers by address.
func runTemplate(t *testing.T, name, file string, caseDir []string, edits ...string) map[string]Record {
	t.Helper()
	dir := t.TempDir()
	b, err := os.ReadFile(filepath.Join(append(append([]string{reftest.ReferenceDir(t)}, caseDir...), "data.csv")...))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, file), b, 0o644))
	recs, err := readResults(runTo(t, template(t, name, edits...), Options{DataDir: dir}))
	require.NoError(t, err)
	out := map[string]Record{}
	for _, r := range recs {
		out[r.Address] = r
	}
	return out
}

func value(t *testing.T, r map[string]Record, address string) (v, se float64) {
	t.Helper()
	rec, ok := r[address]
	require.True(t, ok, address)
	require.NotNil(t, rec.Estimate, address)
	if rec.StdError != nil {
		se = *rec.StdError
	}
	return *rec.Estimate, se
}

// Source: MatchIt 4.5.5 and R's lm with cluster-robust errors (case.md of 01b and 01c).
// Ties are taken in the order of the data. MatchIt's own pairs differ within ties, which
// changes errors clustered on pairs but neither who is matched nor robust errors; the
// clustered ones are compared on the reference's own sets, through utfall fit.
func TestReferenceIndividualTemplate(t *testing.T) {
	for _, c := range []struct{ dir, caliper string }{{"01b_lalonde_nn1", ""}, {"01c_lalonde_nn1_caliper", "caliper: 0.2"}} {
		var want struct {
			NTreated int `json:"n_treated_matched"`
			Effect   struct {
				Unadjusted, Adjusted map[string]float64
			}
		}
		reftest.ReadJSON(t, &want, c.dir, "expected.json")
		r := runTemplate(t, "individual", "participants.csv", []string{c.dir},
			"      caliper: 0.2 #", "      "+c.caliper+"\n      ties: data #",
			"round_to: 5", "round_to: 1", "outcome: re78, method: difference", "outcome: re78, method: difference, vcov: hc1",
			"      method: regression\n", "      method: regression\n      vcov: hc1\n",
			"- name: working-age\n        keep: age >= 16 and age <= 64", "- name: working-age\n        keep: age >= 16 and age <= 100")
		v, se := value(t, r, "earnings/att/mean-difference")
		reftest.Agree(t, c.dir+" difference", v, want.Effect.Unadjusted["att"], 8)
		reftest.Agree(t, c.dir+" HC1", se, want.Effect.Unadjusted["se_HC1"], 8)
		require.Equal(t, want.NTreated, *r["earnings/att/mean-difference"].Treated)
		v, se = value(t, r, "earnings-adjusted/att/mean-difference")
		reftest.Agree(t, c.dir+" regression", v, want.Effect.Adjusted["att"], 8)
		reftest.Agree(t, c.dir+" regression HC1", se, want.Effect.Adjusted["se_HC1"], 8)
	}
}

// Source: did 2.1.2 with DRDID 1.0.7 (case.md of 03a). The overall effect by group has
// another error on purpose: estimate/panel/METHODS.md, differences.
func TestReferenceMunicipalTemplate(t *testing.T) {
	raw := map[string]json.RawMessage{}
	reftest.ReadJSON(t, &raw, "03a_mpdta_attgt", "expected.json")
	var want struct {
		Group, Time []int
		Att         []float64
		SE          []*float64
		AggSimple   struct {
			Att float64 `json:"overall_att"`
			SE  float64 `json:"overall_se"`
		} `json:"agg_simple"`
		AggDynamic struct {
			Att float64    `json:"overall_att"`
			SE  float64    `json:"overall_se"`
			E   []int      `json:"egt"`
			A   []float64  `json:"att_egt"`
			S   []*float64 `json:"se_egt"`
		} `json:"agg_dynamic"`
		AggGroup struct {
			Att float64 `json:"overall_att"`
			SE  float64 `json:"overall_se"`
		} `json:"agg_group"`
	}
	require.NoError(t, json.Unmarshal(raw["lpop__dr__notyettreated__universal__anticip0"], &want))
	r := runTemplate(t, "municipal", "panel.csv", []string{"03a_mpdta_attgt"})
	agree := func(address string, att float64, se *float64) {
		v, s := value(t, r, address)
		reftest.Near(t, address, v, att, 1e-7)
		if se == nil {
			require.Nil(t, r[address].StdError, address)
			return
		}
		reftest.Agree(t, address+" se", s, *se, 6)
	}
	for i := range want.Group {
		agree(fmt.Sprintf("employment/group=%d,time=%d/mean-difference", want.Group[i], want.Time[i]), want.Att[i], want.SE[i])
	}
	agree("employment/overall/mean-difference", want.AggSimple.Att, &want.AggSimple.SE)
	agree("employment/dynamic:overall/mean-difference", want.AggDynamic.Att, &want.AggDynamic.SE)
	for i, e := range want.AggDynamic.E {
		agree(fmt.Sprintf("employment/event=%d/mean-difference", e), want.AggDynamic.A[i], want.AggDynamic.S[i])
	}
	v, s := value(t, r, "employment/group:overall/mean-difference")
	reftest.Near(t, "group overall", v, want.AggGroup.Att, 1e-7)
	reftest.Agree(t, "group overall se, half a per cent apart", s, want.AggGroup.SE, 2)
}

// Source: survival 3.5-3, survfit with influence=TRUE (case.md of mvad-censored-aj).
func TestReferenceStatesTemplate(t *testing.T) {
	var want struct {
		States []string                      `json:"state_order"`
		Times  []float64                     `json:"times"`
		By     map[string]map[string]float64 `json:"rmts69_by_gcse5eq"`
		Net    struct {
			Results []struct {
				Groups string
				Net    float64 `json:"net_months"`
				SE     float64 `json:"se"`
				Win    float64 `json:"win_months"`
				Loss   float64 `json:"loss_months"`
			}
		} `json:"net_months_higher_step"`
	}
	reftest.ReadJSON(t, &want, "progress", "mvad-censored-aj", "expected.json")
	r := runTemplate(t, "states", "spells.csv", []string{"progress", "mvad-censored-aj"})
	for _, g := range []struct{ level, key string }{{"0", "no"}, {"1", "yes"}} {
		for _, st := range want.States {
			v, se := value(t, r, "states/state="+st+",group="+g.level+"/restricted-mean-time")
			reftest.Agree(t, "months in "+st, v, want.By[g.key][st], 8)
			reftest.Agree(t, "months in "+st+" se", se, want.By[g.key+"_se"][st], 6)
		}
	}
	for _, n := range want.Net.Results {
		if n.Groups != "gcse5eq" {
			continue
		}
		v, se := value(t, r, "states/net-months/net-months")
		reftest.Agree(t, "net months", v, n.Net, 8)
		reftest.Agree(t, "net months se", se, n.SE, 6)
		v, _ = value(t, r, "states/win-months/win-months")
		reftest.Agree(t, "win months", v, n.Win, 8)
		v, _ = value(t, r, "states/loss-months/loss-months")
		reftest.Agree(t, "loss months", v, n.Loss, 8)
	}
	require.NotEmpty(t, strings.Join(want.States, ""))
}
