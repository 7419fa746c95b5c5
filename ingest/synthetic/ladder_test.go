package synthetic

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"utfall/internal/reftest"
)

func TestStableSelfSupportNeedsTwelveMonthsInARow(t *testing.T) {
	life := make([]state, longHorizon)
	for m := range life {
		life[m] = social
	}
	for m := 5; m < 5+stableRun; m++ {
		life[m] = work
	}
	life[9] = studies
	require.True(t, stable(life), "work and studies together")
	life[9] = subsidised
	require.False(t, stable(life), "a month on a subsidised job breaks the row")
	for m := 24; m < 36; m++ {
		life[m] = studies
	}
	require.True(t, stable(life), "the last twelve months")
	require.False(t, stable(life[:35]))
	require.False(t, stable(nil))
}

// By hand: four people whose traits are -1, 0, 0 and 1 have variance .5; from wave to wave .35²
// = .1225 more, so SD = √.6225 = .78899 and the limit is .39449. A gain of .39449 puts the mean of
// the change on the limit: half improve. Worse are Φ(-2·.39449/(.35·√2)) = Φ(-1.5940) = .05547.
func TestLifeByHand(t *testing.T) {
	var g group
	g.n = 4
	g.trait = [2]int64{0, 2_000_000}
	g.readiness[12] = 4 * 394_494
	g.waited[0][0], g.waited[0][horizon+1] = 0, 4
	l := newLife(&g, 0)
	reftest.Near(t, "sd", float64(l.SD), 0.788987, 1e-6)
	reftest.Near(t, "change", float64(l.Never.SD), 0.5, 1e-5)
	reftest.Near(t, "improved", float64(l.Improved), 0.5, 1e-5)
	reftest.Near(t, "worsened", float64(l.Worse), 0.05547, 1e-5)
	reftest.Near(t, "net", float64(l.Never.NetShare), 0.44453, 1e-5)
	require.Equal(t, l.Never, l.Wait, "nobody who waits has started")
	// Two who waited start in that very month and have gained nothing yet.
	g.waited[0] = [horizon + 2]int64{0: 2, horizon + 1: 2}
	require.Equal(t, l.Never, newLife(&g, 0).Wait)
	g.waited[0] = [horizon + 2]int64{9: 2, horizon + 1: 2}
	reftest.Near(t, "half of them have gained for nine months", float64(newLife(&g, 0).Wait.SD), float64(l.Never.SD)-gain(9)/2/float64(l.SD), 1e-12)
	require.Less(t, float64(newLife(&g, 0).Wait.NetShare), float64(l.Never.NetShare)-0.1, "and some of them have changed for the better")
	require.True(t, math.IsNaN(float64(newLife(&group{}, 0).Never.NetShare)))
}

func TestLadderFileHoldsTheLadder(t *testing.T) {
	var f struct {
		Steps          map[string]int            `yaml:"steps"`
		Absorbing      []string                  `yaml:"absorbing"`
		Administrative []int                     `yaml:"administrative"`
		Orders         map[string]map[string]int `yaml:"orders"`
		Authorities    map[string]string         `yaml:"authorities"`
	}
	require.NoError(t, yaml.Unmarshal(ladderFile(), &f))
	require.Equal(t, Ladder(), f.Steps)
	require.Equal(t, []int{3, 4}, f.Administrative)
	require.Len(t, f.Orders, 3)
	require.Equal(t, "nobody", f.Authorities["none"])
	for _, states := range append([]string{}, f.Absorbing...) {
		require.Contains(t, f.Steps, states)
	}
}

// A comparison person who is in the panel has answers near any month: what a comparison at
// the start of somebody else needs.
func TestComparisonPanelCoversAnyMonth(t *testing.T) {
	dir, _ := register(t)
	first := map[string]int{}
	for _, row := range rows(t, dir, "participations.csv") {
		if _, ok := first[row[0]]; !ok {
			first[row[0]] = monthOf(t, row[3])
		}
	}
	asked, near := 0, 0
	for id, list := range waves(t, dir) {
		if _, participant := first[id]; participant || len(list) < 8 {
			continue
		}
		asked++
		for _, w := range list {
			if w.month >= 47 && w.month <= 49 {
				near++
				break
			}
		}
	}
	require.Greater(t, asked, 800)
	require.Greater(t, float64(near), 0.4*float64(asked))
}
