package ingest

import "bytes"

// fielder cuts whole records into fields.
type fielder struct {
	file    string
	data    []byte
	sep     byte
	line    int // of the next record
	out     consumer
	fields  [][]byte
	scratch []byte // text of fields with doubled quotation marks
}

// run gives each record to the consumer; empty lines are passed over and reported to
// consumers that count them. It returns the bytes used.
func (f *fielder) run(one bool) (int, error) {
	data, sep := f.data, f.sep
	counter, _ := f.out.(interface{ blankLine() })
	i, n := 0, len(data)
	for i < n {
		if data[i] == '\n' || data[i] == '\r' && i+1 < n && data[i+1] == '\n' {
			if data[i] == '\r' {
				i++
			}
			i++
			f.line++
			if counter != nil {
				counter.blankLine()
			}
			continue
		}
		f.fields, f.scratch = f.fields[:0], f.scratch[:0]
		line, bare := f.line, false
		for {
			if i < n && data[i] == '"' {
				end, err := f.quoted(i, line)
				if err != nil {
					return i, err
				}
				i = end
			} else {
				start := i
				for i < n && data[i] != sep && data[i] != '\n' {
					if data[i] == '"' {
						bare = true
					}
					i++
				}
				field := data[start:i]
				if (i == n || data[i] == '\n') && len(field) > 0 && field[len(field)-1] == '\r' {
					field = field[:len(field)-1]
				}
				f.fields = append(f.fields, field)
			}
			if len(f.fields[len(f.fields)-1]) > maxField {
				return i, problem(f.file, line, "", "too-long", "a field is longer than 1 MiB")
			}
			if i < n && data[i] == sep {
				if i++; len(f.fields) >= maxColumns {
					return i, problem(f.file, line, "", "too-many-columns", "the row has more than %d fields", maxColumns)
				}
				continue
			}
			break
		}
		if i < n { // the newline
			i++
			f.line++
		}
		if bare {
			f.out.badRow(line, "bare-quote")
		} else {
			f.out.row(line, f.fields)
		}
		if one {
			return i, nil
		}
	}
	return i, nil
}

// quoted reads the field whose opening quotation mark is at i and returns the position
// of what ends it: a separator, a newline or the end.
func (f *fielder) quoted(i, line int) (int, error) {
	data := f.data
	open := f.line
	start, from := i+1, len(f.scratch)
	doubled := false
	for i++; ; {
		k := bytes.IndexByte(data[i:], '"')
		if k < 0 {
			return i, problem(f.file, open, "", "unclosed-quote", "a quotation mark is opened here and never closed")
		}
		f.line += bytes.Count(data[i:i+k], []byte{'\n'})
		i += k
		if i+1 < len(data) && data[i+1] == '"' {
			f.scratch = append(f.scratch, data[start:i+1]...)
			doubled = true
			i += 2
			start = i
			continue
		}
		break
	}
	if doubled {
		f.scratch = append(f.scratch, data[start:i]...)
		f.fields = append(f.fields, f.scratch[from:len(f.scratch):len(f.scratch)])
	} else {
		f.fields = append(f.fields, data[start:i])
	}
	i++
	if i+1 < len(data) && data[i] == '\r' && data[i+1] == '\n' || i+1 == len(data) && data[i] == '\r' {
		i++
	}
	if i < len(data) && data[i] != f.sep && data[i] != '\n' {
		return i, problem(f.file, open, "", "unclosed-quote", "a quotation mark is opened here, and text follows the one that closes it: one of the two is missing or must be doubled")
	}
	return i, nil
}
