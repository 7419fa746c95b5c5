package study

import (
	"utfall/cohort"
	"utfall/study/release"
)

// markUndeclared marks the levels of a cohort's balance that the study file does not
// name: found in the data, such a name may be a person's, a place's or a mistyped
// note, and is released with its numbers or not at all.
func (s *state) markUndeclared(b *built, about []release.Covariate) {
	for i, row := range b.balance.Rows {
		if row.Kind == cohort.LevelRow {
			about[i].Undeclared = s.namedLevels(&Describe{Cohort: b.spec.Name}, b.before, row.Column) != nil
		}
	}
}
