package synthetic

import (
	"math"
	"strconv"

	"utfall/internal/num"
)

// The questionnaire: invented items of a graded response model with five levels.
var items = [...]struct {
	name, rater string
	slope       float64
	thresholds  [4]float64
}{
	{"health", "self", 1.6, [4]float64{-1.9, -0.7, 0.5, 1.7}},
	{"coping", "self", 1.3, [4]float64{-1.7, -0.5, 0.6, 1.9}},
	{"hope", "self", 1.8, [4]float64{-1.5, -0.4, 0.7, 1.8}},
	{"everyday", "self", 1.1, [4]float64{-2.2, -1.0, 0.3, 1.5}},
	{"job-chance", "caseworker", 1.5, [4]float64{-1.2, 0.0, 1.1, 2.2}},
	{"cooperation", "caseworker", 1.0, [4]float64{-2.0, -0.9, 0.4, 1.8}},
}

const (
	instrument       = "synthetic-progress"
	instrumentVer    = "1"
	assessEvery      = 3
	assessMonths     = 24
	participantShare = 0.40 // of the participants are asked
	comparisonShare  = 0.20
	askedAgain       = 6    // months from drop-out to the next invitation of a comparison person
	waveSpread       = 0.35 // standard deviation of a person's trait from wave to wave
)

// trait is the mean of what the questionnaires measure without participation.
func (s *simulator) trait() float64 {
	return float64(-0.60*s.d.frailty) + float64(0.10*float64(s.p.education)) - 0.25
}

// appendAssessments writes the questionnaires of a sampled participant from the first start on,
// and those of a sampled person of the target group until then: a panel that is asked
// every third month whatever happens, and invited again after drop-out. So a comparison
// person has answers near any month in which a participant starts.
func (c *clerk) appendAssessments(b []byte) []byte {
	s := &c.sim
	rng := num.NewStream(s.o.Seed, "assessment", uint64(s.p.index))
	sampled, asked, at := rng.Float(), rng.Float(), window+rng.Intn(assessEvery)
	worker := s.optimismOf()
	first, end := s.fact.first(), min(s.p.end, s.months)
	stop := end
	if first >= 0 {
		stop = first
	}
	if sampled < comparisonShare {
		for at < stop {
			if !s.inTarget(at) {
				at += assessEvery
				continue
			}
			var last int
			b, last = c.appendWaves(b, rng, at, stop, worker, false)
			at = last + askedAgain
		}
	}
	if first >= 0 && asked < participantShare {
		b, _ = c.appendWaves(b, rng, first, min(first+assessMonths+1, end), worker, true)
	}
	return b
}

// inTarget says whether a person could be of interest to a förbund in a month.
func (s *simulator) inTarget(t int) bool {
	age := s.p.age(t)
	return age >= 18 && age <= 63 && s.fact.shown[t-1].inReach()
}

// optimismOf is the rating habit of the caseworker the person has or would have.
func (s *simulator) optimismOf() float64 {
	return s.g.optimism(s.g.places[s.p.place].forbund, s.d.worker)
}

// appendWaves writes a wave every third month until drop-out, which those who are
// worse off at the time are more likely to do, and returns the month it ended in.
func (c *clerk) appendWaves(b []byte, rng *num.Stream, from, to int, worker float64, treated bool) ([]byte, int) {
	s := &c.sim
	base := s.trait()
	for t := from; t < to; t += assessEvery {
		theta := base + float64(waveSpread*rng.Normal())
		if treated && s.sc.readiness {
			theta += gain(t - from)
		}
		if t > from && rng.Bernoulli(logistic(-2.3-float64(0.6*theta)-float64(0.3*indicator(treated)))) {
			return b, t
		}
		for k := range items {
			item := &items[k]
			trait := theta
			if item.rater == "caseworker" {
				trait += 0.3 * worker
			}
			x := rng.Float()
			noise := math.Log(x / (1 - x))
			value := 1
			for _, cut := range item.thresholds {
				if float64(item.slope*(trait-cut))+noise > 0 {
					value++
				}
			}
			b = appendPerson(b, s.p.index)
			b = append(append(b, ';'), c.dates[t][:8]...)
			b = append(b, "15;"+instrument+";"+instrumentVer+";"...)
			b = append(append(b, item.name...), ';')
			b = strconv.AppendInt(b, int64(value), 10)
			b = append(append(append(b, ';'), item.rater...), '\n')
			c.rows[assessmentsFile]++
		}
	}
	return b, to
}
