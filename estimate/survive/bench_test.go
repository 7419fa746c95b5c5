package survive

import (
	"fmt"
	"testing"

	"utfall/internal/num"
)

// ladderSpells simulates people × about moves spells over six states and 60 whole months.
func ladderSpells(people, moves int) *Spells {
	s := &Spells{States: []string{"a", "b", "c", "d", "e", "f"}, Level: 0.95}
	for p := range people {
		st := num.NewStream(1, "bench", uint64(p))
		s.ID = append(s.ID, fmt.Sprintf("%08d", p))
		now, start := st.Intn(6), 0.0
		end := float64(30 + st.Intn(31))
		for start < end {
			stop := start + float64(1+st.Intn(2*60/moves-1))
			to := (now + 1 + st.Intn(5)) % 6
			if stop > end {
				stop, to = end, Censored
			}
			s.Person, s.From, s.To = append(s.Person, p), append(s.From, now), append(s.To, to)
			s.Start, s.Stop = append(s.Start, start), append(s.Stop, stop)
			if stop == end {
				s.To[len(s.To)-1] = Censored
			}
			now, start = to, stop
		}
	}
	return s
}

// 50,000 people × about 10 spells, 6 states, 60 months, influence functions of 36 numbers.
func BenchmarkAalenJohansen(b *testing.B) {
	s := ladderSpells(50000, 12)
	b.Logf("%d spells", len(s.Person))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (AalenJohansen{At: []float64{12, 24, 36, 48, 60}, Tau: 60}).Fit(b.Context(), s); err != nil {
			b.Fatal(err)
		}
	}
}

func kmTimes(n int, whole bool) *Times {
	f := &Times{Level: 0.95}
	for i := range n {
		st := num.NewStream(2, "bench", uint64(i))
		t := 30 * st.Exp()
		if whole {
			t = float64(int(t) + 1)
		}
		f.Unit = append(f.Unit, fmt.Sprintf("%08d", i))
		f.Time = append(f.Time, t)
		f.Event = append(f.Event, st.Bernoulli(0.7))
	}
	return f
}

func BenchmarkKaplanMeier(b *testing.B) {
	for _, whole := range []bool{true, false} {
		f := kmTimes(1000000, whole)
		b.Run(fmt.Sprintf("million/months=%v", whole), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (KaplanMeier{At: []float64{12, 24, 36}}).Fit(b.Context(), f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
