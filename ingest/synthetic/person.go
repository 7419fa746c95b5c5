package synthetic

import (
	"math"

	"utfall/internal/num"
)

// Education levels and the labels of the files.
const (
	compulsory = iota
	secondary
	tertiary
)

var educationNames = [3]string{"compulsory", "secondary", "tertiary"}

// A person is what people.csv shows: nothing here is hidden from an analyst.
type person struct {
	index     int // from 0
	birthYear int
	woman     bool
	abroad    bool
	education int
	place     int // index into geography.places
	anonymous bool
	end       int // first month in an absorbing state; months of the register if none
	endState  state
}

func (p *person) age(month int) int { return FirstYear + month/12 - p.birthYear }

// A draw is everything random about a person that is not in people.csv. The
// monthly numbers are shared by all arms: same person, same luck.
type draw struct {
	frailty  float64 // standard normal; more is farther from work
	age0     int     // age in FirstYear
	start    float64 // the first month's state
	respond  float64 // who responds to an overlay scenario
	kind     float64 // and how
	worker   float64 // which caseworker
	move     []float64
	enter    []float64
	duration [maxEpisodes]float64
	measure  [maxEpisodes]float64
	reason   [maxEpisodes]float64
}

// maxEpisodes bounds how often one person can take part.
const maxEpisodes = 4

// drawPerson fills p and d from the person's own streams; months is the length of the register.
func (g *geography) drawPerson(seed uint64, index, months int, p *person, d *draw) {
	rng := num.NewStream(seed, "person", uint64(index))
	*p = person{index: index}
	u := rng.Normal()
	d.frailty = u
	d.age0 = startAge(rng.Float())
	p.birthYear = FirstYear - d.age0
	p.woman = rng.Bernoulli(0.53)
	p.abroad = rng.Bernoulli(0.24)
	p.place = g.pick(rng.Float())
	switch e := rng.Float() - 0.06*u; {
	case e < 0.27:
		p.education = compulsory
	case e < 0.80:
		p.education = secondary
	default:
		p.education = tertiary
	}
	p.anonymous = rng.Bernoulli(logistic(-1.10 + float64(0.60*u) + float64(0.35*indicator(p.abroad))))
	d.start, d.respond, d.kind, d.worker = rng.Float(), rng.Float(), rng.Float(), rng.Float()
	for k := range maxEpisodes {
		d.duration[k], d.measure[k], d.reason[k] = rng.Float(), rng.Float(), rng.Float()
	}
	p.end, p.endState = leave(rng, p, u, months)
	fill(num.NewStream(seed, "move", uint64(index)), &d.move, months)
	fill(num.NewStream(seed, "enter", uint64(index)), &d.enter, months)
}

func fill(rng *num.Stream, x *[]float64, n int) {
	if len(*x) != n {
		*x = make([]float64, n)
	}
	for i := range *x {
		(*x)[i] = rng.Float()
	}
}

// startAge maps a uniform number to an age in 2010: 17 to 61, more of the young.
func startAge(x float64) int {
	if x < 0.40 {
		return 17 + int(x/0.40*12)
	}
	return 29 + int((x-0.40)/0.60*33)
}

// leave draws the month and the reason of leaving the register. It depends on
// age, sex, birth country and frailty only, never on the state or on participation:
// participation changes no death, emigration or pension.
func leave(rng *num.Stream, p *person, frailty float64, months int) (int, state) {
	birthMonth := rng.Intn(12)
	end, why := months, none
	if m := (p.birthYear+65-FirstYear)*12 + birthMonth + 1; m < end {
		end, why = max(m, 0), pension
	}
	// Gompertz: yearly hazard 0.0009·exp(0.085(age-30)) for men, doubled for the far group.
	rate := 0.0018 * math.Exp(float64(0.4*frailty)-float64(0.35*indicator(p.woman)))
	exposure := rng.Exp()
	leaver := 0.0030
	if p.abroad {
		leaver = 0.0120
	}
	gone := rng.Exp()
	for y := 0; y*12 < end; y++ {
		age := float64(FirstYear + y - p.birthYear)
		h := rate * math.Exp(0.085*(age-30)) / 12
		e := leaver / 12
		if age >= 50 {
			e /= 4
		}
		for m := y * 12; m < min(end, y*12+12); m++ {
			if m == 0 {
				continue // everybody is alive and present in the first month
			}
			exposure -= h
			gone -= e
			if exposure <= 0 {
				return m, death
			}
			if gone <= 0 {
				return m, emigration
			}
		}
	}
	return end, why
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
