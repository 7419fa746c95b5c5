package synthetic

import "strconv"

// The headers of the person files.
const (
	peopleHeader        = "person;birth_year;sex;born;education;municipality;county;anonymous;end_date;end_reason"
	spellsHeader        = "person;state;authority;from;to;extent;amount"
	participationHeader = "person;measure;forbund;start;end;reason"
	assessmentHeader    = "person;date;instrument;version;item;value;rater"
	anonymousHeader     = "year;sex"
)

// calendar holds the first day of each month as text, one past the last included.
func calendar(months int) []string {
	out := make([]string, months+1)
	for t := range out {
		b := strconv.AppendInt(nil, int64(FirstYear+t/12), 10)
		m := t%12 + 1
		out[t] = string(append(b, '-', byte('0'+m/10), byte('0'+m%10), '-', '0', '1'))
	}
	return out
}

func sexName(woman bool) string {
	if woman {
		return "woman"
	}
	return "man"
}

func appendPerson(b []byte, index int) []byte {
	n := index + 1
	b = append(b, 'P')
	for scale := 1_000_000; scale > 0; scale /= 10 {
		b = append(b, byte('0'+n/scale%10))
	}
	return b
}

// appendPeople writes the person's row of people.csv and, where asked, its defect.
func (c *clerk) appendPeople(b []byte, bad defect) []byte {
	p := &c.sim.p
	place := &c.sim.g.places[p.place]
	year, education, code := p.birthYear, educationNames[p.education], place.code
	end, reason := p.end, "data-end"
	if end < c.sim.months {
		reason = stateNames[p.endState]
	}
	switch bad {
	case ageOf109:
		year = FirstYear - 109
	case missingWord:
		education = "uppgift saknas"
	case lostZero:
		code = code[1:]
	case deathBeforeStart:
		end, reason = c.sim.fact.first()-12, stateNames[death]
	}
	b = appendPerson(b, p.index)
	b = strconv.AppendInt(append(b, ';'), int64(year), 10)
	b = append(append(b, ';'), sexName(p.woman)...)
	if p.abroad {
		b = append(b, ";abroad;"...)
	} else {
		b = append(b, ";sweden;"...)
	}
	b = append(append(append(b, education...), ';'), code...)
	b = append(append(b, ';'), place.code[:2]...)
	if p.anonymous {
		b = append(b, ";1;"...)
	} else {
		b = append(b, ";0;"...)
	}
	b = append(append(append(append(b, c.dates[end]...), ';'), reason...), '\n')
	c.rows[peopleFile]++
	return b
}

// appendSpells writes the runs of months in one state as spells [from, to).
func (c *clerk) appendSpells(b []byte, bad defect) []byte {
	shown := c.sim.fact.shown
	for from := 0; from < len(shown); {
		to := from + 1
		for to < len(shown) && shown[to] == shown[from] {
			to++
		}
		defects := clean
		switch {
		case from == 0 && (bad == brokenDate || bad == decimalPoint), to == len(shown) && bad == raggedRow:
			defects = bad
		}
		b = c.appendSpell(b, shown[from], from, to, defects)
		if from == 0 && bad == overlappingSpells {
			other := sickness
			if shown[from] == sickness {
				other = social
			}
			b = c.appendSpell(b, other, from, to, clean)
		}
		from = to
	}
	return b
}

func (c *clerk) appendSpell(b []byte, s state, from, to int, bad defect) []byte {
	p := &c.sim.p
	luck := mix(c.sim.o.Seed ^ mix(uint64(p.index)<<16|uint64(from)))
	extent := int64(100)
	if s == work || s == sickness || s == disability || s == activity {
		extent = extents[luck&15]
	}
	// The amount lies within 30 per cent of the state's median, in öre.
	ore := int64(monthlyAmount[s]*float64(700+(luck>>8)%601)/10+0.5) * extent / 100
	b = appendPerson(b, p.index)
	b = append(append(b, ';'), stateNames[s]...)
	b = append(append(b, ';'), authorityNames[s]...)
	b = append(b, ';')
	if bad == brokenDate {
		b = append(b, c.dates[from][:4]...)
		b = append(b, "-02-30"...)
	} else {
		b = append(b, c.dates[from]...)
	}
	b = append(append(b, ';'), c.dates[to]...)
	b = strconv.AppendInt(append(b, ';'), extent, 10)
	if bad != raggedRow {
		b = appendDecimal(append(b, ';'), ore, 2)
	}
	if bad == decimalPoint {
		b[len(b)-3] = '.'
	}
	c.rows[spellsFile]++
	return append(b, '\n')
}

// extents are the shares of full time of a spell, 100 per cent in 9 of 16.
var extents = [16]int64{100, 100, 100, 100, 100, 100, 100, 100, 100, 75, 75, 50, 50, 50, 25, 25}

// mix is the finaliser of SplitMix64: amounts need no stream of their own.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (c *clerk) appendParticipations(b []byte) []byte {
	a := &c.sim.fact
	place := &c.sim.g.places[c.sim.p.place]
	for k := range a.n {
		e := &a.episodes[k]
		b = appendPerson(b, c.sim.p.index)
		b = append(append(b, ';'), measureNames[e.measure]...)
		b = append(append(b, ';'), forbundName(c.sim.g.forbundOf(place, FirstYear+e.start/12))...)
		b = append(append(b, ';'), c.dates[e.start]...)
		b = append(b, ';')
		if e.reason >= 0 {
			b = append(append(append(b, c.dates[e.end]...), ';'), reasonNames[e.reason]...)
		} else {
			b = append(b, ';')
		}
		b = append(b, '\n')
		c.rows[participationsFile]++
	}
	return b
}
