package cohort

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"utfall/internal/num"
	"utfall/internal/reftest"
	"utfall/table"
)

// byHand is 3 treated (t1 0.50, t2 0.60, t3 0.90) and 4 untreated (c1 0.52, c2 0.61,
// c3 0.58, c4 0.10), scores in hundredths so that differences of halves are exact
// enough to tell apart.
func byHand(t testing.TB) *table.Table {
	t.Helper()
	tab, err := table.New(
		table.NewText(table.Field{Name: "id"}, []string{"t1", "c1", "t2", "c2", "t3", "c3", "c4"}, nil),
		table.NewInteger(table.Field{Name: "treated"}, []int64{1, 0, 1, 0, 1, 0, 0}, nil),
		table.NewFloat(table.Field{Name: "score"}, []float64{0.50, 0.52, 0.60, 0.61, 0.90, 0.58, 0.10}, nil),
		table.NewText(table.Field{Name: "sex"}, []string{"f", "m", "m", "f", "f", "f", "f"}, nil),
		table.NewInteger(table.Field{Name: "age"}, []int64{30, 31, 40, 47, 60, 39, 20}, nil),
	)
	require.NoError(t, err)
	return tab
}

var byHandSpec = Spec{Treatment: "treated", ID: "id", Score: "score"}

// named lists the pairs as ids, by set.
func named(t testing.TB, tab *table.Table, m *Matched) []string {
	t.Helper()
	ids, _, err := tab.Text("id")
	require.NoError(t, err)
	var out []string
	for _, p := range m.Pairs {
		out = append(out, ids[p[0]]+"-"+ids[p[1]])
	}
	return out
}

func TestNearestByHand(t *testing.T) {
	for _, c := range []struct {
		name string
		m    Nearest
		want []string
	}{
		// Largest first: t3 takes c2 (0.29), t2 then c3 (0.02), t1 c1 (0.02).
		{"largest", Nearest{}, []string{"t1-c1", "t2-c3", "t3-c2"}},
		// Smallest first: t1 c1, t2 c2 (0.01), t3 c3 (0.32).
		{"smallest", Nearest{Order: SmallestOrder}, []string{"t1-c1", "t2-c2", "t3-c3"}},
		// Closest: t2-c2 (0.01), t1-c1 (0.02), t3-c3.
		{"closest", Nearest{Order: ClosestOrder}, []string{"t1-c1", "t2-c2", "t3-c3"}},
		{"data", Nearest{Order: DataOrder}, []string{"t1-c1", "t2-c2", "t3-c3"}},
		// t3 is 0.29 from its nearest.
		{"caliper", Nearest{CaliperRaw: 0.25}, []string{"t1-c1", "t2-c2"}},
		// In rounds with 4 for 3: t3 c2, t2 c3, t1 c1; then t3 gets c4.
		{"two in rounds", Nearest{Ratio: 2}, []string{"t1-c1", "t2-c3", "t3-c2", "t3-c4"}},
		{"replacement", Nearest{Ratio: 2, Replace: true}, []string{"t1-c1", "t1-c3", "t2-c2", "t2-c3", "t3-c2", "t3-c3"}},
		// Women: t3 c2 (0.29), t1 c3 (0.08); men: t2 c1.
		{"exact", Nearest{Exact: []string{"sex"}}, []string{"t1-c3", "t2-c1", "t3-c2"}},
		// Ages within 6: t3 (60) has none; t2 (40) has c3 (39), not c2 (47); t1 (30) has c1.
		{"caliper on age", Nearest{CaliperOn: map[string]float64{"age": 6}}, []string{"t1-c1", "t2-c3"}},
		// Ages within 7: c2 (47) is exactly 7 from t2 (40), which keeps it.
		{"caliper on age, at the bound", Nearest{CaliperOn: map[string]float64{"age": 7}}, []string{"t1-c1", "t2-c2"}},
		// The untreated are served, smallest score first: c4 takes t1 (0.40), c1 t2
		// (0.08), c3 t3 (0.32) and c2 has nobody left.
		{"atc", Nearest{Estimand: ATC}, []string{"t2-c1", "t3-c3", "t1-c4"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab := byHand(t)
			m, err := c.m.Match(t.Context(), tab, byHandSpec)
			require.NoError(t, err)
			require.Equal(t, c.want, named(t, tab, m))
		})
	}
}

// Weights by hand for "two in rounds": sets {t1,c1}, {t2,c3}, {t3,c2,c4} give shares
// 1, 1, ½, ½ that add up to 3; four partners, so that the factor is 4/3.
func TestNearestWeightsByHand(t *testing.T) {
	tab := byHand(t)
	m, err := Nearest{Ratio: 2}.Match(t.Context(), tab, byHandSpec)
	require.NoError(t, err)
	want := []float64{1, 4.0 / 3, 1, 2.0 / 3, 1, 4.0 / 3, 2.0 / 3} // t1 c1 t2 c2 t3 c3 c4
	for i := range want {
		reftest.Agree(t, fmt.Sprint("weight of row ", i), m.Weight[i], want[i], 14)
	}
	require.Equal(t, []int{1, 1, 2, 3, 3, 2, 3}, m.Set)
	// ESS of the untreated: 4² / (2·16/9 + 2·4/9) = 16·9/40 = 3.6.
	reftest.Agree(t, "ESS", m.Counts.ESSControl, 3.6, 14)
	require.Equal(t, MatchCounts{Treated: 3, Control: 4, MatchedTreated: 3, MatchedControl: 4, Sets: 3, Pairs: 4, Blocks: 1,
		Incomplete: 2, MaxReuse: 1, ESSTreated: 3, ESSControl: m.Counts.ESSControl}, m.Counts)
	// With replacement c3 is in three sets of two: 3/2; c2 in two: 1; c1 in one: ½; Σ = 3 = partners.
	m, err = Nearest{Ratio: 2, Replace: true}.Match(t.Context(), tab, byHandSpec)
	require.NoError(t, err)
	for i, w := range []float64{1, 0.5, 1, 1, 1, 1.5, 0} {
		reftest.Agree(t, fmt.Sprint("weight of row ", i), m.Weight[i], w, 14)
	}
	require.Equal(t, 3, m.Counts.MaxReuse)
	require.Equal(t, []int{1, 0, 2, 0, 3, 0, 0}, m.Set)
}

func codes(notes []table.Note) []string {
	var out []string
	for _, n := range notes {
		out = append(out, n.Code)
	}
	return out
}

func TestNearestNotes(t *testing.T) {
	tab := byHand(t)
	m, err := Nearest{CaliperRaw: 0.25}.Match(t.Context(), tab, byHandSpec)
	require.NoError(t, err)
	require.Equal(t, ATM, m.Estimand)
	require.Equal(t, []string{"few-controls", "estimand-changed", "caliper-bound"}, codes(m.Notes))
	require.Equal(t, CaliperUse{"distance", 0.25, 3, 1}, m.Calipers[0])
	require.Equal(t, map[string]any{"matched": 2, "all": 3, "share": 2.0 / 3, "from": ATT, "to": ATM}, m.Notes[1].Args)
	m, err = Nearest{CaliperRaw: 5}.Match(t.Context(), tab, byHandSpec)
	require.NoError(t, err)
	require.Equal(t, ATT, m.Estimand)
	require.Equal(t, []string{"few-controls", "caliper-unused"}, codes(m.Notes))
	m, err = Nearest{Estimand: ATC}.Match(t.Context(), tab, byHandSpec)
	require.NoError(t, err)
	require.Equal(t, []string{"few-controls", "fewer-controls-than-treated", "estimand-changed"}, codes(m.Notes))
	m, err = Nearest{Replace: true, Order: LargestOrder}.Match(t.Context(), tab, byHandSpec)
	require.NoError(t, err)
	require.Equal(t, []string{"order-unused"}, codes(m.Notes))
}

func TestMatchedTable(t *testing.T) {
	tab := byHand(t)
	m, err := Nearest{CaliperRaw: 0.25}.Match(t.Context(), tab, byHandSpec)
	require.NoError(t, err)
	out, err := m.Table(tab)
	require.NoError(t, err)
	ids, _, err := out.Text("id")
	require.NoError(t, err)
	require.Equal(t, []string{"t1", "c1", "t2", "c2"}, ids)
	set, err := out.Integer(SetColumn)
	require.NoError(t, err)
	require.Equal(t, []int64{1, 1, 2, 2}, set.Values)
	w, err := out.Float(WeightColumn)
	require.NoError(t, err)
	require.Equal(t, []float64{1, 1, 1, 1}, w.Values)
	m, err = Nearest{Replace: true}.Match(t.Context(), tab, byHandSpec)
	require.NoError(t, err)
	out, err = m.Table(tab)
	require.NoError(t, err)
	set, err = out.Integer(SetColumn)
	require.NoError(t, err)
	require.Equal(t, 2, countFalse(set.Valid), "partners with replacement have no set")
}

func TestNearestRefuses(t *testing.T) {
	tab := byHand(t)
	with := func(c table.Column) *table.Table {
		out, err := tab.With(c)
		require.NoError(t, err)
		return out
	}
	x := Spec{Treatment: "treated", ID: "id", Covariates: []string{"age"}}
	for _, c := range []struct {
		name string
		t    *table.Table
		m    Nearest
		d    Spec
		is   error
		says string
	}{
		{"no treated", with(table.NewInteger(table.Field{Name: "treated"}, make([]int64, 7), nil)), Nearest{}, byHandSpec, ErrNoTreated, `"treated"`},
		{"no untreated", with(table.NewInteger(table.Field{Name: "treated"}, []int64{1, 1, 1, 1, 1, 1, 1}, nil)), Nearest{}, byHandSpec, ErrNoControls, `"treated"`},
		{"treatment of three values", with(table.NewInteger(table.Field{Name: "treated"}, []int64{1, 0, 2, 0, 1, 0, 0}, nil)), Nearest{}, byHandSpec, nil, "1 values other than 0 and 1"},
		{"missing treatment", with(table.NewInteger(table.Field{Name: "treated"}, []int64{1, 0, 1, 0, 1, 0, 0}, []bool{false, true, true, true, true, true, true})), Nearest{}, byHandSpec, nil, "1 missing"},
		{"id twice", with(table.NewText(table.Field{Name: "id"}, []string{"a", "b", "a", "c", "d", "e", "f"}, nil)), Nearest{}, byHandSpec, nil, "1 rows"},
		{"id missing", with(table.NewText(table.Field{Name: "id"}, make([]string, 7), make([]bool, 7))), Nearest{}, byHandSpec, nil, "7 missing"},
		{"missing covariate", with(table.NewFloat(table.Field{Name: "age"}, make([]float64, 7), []bool{true, true, false, false, true, true, true})), Nearest{}, x, ErrCovariate, `column "age" has 2 missing values`},
		{"infinite covariate", with(table.NewFloat(table.Field{Name: "age"}, []float64{1, 2, math.Inf(1), 4, 5, 6, 7}, nil)), Nearest{}, x, ErrCovariate, "1 values that are not finite"},
		{"constant covariate", with(table.NewFloat(table.Field{Name: "age"}, make([]float64, 7), nil)), Nearest{}, x, ErrCovariate, `constant in all of the 7 rows: column "age"`},
		{"constant covariate in a metric", with(table.NewFloat(table.Field{Name: "age"}, make([]float64, 7), nil)), Nearest{Distance: MahalanobisDistance}, x, ErrCovariate, "constant"},
		{"separated", with(table.NewFloat(table.Field{Name: "age"}, []float64{5, 1, 6, 2, 7, 3, 4}, nil)), Nearest{}, x, ErrSeparation, `column "age"`},
		{"collinear", with(table.NewFloat(table.Field{Name: "twice"}, []float64{60, 62, 80, 94, 120, 78, 40}, nil)), Nearest{}, Spec{Treatment: "treated", Covariates: []string{"age", "twice"}}, ErrCovariate, `"twice"`},
		{"no such column", tab, Nearest{}, Spec{Treatment: "treated", Covariates: []string{"agge"}}, ErrCovariate, `"agge"`},
		{"no treatment column", tab, Nearest{}, Spec{Treatment: "tr", Score: "score"}, table.ErrNoColumn, `"tr"`},
		{"covariate twice", tab, Nearest{}, Spec{Treatment: "treated", Covariates: []string{"age", "age"}}, ErrCovariate, "twice"},
		{"covariate is the treatment", tab, Nearest{}, Spec{Treatment: "treated", Covariates: []string{"treated"}}, ErrCovariate, "is the treatment"},
		{"categorical is no covariate", tab, Nearest{}, Spec{Treatment: "treated", Covariates: []string{"age"}, Categorical: []string{"sex"}}, ErrCovariate, `"sex"`},
		{"no covariates", tab, Nearest{}, Spec{Treatment: "treated"}, ErrOption, "covariates"},
		{"score and logit", tab, Nearest{Distance: LogitDistance}, byHandSpec, ErrOption, "give one"},
		{"score without use", tab, Nearest{Distance: EuclideanDistance}, Spec{Treatment: "treated", Score: "score", Covariates: []string{"age"}}, ErrOption, "no use"},
		{"score is text", tab, Nearest{}, Spec{Treatment: "treated", Score: "sex"}, table.ErrKind, `"sex"`},
		{"caliper leaves nobody", tab, Nearest{CaliperRaw: 0.001}, byHandSpec, ErrNoSupport, "distance (0.001)"},
		{"exact leaves nobody", tab, Nearest{Exact: []string{"id2"}}, byHandSpec, ErrCovariate, `"id2"`},
		{"exact on the id", tab, Nearest{Exact: []string{"id"}}, byHandSpec, ErrOption, "id"},
		{"exact on a unique column", tab, Nearest{Exact: []string{"age"}}, byHandSpec, ErrNoSupport, "age"},
		{"caliper on text", tab, Nearest{CaliperOn: map[string]float64{"sex": 1}}, byHandSpec, ErrCovariate, "use exact"},
		{"flat score", with(table.NewFloat(table.Field{Name: "score"}, make([]float64, 7), nil)), Nearest{Caliper: 0.2}, byHandSpec, ErrOption, "the same for everyone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := c.m.Match(t.Context(), c.t, c.d)
			require.Error(t, err)
			require.Nil(t, m)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestNearestStopsWhenToldTo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Nearest{}.Match(ctx, byHand(t), byHandSpec)
	require.ErrorIs(t, err, context.Canceled)
}

// Every option that is accepted changes the pairs of some data set.
func TestNearestOptionsMatter(t *testing.T) {
	stream := num.NewStream(3, "matter", 0)
	p := fuzzed(stream, 200)
	for i := range p.score { // a grid, so that ties matter; the treated higher, so that order does
		p.treat[i] = i%3 == 0
		p.score[i] = math.Floor((stream.Float()+0.3*float64(arm(p.treat[i])))*60) / 60
	}
	tab := p.table(t)
	pairs := func(m Nearest) string {
		d := byHandSpec
		if m.metric() {
			d.Covariates = []string{"x0", "x1", "x2"}
			if m.CaliperScore == 0 {
				d.Score = ""
			}
		}
		got, err := m.Match(t.Context(), tab, d)
		require.NoError(t, err)
		return fmt.Sprint(got.Pairs)
	}
	seen := map[string]string{}
	for name, m := range map[string]Nearest{
		"default": {}, "ratio": {Ratio: 2}, "replace": {Replace: true}, "caliper": {Caliper: 0.03}, "caliper-raw": {CaliperRaw: 0.07},
		"caliper-on": {CaliperOn: map[string]float64{"x0": 1}}, "exact": {Exact: []string{"x1"}}, "smallest": {Order: SmallestOrder},
		"data": {Order: DataOrder}, "closest": {Order: ClosestOrder}, "random": {Order: RandomOrder}, "random, seed 2": {Order: RandomOrder, Seed: 2},
		"ties": {Ties: DataTies}, "seed": {Seed: 9}, "atc": {Estimand: ATC}, "mahalanobis": {Distance: MahalanobisDistance},
		"robust": {Distance: RobustMahalanobisDistance}, "euclidean": {Distance: EuclideanDistance}, "caliper-score": {Distance: MahalanobisDistance, CaliperScore: 0.1},
		"metric caliper-raw": {Distance: MahalanobisDistance, CaliperRaw: 0.5},
	} {
		got := pairs(m)
		if other, same := seen[got]; same {
			t.Errorf("%s gives the pairs of %s", name, other)
		}
		seen[got] = name
	}
}

func TestMatchSpecCheckListsEveryProblem(t *testing.T) {
	s := MatchSpec{
		Method: "other", Distance: "probit", Ratio: -1, Caliper: Width(0), CaliperRaw: Width(-1), CaliperScore: Width(0.2),
		CaliperOn: map[string]float64{"age": 0}, Exact: []string{"a", "a"}, Order: "best", Ties: "first", Estimand: "ate",
	}
	errs := s.Check()
	require.Len(t, errs, 11)
	for _, e := range errs {
		require.ErrorIs(t, e, ErrOption)
	}
	require.ErrorContains(t, errs[0], "nearest, optimal, full, exact, cem, subclass, cardinality")
	_, err := s.Nearest()
	require.ErrorIs(t, err, ErrOption)
	for _, bad := range []MatchSpec{
		{Method: "Nearest"}, {Caliper: Width(0.2), CaliperRaw: Width(0.1)}, {Distance: MahalanobisDistance, Caliper: Width(0.2)},
		{Distance: EuclideanDistance, Order: LargestOrder}, {Order: DataOrder, Ties: HashTies}, {Caliper: Width(math.NaN())}, {Caliper: Width(math.Inf(1))},
	} {
		require.Len(t, bad.Check(), 1, "%+v", bad)
	}
	for _, good := range []MatchSpec{
		{}, {Method: "nearest", Distance: LogitDistance, Caliper: Width(0.2), Order: LargestOrder, Estimand: ATT},
		{Distance: MahalanobisDistance, CaliperScore: Width(0.2), Order: LargestOrder}, {Order: DataOrder, Ties: DataTies},
	} {
		require.Empty(t, good.Check(), "%+v", good)
	}
}

// A named column list so that the metamorphic tests below read alike.
var threeCovariates = []string{"x0", "x1", "x2"}

// sameByID maps pairs to ids, so that matchings of reordered tables can be compared.
func sameByID(t *testing.T, tab *table.Table, m *Matched) string {
	t.Helper()
	ids, _, err := tab.Text("id")
	require.NoError(t, err)
	type unit struct {
		set    int
		weight float64
		score  float64
	}
	by := map[string]unit{}
	for i, id := range ids {
		u := unit{set: m.Set[i], weight: m.Weight[i]}
		if m.Score != nil {
			u.score = m.Score[i]
		}
		by[id] = u
	}
	return fmt.Sprint(named(t, tab, m), m.PairDistance, by, m.Counts, m.Calipers, m.Notes)
}

// M1 and M22: rows permuted, 1 and 8 workers: every bit the same, propensity included.
func TestNearestRowOrderAndWorkers(t *testing.T) {
	for rep := range 12 {
		s := num.NewStream(5, "rows", uint64(rep))
		n := 60
		if rep == 0 {
			n = 3 * num.Chunk // several chunks
		}
		p := fuzzed(s, n)
		perm := make([]int, n)
		for i := range perm {
			j := s.Intn(i + 1)
			perm[i], perm[j] = perm[j], i
		}
		q := p.take(perm)
		for _, m := range []Nearest{
			{Caliper: 0.5}, {Distance: LinearLogitDistance, Ratio: 2}, {Exact: []string{"group"}, Order: ClosestOrder}, {Order: RandomOrder, Seed: 4},
			{Distance: MahalanobisDistance}, {Distance: RobustMahalanobisDistance, CaliperScore: 0.5}, {Ratio: 2, Replace: true},
		} {
			if n > 1000 && m.metric() {
				continue
			}
			d := Spec{Treatment: "treated", ID: "id", Covariates: append(slices.Clone(threeCovariates), "group"), Workers: 1}
			one, err := m.Match(t.Context(), p.table(t), d)
			if err != nil {
				require.True(t, errorsIsDesign(err), "%v", err)
				continue
			}
			d.Workers = 8
			other, err := m.Match(t.Context(), q.table(t), d)
			require.NoError(t, err)
			require.Equal(t, sameByID(t, p.table(t), one), sameByID(t, q.table(t), other), "rep %d %+v", rep, m)
			b1, _, err := one.Balance(t.Context(), p.table(t), d)
			require.NoError(t, err)
			b2, _, err := other.Balance(t.Context(), q.table(t), d)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(b1), fmt.Sprint(b2))
		}
	}
}
