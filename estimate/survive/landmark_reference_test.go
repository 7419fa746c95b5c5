//go:build reference

package survive

import (
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

// prothr is the case's long format (a row for each move that could follow) as spells. Rows of no length are a move and the end of
// observation, or death, on one day: the last of them gets half a day.
func prothr(t testing.TB, arm string) *Spells {
	d := reftest.ReadCSV(t, "progress", "prothr-nonmarkov", "data.csv")
	start, stop := d.Floats(t, "Tstart"), d.Floats(t, "Tstop")
	r := Rows{States: []string{"1", "2", "3"}, Level: 0.95}
	for i, id := range d["id"] {
		if arm != "" && d["treat"][i] != arm {
			continue
		}
		to := "cens"
		if d["status"][i] == "1" {
			to = d["to"][i]
		}
		end := stop[i]
		if start[i] == stop[i] {
			end += .5
		}
		n := len(r.Person)
		if n > 0 && r.Person[n-1] == id && r.Start[n-1] == start[i] && r.From[n-1] == d["from"][i] {
			if to != "cens" {
				r.To[n-1] = to
			}
			continue
		}
		r.Person, r.From, r.To, r.Start, r.Stop = append(r.Person, id), append(r.From, d["from"][i]), append(r.To, to), append(r.Start, start[i]), append(r.Stop, end)
	}
	s, err := r.Spells()
	require.NoError(t, err)
	return s
}

// Landmark Aalen–Johansen in base R (LMAJ_exact of the case): 10 digits as stored, and 4e-5 for the arm in which somebody moves and dies on one
// day: R counts the death and not the person at risk. mstate's LMAJ is 6e-4 away (Efron's ties). Scores of one landmark (survival): 10 digits;
// 2 -> 3 has two such deaths. Means over the grid (mstate's MarkovTest): 9 digits for 1 -> 3; 1 -> 2 has no move after the last landmark, which mstate
// counts as a score of 0 and we leave out.
func TestLandmarkReference(t *testing.T) {
	var ref struct {
		Raw struct {
			LowPlacebo       [][]float64 `json:"low_placebo"`
			LowPrednisone    [][]float64 `json:"low_prednisone"`
			NormalPlacebo    [][]float64 `json:"normal_placebo"`
			NormalPrednisone [][]float64 `json:"normal_prednisone"`
		} `json:"LMAJ_exact"`
		Results map[string]struct {
			N int `json:"n_landmark"`
		} `json:"results"`
		Landmark struct {
			Z []float64 `json:"z"`
		} `json:"landmark_logrank_s1000"`
		Markov []struct {
			Mean [][]float64 `json:"orig_stat_mean_abs"`
		} `json:"MarkovTest_grid200_3000"`
	}
	reftest.ReadJSON(t, &ref, "progress", "prothr-nonmarkov", "expected.json")
	at := []float64{1500, 2000, 2500, 3000}
	for _, c := range []struct {
		arm, state, name string
		want             [][]float64
	}{
		{"Placebo", "2", "low_placebo", ref.Raw.LowPlacebo}, {"Prednisone", "2", "low_prednisone", ref.Raw.LowPrednisone},
		{"Placebo", "1", "normal_placebo", ref.Raw.NormalPlacebo}, {"Prednisone", "1", "normal_prednisone", ref.Raw.NormalPrednisone},
	} {
		r, err := Landmark{State: c.state, Time: 1000, At: at, Tau: 3000}.Fit(t.Context(), prothr(t, c.arm))
		require.NoError(t, err)
		require.Equal(t, ref.Results[c.name].N, r.Details["landmark_persons"].(map[string]int)[""], c.name)
		for k, tm := range at {
			for j, s := range []string{"1", "2", "3"} {
				e := value(t, r, "from="+c.state+"@1000,time="+FormatTime(tm)+",state="+s, "occupation-probability")
				within := 1e-10
				if c.name == "normal_prednisone" {
					within = 4e-5
				}
				require.InDelta(t, c.want[k][j], e.Value, within, "%s at %v state %s", c.name, tm, s)
			}
		}
	}
	m, err := MarkovTest{At: []float64{1000}, Draws: 99}.Fit(t.Context(), prothr(t, ""))
	require.NoError(t, err)
	for _, c := range m.Details["cells"].([]MarkovCell) {
		for k, move := range []string{"move=1->2", "move=1->3", "move=2->1"} {
			if c.Move == move && c.State == "2" {
				require.InDelta(t, ref.Landmark.Z[k], c.Z, 1e-10, move)
			}
		}
	}
	var grid []float64
	for s := 200.0; s <= 3000; s += 200 {
		grid = append(grid, s)
	}
	m, err = MarkovTest{At: grid, Draws: 299}.Fit(t.Context(), prothr(t, ""))
	require.NoError(t, err)
	for k, within := range []float64{0, 1e-9, 4e-4, .04} {
		if within > 0 {
			require.InDelta(t, ref.Markov[k].Mean[0][0], m.Estimates[k].Value, within)
		}
	}
	require.Equal(t, 1.0/300, m.Estimates[0].Test.P)
	require.Less(t, m.Estimates[4].Test.P, .01)
	require.Greater(t, m.Estimates[1].Test.P, .5)
}

// Reference: survival 3.5-3, progress/mvad-censored-aj: landmark Aalen–Johansen from training at month 24.
func TestMvadLandmarkReference(t *testing.T) {
	var ref struct {
		Landmark struct {
			Times []float64   `json:"times"`
			N     int         `json:"n_landmark_observed"`
			LMAJ  [][]float64 `json:"LMAJ"`
			SE    [][]float64 `json:"LMAJ_se"`
		} `json:"landmark"`
	}
	reftest.ReadJSON(t, &ref, "progress", "mvad-censored-aj", "expected.json")
	r, err := Landmark{State: "TR", Time: 24, At: ref.Landmark.Times, Tau: 69}.Fit(t.Context(), mvad(t, nil))
	require.NoError(t, err)
	require.Equal(t, ref.Landmark.N, r.Details["landmark_persons"].(map[string]int)[""])
	for k, tm := range ref.Landmark.Times {
		for j, s := range []string{"EM", "FE", "HE", "JL", "SC", "TR"} {
			e := value(t, r, "from=TR@24,time="+FormatTime(tm)+",state="+s, "occupation-probability")
			require.InDelta(t, ref.Landmark.LMAJ[k][j], e.Value, 1e-10)
			if e.HasSE() {
				require.InDelta(t, ref.Landmark.SE[k][j], e.SE, 1e-10)
			}
		}
	}
}
