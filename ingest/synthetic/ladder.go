package synthetic

import (
	"strconv"
	"strings"
)

// ladderFile returns ladder.yaml, the steps of the register's states: decided before the
// register begins. Orders say which states other people would place otherwise.
func ladderFile() []byte {
	var b strings.Builder
	b.WriteString("# States and the steps they are on; a higher step is closer to self-support.\n")
	b.WriteString("name: synthetic\ndecided_by: synthetic register\ndecided_on: 2009-12-31\nsteps:\n")
	for s, name := range stateNames {
		b.WriteString("  " + name + ": " + strconv.Itoa(steps[s]) + "\n")
	}
	b.WriteString("absorbing: [death, emigration, age-pension]\n")
	b.WriteString("# Steps on which the programme itself places people.\nadministrative: [3, 4]\n")
	b.WriteString("labels:\n")
	for k, t := range []string{
		`{sv: "Avliden", en: "Died"}`, `{sv: "Ingen aktivitet, eller har lämnat", en: "No activity, or has left"}`, `{sv: "Ersättning utan insats", en: "Benefit without a measure"}`,
		`{sv: "Rehabilitering eller program", en: "Rehabilitation or programme"}`, `{sv: "Arbetsträning", en: "Work training"}`, `{sv: "Arbete med lönestöd", en: "Subsidised work"}`, `{sv: "Arbete eller studier", en: "Work or studies"}`,
	} {
		b.WriteString("  " + strconv.Itoa(k) + ": " + t + "\n")
	}
	b.WriteString("# Who answers for a person; nobody = between the chairs.\nauthorities:\n")
	for s, name := range stateNames {
		if who := authorityNames[s]; who != "none" {
			b.WriteString("  " + name + ": " + who + "\n")
		}
	}
	b.WriteString("  none: nobody\n")
	b.WriteString("# Other orders that were thought of: the states that stand elsewhere in them.\norders:\n")
	b.WriteString("  training-is-a-measure: {work-training: 3}\n")
	b.WriteString("  subsidised-is-work: {subsidised-work: 6}\n")
	b.WriteString("  studies-below-work: {studies: 5}\n")
	return []byte(b.String())
}
