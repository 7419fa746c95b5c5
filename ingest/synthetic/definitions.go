package synthetic

var populationText = [nPopulations]string{
	everyParticipant: "everybody whose first participation starts early enough for month 24 to lie in the register",
	consenting:       "participants who are not anonymous: they have rows in spells, participations and assessments",
	anonymousOnly:    "participants who are anonymous: they have no such rows",
	studyPopulation:  "participants who are not anonymous, whose first start lies in 2013-01 to 2015-12 and who are 20 to 62 then",
}

// definitions explains the words of truth.json to who opens it without this code.
func definitions() map[string]string {
	return map[string]string{
		"month":        "month m of a participant is the calendar month m after the month of the first start; month 0 is the month of the start",
		"age":          "calendar year minus birth_year",
		"versus_never": "the same people with the same random numbers, taking part from the first start on (and again as it happens) against never taking part",
		"versus_wait":  "against not starting in that month, and starting later as it happens",
		"months":       "months in a state during months 0 to 23",
		"net_months":   "sum over months 0 to 23 of P(with is on a higher step) - P(with is on a lower step), for independent people of the two distributions",
		"naive":        "participants only, no comparison: not an effect",
		"stable_36":    "at least 12 months in a row in work or on studies during months 0 to 35; of the people whose months 0 to 35 lie in the register",
		"life":         "what the questionnaires measure: sd of it at the start without participation; shares whose change from month 0 to the month is beyond half an sd, with participation; change in sd and net share (improved less worsened), with less without",
		"readiness":    "mean effect on the latent trait of the questionnaires, whose spread between people is about 0.6; months 0 to 24",
		"at_risk":      "people of 18 to 63 who have not taken part and lived on a benefit, a programme or nothing in December, in a member municipality",
		"municipal":    "effects in percentage points on the outcomes of municipalities.csv; municipalities count equally",
		"dirty":        "people whose rows carry the defect; the rest of this file describes the register without defects",
		"chosen":       "sizes of effects are chosen so that tests can see them; they are not findings about Sweden",
	}
}
