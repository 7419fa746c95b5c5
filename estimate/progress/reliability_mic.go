package progress

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"utfall/estimate"
	"utfall/internal/num"
)

// MICFit is details.mic.
type MICFit struct {
	Improved    float64 `json:"share_improved"`
	Intercept   float64 `json:"intercept"`
	Slope       float64 `json:"slope"`
	Correlation float64 `json:"correlation"` // of anchor and change
	SD          float64 `json:"sd_change"`
	Youden      float64 `json:"roc_youden_cut"`
	AUC         float64 `json:"auc"`
	Allowed     bool    `json:"allowed"`
}

// important estimates the minimal important change from the anchor:
//
//	mic = (logit p − b0)/b1    mic-adjusted = mic − (.09 + .103·r)·SD·logit p
//
// with p the share improved, b of logit P(improved) = b0 + b1·change, r and SD of the change.
func (f *reliabilityFit) important(workers int) error {
	x, n := f.s.Change, len(f.s.Change)
	N := float64(n)
	y, ones := make([]float64, n), 0.0
	for i, a := range f.s.Anchor {
		if a {
			y[i], ones = 1, ones+1
		}
	}
	mean := f.sum(func(i int) float64 { return x[i] }) / N
	m2 := f.sum(func(i int) float64 { return (x[i] - mean) * (x[i] - mean) }) / N
	if ones == 0 || ones == N || m2 == 0 {
		return fmt.Errorf("%w: everybody has the same anchor or the same change, so that no important change can be found", estimate.ErrNotIdentified)
	}
	p := ones / N
	sdY := math.Sqrt(p * (1 - p))
	r := f.sum(func(i int) float64 { return (x[i] - mean) * (y[i] - p) }) / N / math.Sqrt(m2) / sdY
	d := MICFit{Improved: p, Correlation: r, SD: math.Sqrt(m2 * N / (N - 1)), Intercept: math.NaN(), Slope: math.NaN()}
	d.Youden, d.AUC = f.roc(y)
	design := make([]float64, 2*n)
	yo := make([]float64, n)
	for row, i := range f.order {
		design[2*row], design[2*row+1], yo[row] = 1, x[i], y[i]
	}
	fit, err := num.Logit(num.LogitData{N: n, K: 2, X: design, Y: yo, Workers: workers})
	allowed := err == nil
	switch {
	case errors.Is(err, num.ErrSeparated):
		f.note("mic-separated", "The change tells perfectly who improved, so that the curve for the important change has no finite slope.", map[string]any{"share": p})
	case err != nil:
		return fmt.Errorf("curve of the anchor: %w", err)
	}
	if p < 0.2 || p > 0.8 {
		allowed = false
		f.note("mic-share-improved", "Fewer than 20 % or more than 80 % improved: an important change from this anchor would be biased and is not given.", map[string]any{"share": p})
	}
	if r < 0.3 {
		allowed = false
		f.note("mic-weak-anchor", "The anchor correlates less than .3 with the change: an important change from this anchor is not given.", map[string]any{"correlation": r})
	}
	mic, adjusted := math.NaN(), math.NaN()
	infMIC, infAdj := make([]float64, n), make([]float64, n)
	if err == nil {
		d.Intercept, d.Slope = fit.Coef[0], fit.Coef[1]
	}
	if allowed {
		logit := math.Log(p / (1 - p))
		mic = (logit - d.Intercept) / d.Slope
		c := 0.09 + 0.103*r
		adjusted = mic - float64(c*d.SD*logit)
		for row, i := range f.order {
			e := y[i] - fit.Fitted[row]
			b0 := float64(fit.Cov.At(0, 0)*e) + float64(fit.Cov.At(0, 1)*x[i]*e)
			b1 := float64(fit.Cov.At(0, 1)*e) + float64(fit.Cov.At(1, 1)*x[i]*e)
			dp := (y[i] - p) / (p * (1 - p)) / N
			zx, zy := (x[i]-mean)/math.Sqrt(m2), (y[i]-p)/sdY
			dr := (float64(zx*zy) - float64(r*(zx*zx+zy*zy)/2)) / N
			dsd := d.SD * (float64(zx*zx) - 1) / (2 * N)
			infMIC[i] = (dp - b0 - float64(mic*b1)) / d.Slope
			infAdj[i] = infMIC[i] - float64(0.103*dr*d.SD*logit) - float64(c*dsd*logit) - float64(c*d.SD*dp)
		}
	} else {
		for i := range n {
			infMIC[i], infAdj[i] = math.NaN(), math.NaN()
		}
	}
	d.Allowed = allowed
	f.record("mic", ImportantChange, mic, infMIC)
	f.record("mic-adjusted", ImportantChange, adjusted, infAdj)
	f.res.Details["mic"] = d
	return nil
}

// roc finds the lowest change with the largest sensitivity + specificity − 1 of "at least
// this change", and the area under the curve.
func (f *reliabilityFit) roc(y []float64) (cut, auc float64) {
	x := f.s.Change
	order := slices.Clone(f.order)
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case x[a] < x[b]:
			return -1
		case x[a] > x[b]:
			return 1
		}
		return 0
	})
	var ones, zeros float64
	for _, v := range y {
		ones, zeros = ones+v, zeros+1-v
	}
	best, below1, below0 := math.Inf(-1), 0.0, 0.0
	for at := 0; at < len(order); {
		if j := float64((ones-below1)*zeros) + float64(below0*ones); j > best {
			best, cut = j, x[order[at]]
		}
		one, zero, end := 0.0, 0.0, at
		for end < len(order) && x[order[end]] == x[order[at]] {
			one, zero = one+y[order[end]], zero+1-y[order[end]]
			end++
		}
		auc += float64(one * (below0 + zero/2))
		below1, below0, at = below1+one, below0+zero, end
	}
	return cut, auc / (ones * zeros)
}
