package progress

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate"
	"utfall/estimate/survive"
	"utfall/table"
)

// Causes of [StableExit] and [Return].
const (
	stableCause = "stable"
	returnCause = "return"
	leftCause   = "left"
)

// StableExit estimates by when people have begun to support themselves for good: the time to the first month of
// Run months in a row with support of one's own of which at most Benefit are not. Whether a run was begun is known only
// Run months later, so that observation ends Run months before it does: else the last year would look like failure (the
// right truncation of stable runs). Who leaves (death, emigration, pension) before is a competing event, never an end of
// observation.
//
// Somebody who has left is in a Left state in every month to the end of the data. Times are whole months from the start: a run begun in the first month has time 0. With C observed months the time is
// the first m ≤ C − Run at which a run begins; else the month of leaving if that is at most C − Run, else censored at C − Run.
//
// Estimates: time=T,cause=stable[,group=G] and cause=left (cumulative-incidence), G 0 for comparison people and 1 for
// participants, as [survive.CumulativeIncidence]; with two groups then time=T,cause=C,difference (risk-difference). Details: counts, vcov.
//
// Errors: [estimate.ErrTooFew] under 10 runs or under MinPerArm persons in a group (gate G8); [estimate.ErrInvalidFrame].
type StableExit struct {
	Authority Map       // OwnSupport marks support of one's own, Left who leaves
	Run       int       // months; 0 means 12
	Benefit   int       // months of a run that may be without support of one's own: 0 or more (the protocol says 1)
	At        []float64 // months; required
	MinPerArm int       // 0 means 15
	Workers   int       // never changes a result
	// ReweighLoss lets those still followed stand in for those lost in the same state in the same month (METHODS.md).
	ReweighLoss bool
}

// Return estimates how many of those who came to support themselves are back with an authority by a time after it:
// the time from the first month of support of one's own that follows another month to the next month in which an authority
// is responsible; leaving is a competing event. People who have an exit are picked by their outcome: it is a description, also
// between the groups (note after-exit-only). Estimates and errors as [StableExit], cause return.
type Return struct {
	Authority Map
	At        []float64 // months after the exit; required
	MinPerArm int
	Workers   int
	// ReweighLoss is as in [StableExit].
	ReweighLoss bool
}

// Fit estimates from months, which it does not change.
func (e StableExit) Fit(ctx context.Context, m *Months) (*estimate.Result, error) {
	if e.Run == 0 {
		e.Run = 12
	}
	res, err := func() (*estimate.Result, error) {
		if e.Run < 1 || e.Benefit < 0 || e.Benefit >= e.Run {
			return nil, invalid("a run of %d months with up to %d of benefit", e.Run, e.Benefit)
		}
		return incidence(ctx, m, e.Authority, stableCause, e.At, e.MinPerArm, e.Workers, e.ReweighLoss, e.time)
	}()
	if err != nil {
		return nil, fmt.Errorf("stable exit: %w", err)
	}
	res.Method = "stable-exit"
	return res, nil
}

// Fit estimates from months, which it does not change.
func (e Return) Fit(ctx context.Context, m *Months) (*estimate.Result, error) {
	res, err := incidence(ctx, m, e.Authority, returnCause, e.At, e.MinPerArm, e.Workers, e.ReweighLoss, e.time)
	if err != nil {
		return nil, fmt.Errorf("return after exit: %w", err)
	}
	res.Method = "return-after-exit"
	res.Notes = append(res.Notes, table.Note{Code: "after-exit-only", Text: "Only people who came to support themselves are in this number, and the groups need not have the same kind of people among them: it is a description."})
	return res, nil
}

// outcomes of a clock.
const (
	ended = iota // observation ended
	event
	left
	outside // the clock never starts
)

// time gives months to the first run, how it ended, and the month by which it is known what happens at time 0.
func (e StableExit) time(code []int8, who []Authority) (time, how, known int) {
	known = e.Run - 1
	last := len(code) - e.Run
	if last < 0 {
		return 0, outside, known
	}
	for m := 0; m <= last; m++ {
		if who[code[m]] == Left {
			return m, left, known
		}
		if who[code[m]] != OwnSupport {
			continue
		}
		benefit := 0
		for _, c := range code[m : m+e.Run] {
			switch who[c] {
			case OwnSupport:
			case Left:
				benefit = e.Run
			default:
				benefit++
			}
		}
		if benefit <= e.Benefit {
			return m, event, known
		}
	}
	return last, ended, known
}

func (e Return) time(code []int8, who []Authority) (time, how, known int) {
	exit := -1
	for m := 1; m < len(code); m++ {
		a := who[code[m]]
		switch {
		case exit < 0 && a == OwnSupport && who[code[m-1]] != OwnSupport:
			exit = m
		case exit < 0 && a == Left:
			return 0, outside, 0
		case exit >= 0 && a == Left:
			return m - exit, left, exit
		case exit >= 0 && a != OwnSupport && a != Nobody:
			return m - exit, event, exit
		}
	}
	if exit < 0 || exit == len(code)-1 {
		return 0, outside, 0
	}
	return len(code) - 1 - exit, ended, exit
}

// incidence is the cumulative incidence of the event and of leaving on a clock.
func incidence(ctx context.Context, m *Months, who Map, cause string, at []float64, least, workers int, reweigh bool, clock func([]int8, []Authority) (time, how, known int)) (*estimate.Result, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if len(at) == 0 {
		return nil, invalid("no times to report: the time is part of the question")
	}
	authority, err := who.of(m.States)
	if err != nil {
		return nil, err
	}
	order, groups, err := m.order(least)
	if err != nil {
		return nil, err
	}
	c := &survive.Competing{CauseNames: []string{cause, leftCause}}
	c.Level, c.Weight.Kind = m.Level, m.Weight.Kind
	if groups == 2 {
		c.GroupNames = []string{"0", "1"}
	}
	events, short := 0, 0
	var count [2]int
	var person, month []int
	for _, p := range order {
		i := int(p)
		t, how, known := clock(m.seen(i), authority)
		if how == outside {
			short++
			continue
		}
		c.Unit, c.Time = append(c.Unit, m.Unit[i]), append(c.Time, float64(t))
		person, month = append(person, i), append(month, known)
		number := survive.Censored
		switch how {
		case event:
			number = 0
			events++
		case left:
			number = 1
		}
		c.Cause = append(c.Cause, number)
		count[m.group(i)]++
		if groups == 2 {
			c.Group = append(c.Group, m.group(i))
		}
		if m.Weight.Values != nil {
			c.Weight.Values = append(c.Weight.Values, m.Weight.Values[i])
		}
		if m.Cluster != nil {
			c.Cluster = append(c.Cluster, m.Cluster[i])
		}
	}
	if least == 0 {
		least = MinArm
	}
	switch {
	case events < MinExits:
		return nil, fmt.Errorf("%w: %d events of cause %s, at least %d are needed for a rate: follow people for longer, or join groups", estimate.ErrTooFew, events, cause, MinExits)
	case count[0] < least || groups == 2 && count[1] < least:
		return nil, fmt.Errorf("%w: a group has %d persons for whom the clock starts, at least %d are needed", estimate.ErrTooFew, min(count[0], count[groups-1]), least)
	}
	f, ask := c, at
	var rows *pieces
	var weights *monthWeights
	if reweigh {
		weights = m.lossWeights(order)
		rows = weights.reweighed(c, person, month)
		f, ask = rows.c, make([]float64, len(at))
		for k, t := range at {
			ask[k] = t + 1
		}
	}
	res, err := survive.CumulativeIncidence{At: ask, Workers: workers}.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	if reweigh {
		rows.persons(res, c, at)
		res.Notes = append(res.Notes, weights.note())
	}
	if short > 0 {
		res.Notes = append(res.Notes, table.Note{Code: "clock-not-started", Text: "For some persons the clock does not start, or observation ends too early to see an event: they take no part.", Args: map[string]any{"persons": short}})
	}
	if groups == 2 {
		return res, differences(res, c, workers)
	}
	return res, nil
}

// differences appends participants less comparison people for every number of the two groups.
func differences(res *estimate.Result, c *survive.Competing, workers int) error {
	k := len(res.Estimates)
	n := len(c.Unit)
	if res.Influence == nil {
		return nil // survive has said so in a note
	}
	wide := mat.NewDense(n, k+k/2, nil)
	for i := range n {
		row := wide.RawRowView(i)
		copy(row, res.Influence.RawRowView(i))
		for q := range k / 2 {
			row[k+q] = row[k/2+q] - row[q]
		}
	}
	order := make([]int32, 0, n)
	for _, i := range byUnit(c.Unit) {
		if c.Weight.Values == nil || c.Weight.Values[i] > 0 {
			order = append(order, int32(i))
		}
	}
	cov, _, err := survive.Covariance(wide, order, c.Cluster, workers)
	if err != nil {
		return err
	}
	res.Influence, res.Cov = wide, cov
	for q := range k / 2 {
		a, b := res.Estimates[q], res.Estimates[k/2+q]
		term := a.Term[:len(a.Term)-len(",group=0")] + ",difference"
		se := math.Sqrt(cov.At(k+q, k+q))
		if math.IsNaN(a.SE) || math.IsNaN(b.SE) {
			se = math.NaN()
		}
		res.Estimates = append(res.Estimates, estimate.Wald(term, estimate.RiskDifference, b.Value-a.Value, se, math.Inf(1), c.Level))
	}
	return nil
}
