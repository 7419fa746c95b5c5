package num

import (
	"fmt"
	"math"
)

// Link names the inverse of the function that turns a linear predictor into a
// probability: logit, probit (normal) or cloglog (complementary log-log).
type Link string

// The links. The zero value means logit.
const (
	LogitLink   Link = "logit"
	ProbitLink  Link = "probit"
	CloglogLink Link = "cloglog"
)

// check returns the link with the default filled in.
func (l Link) check() (Link, error) {
	switch l {
	case "":
		return LogitLink, nil
	case LogitLink, ProbitLink, CloglogLink:
		return l, nil
	}
	return "", fmt.Errorf("num: link %q is not logit, probit or cloglog", string(l))
}

// of returns the linear predictor of a probability strictly between 0 and 1.
func (l Link) of(p float64) float64 {
	switch l {
	case ProbitLink:
		return NormalQuantile(p)
	case CloglogLink:
		return math.Log(-math.Log1p(-p))
	}
	return math.Log(p / (1 - p))
}

// Mean returns the probability that belongs to a linear predictor.
func (l Link) Mean(eta float64) float64 {
	switch l {
	case ProbitLink:
		return 0.5 * math.Erfc(-eta/math.Sqrt2)
	case CloglogLink:
		return -math.Expm1(-math.Exp(eta))
	}
	if eta >= 0 {
		return 1 / (1 + math.Exp(-eta))
	}
	e := math.Exp(eta)
	return e / (1 + e)
}

// Slope returns dμ/dη at a linear predictor.
func (l Link) Slope(eta float64) float64 {
	p := l.at(eta)
	return p.mu * p.a
}

// A binomialPoint is what one row gives at its linear predictor: the mean mu and,
// with d = dmu/deta, a = d/mu and b = d/(1-mu), so that the score factor is
// y·a - (1-y)·b and the expected information is a·b; logMu and logQ are log mu and
// log(1-mu). Each keeps its digits in both tails: no 1-mu is ever formed.
type binomialPoint struct{ mu, a, b, logMu, logQ float64 }

func (l Link) at(eta float64) binomialPoint {
	switch l {
	case ProbitLink:
		lo, mLo, llo := normalLower(eta)
		_, mHi, lhi := normalLower(-eta)
		return binomialPoint{mu: lo, a: mLo, b: mHi, logMu: llo, logQ: lhi}
	case CloglogLink:
		e := math.Min(math.Exp(eta), math.MaxFloat64) // times the 0 of a: never NaN
		em1 := math.Expm1(e)
		a := 0.0
		switch {
		case e == 0: // below -745: mu = d = e to the last bit
			a = 1
		case !math.IsInf(em1, 1):
			a = e / em1
		}
		logMu := eta
		if e > 0 {
			logMu = math.Log(-math.Expm1(-e))
		}
		return binomialPoint{mu: -math.Expm1(-e), a: a, b: e, logMu: logMu, logQ: -e}
	}
	e := math.Exp(-math.Abs(eta))
	hi := 1 / (1 + e)
	lo := e * hi
	l1 := math.Log1p(e)
	if eta >= 0 {
		return binomialPoint{mu: hi, a: lo, b: hi, logMu: -l1, logQ: -eta - l1}
	}
	return binomialPoint{mu: lo, a: hi, b: lo, logMu: eta - l1, logQ: -l1}
}

// normalLower returns the lower normal tail p = P(Z ≤ x), the ratio density/p and
// log p. Below -30 it uses the asymptotic series of Mills' ratio, whose error there
// is under 1e-12 of the last term kept.
func normalLower(x float64) (p, ratio, logp float64) {
	const logRoot2Pi = 0.91893853320467274178032973640562
	if x > -30 {
		p = 0.5 * math.Erfc(-x/math.Sqrt2)
		logp = math.Log(p)
		if x > 5 {
			logp = math.Log1p(-0.5 * math.Erfc(x/math.Sqrt2))
		}
		return p, math.Exp(-x*x/2-logRoot2Pi) / p, logp
	}
	i2 := 1 / (x * x)
	series := -i2 * (1 - 3*i2*(1-5*i2*(1-7*i2*(1-9*i2))))
	logp = -x*x/2 - logRoot2Pi - math.Log(-x) + math.Log1p(series)
	return math.Exp(logp), -x / (1 + series), logp
}
