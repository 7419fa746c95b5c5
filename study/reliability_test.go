package study

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"utfall/cohort"
	"utfall/internal/num"
	"utfall/study/release"
	"utfall/table"
)

// handInstrument has 60 people a group. At the start (month 600) self answers items a and b: (1,1) and (3,3) by 20 people each, (1,3) and (3,1) by
// 10 each. Caseworkers answer the same items otherwise: everybody's are alike but for one in six. Six months later the sum has changed by 4 for
// 19, by 2 for 10 and by 0 for 1 of those who say that they are better (g = 5), by 0 for 19, by 2 for 10 and by 4 for 1 of the others (g = 1). Four people of each group an office.
func handInstrument(t *testing.T) *state {
	s := byHand(t, handPath{true, 60, "aaaaaaaa", 0}, handPath{false, 60, "aaaaaaaa", 0})
	s.policy = release.Policy{MinCount: 10, RoundTo: 5}
	b := s.cohorts["c"]
	var person, item, rater []string
	var date []int64
	var value []float64
	add := func(p, i int, month int, question, who string, v float64) {
		person, item, rater = append(person, fmt.Sprintf("p%03d", p)), append(item, question), append(rater, who)
		date, value = append(date, inMonth(month)), append(value, v)
	}
	office := make([]int32, 120)
	for p := range 120 {
		i := p % 60
		office[p] = int32(i % 15)
		x := [2]float64{1, 1}
		switch {
		case i < 20:
		case i < 40:
			x = [2]float64{3, 3}
		case i < 50:
			x = [2]float64{1, 3}
		default:
			x = [2]float64{3, 1}
		}
		add(p, i, 600, "a", "self", x[0])
		add(p, i, 600, "b", "self", x[1])
		add(p, i, 600, "a", "caseworker", 2+float64(indicator(i%6 == 0)))
		add(p, i, 600, "b", "caseworker", 2+float64(indicator(i%6 == 0))+float64(indicator(i%7 == 0)))
		change, g := 4.0, 5.0
		switch { // spread over the answers at the start
		case i%6 == 2:
			change = 2
		case i%6 == 3:
			change, g = 2, 1
		case i%6 > 3:
			change, g = 0, 1
		}
		switch i { // so that the change does not tell perfectly
		case 1:
			change = 0
		case 4:
			change = 4
		}
		add(p, i, 606, "a", "self", x[0]+change)
		add(p, i, 606, "b", "self", x[1])
		add(p, i, 606, "g", "self", g)
	}
	cat := func(name string, v []string) table.Column {
		levels := slices.Compact(slices.Sorted(slices.Values(v)))
		codes := make([]int32, len(v))
		for k, x := range v {
			codes[k] = int32(slices.Index(levels, x))
		}
		c, err := table.NewCategory(table.Field{Name: name}, codes, levels, nil)
		require.NoError(t, err)
		return c
	}
	answers, err := table.New(table.NewText(table.Field{Name: "person"}, person, nil), table.NewInteger(table.Field{Name: "date"}, date, nil), cat("item", item),
		cat("rater", rater), table.NewFloat(table.Field{Name: "value"}, value, nil))
	require.NoError(t, err)
	s.data = map[string]*dataset{"answers": {table: answers}}
	names := make([]string, 15)
	for k := range names {
		names[k] = fmt.Sprintf("office %02d", k)
	}
	c, err := table.NewCategory(table.Field{Name: "office"}, office, names, nil)
	require.NoError(t, err)
	b.table, err = b.table.With(c)
	require.NoError(t, err)
	return s
}

// inMonth is a day of a month that is counted from year 0.
func inMonth(month int) int64 {
	return time.Date(month/12, time.Month(month%12+1), 15, 0, 0, 0, 0, time.UTC).Unix() / 86400
}

var handScale = Scale{Name: "own", Rater: "self", Items: []string{"a", "b"}}

// Variances 1, covariance (40 − 20)/60 = 1/3 and variance of the sum 8/3 (divisor n): alpha 2·(1 − 2/(8/3)) = ½, SEM √(8/3·120/119·½). The change is alike
// about 2 in those who are better and the others, half of whom are each: the important change is 2, adjusted and not.
func TestReliabilityByHand(t *testing.T) {
	s := handInstrument(t)
	q := &Instrument{Cohort: "c", Data: "answers", Scales: []Scale{handScale, {Name: "theirs", Rater: "caseworker", Items: []string{"a", "b"}}}, Window: 1, After: 6, Retest: true,
		Anchor: &Anchor{Item: "g", Rater: "self", AtLeast: 5}, Places: "office"}
	a := &Analysis{Name: "i", Instrument: q}
	r, err := s.instrument(a)
	require.NoError(t, err)
	require.Equal(t, "description", r.kind)
	value := func(address string) float64 { return numberOf(t, r, address).e.Value }
	n := numberOf(t, r, "scale=own,coefficient=alpha/reliability")
	require.Equal(t, r.numbers[0].term, n.term)
	require.InDelta(t, .5, n.e.Value, 1e-12)
	require.Equal(t, 60, n.basis.Treated)
	require.Equal(t, 60, n.basis.Control)
	sem := math.Sqrt(8.0 / 3 * 120 / 119 / 2)
	require.InDelta(t, sem, value("scale=own/standard-error-of-measurement"), 1e-12)
	require.InDelta(t, 1.959963984540054*math.Sqrt2*sem, value("scale=own/smallest-detectable-change"), 1e-9)
	require.InDelta(t, 2, value("scale=own,mic=predictive/minimal-important-change"), 1e-7)
	mic := numberOf(t, r, "scale=own,mic=adjusted/minimal-important-change")
	require.InDelta(t, 2, mic.e.Value, 1e-7)
	require.Equal(t, release.Arms{Treated: 30, Control: 30}, *mic.basis.Events)
	// Comparison people: sums x and x + change, mean squares R, C, E from variances and covariance of the two.
	x, y := s.handSums(t, q)
	var mx, my, sxx, syy, sxy float64
	for i := range x {
		mx, my = mx+x[i]/60, my+y[i]/60
	}
	for i := range x {
		sxx, syy, sxy = sxx+(x[i]-mx)*(x[i]-mx)/59, syy+(y[i]-my)*(y[i]-my)/59, sxy+(x[i]-mx)*(y[i]-my)/59
	}
	R, E, C := (sxx+syy)/2+sxy, (sxx+syy)/2-sxy, 60*(my-mx)*(my-mx)/2
	retest := numberOf(t, r, "scale=own,retest=agreement,group=control/reliability")
	require.InDelta(t, (R-E)/(R+E+2*(C-E)/60), retest.e.Value, 1e-12)
	require.True(t, retest.basis.Single)
	require.Equal(t, 60, retest.basis.Treated)
	place := numberOf(t, r, "scale=own,places=icc/reliability")
	require.Equal(t, 14.0, place.basis.DF)
	// Sums are 2, 6 and 4 in thirds; eight people an office.
	sumOf := func(i int) float64 { return []float64{2, 6, 4}[min(i/20, 2)] }
	var between, within float64
	for o := range 15 {
		mean := 0.0
		for i := o; i < 60; i += 15 {
			mean += sumOf(i) / 4
		}
		between += 8 * (mean - 4) * (mean - 4) / 14
		for i := o; i < 60; i += 15 {
			within += 2 * (sumOf(i) - mean) * (sumOf(i) - mean) / 105
		}
	}
	require.InDelta(t, (between-within)/(between+7*within), place.e.Value, 1e-12)
	require.NotEqual(t, .5, value("scale=theirs,coefficient=alpha/reliability"), "caseworkers have answers of their own")
	for _, n := range r.numbers { // the anchor is a person's own word on his or her own answers; caseworkers were not asked again
		require.NotContains(t, n.term, "scale=theirs,mic")
		if n.term == "scale=theirs,retest=agreement,group=control" {
			require.NotNil(t, n.not)
		}
	}

	// Nine in ten better: no important change.
	q.Anchor.AtLeast = 1
	r, err = s.instrument(a)
	require.NoError(t, err)
	require.NotNil(t, numberOf(t, r, "scale=own,mic=predictive/minimal-important-change").not)
	// A person in two rows gives one.
	b := s.cohorts["c"]
	person, _, err := b.table.Text(cohort.PersonColumn)
	require.NoError(t, err)
	person = slices.Clone(person)
	person[1] = person[0]
	b.table, err = b.table.With(table.NewText(table.Field{Name: cohort.PersonColumn}, person, nil))
	require.NoError(t, err)
	r, err = s.instrument(a)
	require.NoError(t, err)
	require.Equal(t, 59, numberOf(t, r, "scale=own,coefficient=alpha/reliability").basis.Treated)
}

// handSums are the sums of comparison people at both times.
func (s *state) handSums(t *testing.T, q *Instrument) (x, y []float64) {
	w, err := s.questionnaires(s.cohorts["c"], q.asked(handScale))
	require.NoError(t, err)
	var rows []int
	for k, i := range w.unit {
		if !s.cohorts["c"].treated[i] {
			rows = append(rows, k)
		}
	}
	return sums(w.before, rows, 2), sums(w.after, rows, 2)
}

// Item c means one thing more to caseworkers than to people themselves, at the same other answers; a, b and d mean the same.
func TestRaterDIFByHand(t *testing.T) {
	s := byHand(t, handPath{true, 200, "aa", 0}, handPath{false, 200, "aa", 0})
	var person, item, rater []string
	var date []int64
	var value []float64
	for p := range 400 {
		trait := 1.2 * num.NewStream(6, "trait", uint64(p)).Normal()
		for k, who := range []string{"self", "caseworker"} {
			for j, question := range []string{"a", "b", "c", "d"} {
				st := num.NewStream(5, "answers", uint64(8*p+2*j+k))
				v := 1.0
				for cut := range 3 {
					if own := trait + st.Normal(); own > float64(cut-1) {
						v++
					}
				}
				if question == "c" && k == 1 && st.Bernoulli(.8) {
					v = min(v+2, 4)
				}
				person, item, rater = append(person, fmt.Sprintf("p%03d", p)), append(item, question), append(rater, who)
				date, value = append(date, inMonth(600)), append(value, v)
			}
		}
	}
	cats := []table.Column{table.NewText(table.Field{Name: "person"}, person, nil), table.NewInteger(table.Field{Name: "date"}, date, nil), table.NewFloat(table.Field{Name: "value"}, value, nil)}
	for name, v := range map[string][]string{"item": item, "rater": rater} {
		levels := slices.Compact(slices.Sorted(slices.Values(v)))
		codes := make([]int32, len(v))
		for k, x := range v {
			codes[k] = int32(slices.Index(levels, x))
		}
		c, err := table.NewCategory(table.Field{Name: name}, codes, levels, nil)
		require.NoError(t, err)
		cats = append(cats, c)
	}
	answers, err := table.New(cats...)
	require.NoError(t, err)
	s.data = map[string]*dataset{"answers": {table: answers}}
	q := &Instrument{Cohort: "c", Data: "answers", Scales: []Scale{handScale}, Window: 1, RaterDIF: &RaterDIFs{Items: []string{"a", "b", "c", "d"}, Raters: []string{"self", "caseworker"}}}
	r, err := s.instrument(&Analysis{Name: "i", Instrument: q})
	require.NoError(t, err)
	require.Less(t, numberOf(t, r, "dif,item=c/chi-square").e.Test.P, 1e-6)
	require.Greater(t, numberOf(t, r, "dif,item=a/chi-square").e.Test.P, 0.001)
	n := numberOf(t, r, "dif,item=b/chi-square")
	require.Equal(t, 400, n.basis.Treated+n.basis.Control, "each person answers once")
	require.Equal(t, "check", n.kind)
	found := false
	for _, note := range r.notes {
		found = found || note.Code == "dif-found" && note.Args["item"] == "c"
	}
	require.True(t, found)
}
