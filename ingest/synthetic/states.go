package synthetic

// A state is the main state of a person in one month. A person has exactly one.
type state uint8

// The states, in the order of the truth's tables. The last three are absorbing.
const (
	work state = iota
	subsidised
	studies
	training
	rehab
	sickness
	disability
	activity
	social
	unemployment
	none
	death
	emigration
	pension

	nStates    = 14
	nLive      = 11
	activityUp = nLive // row of activity compensation past its upper age of 29
)

var stateNames = [nStates]string{
	"work", "subsidised-work", "studies", "work-training", "rehab", "sickness-benefit", "disability-benefit",
	"activity-compensation", "social-assistance", "unemployment-programme", "none", "death", "emigration", "age-pension",
}

// authorityNames says who answers for a person in each state.
var authorityNames = [nStates]string{
	"none", "AF", "none", "kommun", "region", "FK", "FK", "FK", "kommun", "AF", "none", "none", "none", "none",
}

// steps is the default ladder of the design note on measuring progress; see METHODS.md §8.
var steps = [nStates]int{6, 5, 6, 4, 3, 2, 2, 2, 2, 3, 1, 0, 1, 1}

// monthlyAmount is the median amount in SEK a month in each state; zero where nobody pays anything.
var monthlyAmount = [nStates]float64{25500, 17800, 9900, 8400, 11600, 12900, 10400, 9300, 8300, 9700, 0, 0, 0, 14200}

func (s state) absorbing() bool { return s >= death }

// selfSupport is true of the states in which a person lives on work or studies.
func (s state) selfSupport() bool { return s == work || s == studies }

// stable says whether some stableRun months in a row of a life are self-support.
func stable(months []state) bool {
	run := 0
	for _, s := range months {
		if run++; !s.selfSupport() {
			run = 0
		}
		if run == stableRun {
			return true
		}
	}
	return false
}

// inReach is true of the states from which the target group is recruited.
func (s state) inReach() bool {
	return s == training || s == rehab || s == sickness || s == activity || s == social || s == unemployment || s == none
}

// States returns the names of all states in the order of the truth's tables.
func States() []string { return append([]string(nil), stateNames[:]...) }

// Ladder returns the step of each state, 0 (death) to 6: the default ladder of
// this toolkit with studies counted beside work. Emigration and age pension are on
// step 1: a person who has left is no longer on a higher step.
func Ladder() map[string]int {
	out := make(map[string]int, nStates)
	for s, name := range stateNames {
		out[name] = steps[s]
	}
	return out
}
