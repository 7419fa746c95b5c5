//go:build reference

package progress

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/internal/reftest"
)

// Reference: survival 3.5-3 influence functions put together in R (case progress/mvad-censored-aj, check.R), stored with 10 digits.
func TestMvadNetMonthsAgainstR(t *testing.T) {
	var ref struct {
		Net struct {
			Results []struct {
				Groups string    `json:"groups"`
				N1     int       `json:"n1"`
				N0     int       `json:"n0"`
				Net    float64   `json:"net_months"`
				SE     float64   `json:"se"`
				Win    float64   `json:"win_months"`
				Loss   float64   `json:"loss_months"`
				At36   []float64 `json:"at_36"`
				At60   []float64 `json:"at_60"`
			} `json:"results"`
		} `json:"net_months_higher_step"`
	}
	reftest.ReadJSON(t, &ref, "progress", "mvad-censored-aj", "expected.json")
	d := reftest.ReadCSV(t, "progress", "mvad-censored-aj", "data.csv")
	full := reftest.ReadCSV(t, "progress", "mvad-sequences", "data.csv")
	require.Len(t, ref.Net.Results, 3)
	for _, want := range ref.Net.Results {
		group := map[string]string{}
		for i, id := range full["id"] {
			group[id] = full[want.Groups][i]
		}
		r := survive.Rows{Person: d["id"], From: d["from"], To: d["to"], Start: d.Floats(t, "start"), Stop: d.Floats(t, "stop"), Level: 0.95}
		for _, id := range d["id"] {
			r.Group = append(r.Group, group[id])
		}
		s, err := r.Spells()
		require.NoError(t, err)
		res, err := NetMonths{
			Ladder: Ladder{"JL": 1, "TR": 2, "SC": 3, "FE": 3, "HE": 4, "EM": 4}, Tau: 69, At: []float64{36, 60},
		}.Fit(t.Context(), s)
		require.NoError(t, err)
		require.Equal(t, want.N1, res.N.Treated)
		require.Equal(t, want.N0, res.N.Units-res.N.Treated)
		e := res.Estimates
		reftest.Agree(t, want.Groups+" net", e[0].Value, want.Net, 9)
		reftest.Agree(t, want.Groups+" se", e[0].SE, want.SE, 9)
		reftest.Agree(t, want.Groups+" win", e[1].Value, want.Win, 9)
		reftest.Agree(t, want.Groups+" loss", e[2].Value, want.Loss, 9)
		for i, v := range append(want.At36, want.At60...) {
			reftest.Agree(t, want.Groups+" "+e[3+i].Term, e[3+i].Value, v, 9)
		}
	}
}

// Reference: case progress/colon-rmtif, part AJ (exact integrals; events before censorings).
func TestColonNetTimeAgainstR(t *testing.T) {
	var ref struct {
		AJ struct {
			Overall float64                          `json:"overall"`
			SE      float64                          `json:"se"`
			Win     float64                          `json:"win_time"`
			Loss    float64                          `json:"loss_time"`
			At      []struct{ T, Win, Loss float64 } `json:"win_loss_at_years"`
		}
		RMTS struct{ Treat, Control map[string]float64 } `json:"rmts"`
	}
	reftest.ReadJSON(t, &ref, "progress", "colon-rmtif", "expected.json")
	d := reftest.ReadCSV(t, "progress", "colon-rmtif", "data.csv")
	r := survive.Rows{Person: d["id"], From: d["from"], To: d["to"], Start: d.Floats(t, "start"), Stop: d.Floats(t, "stop"), Group: d["trt"], Level: 0.95}
	s, err := r.Spells()
	require.NoError(t, err)
	res, err := NetMonths{Ladder: Ladder{"dead": 0, "relapse": 1, "free": 2}, Tau: 7.5, At: []float64{2, 5, 7}}.Fit(t.Context(), s)
	require.NoError(t, err)
	e := res.Estimates
	reftest.Agree(t, "net", e[0].Value, ref.AJ.Overall, 9)
	reftest.Agree(t, "se", e[0].SE, ref.AJ.SE, 9)
	reftest.Agree(t, "win", e[1].Value, ref.AJ.Win, 9)
	reftest.Agree(t, "loss", e[2].Value, ref.AJ.Loss, 9)
	for i, at := range ref.AJ.At {
		reftest.Agree(t, "win at", e[3+2*i].Value, at.Win, 9)
		reftest.Agree(t, "loss at", e[4+2*i].Value, at.Loss, 9)
	}
	aj, err := survive.AalenJohansen{Tau: 7.5}.Fit(t.Context(), s)
	require.NoError(t, err)
	for _, est := range aj.Estimates {
		for state, want := range ref.RMTS.Treat {
			if est.Term == "state="+state+",group=1" && est.Measure == estimate.RestrictedMeanTime {
				reftest.Agree(t, est.Term, est.Value, want, 9)
			}
		}
	}
}
