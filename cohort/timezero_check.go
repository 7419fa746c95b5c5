package cohort

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Check lists what is wrong with the options.
func (t Timing) Check() []error {
	var errs []error
	from, err := ParseMonth(t.From)
	if err != nil {
		errs = append(errs, fmt.Errorf("from: %w", err))
	}
	to, toErr := ParseMonth(t.To)
	if toErr != nil {
		errs = append(errs, fmt.Errorf("to: %w", toErr))
	} else if err == nil && from > to {
		errs = append(errs, errors.New("from: the intake window ends before it starts"))
	}
	if t.DataEnd != "" {
		if end, err := ParseMonth(t.DataEnd); err != nil {
			errs = append(errs, fmt.Errorf("data_end: %w", err))
		} else if toErr == nil && end < to {
			errs = append(errs, errors.New("data_end: the intake window goes on after the end of the data"))
		}
	}
	if len(t.LookBack) == 0 {
		errs = append(errs, errors.New("look_back: give at least one number of months"))
	}
	for i, l := range t.LookBack {
		if slices.Contains(t.LookBack[:i], l) {
			errs = append(errs, fmt.Errorf("look_back: %d months are there twice", l))
		}
		if l < 1 || l > 240 {
			errs = append(errs, errors.New("look_back: months must lie between 1 and 240"))
			break
		}
	}
	if t.FollowUp < 1 || t.FollowUp > 240 {
		errs = append(errs, errors.New("follow_up: months must lie between 1 and 240"))
	}
	switch {
	case t.Shift > 0 || t.Shift < -120:
		errs = append(errs, errors.New("shift: months must lie between -120 and 0: a placebo time zero is before the start"))
	case t.Shift < 0 && t.FollowUp >= -t.Shift:
		errs = append(errs, fmt.Errorf("follow_up: with shift: %d it must end before people start: at most %d months", t.Shift, -t.Shift-1))
	}
	errs = append(errs, oneOf("design", t.Design, DrawnMonth, RiskSet, GracePeriod)...)
	errs = append(errs, oneOf("participation", t.Participation, FirstParticipation, EachParticipation, WashoutParticipation)...)
	errs = append(errs, oneOf("later", t.Later, LaterStays, LaterCensors)...)
	switch {
	case t.Participation == WashoutParticipation && (t.Washout < 1 || t.Washout > 240):
		errs = append(errs, errors.New("washout: give the months without participation before time zero, 1 to 240"))
	case t.Participation != WashoutParticipation && t.Washout != 0:
		errs = append(errs, errors.New("washout: it belongs to participation: washout"))
	}
	errs = append(errs, slices.Concat(t.checkRiskSet(), t.checkGrace())...)
	if t.Lag < 0 || t.Lag > 120 {
		errs = append(errs, errors.New("lag: months must lie between 0 and 120"))
	}
	for _, source := range sortedNames(t.Lags) {
		errs = append(errs, oneOf("lags", source, SpellSource, ParticipationSource, AmountSource)...)
		if l := t.Lags[source]; l < 0 || l > 120 {
			errs = append(errs, fmt.Errorf("lags: %s: months must lie between 0 and 120", source))
		}
	}
	for i, f := range t.Features {
		if slices.Contains(t.Features[:i], f) {
			errs = append(errs, fmt.Errorf("features: %s is there twice", f))
		}
		errs = append(errs, oneOf("features", f, MonthFeatures, ChangeFeatures, TrendFeatures, AmountFeatures, ParticipationFeatures)...)
	}
	for _, s := range []struct{ source, features string }{{AmountSource, AmountFeatures}, {ParticipationSource, ParticipationFeatures}} {
		if _, ok := t.Lags[s.source]; ok && !t.has(s.features) {
			errs = append(errs, fmt.Errorf("lags: %s: no feature is made from it", s.source))
		}
	}
	return errs
}

// checkRiskSet lists what is wrong with the options of risk sets.
func (t Timing) checkRiskSet() []error {
	var errs []error
	if t.design() != RiskSet {
		for _, o := range []struct {
			key   string
			given bool
		}{{"origin", t.Origin != nil}, {"durations", t.Durations != nil}, {"draws", t.Draws != nil}} {
			if o.given {
				errs = append(errs, fmt.Errorf("%s: it belongs to design: risk-set", o.key))
			}
		}
		return errs
	}
	for i, s := range t.Origin {
		if slices.Contains(t.Origin[:i], s) {
			errs = append(errs, fmt.Errorf("origin: %s is there twice", s))
		}
	}
	for i, d := range t.Durations {
		if d < 0 || i > 0 && d <= t.Durations[i-1] {
			errs = append(errs, errors.New("durations: cut points must rise, from 0 on"))
			break
		}
		if len(t.LookBack) > 0 && d > t.maxLookBack() {
			errs = append(errs, errors.New("durations: a state is followed back over the longest look-back, no cut point can be above it"))
			break
		}
	}
	if t.Draws != nil && *t.Draws < 0 {
		errs = append(errs, errors.New("draws: give a number of people for each participant, or 0 for all"))
	}
	return errs
}

// durationCuts are the durations above 1 at which a band begins.
func (t Timing) durationCuts() []int {
	all := t.Durations
	if all == nil {
		all = []int{1, 3, 6, 12, 24}
	}
	var cuts []int
	for _, c := range all {
		if c > 1 && c <= t.maxLookBack() { // every state has lasted a month
			cuts = append(cuts, c)
		}
	}
	return cuts
}

// draws is the number of people at risk drawn for each participant, 0 = all.
func (t Timing) draws() int {
	if t.Draws == nil {
		return 20
	}
	return *t.Draws
}

// oneOf is the error for a word that is not among those allowed; empty means the default.
func oneOf(key, value string, allowed ...string) []error {
	if value == "" || slices.Contains(allowed, value) {
		return nil
	}
	return []error{fmt.Errorf("%s: %q is none of: %s", key, value, strings.Join(allowed, ", "))}
}

func sortedNames[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// maxLookBack is the longest look-back.
func (t Timing) maxLookBack() int { return slices.Max(t.LookBack) }

func (t Timing) design() string { return cmp.Or(t.Design, DrawnMonth) }

func (t Timing) participation() string { return cmp.Or(t.Participation, FirstParticipation) }

// estimand names the effect that the design is for.
func (t Timing) estimand() string {
	switch censor := t.later() == LaterCensors; {
	case t.design() == GracePeriod && censor:
		return GraceVersusNot
	case t.design() == GracePeriod:
		return GraceVersusNotInGrace
	case censor:
		return StartVersusNot
	}
	return StartVersusWait
}

func (t Timing) later() string { return cmp.Or(t.Later, LaterStays) }

// lag is the number of months that the register is behind in a source.
func (t Timing) lag(source string) int {
	if l, ok := t.Lags[source]; ok {
		return l
	}
	return t.Lag
}

// has says whether a group of features is made.
func (t Timing) has(group string) bool {
	if len(t.Features) == 0 {
		return group == MonthFeatures
	}
	return slices.Contains(t.Features, group)
}
