package num

import "gonum.org/v1/gonum/mathext"

// ChiSquare returns a chi-square number on df > 0 degrees of freedom by inversion: one
// draw a number.
func (s *Stream) ChiSquare(df float64) float64 {
	if !(df > 0) {
		panic("num: ChiSquare without degrees of freedom")
	}
	return 2 * mathext.GammaIncRegInv(df/2, s.Float())
}
