package progress

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/internal/num"
)

// VisitScores are n people with a score at T visits, which some did not come to.
type VisitScores struct {
	Persons
	X      *mat.Dense // n×k, what is known before the visits (the score before, first of all); nil if none
	XNames []string   // k
	After  *mat.Dense // n×T in the order of the visits; NaN = missing
	Visits []string   // T names
	Event  []int      // n, the first visit (from 0) that an intercurrent event counts at, T = none; nil: the visit after the last one seen
}

// maxVisits bounds a covariance with one parameter for each pair of visits.
const maxVisits = 20

// visitGroup is the people of one arm, one set of visits seen and one visit of the event, as sums of products over them.
type visitGroup struct {
	arm, event int
	seen       uint32 // bit t: seen at visit t
	people     int
	w          float64
	zz, zy, yy []float64 // p×p, p×T, T×T
}

// visitData is the people of weight above 0 in the order of their units. The columns z = (1, arm, X) are made orthogonal and the scores of each visit are residuals in
// units of their spread (coef and scale lead back), so that sums of products lose no digits.
type visitData struct {
	order  []int32
	arm    []int
	w      []float64
	z      [][]float64 // people × p, orthogonal columns of mean square 1
	y      [][]float64 // people × T
	group  []int       // of each
	groups []visitGroup
	p, T   int
	one    []float64   // z'one = 1
	step   []float64   // what the arm adds to z
	coef   [][]float64 // T×p: score = z'coef + scale·y
	scale  []float64
	all    [2]int
	seen   [2][]int // people by arm and visit
}

func takeVisits(s *VisitScores, least int) (*visitData, error) {
	n := len(s.Unit)
	if s.After == nil {
		return nil, invalid("no scores at visits")
	}
	frame := &estimate.Frame{Unit: s.Unit, Y: make([]float64, n), Treated: s.Treated, X: s.X, XNames: s.XNames, Weight: s.Weight, Cluster: s.Cluster, Level: s.Level}
	if err := frame.Check(); err != nil {
		return nil, err
	}
	r, T := s.After.Dims()
	switch {
	case r != n || T != len(s.Visits):
		return nil, invalid("scores are %d×%d, %d×%d expected", r, T, n, len(s.Visits))
	case T > maxVisits:
		return nil, invalid("%d visits, at most %d can be joined", T, maxVisits)
	case s.Event != nil && len(s.Event) != n:
		return nil, invalid("%d events for %d persons", len(s.Event), n)
	case s.Weight.Kind == estimate.Frequency:
		return nil, fmt.Errorf("%w: write one person a row", estimate.ErrWeights)
	case s.Treated == nil:
		return nil, estimate.ErrNoTreated
	}
	for k, name := range s.Visits {
		if slices.Contains(s.Visits[:k], name) {
			return nil, invalid("visit %q is there twice", name)
		}
	}
	d := &visitData{T: T, seen: [2][]int{make([]int, T), make([]int, T)}}
	var masks []uint32
	var events []int
	for _, i := range byUnit(s.Unit) {
		w := 1.0
		if s.Weight.Values != nil {
			w = s.Weight.Values[i]
		}
		if w == 0 {
			continue
		}
		a, y := arm(s.Treated[i]), slices.Clone(s.After.RawRowView(i))
		z := []float64{1, float64(a)}
		if s.X != nil {
			z = append(z, s.X.RawRowView(i)...)
		}
		mask, event := uint32(0), 0
		for t, v := range y {
			switch {
			case math.IsInf(v, 0):
				return nil, &estimate.RowError{Row: i, Err: invalid("a score is infinite")}
			case !math.IsNaN(v):
				mask |= 1 << t
				d.seen[a][t]++
				event = t + 1
			}
		}
		if s.Event != nil {
			if event = s.Event[i]; event < 0 || event > T {
				return nil, &estimate.RowError{Row: i, Err: invalid("the event is at none of %d visits", T)}
			}
		}
		d.all[a]++
		d.order, d.arm, d.w, d.z, d.y = append(d.order, int32(i)), append(d.arm, a), append(d.w, w), append(d.z, z), append(d.y, y)
		masks, events = append(masks, mask), append(events, event)
	}
	switch {
	case d.all[1] == 0:
		return nil, estimate.ErrNoTreated
	case d.all[0] == 0:
		return nil, estimate.ErrNoControls
	}
	for a := range 2 {
		for t, seen := range d.seen[a] {
			if seen < least {
				return nil, fmt.Errorf("%w: in an arm %d persons were seen at visit %q, at least %d are needed", estimate.ErrTooFew, seen, s.Visits[t], least)
			}
		}
	}
	d.p = len(d.z[0])
	if err := d.orthogonal(); err != nil {
		return nil, err
	}
	if err := d.residuals(s.Visits); err != nil {
		return nil, err
	}
	d.gather(masks, events)
	return d, nil
}

// orthogonal scales the weights to mean 1 and makes the columns of z orthogonal with mean square 1, by Gram and Schmidt twice.
func (d *visitData) orthogonal() error {
	n := len(d.z)
	total := num.Sum(d.w)
	for k := range d.w {
		d.w[k] *= float64(n) / total
	}
	// back is upper triangular with z = q·back; its first column is z'one = 1, its second z'arm.
	back := mat.NewDense(d.p, d.p, nil)
	col := make([]float64, n)
	inner := func(i, j int) float64 {
		for k := range d.z {
			col[k] = d.w[k] * d.z[k][i] * d.z[k][j]
		}
		return num.Sum(col) / float64(n)
	}
	for j := range d.p {
		before := math.Sqrt(inner(j, j))
		for range 2 {
			for i := range j {
				c := inner(i, j)
				back.Set(i, j, back.At(i, j)+c)
				for k := range d.z {
					d.z[k][j] -= float64(c * d.z[k][i])
				}
			}
		}
		size := math.Sqrt(inner(j, j))
		if !(size > 1e-9*before) {
			return fmt.Errorf("%w: arm and covariates decide each other", estimate.ErrCollinear)
		}
		back.Set(j, j, size)
		for k := range d.z {
			d.z[k][j] /= size
		}
	}
	// A person's row is q with z' = q'back: one more in the arm moves q by the row e_arm'·back⁻¹.
	var inverse mat.Dense
	if err := inverse.Inverse(back); err != nil {
		return fmt.Errorf("%w: arm and covariates decide each other", estimate.ErrCollinear)
	}
	d.step = slices.Clone(inverse.RawRowView(1))
	d.one = make([]float64, d.p)
	d.one[0] = back.At(0, 0)
	return nil
}

// residuals replaces the scores of each visit by the residuals of their regression on z, in units of their spread.
func (d *visitData) residuals(visits []string) error {
	for t := range d.T {
		var z, y, w []float64
		for k, row := range d.y {
			if !math.IsNaN(row[t]) {
				z, y, w = append(z, d.z[k]...), append(y, row[t]), append(w, d.w[k])
			}
		}
		fit, err := num.LeastSquares(num.LsqData{N: len(y), K: d.p, X: z, Y: y, Weight: w, DropCollinear: true, Workers: 1})
		if err != nil {
			return err
		}
		if fit.Rank < d.p || len(y) <= d.p {
			return fmt.Errorf("%w: arm and covariates decide each other at visit %q", estimate.ErrCollinear, visits[t])
		}
		scale := math.Sqrt(fit.RSS / float64(len(y)))
		if !(scale > 1e-9*math.Sqrt(num.SumOfSquares(y, nil, true, 1)/float64(len(y)))) {
			return fmt.Errorf("%w: the scores of visit %q follow from arm and covariates without error", estimate.ErrNotIdentified, visits[t])
		}
		d.coef, d.scale = append(d.coef, fit.Coef), append(d.scale, scale)
		for k, row := range d.y {
			row[t] = (row[t] - num.Dot(d.z[k], fit.Coef)) / scale
		}
	}
	return nil
}

// gather sorts the people into groups, in the order of arm, event and visits seen.
func (d *visitData) gather(masks []uint32, events []int) {
	type key struct {
		arm, event int
		seen       uint32
	}
	var keys []key
	for k, m := range masks {
		keys = append(keys, key{d.arm[k], events[k], m})
	}
	at := map[key]int{}
	sorted := slices.Clone(keys)
	slices.SortFunc(sorted, func(a, b key) int {
		if a.arm != b.arm {
			return a.arm - b.arm
		}
		if a.event != b.event {
			return a.event - b.event
		}
		return int(a.seen) - int(b.seen)
	})
	for _, k := range slices.Compact(sorted) {
		at[k] = len(d.groups)
		d.groups = append(d.groups, visitGroup{arm: k.arm, event: k.event, seen: k.seen, zz: make([]float64, d.p*d.p), zy: make([]float64, d.p*d.T), yy: make([]float64, d.T*d.T)})
	}
	for k, key := range keys {
		d.group = append(d.group, at[key])
		d.groups[at[key]].add(d, k, 1)
	}
}

// add counts person k in, or out with sign −1.
func (g *visitGroup) add(d *visitData, k int, sign float64) {
	g.people += int(sign)
	w := sign * d.w[k]
	g.w += w
	for i, v := range d.z[k] {
		for j, u := range d.z[k] {
			g.zz[i*d.p+j] += float64(w * v * u)
		}
		for t, u := range d.y[k] {
			if g.seen&(1<<t) != 0 {
				g.zy[i*d.T+t] += float64(w * v * u)
			}
		}
	}
	for s, v := range d.y[k] {
		for t, u := range d.y[k] {
			if g.seen&(1<<s) != 0 && g.seen&(1<<t) != 0 {
				g.yy[s*d.T+t] += float64(w * v * u)
			}
		}
	}
}

// without gives the groups without the people of a part.
func (d *visitData) without(people []int) []visitGroup {
	out := slices.Clone(d.groups)
	own := make([]bool, len(out))
	for _, k := range people {
		g := d.group[k]
		if !own[g] {
			own[g] = true
			out[g].zz, out[g].zy, out[g].yy = slices.Clone(out[g].zz), slices.Clone(out[g].zy), slices.Clone(out[g].yy)
		}
		out[g].add(d, k, -1)
	}
	return slices.DeleteFunc(out, func(g visitGroup) bool { return g.people == 0 })
}
