package effect

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"utfall/estimate"
)

// ErrOption is an option with a value that the method does not know or cannot use.
var ErrOption = errors.New("invalid option")

// Vcov names a covariance estimator of the coefficients.
type Vcov string

// The covariance estimators. N is the number of rows of positive weight (the sum of
// frequency weights), K the number of coefficients with those of absorbed effects,
// G the number of clusters, h a leverage.
const (
	IID Vcov = "iid" // σ²(X'X)⁻¹, σ² = RSS/(N-K); t on N-K
	HC0 Vcov = "hc0" // no factor; t on N-K
	HC1 Vcov = "hc1" // N/(N-K); t on N-K
	HC2 Vcov = "hc2" // e/√(1-h); t on N-K
	HC3 Vcov = "hc3" // e/(1-h); t on N-K
	CR0 Vcov = "cr0" // clustered, no factor; t on G-1
	CR1 Vcov = "cr1" // clustered, G/(G-1)·(N-1)/(N-K); t on G-1
	CR2 Vcov = "cr2" // clustered, Bell–McCaffrey; t on Satterthwaite's df
	CR3 Vcov = "cr3" // clustered, (I-H)⁻¹e; t on G-1
)

var vcovText = map[Vcov]string{
	IID: "iid: RSS/(N-K)·(X'X)^-1; t on N-K",
	HC0: "hc0: heteroskedasticity-robust, no factor; t on N-K",
	HC1: "hc1: heteroskedasticity-robust, factor N/(N-K); t on N-K",
	HC2: "hc2: heteroskedasticity-robust, residuals over sqrt(1-h); t on N-K",
	HC3: "hc3: heteroskedasticity-robust, residuals over 1-h; t on N-K",
	CR0: "cr0: cluster-robust, no factor; t on G-1",
	CR1: "cr1: cluster-robust, factor G/(G-1)*(N-1)/(N-K); t on G-1",
	CR2: "cr2: cluster-robust, Bell-McCaffrey adjustment with identity working model; t on Satterthwaite df",
	CR3: "cr3: cluster-robust, residuals times (I-H)^-1 per cluster, no factor; t on G-1",
}

func (v Vcov) clustered() bool { return strings.HasPrefix(string(v), "cr") }

// resolve fills in the default and checks that the estimator fits the data: clusters
// for cr*, a weight kind that it can use, and no absorbed effects where leverages of
// the whole design would be needed.
func (v Vcov) resolve(clusters bool, kind estimate.WeightKind, absorb bool) (Vcov, error) {
	if v == "" {
		switch {
		case clusters:
			v = CR1
		case kind == estimate.Sampling || kind == estimate.Matching:
			v = HC1
		default:
			v = IID
		}
	}
	if v == "wild" {
		return "", fmt.Errorf("%w: vcov %q is not built yet: the wild cluster bootstrap comes later; use cr2 for few clusters", ErrOption, string(v))
	}
	if _, ok := vcovText[v]; !ok {
		known := []string{}
		for k := range vcovText {
			known = append(known, string(k))
		}
		slices.Sort(known)
		return "", fmt.Errorf("%w: vcov %q; known are %s", ErrOption, string(v), strings.Join(known, ", "))
	}
	if v.clustered() && !clusters {
		return "", fmt.Errorf("%w: vcov %s needs clusters; name the cluster column, or use hc1", ErrOption, v)
	}
	if v == IID && (kind == estimate.Sampling || kind == estimate.Matching) {
		return "", fmt.Errorf("%w: vcov iid has no meaning with %s weights; use hc1 or a clustered one", estimate.ErrWeights, kind)
	}
	if absorb && (v == HC2 || v == HC3 || v == CR2 || v == CR3) {
		return "", fmt.Errorf("%w: vcov %s with absorbed effects would need the leverages of their dummies; give the effects as covariates, or use hc1 or cr1", ErrOption, v)
	}
	return v, nil
}
