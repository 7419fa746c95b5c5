package study

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/progress"
	"utfall/study/release"
	"utfall/table"
)

// responseShare is the share of those who answered at the start who answered again.
const responseShare estimate.Measure = "response-share"

// answers are the questionnaires of units around the start and later; NaN is no answer.
type answers struct {
	unit          []int // of the cohort: those who answered something at the start
	before, after *mat.Dense
	again         []bool // answered something at the later wave
	notes         []table.Note
}

// itemInformation is what the questions tell along the trait.
type itemInformation struct {
	at    []float64
	items []string
	of    [][]float64 // items × places
	test  []float64
	basis release.Basis
}

// tippingCurve is what is left of the difference in change if participants who did not answer
// again changed less by delta.
type tippingCurve struct {
	*progress.TippingCurve
	basis release.Basis
}

// life answers the third question: what do people say themselves?
func (s *state) life(r *analysisResult, a *Analysis, u *progressUnits, h *headline) error {
	q, own := a.Progress.Assessments, r.own.(*progressResult)
	w, err := s.questionnaires(u.b, q)
	if why, ok := refusable(err); ok {
		h.not = why
		return nil
	} else if err != nil {
		return err
	}
	own.notes[termLife] = append(own.notes[termLife], w.notes...)
	size, again := w.arms(u, nil), w.arms(u, w.again)
	h.basis = release.Basis{Treated: again.Treated, Control: again.Control, Cohort: u.sizes, DF: math.Inf(1)}
	h.gates = append(h.gates, progress.ArmSize(again.Treated, again.Control))
	if min(again.Treated, again.Control) < progress.MinArm {
		h.stop(table.Note{Code: "refused-few-answers", Text: "Too few people answered both times."}, table.Note{Code: "fix-response", Text: "Ask those again who have not answered, or take the answers of a small sample by telephone."})
		return nil
	}
	own.response = [2]float64{share(again.Control, size.Control), share(again.Treated, size.Treated)}
	for g, n := range []struct {
		name        string
		again, size int
	}{{"control", again.Control, size.Control}, {"treated", again.Treated, size.Treated}} {
		e := estimate.Estimate{Term: "response,group=" + n.name, Measure: responseShare, Value: own.response[g], SE: math.NaN()}
		e.CI, e.Test = noInterval()
		r.numbers = append(r.numbers, found{term: e.Term, e: e, kind: "description",
			basis: release.Basis{Single: true, Treated: n.size, Events: &release.Arms{Treated: n.again}, DF: math.Inf(1)}})
	}
	own.lost = size.Treated - again.Treated
	h.gates = append(h.gates, responseGates(size, again, s.policy.Threshold())...)
	all := w.waves(u, q, s.spec.Level)
	latent := progress.LatentChange{Model: progress.ItemModel(q.Model), Workers: s.o.Workers}
	var fit *estimate.Result
	x, err := s.standIn(w, u, a.Progress)
	if err == nil {
		both := w.pick(x.rows)
		waves := both.weighted(u, q, s.spec.Level, x.weight)
		if fit, err = latent.Fit(s.ctx, waves); err == nil {
			fit, err = s.invariance(h, all, waves, &latent, fit)
		}
		if err == nil {
			err = s.lifeShares(r, u, h, q, w, x, waves, latent)
		}
	}
	if err != nil {
		why, ok := refusable(err)
		if !ok {
			return err
		}
		h.not = why
		return nil
	}
	inf, cov, err := x.carry(w, u, fit.Influence)
	if err != nil {
		return err
	}
	if x.fit != nil {
		for k, e := range fit.Estimates {
			if e.Measure == progress.TraitChange || e.Measure == progress.TraitChangeDifference {
				fit.Estimates[k] = estimate.Wald(e.Term, e.Measure, e.Value, math.Sqrt(cov.At(k, k)), math.Inf(1), s.spec.Level)
			}
		}
	}
	h.within = func(in []bool) (*inGroup, error) { return s.lifeWithin(u, q, w, x, latent, in) }
	own.notes[termLife] = append(own.notes[termLife], x.notes...)
	for _, n := range fit.Notes {
		if n.Code != "weights-fixed" || unevenly(u.b.weight) { // those of the answers are not
			own.notes[termLife] = append(own.notes[termLife], n)
		}
	}
	for k, e := range fit.Estimates {
		switch e.Measure {
		case progress.TraitChangeDifference:
			if err := s.tip(own, h, q, w, u, e, inf, k); err != nil {
				return err
			}
			e.Term = "life,change"
			r.numbers = append(r.numbers, found{term: e.Term, e: e, basis: h.basis})
		case progress.TraitChange:
			name, n := "control", again.Control
			if e.Term == "change,group=1" {
				name, n = "treated", again.Treated
			}
			e.Term = "life,change,group=" + name
			r.numbers = append(r.numbers, found{term: e.Term, e: e, basis: release.Basis{Single: true, Treated: n, DF: math.Inf(1)}, kind: "description"})
		}
	}
	return s.information(own, w, u, q, progress.ItemModel(q.Model), size)
}

// responseGates are those of who answered again. Where that is all but a few of a group, what they were decided by would count the few, and is
// not told.
func responseGates(size, again release.Arms, threshold int) []progress.Gate {
	treated, control := share(again.Treated, size.Treated), share(again.Control, size.Control)
	out := []progress.Gate{progress.Response(treated, control), progress.ResponseGap(treated, control)}
	if min(size.Treated-again.Treated, size.Control-again.Control) < threshold {
		for k := range out {
			out[k].Value = math.NaN()
		}
	}
	return out
}

// unevenly reports whether weights differ between people.
func unevenly(weight []float64) bool {
	return len(weight) > 0 && slices.Min(weight) < slices.Max(weight)
}

func share(n, of int) float64 {
	if of == 0 {
		return math.NaN()
	}
	return float64(n) / float64(of)
}

// lifeShares counts who improved and who worsened beyond what people call important, from
// plausible values: a score of a person would be shrunken.
func (s *state) lifeShares(r *analysisResult, u *progressUnits, h *headline, q *Assessments, w *answers, x *standIns, waves *progress.Waves, latent progress.LatentChange) error {
	count := progress.PlausibleShares{MIC: q.MIC, Draws: q.Draws, Seed: s.seedOf("progress-life"), Workers: s.o.Workers}
	res, err := count.Fit(s.ctx, waves, latent)
	if err != nil {
		return err
	}
	inf, cov, err := x.carry(w, u, res.Influence)
	if err != nil {
		return err
	}
	drawn := res.Details["draw_variance"].([]float64)
	for k, e := range res.Estimates {
		test := e.Test
		e = estimate.Wald(e.Term, e.Measure, e.Value, math.Sqrt(cov.At(k, k)+drawn[k]), math.Inf(1), s.spec.Level)
		if e.Measure != progress.NetImproved {
			e.Test = test // a share has none
		}
		res.Estimates[k] = e
	}
	h.estimate = res.Estimates[0]
	h.estimate.Term = termLife
	h.influence = w.ofUnits(u, inf, 0)
	smallest := math.MaxInt
	var shares []found
	for _, e := range res.Estimates[1:] {
		if e.Measure == progress.NetImproved {
			continue // with both shares it would give away a third
		}
		name, n := "control", h.basis.Control
		if e.Term == "group=1" {
			name, n = "treated", h.basis.Treated
		}
		in := int(math.Round(e.Value * float64(n)))
		smallest = min(smallest, in, n-in)
		word := "improved"
		if e.Measure == progress.ShareWorsened {
			word = "worsened"
		}
		e.Term = "life," + word + ",group=" + name
		shares = append(shares, found{term: e.Term, e: e, basis: release.Basis{Single: true, Treated: n, DF: math.Inf(1)}, kind: "description"})
	}
	for _, n := range shares { // all four or none: with the headline three would give the fourth
		n.basis.Events = &release.Arms{Treated: smallest}
		r.numbers = append(r.numbers, n)
	}
	return nil
}

// tip asks how much less participants who did not answer again must have changed for the interval of the difference in change to cover
// 0, with the error of each shifted difference: inf is the influence function of e, in column, on the rows of w.
func (s *state) tip(own *progressResult, h *headline, q *Assessments, w *answers, u *progressUnits, e estimate.Estimate, inf *mat.Dense, column int) error {
	lost := progress.Unanswered{Share: 1 - own.response[1]}
	asked := 0
	for _, i := range w.unit {
		if u.b.treated[i] {
			asked++
		}
	}
	two := mat.NewDense(len(w.unit), 2, nil)
	for k, i := range w.unit {
		two.Set(k, 0, inf.At(k, column))
		if u.b.treated[i] {
			gone := 1.0
			if w.again[k] {
				gone = 0
			}
			two.Set(k, 1, (gone-lost.Share)/float64(asked))
		}
	}
	cov, err := w.covariance(u, two)
	if err != nil {
		return err
	}
	lost.Variance, lost.Covariance = cov.At(1, 1), cov.At(0, 1)
	c := progress.NewTippingCurve(e, lost, q.MIC)
	gate := progress.Tipping(c.Point)
	if own.lost < s.policy.Threshold() {
		gate.Value = math.NaN()
	}
	h.gates = append(h.gates, gate)
	if len(c.Delta) > 0 {
		own.tip = &tippingCurve{TippingCurve: c, basis: h.basis}
	}
	return nil
}

// invariance tests whether the questions mean the same to both groups and at both times (gate
// G5). Items that stand out are freed, and the headline rests on the others; if that changes what is
// said, the groups are not compared.
// The tests take everybody who answered at all, without weights; all are their answers, waves those that the headline rests on.
func (s *state) invariance(h *headline, all, waves *progress.Waves, latent *progress.LatentChange, fit *estimate.Result) (*estimate.Result, error) {
	v := progress.Invariance{Anchors: len(all.Names)}
	skip := func(err error) (*estimate.Result, error) {
		if err != nil {
			if _, ok := refusable(err); !ok {
				return nil, err
			}
		}
		h.gates = append(h.gates, progress.Invariant(v))
		return fit, nil
	}
	shift, err := progress.ResponseShift{Model: latent.Model, Workers: s.o.Workers}.Fit(s.ctx, all)
	if err != nil {
		return skip(err)
	}
	flagged := func(res *estimate.Result, key string) (items []string) {
		list, _ := res.Details[key].([]progress.DIFItem)
		for _, it := range list {
			if it.Flagged {
				items = append(items, it.Item)
			}
		}
		return items
	}
	group := make([]int, len(all.Unit))
	for i, t := range all.Treated {
		if t {
			group[i] = 1
		}
	}
	dif, err := progress.DIFLikelihoodRatio{Model: latent.Model, Workers: s.o.Workers}.Fit(s.ctx, &progress.Answers{
		Unit: all.Unit, Names: all.Names, X: all.Before, Group: group, GroupNames: []string{"control", "treated"}, Level: s.spec.Level,
	})
	if err != nil {
		return skip(err)
	}
	latent.Shift, latent.Differ = flagged(shift, "shifts"), flagged(shift, "differences")
	loose := map[string]bool{}
	for _, list := range [][]string{latent.Shift, latent.Differ, flagged(dif, "items")} {
		for _, name := range list {
			loose[name] = true
		}
	}
	verdict, _ := dif.Details["verdict"].(progress.Verdict)
	v.Tested, v.Anchors, v.SignChanges, v.SharedShift = true, len(all.Names)-len(loose), verdict == progress.Disagree, len(loose) > 0
	if len(latent.Shift)+len(latent.Differ) == 0 || v.Anchors < progress.MinAnchors {
		latent.Shift, latent.Differ = nil, nil
		return skip(nil)
	}
	freed, err := latent.Fit(s.ctx, waves)
	if err != nil {
		v.DiffersShift, latent.Shift, latent.Differ = len(latent.Differ) > 0, nil, nil
		return skip(err)
	}
	said := func(res *estimate.Result) progress.Word { return progress.Say(res.Estimates[0].CI, 0) }
	v.DiffersShift = said(fit) != said(freed)
	fit = freed
	return skip(nil)
}

// information is what the questions tell along the trait, at the start.
func (s *state) information(own *progressResult, w *answers, u *progressUnits, q *Assessments, model progress.ItemModel, size release.Arms) error {
	ids := make([]string, len(w.unit))
	for k, i := range w.unit {
		ids[k] = u.id[i]
	}
	in := &progress.Answers{Unit: ids, Names: q.Items, X: w.before, Level: s.spec.Level}
	var res *estimate.Result
	var err error
	if model == progress.Graded {
		res, err = progress.GradedResponse{NoErrors: true, Workers: s.o.Workers}.Fit(s.ctx, in)
	} else {
		res, err = progress.PartialCredit{NoErrors: true, Workers: s.o.Workers}.Fit(s.ctx, in)
	}
	if err != nil {
		if _, ok := refusable(err); ok {
			return nil
		}
		return err
	}
	test, ok := res.Details["information"].(map[string]float64)
	byItem, also := res.Details["item_information"].(map[string]map[string]float64)
	if !ok || !also {
		return fmt.Errorf("the items have no information")
	}
	out := &itemInformation{items: q.Items, basis: release.Basis{Treated: size.Treated, Control: size.Control, DF: math.Inf(1)}}
	var places []int
	for key := range test {
		x, err := strconv.Atoi(key)
		if err != nil {
			return err
		}
		places = append(places, x)
	}
	slices.Sort(places)
	for _, x := range places {
		out.at, out.test = append(out.at, float64(x)), append(out.test, test[strconv.Itoa(x)])
	}
	for _, item := range q.Items {
		var line []float64
		for _, x := range places {
			line = append(line, byItem[item][strconv.Itoa(x)])
		}
		out.of = append(out.of, line)
	}
	own.items = out
	return nil
}
