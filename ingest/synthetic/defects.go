package synthetic

// A defect is something wrong with a person's rows, on request.
type defect int

const (
	clean defect = iota
	duplicatedPerson
	ageOf109
	overlappingSpells
	lostZero
	missingWord
	brokenDate
	raggedRow
	decimalPoint
	deathBeforeStart

	nDefects = 10
)

// defectNames are the keys of truth.json's count of defects.
var defectNames = [nDefects]string{
	"", "duplicated-person", "age-109", "overlapping-spells", "municipality-without-zero",
	"missing-word", "broken-date", "ragged-row", "decimal-point", "death-before-start",
}

const (
	defectRate = 0.002 // of all people, for each kind but the last
	deathRate  = 0.02  // of consenting participants
)

// chooseDefect gives a person at most one defect; a kind that does not apply to the
// person (spells of an anonymous person, a code that does not begin with zero) is clean.
func (c *clerk) chooseDefect(x, y float64) defect {
	p := &c.sim.p
	if k := 1 + int(x/defectRate); k < int(deathBeforeStart) {
		kind := defect(k)
		switch {
		case kind == lostZero && c.sim.g.places[p.place].code[0] != '0':
			return clean
		case p.anonymous && (kind == overlappingSpells || kind == brokenDate || kind == raggedRow || kind == decimalPoint):
			return clean
		}
		return kind
	}
	if y < deathRate && !p.anonymous && c.sim.fact.n > 0 {
		return deathBeforeStart
	}
	return clean
}
