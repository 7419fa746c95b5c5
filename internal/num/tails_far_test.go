package num

import (
	"math"
	"testing"
)

// R 4.2.2: 2*pt(-t, df). Small tails on many degrees of freedom keep their digits.
func TestStudentTailFarOut(t *testing.T) {
	for _, c := range []struct{ t, df, p float64 }{
		{3.2, 600, 0.00144681041847854}, {4, 600, 7.1253764743703e-05}, {8, 600, 6.4433204860849e-15},
		{6, 1332, 2.53900501954504e-09}, {10, 1000, 1.66707029586001e-22}, {19.83, 428, 1.50800925517857e-62},
	} {
		if got := StudentTail(c.t, c.df); !(math.Abs(got-c.p) <= 2e-11*c.p) {
			t.Errorf("tail of %v on %v: %.15g, want %.15g", c.t, c.df, got, c.p)
		}
	}
}
