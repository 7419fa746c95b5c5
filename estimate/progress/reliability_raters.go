package progress

import (
	"math"

	"gonum.org/v1/gonum/mathext"

	"utfall/estimate"
	"utfall/table"
)

// quantileF is the p-quantile of the F distribution.
func quantileF(p, d1, d2 float64) float64 {
	y := mathext.InvRegIncBeta(d2/2, d1/2, 1-p) // of the far side, which keeps its digits for large F
	return d2 * (1 - y) / (d1 * y)
}

// raters estimates the six intraclass correlations from the two-way table: R, C, E, W are the
// mean squares of persons, raters, residual and within persons.
func (f *reliabilityFit) raters() error {
	rows, cols := f.s.X.Dims()
	n, k := float64(rows), float64(cols)
	person, rater := make([]float64, rows), make([]float64, cols)
	for j := range cols {
		rater[j] = f.sum(func(i int) float64 { return f.s.X.At(i, j) }) / n
	}
	grand := 0.0
	for _, r := range rater {
		grand += r / k
	}
	for i := range person {
		for j := range cols {
			person[i] += f.s.X.At(i, j) / k
		}
	}
	within := func(part func(i, j int) float64) float64 {
		return f.sum(func(i int) float64 {
			s := 0.0
			for j := range cols {
				d := part(i, j)
				s += float64(d * d)
			}
			return s
		})
	}
	R := k * f.sum(func(i int) float64 { return (person[i] - grand) * (person[i] - grand) }) / (n - 1)
	C := 0.0
	for _, r := range rater {
		C += n * (r - grand) * (r - grand) / (k - 1)
	}
	E := within(func(i, j int) float64 { return f.s.X.At(i, j) - person[i] - rater[j] + grand }) / ((n - 1) * (k - 1))
	W := within(func(i, j int) float64 { return f.s.X.At(i, j) - person[i] }) / (n * (k - 1))
	f.res.Details["mean_squares"] = map[string]float64{"persons": R, "raters": C, "residual": E, "within": W}
	f.res.Details["df"] = map[string]float64{"persons": n - 1, "raters": k - 1, "residual": (n - 1) * (k - 1), "within": n * (k - 1)}
	spread := E > 1e-14*(R+C) && R > 0
	if !spread {
		f.note("no-residual-spread", "The raters agree up to constants, or persons do not differ: some errors and intervals do not exist.", map[string]any{"raters": cols})
	}
	// Variances of the mean squares under normality.
	vR, vC, vE, vW := 2*R*R/(n-1), 2*C*C/(k-1), 2*E*E/((n-1)*(k-1)), 2*W*W/(n*(k-1))
	icc := func(term string, value, variance, lo, hi float64) {
		est := estimate.Estimate{Term: term, Measure: ReliabilityCoefficient, Value: value, SE: math.Sqrt(variance), CI: noInterval(), Test: noTest()}
		if !spread {
			est.SE = math.NaN()
		} else {
			est.CI = estimate.Interval{Lo: lo, Hi: hi, Level: f.s.Level, Method: "F"}
		}
		f.res.Estimates = append(f.res.Estimates, est)
	}
	p := 0.5 + f.s.Level/2
	simple := func(ratio, df float64) (lo, hi float64) { // bounds of the ratio of variances
		return ratio / quantileF(p, n-1, df), ratio * quantileF(p, df, n-1)
	}
	sq := func(x float64) float64 { return x * x }
	l1, h1 := simple(R/W, n*(k-1))
	l3, h3 := simple(R/E, (n-1)*(k-1))
	one := func(r, e, vr, ve float64) (value, variance float64) {
		D := r + (k-1)*e
		return (r - e) / D, sq(k*e/(D*D))*vr + sq(k*r/(D*D))*ve
	}
	v11, s11 := one(R, W, vR, vW)
	v31, s31 := one(R, E, vR, vE)
	D := R + (k-1)*E + k*(C-E)/n
	N := R - E
	v21 := N / D
	s21 := sq((D-N)/(D*D))*vR + sq((-D-N*(k-1-k/n))/(D*D))*vE + sq(N*k/n/(D*D))*vC
	// Satterthwaite degrees of freedom of the denominator of ICC(2,1).
	a, b := k*v21/(n*(1-v21)), 1+k*v21*(n-1)/(n*(1-v21))
	df := sq(a*C+b*E) / (sq(a*C)/(k-1) + sq(b*E)/((n-1)*(k-1)))
	Fl, Fu := quantileF(p, n-1, df), quantileF(p, df, n-1)
	l2 := n * (R - Fl*E) / (Fl*(k*C+(k*n-k-n)*E) + n*R)
	h2 := n * (Fu*R - E) / (k*C + (k*n-k-n)*E + n*Fu*R)
	single := func(F float64) float64 { return (F - 1) / (F + k - 1) }
	average := func(r float64) float64 { return k * r / (1 + (k-1)*r) }
	icc("icc-1-1", v11, s11, single(l1), single(h1))
	icc("icc-2-1", v21, s21, l2, h2)
	icc("icc-3-1", v31, s31, single(l3), single(h3))
	icc("icc-1-k", 1-W/R, sq(W/(R*R))*vR+vW/(R*R), 1-1/l1, 1-1/h1)
	D = R + (C-E)/n
	low := average(l2)
	if 1+(k-1)*l2 <= 0 { // the mean of k raters has no value this low: beyond it lies minus infinity
		low = math.NaN()
		f.res.Notes = append(f.res.Notes, table.Note{Code: "icc-open-below", Text: "Persons differ so little that the interval of icc-2-k has no lower end."})
	}
	icc("icc-2-k", N/D, sq((D-N)/(D*D))*vR+sq((N/n-D)/(D*D))*vE+sq(N/n/(D*D))*vC, low, average(h2))
	icc("icc-3-k", 1-E/R, sq(E/(R*R))*vR+vE/(R*R), 1-1/l3, 1-1/h3)
	agree, consist := math.Sqrt((C-E)/n+E), math.Sqrt(E)
	seAgree, seConsist := math.Sqrt(vC/(n*n)+sq(1-1/n)*vE)/(2*agree), math.Sqrt(vE)/(2*consist)
	f.res.Estimates = append(f.res.Estimates,
		f.estimate("sem", MeasurementError, agree, seAgree),
		f.estimate("sem-consistency", MeasurementError, consist, seConsist),
		f.estimate("sdc", DetectableChange, detectable()*agree, detectable()*seAgree),
		f.estimate("sdc-consistency", DetectableChange, detectable()*consist, detectable()*seConsist))
	return nil
}
