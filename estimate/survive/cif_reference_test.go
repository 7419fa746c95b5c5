//go:build reference

package survive

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// Reference: survival 3.5-3 survfit (estimates and infinitesimal-jackknife errors) and
// cmprsk 2.2-11 cuminc (estimates and Gray's test), case 05d.
func TestMgus2Competing(t *testing.T) {
	d := reftest.ReadCSV(t, "05d_mgus2_competing", "data.csv")
	type aj struct {
		Time    []float64
		PPcm    []float64 `json:"p_pcm"`
		SEPcm   []float64 `json:"se_pcm"`
		PDeath  []float64 `json:"p_death"`
		SEDeath []float64 `json:"se_death"`
	}
	var ref struct {
		Overall aj `json:"aj_overall"`
		BySex   aj `json:"aj_by_sex"`
		Cuminc  struct {
			Est  map[string]map[string]float64
			Gray map[string]struct{ Stat, PV, DF float64 } `json:"gray_test"`
		} `json:"cmprsk_cuminc"`
	}
	reftest.ReadJSON(t, &ref, "05d_mgus2_competing", "expected.json")
	f := &Competing{Stratified: Stratified{Times: Times{Unit: d["id"], Time: d.Floats(t, "etime"), Level: 0.95}}, CauseNames: []string{"1", "2"}}
	for _, e := range d["event"] {
		f.Cause = append(f.Cause, map[string]int{"0": Censored, "1": 0, "2": 1}[e])
	}
	compare := func(what string, times []float64, want aj, from int, value, se func(q int) float64) {
		for q := range times {
			for c, w := range [][2]float64{{want.PPcm[from+q], want.SEPcm[from+q]}, {want.PDeath[from+q], want.SEDeath[from+q]}} {
				if math.IsNaN(value(2*q + c)) {
					t.Logf("%s: NaN at %v, %v in R", what, times[q], w)
					continue
				}
				reftest.Agree(t, what, value(2*q+c), w[0], 11)
				reftest.Agree(t, what+" se", se(2*q+c), w[1], 9)
			}
		}
	}
	times := ref.Overall.Time
	res := mustCIF(t, times, f)
	compare("overall", times, ref.Overall, 0, func(q int) float64 { return res.Estimates[q].Value }, func(q int) float64 { return res.Estimates[q].SE })
	f.GroupNames, f.Group = numbered(d["sex"])
	res = mustCIF(t, times, f)
	for g := range 2 {
		off := g * 2 * len(times)
		compare("sex "+f.GroupNames[g], times, ref.BySex, g*len(times), func(q int) float64 { return res.Estimates[off+q].Value }, func(q int) float64 { return res.Estimates[off+q].SE })
	}
	seen := 0
	for _, e := range mustCIF(t, []float64{12, 24, 60, 120, 180, 240, 300}, f).Estimates {
		for key, want := range ref.Cuminc.Est {
			for at, v := range want {
				if e.Term == "time="+at+",cause="+key[2:]+",group="+key[:1] {
					reftest.Agree(t, e.Term, e.Value, v, 11)
					seen++
				}
			}
		}
	}
	require.Equal(t, 28, seen)
	for _, e := range mustGray(t, 0, f).Estimates {
		want := ref.Cuminc.Gray[e.Term[len("gray,cause="):]]
		reftest.Agree(t, e.Term, e.Value, want.Stat, 10)
		reftest.Agree(t, e.Term+" p", e.Test.P, want.PV, 10)
		require.Equal(t, want.DF, e.Test.DF)
	}
}
