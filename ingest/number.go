package ingest

import (
	"errors"
	"math"
	"strconv"
)

// scan is a number read digit by digit: ±mant·10^exp, with mant exact where exact.
type scan struct {
	neg   bool
	mant  uint64
	exp   int
	exact bool   // mant holds all digits
	text  []byte // the number in plain ASCII, only where mant does not hold it
}

// A number is [sign] digits [mark digits] [exponent]. Between the digits before the
// mark a space, U+00A0 or U+202F may stand where it makes groups of three. The sign
// may be U+2212. Everything else that Go's own parser reads (hex, underscores,
// infinities, NaN) is not a number here.
func scanNumber(b []byte, mark byte) (s scan, ok bool) {
	i, n := 0, len(b)
	if n == 0 {
		return s, false
	}
	switch {
	case b[0] == '-' || b[0] == '+':
		s.neg, i = b[0] == '-', 1
	case n > 2 && b[0] == 0xE2 && b[1] == 0x88 && b[2] == 0x92:
		s.neg, i = true, 3
	}
	s.exact = true
	start, digits, group, grouped := i, 0, 0, false
	for i < n {
		c := b[i]
		if c-'0' <= 9 {
			if digits++; digits <= 19 {
				s.mant = s.mant*10 + uint64(c-'0')
			} else {
				s.exact = false
			}
			group++
			i++
			continue
		}
		w := spaceWidth(b[i:])
		if w == 0 {
			break
		}
		if group == 0 || group > 3 || grouped && group != 3 {
			return s, false
		}
		grouped, group = true, 0
		i += w
	}
	if grouped && group != 3 {
		return s, false
	}
	if i < n && b[i] == mark {
		for i++; i < n && b[i]-'0' <= 9; i++ {
			if digits++; digits <= 19 {
				s.mant = s.mant*10 + uint64(b[i]-'0')
				s.exp--
			} else {
				s.exact = false
			}
		}
	}
	if digits == 0 {
		return s, false
	}
	if i < n && (b[i] == 'e' || b[i] == 'E') {
		i++
		neg := false
		if i < n && (b[i] == '-' || b[i] == '+') {
			neg = b[i] == '-'
			i++
		}
		from, e := i, 0
		for ; i < n && b[i]-'0' <= 9; i++ {
			e = min(e*10+int(b[i]-'0'), 100_000)
		}
		if i == from {
			return s, false
		}
		if neg {
			e = -e
		}
		s.exp += e
	}
	if i != n {
		return s, false
	}
	if !s.exact {
		s.text = plain(b[start:], mark)
	}
	return s, true
}

// spaceWidth is the length of the space at the start of b that may part thousands.
func spaceWidth(b []byte) int {
	switch {
	case b[0] == ' ':
		return 1
	case len(b) > 1 && b[0] == 0xC2 && b[1] == 0xA0:
		return 2
	case len(b) > 2 && b[0] == 0xE2 && b[1] == 0x80 && b[2] == 0xAF:
		return 3
	}
	return 0
}

// plain copies a number that scanNumber accepted, without sign and spaces, with a point.
func plain(b []byte, mark byte) []byte {
	out := make([]byte, 0, len(b))
	for _, c := range b {
		switch {
		case c == mark:
			out = append(out, '.')
		case c-'0' <= 9 || c == 'e' || c == 'E' || c == '-' || c == '+':
			out = append(out, c)
		}
	}
	return out
}

var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// short reads the plain numbers that files mostly hold: digits, perhaps a sign and a
// mark, in at most 16 characters. With a mark that is 15 digits, below 2^53, so that one
// division rounds once; without one the conversion does. The rest is for scanNumber.
func short(b []byte, mark byte) (mant uint64, frac int, neg, ok bool) {
	if len(b) == 0 || len(b) > 16 {
		return 0, 0, false, false
	}
	i := 0
	if b[0] == '-' {
		neg, i = true, 1
	}
	n, at := 0, -1
	for ; i < len(b); i++ {
		c := b[i] - '0'
		switch {
		case c <= 9:
			mant = mant*10 + uint64(c)
			n++
		case b[i] == mark && at < 0:
			at = i
		default:
			return 0, 0, false, false
		}
	}
	if at >= 0 {
		frac = len(b) - at - 1
	}
	return mant, frac, neg, n > 0
}

// parseNumber reads a number; code is "" or the reason why it is none. The result is
// the float64 nearest to the decimal number: a whole number below 2^53 and a power of
// ten up to 10^22 are exact, so one division rounds once; the rest goes through strconv.
func parseNumber(b []byte, mark byte) (v float64, code string) {
	if mant, frac, neg, ok := short(b, mark); ok {
		v = float64(mant) / powers[frac]
		if neg && mant > 0 {
			v = -v
		}
		return v, ""
	}
	s, ok := scanNumber(b, mark)
	if !ok {
		return 0, "not-a-number"
	}
	switch {
	case s.exact && s.mant == 0:
		return 0, ""
	case s.exact && s.mant < 1<<53 && s.exp >= -22 && s.exp <= 22:
		if v = float64(s.mant); s.exp < 0 {
			v /= powers[-s.exp]
		} else {
			v *= powers[s.exp]
		}
	default:
		text := s.text
		if s.exact {
			text = append(strconv.AppendUint(nil, s.mant, 10), 'e')
			text = strconv.AppendInt(text, int64(s.exp), 10)
		}
		var err error
		if v, err = strconv.ParseFloat(string(text), 64); err != nil || math.IsInf(v, 0) {
			if err == nil || errors.Is(err, strconv.ErrRange) {
				return 0, "overflow"
			}
			return 0, "not-a-number"
		}
	}
	if s.neg {
		v = -v
	}
	return v, ""
}

// parseInteger reads a whole number of at most 64 bits; 5,0 and 1e+05 are whole numbers too.
func parseInteger(b []byte, mark byte) (v int64, code string) {
	if mant, frac, neg, ok := short(b, mark); ok && frac == 0 {
		if neg {
			return -int64(mant), ""
		}
		return int64(mant), ""
	}
	s, ok := scanNumber(b, mark)
	if !ok {
		return 0, "not-a-whole-number"
	}
	if !s.exact {
		return 0, "overflow"
	}
	for ; s.exp < 0; s.exp++ {
		if s.mant == 0 {
			return 0, ""
		}
		if s.mant%10 != 0 {
			return 0, "not-a-whole-number"
		}
		s.mant /= 10
	}
	for ; s.exp > 0 && s.mant > 0; s.exp-- {
		if s.mant > math.MaxInt64/10 {
			return 0, "overflow"
		}
		s.mant *= 10
	}
	switch {
	case s.neg && s.mant <= 1<<63:
		return -int64(s.mant), ""
	case !s.neg && s.mant <= math.MaxInt64:
		return int64(s.mant), ""
	}
	return 0, "overflow"
}
