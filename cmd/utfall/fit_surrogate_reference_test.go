//go:build reference

package main

import (
	"path/filepath"
	"testing"

	"utfall/internal/reftest"
)

// Case progress/graduation-surrogate (base R 4.2.2).
func TestFitSurrogateReference(t *testing.T) {
	data := filepath.Join(reftest.ReferenceDir(t), "progress", "graduation-surrogate", "data.csv")
	base := []string{"surrogate", "--data", data, "--id", "id", "--sample", "obs", "--treatment", "treat", "--outcome", "y_asset", "--treatment-model", "constant",
		"--surrogates", "s_ctotal_pcmonth,s_cnonfood_pcmonth,s_cfood_pcmonth,s_cdurable_pcmonth,s_asset_index,s_asset_prod_index",
		"--covariates", "x_ctotal_pcmonth,x_cnonfood_pcmonth,x_cfood_pcmonth,x_cdurable_pcmonth,x_asset_index,x_asset_prod_index"}
	a := fitted(t, append(base, "--folds", "0")...)
	near := func(term string, value, se float64, digits reftest.Digits) {
		e := a.get(t, term, "mean-difference")
		reftest.Agree(t, term, *e.Estimate, value, 7)
		reftest.Agree(t, term+" se", *e.StdError, se, digits)
	}
	near("index", 0.11079362208, 0.055103374407, 8)
	near("direct", 0.075559570361, 0.063793020636, 3.5)
	near("long-term", 0.23673014337, 0.073264224264, 3.5)
	a = fitted(t, append(base, "--fold", "fold")...)
	near("index", 0.14049310273, 0.063286936549, 8)
}
