package synthetic

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/reftest"
)

func populations(t *Truth) map[string]Population {
	return map[string]Population{
		"participants": t.Participants, "consenting": t.Consenting, "anonymous": t.Anonymous, "study": t.StudyPopulation,
	}
}

func TestTruthAddsUp(t *testing.T) {
	_, truth := register(t)
	require.Equal(t, truth.Participants.Overall.Participants, truth.Consenting.Overall.Participants+truth.Anonymous.Overall.Participants)
	for name, p := range populations(truth) {
		for _, c := range []Contrast{p.Overall.VersusNever, p.Overall.VersusWait} {
			var with, less, diff, at12, at24 float64
			for s := range c.Months {
				with, less, diff = with+float64(c.MonthsWith[s]), less+float64(c.MonthsLess[s]), diff+float64(c.Months[s])
				at12, at24 = at12+float64(c.States12[s]), at24+float64(c.States24[s])
				reftest.Near(t, name+" "+s, float64(c.MonthsWith[s]-c.MonthsLess[s]), float64(c.Months[s]), 1e-12)
			}
			reftest.Agree(t, name+" months with", with, 24, 13)
			reftest.Agree(t, name+" months without", less, 24, 13)
			reftest.Near(t, name+" change of months", diff, 0, 1e-12)
			reftest.Near(t, name+" change of states 12", at12, 0, 1e-12)
			reftest.Near(t, name+" change of states 24", at24, 0, 1e-12)
			require.Equal(t, c.Work24, c.States24["work"])
			require.Equal(t, c.Work12, c.States12["work"])
			reftest.Near(t, name+" work", float64(c.Work24With-c.Work24Less), float64(c.Work24), 1e-12)
			reftest.Near(t, name+" net", float64(c.WinMonths-c.LossMonths), float64(c.NetMonths), 1e-12)
		}
		for by, groups := range map[string]map[string]Group{
			"sex": p.BySex, "age": p.ByAge, "education": p.ByEducation, "county": p.ByCounty, "year": p.ByYear,
		} {
			var n int64
			var work24, wait, disability float64
			for _, g := range groups {
				n += g.Participants
				if g.Participants > 0 {
					work24 += float64(g.Participants) * float64(g.VersusNever.Work24)
					wait += float64(g.Participants) * float64(g.VersusWait.Work12)
					disability += float64(g.Participants) * float64(g.VersusNever.Months["disability-benefit"])
				}
			}
			require.Equal(t, p.Overall.Participants, n, "%s by %s", name, by)
			reftest.Near(t, name+" by "+by, work24/float64(n), float64(p.Overall.VersusNever.Work24), 1e-12)
			reftest.Near(t, name+" by "+by, wait/float64(n), float64(p.Overall.VersusWait.Work12), 1e-12)
			reftest.Near(t, name+" by "+by, disability/float64(n), float64(p.Overall.VersusNever.Months["disability-benefit"]), 1e-12)
		}
		var net float64 // the path's occupation gives the net months again
		for m := range horizon {
			for j, x := range p.Path.Occupation[m] {
				for k, y := range p.Path.OccupationN[m] {
					switch {
					case steps[j] > steps[k]:
						net += float64(x * y)
					case steps[j] < steps[k]:
						net -= float64(x * y)
					}
				}
			}
		}
		reftest.Near(t, name+" net months from the path", net, float64(p.Overall.VersusNever.NetMonths), 1e-10)
		require.Len(t, p.Path.WorkWith, 49)
		require.Equal(t, p.Overall.Naive.WorkBefore1, p.Path.WorkNever[23])
	}
}

// By hand: with 1 in work (6), 1 on sickness benefit (2); without 1 in training (4), 1 dead
// (0). Of four pairs three are won (work twice, sickness over death) and one is lost.
func TestHigherByHand(t *testing.T) {
	var a, b [nStates]int64
	a[work], a[sickness], b[training], b[death] = 1, 1, 1, 1
	win, loss := higher(&a, &b, 2)
	require.Equal(t, 0.75, win)
	require.Equal(t, 0.25, loss)
	a[sickness], a[social] = 0, 1
	b[training], b[disability] = 0, 1 // one step: a tie
	win, loss = higher(&a, &b, 2)
	require.Equal(t, 0.75, win)
	require.Equal(t, 0.0, loss)
	win, _ = higher(&a, &b, 0)
	require.True(t, math.IsNaN(win))
}

// The anchors of the published material, with bands wide enough for 20,000 people.
func TestAnchors(t *testing.T) {
	_, truth := register(t)
	c := truth.Counts
	within := func(what string, x Number, lo, hi float64) {
		t.Helper()
		if !(float64(x) >= lo && float64(x) <= hi) {
			t.Errorf("%s is %.4f, should lie in [%g, %g]", what, float64(x), lo, hi)
		}
	}
	within("share participating", c.ShareParticipating, 0.20, 0.25)
	within("share of women", c.ShareWomen, 0.55, 0.60)
	within("share anonymous", c.ShareAnonymous, 0.28, 0.32)
	within("share repeating", c.ShareRepeat, 0.10, 0.20)
	within("share under 30", c.ShareYoung, 0.21, 0.50)
	within("share compulsory", c.ShareCompulsory, 0.29, 0.55)
	within("ended for continued rehabilitation", c.EndedRehab, 0.20, 0.30)
	within("ended by illness", c.EndedIllness, 0.05, 0.12)
	within("sickness starters", share(c.SicknessStarters, c.Participants), 0.14, 0.30)
	for i, n := range c.FirstStarts {
		within("starts to people at risk", share(n, c.AtRisk[i]), 0.04, 1.0/4)
	}
	g := truth.Participants.Overall
	within("ATT on work at 24 months", g.VersusNever.Work24, 0.03, 0.08)
	within("ATT versus waiting", g.VersusWait.Work24, 0.03, 0.08)
	within("study ATT", truth.StudyPopulation.Overall.VersusNever.Work24, 0.03, 0.08)
	within("men", truth.Participants.BySex["man"].VersusNever.Work24, 0.06, 0.18)
	within("women", truth.Participants.BySex["woman"].VersusNever.Work24, -0.025, 0.025)
	within("women, net months", truth.Participants.BySex["woman"].VersusNever.NetMonths, 0.3, 3)
	within("men, net months", truth.Participants.BySex["man"].VersusNever.NetMonths, 0.3, 4)
	within("lock-in", truth.Participants.Path.WorkWith[24+5]-truth.Participants.Path.WorkNever[24+5], -0.10, -0.01)
	within("sickness benefit", g.VersusNever.States24["sickness-benefit"], -0.2, -0.02)
	within("disability benefit", g.VersusNever.States24["disability-benefit"], 0.005, 0.1)
	within("social assistance of the old", truth.Participants.ByAge["50-64"].VersusNever.States24["social-assistance"], 0.005, 0.1)
	// The dip: work falls by half or more before the start, so that before/after overstates.
	within("work a month before to two years before", g.Naive.WorkBefore1/g.Naive.WorkBefore24, 0.2, 0.5)
	within("naive change over true effect", g.Naive.Change/g.VersusNever.Work24, 2, 20)
	path := truth.Participants.Path.WorkWith
	for m := 12; m < 23; m++ {
		require.GreaterOrEqual(t, float64(path[m]), float64(path[m+1]), "work falls all through the last year before")
	}
	// Informative anonymity: those without rows would have done worse without participation.
	within("prognosis of the anonymous", truth.Anonymous.Overall.VersusNever.Work24Less-truth.Consenting.Overall.VersusNever.Work24Less, -0.2, -0.04)
	within("readiness peaks", truth.Participants.Overall.Readiness[9]-truth.Participants.Overall.Readiness[24], 0.05, 0.5)
}

// In every scenario but finsam the promised zeros are exact.
func TestScenariosPromiseExactZeros(t *testing.T) {
	for _, name := range Scenarios() {
		_, truth := write(t, Options{People: 6000, Seed: 5, Scenario: name})
		c, w := truth.Participants.Overall.VersusNever, truth.Participants.Overall.VersusWait
		require.Positive(t, truth.Participants.Overall.Participants)
		zero := func(what string, x Number, want bool) {
			t.Helper()
			require.Equal(t, want, x == 0, "%s: %s is %v", name, what, float64(x))
		}
		states := 0
		for s := range c.Months {
			if c.Months[s] != 0 || c.States24[s] != 0 || c.States12[s] != 0 || w.Months[s] != 0 {
				states++
			}
		}
		workless := name != "finsam"
		zero("work 24", c.Work24, workless)
		zero("work 12", c.Work12, workless)
		zero("months in work", c.Months["work"], workless)
		zero("net months", c.NetMonths, name != "finsam" && name != "progress-only")
		require.Equal(t, name == "null" || name == "surrogacy-failure", states == 0, "%s: states moved", name)
		zero("stable self-support", c.Stable36, workless)
		zero("stable self-support, waiting", w.Stable36, workless)
		zero("people who say that life is better", truth.Participants.Overall.Life12.Wait.NetShare, name == "null" || name == "shuffle")
		zero("readiness", truth.Participants.Overall.Readiness[12], name == "null" || name == "shuffle")
		zero("municipal work", truth.Municipal.Aggregates["work_share"].Simple, workless)
		zero("municipal sickness", truth.Municipal.Aggregates["sickness_benefit_share"].Simple, name != "finsam" && name != "shuffle")
		for _, m := range truth.Municipal.Municipalities {
			require.Len(t, m.Effect["work_share"], 20)
		}
		if name == "progress-only" {
			require.Greater(t, float64(c.NetMonths), 1.0)
			require.Positive(t, float64(c.Months["subsidised-work"]))
		}
		if name == "shuffle" {
			require.Positive(t, float64(c.Months["disability-benefit"]))
			require.Negative(t, float64(c.Months["sickness-benefit"]))
			require.Equal(t, Number(0), c.HigherStep24)
		}
	}
}

func TestLadderCoversAllStates(t *testing.T) {
	l := Ladder()
	require.Len(t, l, len(States()))
	require.Equal(t, []int{0, 1, 2, 4, 5, 6, 6}, []int{
		l["death"], l["none"], l["sickness-benefit"], l["work-training"], l["subsidised-work"], l["studies"], l["work"],
	})
	l["work"] = 99
	require.Equal(t, 6, Ladder()["work"], "a copy")
}
