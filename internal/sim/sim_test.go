package sim

import (
	"fmt"
	"math"
	"testing"
)

// 400 replicates of a plain run are 10,000 of a nightly one: the numbers that METHODS and the table of simulations state.
func TestFactor(t *testing.T) {
	if reps := 400 * Factor; reps != 400 && reps != 10000 {
		t.Errorf("%d replicates, want 400 or 10,000", reps)
	}
}

// 3.09·√(0.95·0.05/400) = 3.09·0.0108973 = 0.0336725; of 10,000 it would be 0.0067, under the floor of a point.
func TestBand(t *testing.T) {
	if b := Band(400); math.Abs(b-0.0336725) > 1e-6 {
		t.Errorf("band of 400: %v", b)
	}
	if b := Band(10000); b != 0.01 {
		t.Errorf("band of 10,000: %v", b)
	}
}

type log struct {
	testing.TB
	lines []string
}

func (l *log) Helper()                      {}
func (l *log) Logf(format string, a ...any) { l.lines = append(l.lines, fmt.Sprintf(format, a...)) }

// The line is the one that .ci/nightly looks for.
func TestShare(t *testing.T) {
	l := &log{TB: t}
	Share(l, "lee bounds", 0.9475, 400)
	if len(l.lines) != 1 || l.lines[0] != "sim | lee bounds | 0.9475 | 400" {
		t.Errorf("logged %q", l.lines)
	}
}
