package progress

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/table"
)

// Measures of this package.
const (
	WinOdds    estimate.Measure = "win-odds"
	NetBenefit estimate.Measure = "net-benefit"
	WinRatio   estimate.Measure = "win-ratio"
)

// Steps are the steps that persons have reached at one time: Frame.Y is the step, of
// which only the order counts (a larger number is better). Frame.X and Frame.Set are not
// used and must be nil; the sets of a matched cohort go into Frame.Cluster.
type Steps struct {
	estimate.Frame
	Stratum      []int    // n, dense from 0: pairs are made within strata; nil = one stratum
	StratumNames []string // name of each stratum
}

// Wins compares the steps of participants and comparison people pair by pair. With
// w = P(Y1 > Y0), l = P(Y1 < Y0) over pairs within strata,
//
//	win probability WP = w + (1−w−l)/2     win odds WP/(1−WP)
//	net benefit     NB = w − l = 2·WP − 1  win ratio w/l
//
// from the shares on each step, in time linear in persons and steps. Strata are joined with
// ω_s ∝ n1s·n0s/(n1s+n0s). Variance from the influence function with factor n/(n−1) for
// each arm of each stratum (DeLong), or G/(G−1) with clusters. WP, win odds and net benefit
// have the logit interval of WP and its test of ½; the win ratio has the log interval.
//
// Estimates, all with term overall, in this order: win-probability, win-odds,
// net-benefit, win-ratio. They hold at one fixed time for everybody: with censored
// persons use [NetMonths], whose win-probability leaves the ties out.
//
// Details: win_share, loss_share, tie_share, pairs, std_error_divisor_n (of WP, as hce and
// WINS print it), log_win_odds, log_win_ratio, step_table ([]StepShare), per_stratum
// ([]StratumWins), heterogeneity, persons, vcov.
//
// Errors: [estimate.ErrTooFew] below MinPerArm persons in an arm, or one person in an arm
// of a stratum; [estimate.ErrNoTreated], [estimate.ErrNoControls];
// [estimate.ErrNotIdentified] if no stratum has both arms; [estimate.ErrWeights] for
// frequency weights with clusters; [estimate.ErrInvalidFrame].
type Wins struct {
	MinPerArm int // fewest persons per arm; 0 means 15
	Workers   int // goroutines; 0 means all cores. Never changes a result
}

// Fit estimates from steps, which it does not change.
func (e Wins) Fit(ctx context.Context, s *Steps) (*estimate.Result, error) {
	res, err := e.fit(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("win statistics: %w", err)
	}
	return res, nil
}

func (e Wins) fit(ctx context.Context, s *Steps) (*estimate.Result, error) {
	if err := e.check(s); err != nil {
		return nil, err
	}
	c, err := e.count(s)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	inf := c.influence()
	cov, naive, clusters, err := c.covariance(inf, e.Workers)
	if err != nil {
		return nil, err
	}
	res := &estimate.Result{
		Method: "wins", Influence: mat.NewDense(len(s.Y), 4, nil), InfluenceUnit: s.Unit, Cov: mat.NewSymDense(4, nil),
		N: estimate.Counts{Units: c.units(0) + c.units(1), Treated: c.units(1), Clusters: clusters}, Fit: estimate.Convergence{Converged: true},
	}
	c.estimates(res, inf, cov)
	c.details(res, naive, e.Workers)
	return res, nil
}

func (e Wins) check(s *Steps) error {
	if err := s.Check(); err != nil {
		return err
	}
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", estimate.ErrInvalidFrame, fmt.Sprintf(format, a...))
	}
	switch {
	case s.Treated == nil:
		return bad("win statistics compare two arms; the frame has no treatment")
	case s.X != nil:
		return bad("win statistics take no covariates; put categories into strata")
	case s.Set != nil:
		return bad("win statistics take no sets; put the set numbers into clusters")
	case s.Stratum != nil && len(s.Stratum) != len(s.Y):
		return bad("%d stratum numbers for %d outcomes", len(s.Stratum), len(s.Y))
	case e.MinPerArm < 0:
		return fmt.Errorf("the fewest persons per arm cannot be %d", e.MinPerArm)
	}
	for i, g := range s.Stratum {
		if g < 0 || g >= len(s.StratumNames) {
			return &estimate.RowError{Row: i, Err: bad("stratum number %d has no name", g)}
		}
	}
	switch s.Weight.Kind {
	case estimate.NoWeights, estimate.Sampling, estimate.Matching:
	case estimate.Frequency:
		if s.Cluster != nil {
			return fmt.Errorf("%w: frequency weights with clusters; write one person a row", estimate.ErrWeights)
		}
		for i, w := range s.Weight.Values {
			if w != math.Trunc(w) {
				return &estimate.RowError{Row: i, Err: fmt.Errorf("%w: a frequency must be a whole number", estimate.ErrWeights)}
			}
		}
	default:
		return fmt.Errorf("%w: unknown kind %q", estimate.ErrWeights, s.Weight.Kind)
	}
	return nil
}

// winStratum is a stratum: its persons, shares by step and win and loss probability.
type winStratum struct {
	name      string
	rows      [2][]int32 // comparison, participants, in byte order of unit
	n         [2]float64 // persons
	total     [2]float64 // sums of weights
	share     [2][]float64
	omega     float64
	win, loss float64
}

func (s *winStratum) prob() float64 { return 0.5 + (s.win-s.loss)/2 }

type winCount struct {
	s         *Steps
	steps     []float64
	at        []int32 // of each row, its step
	weight    []float64
	strata    []*winStratum
	win, loss float64
	dropped   int // persons in strata with one arm only
	zero      int // persons of weight 0
	lost      int // strata with one arm only
}

func (c *winCount) units(arm int) (n int) {
	for _, g := range c.strata {
		n += int(g.n[arm])
	}
	return n
}

// persons is how many persons a row stands for.
func (c *winCount) persons(i int32) float64 {
	if c.s.Weight.Kind == estimate.Frequency {
		return c.s.Weight.Values[i]
	}
	return 1
}

func (e Wins) count(s *Steps) (*winCount, error) {
	n := len(s.Y)
	c := &winCount{s: s, at: make([]int32, n), weight: make([]float64, n)}
	c.steps = slices.Compact(slices.Sorted(slices.Values(s.Y)))
	order := make([]int32, n)
	for i := range order {
		order[i] = int32(i)
		k, _ := slices.BinarySearch(c.steps, s.Y[i])
		c.at[i] = int32(k)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return strings.Compare(s.Unit[a], s.Unit[b]) })
	names := s.StratumNames
	if s.Stratum == nil {
		names = []string{""}
	}
	all := make([]winStratum, len(names))
	var arms [2]float64 // persons of weight above 0
	var sums [2]float64
	for _, i := range order {
		w := 1.0
		if s.Weight.Values != nil {
			w = s.Weight.Values[i]
		}
		arm, g := 0, &all[0]
		if s.Treated[i] {
			arm = 1
		}
		if s.Stratum != nil {
			g = &all[s.Stratum[i]]
		}
		if w == 0 {
			c.zero++
			continue
		}
		c.weight[i] = w
		g.rows[arm] = append(g.rows[arm], i)
		g.n[arm] += c.persons(i)
		arms[arm] += c.persons(i)
		sums[arm] += w
	}
	least := e.MinPerArm
	if least == 0 {
		least = 15
	}
	for arm, missing := range []error{estimate.ErrNoControls, estimate.ErrNoTreated} {
		if arms[arm] == 0 {
			return nil, missing
		}
	}
	for g := range all {
		if all[g].n[0] == 0 || all[g].n[1] == 0 {
			if left := int(all[g].n[0] + all[g].n[1]); left > 0 {
				c.dropped, c.lost = c.dropped+left, c.lost+1
			}
			continue
		}
		all[g].name = names[g]
		c.strata = append(c.strata, &all[g])
	}
	if len(c.strata) == 0 {
		return nil, fmt.Errorf("%w: no stratum has persons of both arms; make the strata wider", estimate.ErrNotIdentified)
	}
	for arm, name := range []string{"the comparison arm", "the treated arm"} {
		if have := c.units(arm); have < least {
			return nil, fmt.Errorf("%w: %s has %d persons who can be compared, at least %d are needed for an effect: add persons, or show the table of steps as a description",
				estimate.ErrTooFew, name, have, least)
		}
	}
	for _, g := range c.strata {
		for arm := range 2 {
			if g.n[arm] < 2 && s.Cluster == nil {
				where := ""
				if g.name != "" {
					where = fmt.Sprintf(" of stratum %q", g.name)
				}
				return nil, fmt.Errorf("%w: an arm%s has one person, so that its variance cannot be estimated; join strata", estimate.ErrTooFew, where)
			}
		}
	}
	var scale [2]float64
	for arm := range scale {
		scale[arm] = 1
		if s.Weight.Kind == estimate.Sampling || s.Weight.Kind == estimate.Matching {
			scale[arm] = arms[arm] / sums[arm] // only relative weights within an arm count
		}
	}
	c.combine(scale)
	return c, nil
}

// combine finds shares and probabilities of each stratum and joins them.
func (c *winCount) combine(scale [2]float64) {
	sum := 0.0
	for _, g := range c.strata {
		for arm, rows := range g.rows {
			g.share[arm] = make([]float64, len(c.steps))
			for _, i := range rows {
				c.weight[i] *= scale[arm]
				g.total[arm] += c.weight[i]
				g.share[arm][c.at[i]] += c.weight[i]
			}
			for k := range g.share[arm] {
				g.share[arm][k] /= g.total[arm]
			}
		}
		below1, below0 := 0.0, 0.0
		for k := range c.steps {
			g.win += float64(g.share[1][k] * below0)
			g.loss += float64(g.share[0][k] * below1)
			below1, below0 = below1+g.share[1][k], below0+g.share[0][k]
		}
		g.omega = g.total[1] / (g.total[0] + g.total[1]) * g.total[0]
		sum += g.omega
	}
	for _, g := range c.strata {
		g.omega /= sum
		c.win += float64(g.omega * g.win)
		c.loss += float64(g.omega * g.loss)
	}
}

// influence returns rows × (win, loss); a frequency w is w persons, whose row is √w times that of one.
func (c *winCount) influence() *mat.Dense {
	inf := mat.NewDense(len(c.s.Y), 2, nil)
	for _, g := range c.strata {
		for arm, rows := range g.rows {
			other := g.share[1-arm]
			below, above := make([]float64, len(other)), make([]float64, len(other))
			for k := 1; k < len(other); k++ {
				below[k] = below[k-1] + other[k-1]
			}
			for k := len(other) - 2; k >= 0; k-- {
				above[k] = above[k+1] + other[k+1]
			}
			if arm == 0 { // a win of participants is a lower step of the comparison person
				below, above = above, below
			}
			for _, i := range rows {
				w := c.weight[i]
				if c.s.Weight.Kind == estimate.Frequency {
					w = math.Sqrt(w)
				}
				w *= g.omega / g.total[arm]
				inf.Set(int(i), 0, w*(below[c.at[i]]-g.win))
				inf.Set(int(i), 1, w*(above[c.at[i]]-g.loss))
			}
		}
	}
	return inf
}

// covariance is that of (win, loss), with the documented factors and without any.
func (c *winCount) covariance(inf *mat.Dense, workers int) (cov, naive *mat.SymDense, clusters int, err error) {
	cov, naive = mat.NewSymDense(2, nil), mat.NewSymDense(2, nil)
	var order []int32
	for _, g := range c.strata {
		for arm, rows := range g.rows {
			part, _, err := survive.Covariance(inf, rows, nil, workers)
			if err != nil {
				return nil, nil, 0, err
			}
			factor := g.n[arm] / (g.n[arm] - 1)
			for a := range 2 {
				for b := a; b < 2; b++ {
					naive.SetSym(a, b, naive.At(a, b)+part.At(a, b))
					cov.SetSym(a, b, cov.At(a, b)+float64(factor*part.At(a, b)))
				}
			}
			order = append(order, rows...)
		}
	}
	if c.s.Cluster == nil {
		return cov, naive, 0, nil
	}
	slices.SortStableFunc(order, func(a, b int32) int { return strings.Compare(c.s.Unit[a], c.s.Unit[b]) })
	cov, clusters, err = survive.Covariance(inf, order, c.s.Cluster, workers)
	return cov, naive, clusters, err
}

// probVar is the variance of WP from that of (win, loss).
func probVar(cov *mat.SymDense) float64 {
	return max(0, (cov.At(0, 0)+cov.At(1, 1)-2*cov.At(0, 1))/4)
}

func (c *winCount) vcov() string {
	if c.s.Cluster != nil {
		return "influence, clustered, factor G/(G-1)"
	}
	return "influence, factor n/(n-1) by arm and stratum"
}

func (c *winCount) notes() []table.Note {
	var out []table.Note
	add := func(code, text string, args map[string]any) {
		out = append(out, table.Note{Code: code, Text: text, Args: args})
	}
	if c.zero > 0 {
		add("zero-weight", "Persons with weight 0 take no part.", map[string]any{"persons": c.zero})
	}
	if c.s.Weight.Kind == estimate.Sampling || c.s.Weight.Kind == estimate.Matching {
		add("weights-fixed", "Standard errors take the weights as known; the step that estimated them is not in them.", map[string]any{"kind": string(c.s.Weight.Kind)})
	}
	if c.lost > 0 {
		add("stratum-one-arm", "Strata with persons of one arm only have no pairs and take no part.", map[string]any{"strata": c.lost, "persons": c.dropped})
	}
	if tie := 1 - c.win - c.loss; tie > 0.5 {
		add("many-ties", "More than half of the pairs are ties: read the win odds or the net benefit, as the win ratio leaves ties out.", map[string]any{"share": tie})
	}
	return out
}
