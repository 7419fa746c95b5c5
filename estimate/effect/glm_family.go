package effect

import "utfall/internal/num"

// Family names the distribution of the outcome of [GLM], [Mixed] and [GEE].
type Family = num.GLMFamily

// Link names the function of the mean that is linear in the covariates.
type Link = num.Link

// Links are the links of a family, its default first; nil for an unknown one.
func Links(f Family) []Link { return num.GLMLinks(f) }
