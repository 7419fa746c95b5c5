package effect

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"utfall/estimate"
	"utfall/internal/num"
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
	HC4 Vcov = "hc4" // e/(1-h)^(δ/2), δ = min(4, N·h/K); t on N-K (Cribari-Neto 2004)
	CR0 Vcov = "cr0" // clustered, no factor; t on G-1
	CR1 Vcov = "cr1" // clustered, G/(G-1)·(N-1)/(N-K); t on G-1
	CR2 Vcov = "cr2" // clustered, Bell–McCaffrey; t on Satterthwaite's df
	CR3 Vcov = "cr3" // clustered, (I-H)⁻¹e; t on G-1
	// Jackknife is (G-1)/G·cr3: (G-1)/G·Σ(β̂₋g - β̂)(β̂₋g - β̂)', each cluster left out once; t on G-1.
	Jackknife Vcov = "jackknife"
	// Wild gives cr1 errors, and p-values and intervals by the wild cluster bootstrap: see [WildBootstrap].
	Wild Vcov = "wild"
	// Spatial is Conley's: rows within a distance of each other are dependent; see [Conley].
	Spatial Vcov = "conley"
)

var vcovText = map[Vcov]string{
	IID:       "iid: RSS/(N-K)·(X'X)^-1; t on N-K",
	HC0:       "hc0: heteroskedasticity-robust, no factor; t on N-K",
	HC1:       "hc1: heteroskedasticity-robust, factor N/(N-K); t on N-K",
	HC2:       "hc2: heteroskedasticity-robust, residuals over sqrt(1-h); t on N-K",
	HC3:       "hc3: heteroskedasticity-robust, residuals over 1-h; t on N-K",
	HC4:       "hc4: heteroskedasticity-robust, residuals over (1-h)^(d/2), d = min(4, N*h/K); t on N-K",
	CR0:       "cr0: cluster-robust, no factor; t on G-1",
	CR1:       "cr1: cluster-robust, factor G/(G-1)*(N-1)/(N-K); t on G-1",
	CR2:       "cr2: cluster-robust, Bell-McCaffrey adjustment with identity working model; t on Satterthwaite df",
	CR3:       "cr3: cluster-robust, residuals times (I-H)^-1 per cluster, no factor; t on G-1",
	Jackknife: "jackknife: clusters left out in turn, factor (G-1)/G, about the full estimate; t on G-1",
	Wild:      "wild: standard error and statistic of cr1; p and interval by the restricted wild cluster bootstrap",
	Spatial:   "conley: spatially robust, pairs within the cutoff",
}

func (v Vcov) clustered() bool {
	return strings.HasPrefix(string(v), "cr") || v == Jackknife || v == Wild
}

// perCluster says that the estimator takes each cluster apart.
func (v Vcov) perCluster() bool { return v == CR2 || v == CR3 || v == Jackknife || v == Wild }

// resolve fills in the default and checks that the estimator fits the data: clusters
// for those that need them and a weight kind that it can use.
func (v Vcov) resolve(clusters bool, kind estimate.WeightKind) (Vcov, error) {
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
	return v, nil
}

// errorKind is what a method is asked about its errors.
type errorKind struct {
	vcov   Vcov
	second []int
	conley *Conley
	wild   WildBootstrap
}

// into checks the options against the sample and hands them to the problem, with the
// sample's rows, weights and clusters.
func (e *errorKind) into(l *linear, s *sample) (err error) {
	f := s.frame
	if e.vcov == "" && e.conley != nil {
		e.vcov = Spatial
	}
	if l.vcov, err = e.vcov.resolve(f.Cluster != nil, s.kind); err != nil {
		return err
	}
	switch {
	case (l.vcov == Spatial) != (e.conley != nil):
		return fmt.Errorf("%w: vcov conley goes with coordinates and a cutoff, and they with it", ErrOption)
	case l.vcov != Wild && e.wild != WildBootstrap{}:
		return fmt.Errorf("%w: options of the wild bootstrap go with vcov wild", ErrOption)
	case e.second != nil && l.vcov != CR0 && l.vcov != CR1:
		return fmt.Errorf("%w: two ways of clustering go with vcov cr0 or cr1, not with %s", ErrOption, l.vcov)
	case e.second != nil && len(e.second) != len(f.Y):
		return fmt.Errorf("%w: %d codes of the second clustering for %d rows", ErrOption, len(e.second), len(f.Y))
	}
	if l.vcov == Wild {
		if e.wild, err = e.wild.check(); err != nil {
			return err
		}
	}
	l.n, l.weight, l.kind = len(s.rows), s.weight, s.kind
	l.cluster, l.second = s.codes(f.Cluster), s.codes(e.second)
	if e.conley != nil {
		if err := e.conley.check(len(f.Y)); err != nil {
			return err
		}
		l.place = &places{Conley: *e.conley}
		for _, r := range s.rows {
			l.place.lat, l.place.lon = append(l.place.lat, e.conley.Lat[r]), append(l.place.lon, e.conley.Lon[r])
		}
	}
	return nil
}

// fill makes the design of the frame's covariates and returns the names of its columns.
func (l *linear) fill(s *sample, intercept bool) ([]string, error) {
	f := s.frame
	var names []string
	if intercept {
		names = append(names, "(intercept)")
	}
	names = append(names, f.XNames...)
	l.k = len(names)
	if l.k == 0 {
		return nil, fmt.Errorf("%w: no covariate and no intercept", estimate.ErrCollinear)
	}
	l.x = make([]float64, l.n*l.k)
	num.ForChunks(l.n, l.workers, func(_, lo, hi int) {
		for i, r := range s.rows[lo:hi] {
			row := l.x[(lo+i)*l.k : (lo+i+1)*l.k]
			if intercept {
				row[0] = 1
				row = row[1:]
			}
			if f.X != nil {
				copy(row, f.X.RawRowView(r))
			}
		}
	})
	return names, nil
}

// canAbsorb says whether the covariance can be had with effects absorbed, and keeps
// the leverage of their dummies where it needs it. A covariance by cluster is that of
// the full design if every set is nested in the clusters: then the residuals of a
// cluster from its dummies are its own affair, whether others are there or not.
func (l *linear) canAbsorb(e *effects) error {
	switch {
	case l.vcov == HC2 || l.vcov == HC3 || l.vcov == HC4:
		if len(e.codes) > 1 {
			return fmt.Errorf("%w: vcov %s with two absorbed effects would need the leverages of their dummies; give one of them as a covariate, or use hc1 or cr1", ErrOption, l.vcov)
		}
		l.hat = make([]float64, l.n)
		for i, g := range e.codes[0] {
			l.hat[i] = 1 / e.total[0][g]
			if l.kind != estimate.Frequency {
				l.hat[i] *= l.w(i)
			}
		}
	case l.vcov.perCluster():
		for s := range e.codes {
			if !e.nested(s, l.cluster) {
				return fmt.Errorf("%w: vcov %s with absorbed effects that cut across the clusters; give them as covariates, or use cr1", ErrOption, l.vcov)
			}
		}
		if l.vcov == CR2 && (l.kind == estimate.Sampling || l.kind == estimate.Matching) {
			return fmt.Errorf("%w: vcov cr2 with %s weights and absorbed effects; give the effects as covariates, or use cr1 or cr3", ErrOption, l.kind)
		}
	}
	return nil
}

// clustered adds what is known about the clusters to the details.
func (s *solution) clustered(d map[string]any, names []string) {
	if s.concentration != nil {
		s.concentration.into(d, names)
	}
	if s.wild != nil {
		d["wild"] = s.wild
	}
}
