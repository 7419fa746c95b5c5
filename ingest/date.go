package ingest

import "time"

// parseDate reads YYYY-MM-DD or YYYYMMDD, also followed by a time of midnight, as days
// since 1970-01-01. Years are 1000 to 9999.
func parseDate(b []byte) (days int32, ok bool) {
	switch {
	case len(b) >= 19 && (b[10] == ' ' || b[10] == 'T'):
		for i, c := range b[11:] {
			if i < 8 && c != "00:00:00"[i] || i == 8 && c != '.' && c != 'Z' || i > 8 && c != '0' && (c != 'Z' || i+12 != len(b)) {
				return 0, false
			}
		}
		b = b[:10]
		fallthrough
	case len(b) == 10:
		if b[4] != '-' || b[7] != '-' {
			return 0, false
		}
		y, ok1 := digits(b[0:4])
		m, ok2 := digits(b[5:7])
		d, ok3 := digits(b[8:10])
		return civil(y, m, d, ok1 && ok2 && ok3)
	case len(b) == 8:
		y, ok1 := digits(b[0:4])
		m, ok2 := digits(b[4:6])
		d, ok3 := digits(b[6:8])
		return civil(y, m, d, ok1 && ok2 && ok3)
	}
	return 0, false
}

// parseMonth reads YYYY-MM or YYYYMM, or the date of its first day, as that day.
func parseMonth(b []byte) (days int32, ok bool) {
	switch {
	case len(b) == 7 && b[4] == '-':
		y, ok1 := digits(b[0:4])
		m, ok2 := digits(b[5:7])
		return civil(y, m, 1, ok1 && ok2)
	case len(b) == 6:
		y, ok1 := digits(b[0:4])
		m, ok2 := digits(b[4:6])
		return civil(y, m, 1, ok1 && ok2)
	}
	days, ok = parseDate(b)
	if !ok || time.Unix(int64(days)*86400, 0).UTC().Day() != 1 {
		return 0, false
	}
	return days, true
}

func digits(b []byte) (v int, ok bool) {
	for _, c := range b {
		if c-'0' > 9 {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	return v, true
}

func civil(y, m, d int, ok bool) (int32, bool) {
	if !ok || y < 1000 || m < 1 || m > 12 || d < 1 || d > monthDays(y, m) {
		return 0, false
	}
	return epochDays(y, m, d), true
}

func monthDays(y, m int) int {
	switch m {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// epochDays counts the days from 1970-01-01 in the proleptic Gregorian calendar
// (Howard Hinnant, chrono-compatible low-level date algorithms).
func epochDays(y, m, d int) int32 {
	if m <= 2 {
		y--
	}
	era := y / 400
	yoe := y - era*400
	doy := (153*((m+9)%12)+2)/5 + d - 1
	return int32(era*146097 + yoe*365 + yoe/4 - yoe/100 + doy - 719468)
}

// parseBoolean reads true, yes, ja, sant, 1 and their opposites, in any case.
func parseBoolean(b []byte) (v, ok bool) {
	if len(b) == 0 || len(b) > 6 {
		return false, false
	}
	var low [6]byte
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		low[i] = c
	}
	switch string(low[:len(b)]) {
	case "1", "true", "yes", "ja", "sant":
		return true, true
	case "0", "false", "no", "nej", "falskt":
		return false, true
	}
	return false, false
}
