package cohort

import "math"

// Grid of the density estimates: steps per bandwidth, reach of the kernel in
// bandwidths, and most steps over the range of the values.
const (
	gridPerBandwidth = 8
	kernelReach      = 4
	gridSteps        = 1 << 16
)

// density compares two arms by kernel density estimates on a shared grid.
type density struct {
	lo, step float64 // of the values; the grid begins the kernel's reach before
	points   int
	taps     []float64   // kernel from 0 outwards, adding up to 1 over both sides
	mass     [][]float64 // by arm and design: [2d+arm][point]
	work     [2][]float64
}

// newDensity lays the grid out for values from lo to hi, lo < hi, and bandwidth h > 0.
func newDensity(lo, hi, h float64, designs int) *density {
	h = max(h, (hi-lo)/(gridSteps/gridPerBandwidth))
	d := &density{lo: lo, step: h / gridPerBandwidth}
	const reach = kernelReach * gridPerBandwidth
	d.points = int((hi-lo)/d.step) + 2 + 2*reach
	d.taps = make([]float64, reach+1)
	sum := 0.0
	for k := range d.taps {
		z := float64(k) / gridPerBandwidth
		d.taps[k] = math.Exp(-z * z / 2)
		if sum += d.taps[k]; k > 0 {
			sum += d.taps[k]
		}
	}
	for k := range d.taps {
		d.taps[k] /= sum
	}
	d.mass = make([][]float64, 2*designs)
	for i := range d.mass {
		d.mass[i] = make([]float64, d.points)
	}
	d.work[0], d.work[1] = make([]float64, d.points), make([]float64, d.points)
	return d
}

// place finds the point at or below x and the share that the point above it gets.
func (d *density) place(x float64) (at int, above float64) {
	p := (x-d.lo)/d.step + kernelReach*gridPerBandwidth
	at = min(int(p), d.points-2)
	return at, min(p-float64(at), 1)
}

// overlap is Σ min(f₁, f₀) over the grid, f the smoothed mass of an arm over its sum.
func (d *density) overlap(design int, total [2]float64) float64 {
	const reach = kernelReach * gridPerBandwidth
	for a := range 2 {
		f := d.work[a]
		clear(f)
		for at, m := range d.mass[2*design+a] {
			if m == 0 {
				continue
			}
			m /= total[a]
			f[at] += float64(m * d.taps[0])
			for k := 1; k <= reach; k++ {
				v := float64(m * d.taps[k])
				if at >= k {
					f[at-k] += v
				}
				if at+k < len(f) {
					f[at+k] += v
				}
			}
		}
	}
	sum := 0.0
	for i, v := range d.work[1] {
		sum += min(v, d.work[0][i])
	}
	return min(sum, 1)
}

// bandwidth is the normal reference rule 1.06·min(SD, IQR/1.34)·n^(-1/5) (Scott 1992);
// the SD alone where the middle half of the values is one value.
func bandwidth(sd, iqr float64, n float64) float64 {
	s := sd
	if iqr > 0 {
		s = min(sd, iqr/1.34)
	}
	return 1.06 * s * math.Pow(n, -0.2)
}
