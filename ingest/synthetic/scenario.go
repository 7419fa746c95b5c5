package synthetic

// A scenario says what participation does. In every scenario but finsam the paths
// through work are those of the person without participation, month by month, so
// that the zero effects they promise are exact zeros.
type scenario struct {
	name string
	// intensities: participation changes the monthly intensities of moving between states.
	intensities bool
	// overlay: what a month is called, given the months since the first start; nil changes nothing.
	overlay func(s state, since, age int, d *draw) state
	// readiness: participation moves what the questionnaires measure.
	readiness bool
	// municipal is the size of the yearly municipal effects, as a multiple of the
	// default, per outcome in the order of municipalOutcomes.
	municipal [nOutcomes]float64
}

var scenarios = []scenario{
	{name: "finsam", intensities: true, readiness: true, municipal: [nOutcomes]float64{1, 1, 1, 1}},
	{name: "null"},
	{name: "progress-only", overlay: climb, readiness: true},
	{name: "shuffle", overlay: shift, municipal: [nOutcomes]float64{1, 1, 0, 0}},
	{name: "surrogacy-failure", readiness: true},
}

func findScenario(name string) (*scenario, bool) {
	for i := range scenarios {
		if scenarios[i].name == name {
			return &scenarios[i], true
		}
	}
	return nil, false
}

// climb moves responders, whatever benefit they would have had, up to rehabilitation,
// then work training, then (half of them) a subsidised job: never into or out of work.
func climb(s state, since, _ int, d *draw) state {
	if !s.inReach() || since < 0 || since >= 36 || d.respond >= 0.45 {
		return s
	}
	to := rehab
	switch {
	case since >= 15 && d.kind < 0.5:
		to = subsidised
	case since >= 6:
		to = training
	}
	if steps[to] < steps[s] {
		return s
	}
	return to
}

// shift moves responders between benefits of one step: sickness benefit to
// disability benefit (activity compensation for the young) and, for others, social
// assistance to sickness benefit. No step changes, so every step effect is zero.
func shift(s state, since, age int, d *draw) state {
	if since < 3 || d.respond >= 0.6 {
		return s
	}
	switch {
	case s == sickness && d.kind < 0.7 && age >= 30:
		return disability
	case s == sickness && d.kind < 0.7:
		return activity
	case s == social && d.kind >= 0.7:
		return sickness
	}
	return s
}
