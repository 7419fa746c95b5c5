package cohort

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"

	"utfall/table"
)

// VerifyOptimal re-checks optimal pairs as [Verify] does, and that no other pairs are
// better: by the prices of [Optimum], against every pair of the table that keeps the
// constraints (see [num.Links.Certify]). For a metric a price may be off by 1e-7 of (1 + distance).
// It shares no code with the search. A breach is [ErrConstraint].
func VerifyOptimal(t *table.Table, d Spec, m Optimal, got *Matched) error {
	n := m.nearest()
	if err := Verify(t, d, n, got); err != nil {
		return err
	}
	n = n.defaults()
	c := &certificate{verifier: verifier{t: t, d: d, m: n, got: got, n: t.Rows()}, most: [2]int{1, 1}}
	served := 1
	if n.Estimand == ATC {
		served = 0
	}
	c.need[served], c.most[served] = n.Ratio, n.Ratio
	if err := c.run(); err != nil {
		return fmt.Errorf("%w: %w", ErrConstraint, err)
	}
	return nil
}

// certificate checks that pairs are of least total distance. By group (untreated, treated):
// how many partners a unit needs, and how many it may have.
type certificate struct {
	verifier
	need, most [2]int
	degree     []int // by row
	blockCount int
}

func (c *certificate) run() error {
	g := c.got
	o := g.Optimum
	if o == nil || len(o.Price) != c.n || len(o.Forfeit) != c.n || !(o.Unit > 0) {
		return fmt.Errorf("there is no proof that the total distance is least")
	}
	f, err := c.t.Float(c.d.Treatment)
	if err != nil {
		return err
	}
	c.treated = f.Values
	total := 0.0
	c.degree = make([]int, c.n)
	for i, p := range g.Pairs {
		c.degree[p[0]]++
		c.degree[p[1]]++
		total += g.PairDistance[i]
	}
	if !(math.Abs(total-o.Total) <= 1e-9*(1+total)) {
		return fmt.Errorf("the total distance is not that of the pairs")
	}
	blocks, err := c.blocks()
	if err != nil {
		return err
	}
	within, raw, err := c.limits()
	if err != nil {
		return err
	}
	between := func(a, b int) float64 { return math.Abs(g.Score[a] - g.Score[b]) }
	slack := 0.0
	if c.m.metric() {
		if between, err = c.quadratic(); err != nil {
			return err
		}
		slack = relative
	}
	linked := make(map[uint64]bool, len(g.Pairs))
	for _, p := range g.Pairs {
		linked[uint64(p[0])<<32|uint64(p[1])] = true
	}
	c.blockCount = len(blocks)
	pairs, kept, found := 0, 0, 0
	for _, block := range blocks {
		pairs += len(block[0]) * len(block[1])
		for _, a := range block[1] {
		next:
			for _, b := range block[0] {
				for _, w := range within {
					if math.Abs(w.values[a]-w.values[b]) > w.width {
						continue next
					}
				}
				dist := between(a, b)
				wide := slack * (1 + dist)
				if dist > raw+wide {
					continue
				}
				reduced := int64(dist/o.Unit+0.5) - o.Price[a] - o.Price[b]
				room := int64(wide / o.Unit)
				if is := linked[uint64(a)<<32|uint64(b)]; is {
					found++
					reduced = -reduced
				} else if dist > raw-wide && wide > 0 { // on either side of the caliper by rounding
					continue
				}
				kept++
				if reduced < -room {
					return fmt.Errorf("the pair of rows %d and %d would make the total distance smaller", a+1, b+1)
				}
			}
		}
		if len(block[0]) > 0 && len(block[1]) > 0 {
			if err := c.nodes(slices.Concat(block[0], block[1])); err != nil {
				return err
			}
		}
	}
	if found != len(g.Pairs) {
		return fmt.Errorf("%d pairs break a constraint", len(g.Pairs)-found)
	}
	if pairs != o.Pairs || slack == 0 && kept != o.Kept {
		return fmt.Errorf("%d of %d pairs keep the constraints, and %d of %d are said to", kept, pairs, o.Kept, o.Pairs)
	}
	return nil
}

// nodes checks that the prices go with the numbers of partners.
func (c *certificate) nodes(rows []int) error {
	o := c.got.Optimum
	for _, r := range rows {
		need, most := c.need[arm(c.treated[r] == 1)], c.most[arm(c.treated[r] == 1)]
		has, price, forfeit := c.degree[r], o.Price[r], o.Forfeit[r]
		lacks := max(need-has, 0)
		last := func(k int) int64 {
			if k == need {
				return 2 * forfeit
			}
			return forfeit
		}
		switch {
		case has > most:
			return fmt.Errorf("row %d has %d partners", r+1, has)
		case forfeit <= 0:
			return fmt.Errorf("row %d has no forfeit", r+1)
		case has+lacks < most && price < 0, has > need && price > 0, lacks > 0 && price < last(lacks), lacks < need && price > last(lacks+1):
			return fmt.Errorf("the price of row %d does not go with its %d partners", r+1, has)
		}
	}
	return nil
}

// blocks sorts the rows by the values of the exact columns: untreated, treated.
func (c *certificate) blocks() ([][2][]int, error) {
	key := make([]strings.Builder, c.n)
	for _, name := range c.m.Exact {
		col, err := c.t.Column(name)
		if err != nil {
			return nil, err
		}
		if col.Kind == table.CategoryKind || col.Kind == table.TextKind {
			text, _, err := c.t.Text(name)
			if err != nil {
				return nil, err
			}
			for i, s := range text {
				key[i].WriteString(strconv.Quote(s))
			}
			continue
		}
		f, err := c.t.Float(name)
		if err != nil {
			return nil, err
		}
		for i, x := range f.Values {
			key[i].WriteString(strconv.FormatFloat(x+0, 'g', -1, 64))
			key[i].WriteByte(';')
		}
	}
	at := map[string]int{}
	var out [][2][]int
	for i := range key {
		k := key[i].String()
		b, ok := at[k]
		if !ok {
			b = len(out)
			at[k] = b
			out = append(out, [2][]int{})
		}
		a := arm(c.treated[i] == 1)
		out[b][a] = append(out[b][a], i)
	}
	return out, nil
}

// limits are the calipers on columns and on a score beside a metric, and the one on the distance.
func (c *certificate) limits() (within []caliper, raw float64, err error) {
	m := c.m
	for name, width := range m.CaliperOn {
		f, err := c.t.Float(name)
		if err != nil {
			return nil, 0, err
		}
		within = append(within, caliper{name, f.Values, width})
	}
	if m.CaliperScore > 0 {
		within = append(within, caliper{"score", c.got.Score, m.CaliperScore * c.got.ScoreSD})
	}
	raw = math.Inf(1)
	if m.CaliperRaw > 0 {
		raw = m.CaliperRaw
	} else if m.Caliper > 0 {
		raw = m.Caliper * c.got.ScoreSD
	}
	return within, raw, nil
}

// quadratic is √((x-y)'M(x-y)) on the columns themselves, for many pairs.
func (c *certificate) quadratic() (func(a, b int) float64, error) {
	x, err := Design(c.t, c.d.Covariates, DesignOptions{Categorical: c.d.Categorical, AllLevels: true})
	if err != nil {
		return nil, err
	}
	metric := c.got.Metric
	if metric == nil || metric.Kind != c.m.Distance {
		return nil, fmt.Errorf("the matching has no %s metric", c.m.Distance)
	}
	k := len(metric.Columns)
	value, weight := make([]float64, c.n*k), make([]float64, k*k)
	for j, name := range metric.Columns {
		from := slices.Index(x.Names(), name)
		if from < 0 {
			return nil, fmt.Errorf("the metric has a column %q that the design does not", name)
		}
		column := make([]float64, c.n)
		for i := range column {
			column[i] = x.Values[i*len(x.Columns)+from]
		}
		if metric.ranks {
			sorted := slices.Clone(column)
			sort.Float64s(sorted)
			for i, v := range column {
				lo := sort.SearchFloat64s(sorted, v)
				hi := lo + sort.Search(c.n-lo, func(n int) bool { return sorted[lo+n] > v })
				column[i] = float64(lo+hi+1) / 2
			}
		}
		for i, v := range column {
			value[i*k+j] = v
		}
		for l := range k {
			weight[j*k+l] = metric.M.At(j, l)
		}
	}
	gap := make([]float64, k)
	return func(a, b int) float64 {
		sum := 0.0
		for i := range k {
			gap[i] = value[a*k+i] - value[b*k+i]
			row, part := weight[i*k:i*k+i], weight[i*k+i]*gap[i]
			for l, w := range row {
				part += 2 * w * gap[l]
			}
			sum += part * gap[i]
		}
		return math.Sqrt(max(sum, 0))
	}, nil
}
