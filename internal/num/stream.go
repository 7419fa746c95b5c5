package num

import (
	"math"
	"math/rand/v2"
)

// A Stream is a sequence of random numbers that belongs to one (seed, stage, unit)
// and so is the same whichever worker draws it, in whatever order.
type Stream struct{ src *rand.PCG }

// NewStream returns the stream of a unit in a stage of the run with the given seed.
func NewStream(seed uint64, stage string, unit uint64) *Stream {
	a := KeyedHash(seed, stage)
	return &Stream{rand.NewPCG(mix(a^mix(unit)), mix(unit+0x9e3779b97f4a7c15)^a)}
}

// Uint64 returns the next 64 random bits.
func (s *Stream) Uint64() uint64 { return s.src.Uint64() }

// Float returns a number in the open interval (0, 1), so that logs and quantiles of it are finite.
func (s *Stream) Float() float64 { return (float64(s.src.Uint64()>>12) + 0.5) / (1 << 52) }

// Normal returns a standard normal number by inversion: one draw a number, the same on every platform.
func (s *Stream) Normal() float64 { return NormalQuantile(s.Float()) }

// Exp returns an exponential number with mean 1.
func (s *Stream) Exp() float64 { return -math.Log(s.Float()) }

// Bernoulli is true with probability p.
func (s *Stream) Bernoulli(p float64) bool { return s.Float() < p }

// Intn returns a whole number in [0, n), without modulo bias worth the name: n is far below 2^32.
func (s *Stream) Intn(n int) int {
	if n <= 0 || n > math.MaxInt32 {
		panic("num: Intn out of range")
	}
	return int((s.src.Uint64() >> 32) * uint64(n) >> 32)
}

// KeyedHash returns a 64-bit hash of text under a key: the total order that breaks
// ties, the shard of a person, the fold of a unit. It is not a cryptographic hash:
// never publish one as a pseudonym.
func KeyedHash(key uint64, text string) uint64 {
	h := mix(key ^ 0x6a09e667f3bcc909)
	h ^= 14695981039346656037
	for i := 0; i < len(text); i++ {
		h ^= uint64(text[i])
		h *= 1099511628211
	}
	return mix(h ^ uint64(len(text)))
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood 2014): a bijection that spreads every bit.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
