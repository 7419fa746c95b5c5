package synthetic

import "math"

// baseRate[s][d] is the monthly intensity of moving from s to d for a man of 40 with
// secondary education, born in Sweden, of average frailty: probability rate/(1+Σ rates).
var baseRate = [nLive + 1][nLive]float64{
	work:         {unemployment: .0095, none: .0035, sickness: .0085, studies: .0020, social: .0030},
	subsidised:   {work: .0300, unemployment: .0220, sickness: .0090, social: .0050, none: .0040, training: .0030},
	studies:      {work: .0300, none: .0090, social: .0080, unemployment: .0120, sickness: .0050},
	training:     {subsidised: .0240, work: .0230, unemployment: .0380, social: .0280, studies: .0120, sickness: .0150, rehab: .0120},
	rehab:        {training: .0340, work: .0180, sickness: .0420, disability: .0030, social: .0120, subsidised: .0080, studies: .0060, unemployment: .0200},
	sickness:     {work: .0135, rehab: .0110, disability: .0036, social: .0065, unemployment: .0080, none: .0030, studies: .0010, activity: .0060},
	disability:   {work: .0010, sickness: .0012, none: .0002},
	activity:     {disability: 0, studies: .0060, training: .0070, rehab: .0060, work: .0035, subsidised: .0035, social: .0030, none: .0010},
	social:       {work: .0170, unemployment: .0260, training: .0110, sickness: .0100, none: .0090, studies: .0060, subsidised: .0040, rehab: .0040, activity: .0060},
	unemployment: {work: .0330, subsidised: .0120, training: .0160, social: .0230, sickness: .0110, none: .0090, studies: .0070},
	none:         {work: .0210, social: .0260, unemployment: .0240, sickness: .0090, studies: .0080, activity: .0050},
	activityUp:   {disability: .2500, sickness: .1500, social: .1500, rehab: .0500},
}

// startWeight is the relative frequency of each state in the first month.
var startWeight = [nLive]float64{
	work: .30, subsidised: .03, studies: .06, training: .03, rehab: .03, sickness: .17,
	disability: .05, activity: .10, social: .16, unemployment: .15, none: .09,
}

// multipliers fills m with the factors on the base intensity into each state (and
// out of work, in the last place) for one person in one calendar year.
func multipliers(m *[nLive + 1]float64, p *person, frailty float64, county, year int, countyJobs []float64) {
	u, age := frailty, float64(year-p.birthYear)
	abroad, woman := indicator(p.abroad), indicator(p.woman)
	edu := [3]float64{-0.35, 0, 0.35}[p.education]
	jobs := float64(-0.62*u) + edu - float64(0.30*abroad) - float64(0.05*woman) + countyJobs[county]
	if age > 50 {
		jobs -= float64(0.05 * (age - 50))
	}
	jobs += businessCycle(year)
	*m = [nLive + 1]float64{
		work:         math.Exp(jobs),
		subsidised:   math.Exp(0.25 * jobs),
		studies:      math.Exp(edu - float64(0.2*u) - float64(0.05*(min(age, 55)-30))),
		training:     math.Exp(-0.10 * u),
		rehab:        math.Exp(float64(0.05*u) + float64(0.10*woman)),
		sickness:     math.Exp(float64(0.30*u) + float64(0.22*woman) - float64(0.10*abroad) + float64(0.010*(age-40))),
		disability:   math.Exp(float64(0.45*u) + float64(0.045*(age-40))),
		social:       math.Exp(float64(0.25*u) + float64(0.45*abroad) - edu),
		unemployment: 1,
		none:         math.Exp(0.12 * u),
		nLive:        math.Exp(float64(0.40*u) - edu),
	}
	if age < 30 {
		m[disability] = 0 // before 30 the same benefit is called activity compensation
		m[activity] = math.Exp(0.5 * u)
		if age < 19 {
			m[activity] = 0
		}
	}
	if year >= ruleYear {
		m[sickness] *= 0.90 // the rules for sickness benefit were tightened nationally
	}
}

// businessCycle is the log factor on finding work in a year: a slow recovery.
func businessCycle(year int) float64 {
	return 0.03*float64(min(year, 2018)-2010) - 0.10
}

// Phases of participation, by months since start.
const (
	phaseNone = iota
	phaseLockIn
	phaseEffect
	phaseFaded
	nPhases

	lockInMonths = 6
	effectMonths = 30 // since the first start; later the effect on intensities is half of it
)

// treatments fills t with the factors participation puts on the intensities into
// each state (in the last place: out of sickness benefit), per phase. strength
// carries förbund and caseworker; guidance has no effect on finding a job.
func treatments(t *[nPhases][nLive + 1]float64, p *person, age int, measure int, strength float64) {
	lock := [nLive + 1]float64{work: -0.70, subsidised: -0.20, rehab: 1.10, training: 1.00, studies: -0.2}
	effect := [nLive + 1]float64{
		work: 0.85, subsidised: 0.75, studies: 0.45, training: 0.60, rehab: 0.20,
		sickness: -0.35, disability: 0.90, nLive: 0.25,
	}
	if p.woman {
		effect[work] = 0.10
	}
	if age >= 50 {
		effect[social] = 0.45
	}
	if measure == guidance {
		effect[work] = 0
	}
	for k := range lock {
		t[phaseNone][k] = 1
		t[phaseLockIn][k] = math.Exp(lock[k])
		t[phaseEffect][k] = math.Exp(effect[k] * strength)
		t[phaseFaded][k] = math.Exp(effect[k] * strength / 2)
	}
}
