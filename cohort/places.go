package cohort

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"utfall/table"
)

// CodeChange says that what was place From before Period is from then on To, by the part
// Share.
type CodeChange struct {
	From, To string
	Period   int
	Share    float64
	Row      int // of the table of changes, for messages
}

// RecodeSpec names the columns of a table of places over periods.
type RecodeSpec struct {
	Unit, Time string
	Sum        []string          // counts and amounts: parts are added
	Mean       map[string]string // shares and averages → the column that weighs them
}

// RecodeCounts say what [Recode] did.
type RecodeCounts struct {
	Rows   int // that have another code now
	Merged int // rows made of several
	Split  int // places that were divided
}

// heir is a place that carries a part of another one.
type heir struct {
	place string
	share float64
}

// succession finds the codes of the last period.
type succession struct {
	by map[string][]CodeChange // one period each: a code ceases once
}

func newSuccession(changes []CodeChange) (*succession, error) {
	s := &succession{map[string][]CodeChange{}}
	for _, c := range changes {
		if c.From == c.To {
			return nil, fmt.Errorf("%w: changes: row %d: a code becomes itself", ErrOption, c.Row+1)
		}
		if !(c.Share > 0 && c.Share <= 1) {
			return nil, fmt.Errorf("%w: changes: row %d: a share lies above 0 and is 1 at most", ErrOption, c.Row+1)
		}
		for _, o := range s.by[c.From] {
			if o.Period != c.Period {
				return nil, fmt.Errorf("%w: changes: row %d: the code ceases in two periods", ErrOption, c.Row+1)
			}
			if o.To == c.To {
				return nil, fmt.Errorf("%w: changes: row %d: the same change stands twice", ErrOption, c.Row+1)
			}
		}
		s.by[c.From] = append(s.by[c.From], c)
	}
	for _, list := range s.by {
		sum := 0.0
		for _, c := range list {
			sum += c.Share
		}
		if math.Abs(sum-1) > 1e-9 {
			return nil, fmt.Errorf("%w: changes: row %d: the shares of a code that ceases sum to %g, not to 1", ErrOption, list[0].Row+1, sum)
		}
	}
	return s, nil
}

// heirs are the last codes of a place, in byte order.
func (s *succession) heirs(place string, depth int) ([]heir, error) {
	list := s.by[place]
	if list == nil {
		return []heir{{place, 1}}, nil
	}
	if depth > len(s.by) {
		return nil, fmt.Errorf("%w: changes: row %d: codes come round to themselves", ErrOption, list[0].Row+1)
	}
	var out []heir
	for _, c := range list {
		next, err := s.heirs(c.To, depth+1)
		if err != nil {
			return nil, err
		}
		for _, h := range next {
			if i := slices.IndexFunc(out, func(o heir) bool { return o.place == h.place }); i >= 0 {
				out[i].share += c.Share * h.share
			} else {
				out = append(out, heir{h.place, c.Share * h.share})
			}
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].place < out[j].place })
	return out, nil
}

// ceased reports whether a code is no more in a period.
func (s *succession) ceased(place string, period int) bool {
	list := s.by[place]
	return list != nil && period >= list[0].Period
}

// part is a row of the old codes with the share that a place of the last codes gets of it.
type part struct {
	row   int
	share float64
}

// Recode puts a table of places over periods on the codes of the last period: see
// METHODS, "Places over time". The rows come out by place and period; origin gives for
// each the first row that it was made of.
func Recode(t *table.Table, spec RecodeSpec, changes []CodeChange) (out *table.Table, origin []int, n RecodeCounts, err error) {
	s, err := newSuccession(changes)
	if err != nil {
		return nil, nil, n, err
	}
	unit, okU, err := t.Text(spec.Unit)
	if err != nil {
		return nil, nil, n, err
	}
	time, err := t.Integer(spec.Time)
	if err != nil {
		return nil, nil, n, err
	}
	type cell struct {
		place  string
		period int64
	}
	parts := map[cell][]part{}
	var cells []cell
	divided := map[string]bool{}
	for i, place := range unit {
		if !time.Has(i) || okU != nil && !okU[i] {
			return nil, nil, n, &table.RowError{Row: i, Err: fmt.Errorf("a row of a panel needs %s and %s", spec.Unit, spec.Time)}
		}
		if s.ceased(place, int(time.Values[i])) {
			return nil, nil, n, &table.RowError{Row: i, Err: fmt.Errorf("the code in %s ceased before this period, says the table of changes", spec.Unit)}
		}
		heirs, err := s.heirs(place, 0)
		if err != nil {
			return nil, nil, n, err
		}
		if len(heirs) > 1 {
			divided[place] = true
		}
		if heirs[0].place != place {
			n.Rows++
		}
		for _, h := range heirs {
			c := cell{h.place, time.Values[i]}
			if parts[c] == nil {
				cells = append(cells, c)
			}
			for _, p := range parts[c] {
				if unit[p.row] == place {
					return nil, nil, n, &table.RowError{Row: i, Err: fmt.Errorf("the place has two rows in one period")}
				}
				if unit[p.row] == h.place || place == h.place {
					return nil, nil, n, &table.RowError{Row: i, Err: fmt.Errorf("a place has a row of its own before the table of changes says that it began")}
				}
			}
			parts[c] = append(parts[c], part{i, h.share})
		}
	}
	n.Split = len(divided)
	sort.Slice(cells, func(i, j int) bool {
		if cells[i].place != cells[j].place {
			return cells[i].place < cells[j].place
		}
		return cells[i].period < cells[j].period
	})
	rows := make([][]part, len(cells))
	origin = make([]int, len(cells))
	codes, levels := make([]int32, len(cells)), []string(nil)
	for k, c := range cells {
		rows[k], origin[k] = parts[c], parts[c][0].row
		if len(rows[k]) > 1 {
			n.Merged++
		}
		if len(levels) == 0 || levels[len(levels)-1] != c.place {
			levels = append(levels, c.place)
		}
		codes[k] = int32(len(levels) - 1)
	}
	base := t.Take(origin)
	cols := make([]table.Column, 0, len(t.Fields()))
	for _, f := range t.Fields() {
		var col table.Column
		switch {
		case f.Name == spec.Unit && f.Kind == table.TextKind:
			names := make([]string, len(codes))
			for k, c := range codes {
				names[k] = levels[c]
			}
			col = table.NewText(f, names, nil)
		case f.Name == spec.Unit:
			f.Kind = table.CategoryKind
			if col, err = table.NewCategory(f, codes, levels, nil); err != nil {
				return nil, nil, n, err
			}
		case f.Name == spec.Time:
			if col, err = base.Column(f.Name); err != nil {
				return nil, nil, n, err
			}
		default:
			if col, err = joinParts(t, base, f, spec, rows); err != nil {
				return nil, nil, n, err
			}
		}
		cols = append(cols, col)
	}
	out, err = table.New(cols...)
	return out, origin, n, err
}

// joinParts is a column on the last codes.
func joinParts(t, base *table.Table, f table.Field, spec RecodeSpec, rows [][]part) (table.Column, error) {
	weigh, mean := spec.Mean[f.Name]
	if !mean && !slices.Contains(spec.Sum, f.Name) {
		same, err := sameParts(t, f.Name, rows)
		if err != nil {
			return table.Column{}, err
		}
		if !same {
			return table.Column{}, fmt.Errorf("%w: column %q differs between places that became one, or belongs to one that was divided: name it under sum (counts, amounts) or mean (shares, averages)", ErrOption, f.Name)
		}
		return base.Column(f.Name)
	}
	v, err := t.Float(f.Name)
	if err != nil {
		return table.Column{}, err
	}
	var w table.Floats
	if mean {
		if w, err = t.Float(weigh); err != nil {
			return table.Column{}, err
		}
	}
	values, valid := make([]float64, len(rows)), make([]bool, len(rows))
	for k, list := range rows {
		if len(list) == 1 && list[0].share == 1 {
			values[k], valid[k] = v.Values[list[0].row], v.Has(list[0].row)
			continue
		}
		sum, weight, whole := 0.0, 0.0, true
		for _, p := range list {
			x := p.share
			if mean {
				whole = whole && w.Has(p.row)
				x *= w.Values[p.row]
			}
			whole = whole && v.Has(p.row)
			sum += float64(x * v.Values[p.row])
			weight += x
		}
		if mean {
			whole = whole && weight > 0
			sum /= weight
		}
		if valid[k] = whole; whole {
			values[k] = sum
		}
	}
	if f.Kind == table.IntegerKind && !mean && wholeNumbers(values) {
		whole := make([]int64, len(values))
		for k, x := range values {
			whole[k] = int64(x)
		}
		return table.NewInteger(f, whole, valid), nil
	}
	return table.NewFloat(f, values, valid), nil
}

func wholeNumbers(values []float64) bool {
	for _, x := range values {
		if x != math.Trunc(x) || math.Abs(x) >= 1<<53 {
			return false
		}
	}
	return true
}

// sameParts reports whether the rows that became one agree in a column, and none was divided.
func sameParts(t *table.Table, name string, rows [][]part) (bool, error) {
	c, err := t.Column(name)
	if err != nil {
		return false, err
	}
	var equal func(i, j int) bool
	if c.Kind == table.CategoryKind || c.Kind == table.TextKind {
		text, _, err := t.TextAt(name)
		if err != nil {
			return false, err
		}
		equal = func(i, j int) bool { return text(i) == text(j) }
	} else {
		v, err := t.Float(name)
		if err != nil {
			return false, err
		}
		equal = func(i, j int) bool { return v.Values[i] == v.Values[j] }
	}
	for _, list := range rows {
		for _, p := range list {
			switch {
			case p.share != 1:
				return false, nil
			case c.Has(p.row) != c.Has(list[0].row), c.Has(p.row) && !equal(p.row, list[0].row):
				return false, nil
			}
		}
	}
	return true, nil
}
