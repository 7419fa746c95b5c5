package ingest

import (
	"math"
	"strings"
	"time"
)

// dtaPeriod is what the numbers of a Stata display format count: d days, c milliseconds,
// m months, q quarters, h half-years since 1960, y years; 0 for every other format.
// Weeks, business days and times with leap seconds stay numbers.
func dtaPeriod(format string) byte {
	s := strings.TrimPrefix(strings.TrimPrefix(format, "%"), "-")
	switch {
	case strings.HasPrefix(s, "d"): // as Stata wrote it before version 10
		return 'd'
	case len(s) > 1 && s[0] == 't' && strings.IndexByte("dcmqhy", s[1]) >= 0:
		return s[1]
	}
	return 0
}

// stata1960 is 1960-01-01 in days since 1970.
const stata1960 = -3653

// appendPeriod writes a moment as a date; longer periods only where a date or a month
// is declared, as their first day, and else as the number that the file has.
func appendPeriod(b []byte, v float64, period byte, as string) []byte {
	months := map[byte]float64{'m': 1, 'q': 3, 'h': 6}[period]
	switch {
	case period == 'd':
		return appendMoment(b, v, 1)
	case period == 'c':
		return appendMoment(b, v, 86_400_000)
	case as != "date" && as != "month" || v != math.Trunc(v):
		return appendFloat(b, v)
	case period == 'y':
		months, v = 12, v-1960
	}
	if n := 1960*12 + months*v; n >= 12_000 && n < 120_000 {
		year, month := int(n)/12, int(n)%12
		return time.Date(year, time.Month(month+1), 1, 0, 0, 0, 0, time.UTC).AppendFormat(b, "2006-01-02")
	}
	return append(appendFloat(b, v), 'p') // no date: a bare number could be taken for one
}

// appendMoment writes v units since 1960, of which a day has so many.
func appendMoment(b []byte, v, perDay float64) []byte {
	days := math.Floor(v / perDay)
	if !(days >= -354_000 && days < 2_936_000) { // outside the years 1000 to 9999 or not a number
		return append(appendFloat(b, v), 'd')
	}
	part := v - days*perDay
	rest := time.Duration(part * (86_400e9 / perDay))
	if part > 0 && rest == 0 {
		rest = 1 // not midnight
	}
	return appendTime(b, time.Unix((int64(days)+stata1960)*86400, 0).Add(rest))
}
