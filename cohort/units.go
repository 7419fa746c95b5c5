package cohort

import (
	"fmt"
	"strconv"

	"utfall/internal/num"
	"utfall/table"
)

// Spec says which columns of a table take part in a design, and with how many
// workers it runs; the number never changes a result.
type Spec struct {
	Treatment   string   // 0 and 1, or false and true; no missing values
	ID          string   // unique; "" = the row number from 1
	Covariates  []string // for the propensity model or the metric; no missing values
	Categorical []string // covariates that are categories although their values are numbers
	Score       string   // a number column made elsewhere: the distance, or the scale of CaliperScore; "" = none
	Workers     int      // < 1 = all processors
}

// units is who takes part: the arms, and the order in which every sum over rows is
// formed, which is that of the keyed hash of the id and so does not depend on the
// order of the rows.
type units struct {
	n       int
	treated []bool
	count   int                  // treated
	ids     func(row int) string // nil = row number from 1
	order   []int32              // rows by ascending (hash, id)
}

func (u *units) id(row int) string {
	if u.ids == nil {
		return strconv.Itoa(row + 1)
	}
	return u.ids(row)
}

func readUnits(t *table.Table, d Spec) (*units, error) {
	treated, count, err := readTreatment(t, d.Treatment)
	if err != nil {
		return nil, err
	}
	u := &units{n: t.Rows(), treated: treated, count: count}
	switch {
	case count == 0:
		return nil, fmt.Errorf("%w: column %q is 0 in all of the %d rows", ErrNoTreated, d.Treatment, u.n)
	case count == u.n:
		return nil, fmt.Errorf("%w: column %q is 1 in all of the %d rows", ErrNoControls, d.Treatment, u.n)
	}
	if d.ID != "" {
		ids, missing, err := t.TextAt(d.ID)
		if err != nil {
			return nil, fmt.Errorf("id: %w", err)
		}
		if missing > 0 {
			return nil, fmt.Errorf("id: column %q has %d missing values", d.ID, missing)
		}
		u.ids = ids
	}
	hash := make([]uint64, u.n)
	num.ForChunks(u.n, d.Workers, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			hash[i] = num.KeyedHash(0, u.id(i))
		}
	})
	var equal []int32
	u.order, equal = num.SortKeys(hash, d.Workers)
	return u, u.settleCollisions(d.ID, hash, equal)
}

// settleCollisions orders ids that share a hash by their bytes and finds ids that are
// there twice; equal are the places whose hash is that of the place before.
func (u *units) settleCollisions(column string, hash []uint64, equal []int32) error {
	twice := 0
	for _, i := range equal {
		for j := i; j > 0 && hash[j] == hash[j-1]; j-- {
			a, b := u.id(int(u.order[j-1])), u.id(int(u.order[j]))
			if a == b {
				twice++
			}
			if a <= b {
				break
			}
			u.order[j-1], u.order[j] = u.order[j], u.order[j-1]
		}
	}
	if twice > 0 {
		return fmt.Errorf("id: column %q names %d rows by an id that another row has; one row per unit is needed", column, twice)
	}
	return nil
}

func readTreatment(t *table.Table, name string) (treated []bool, count int, err error) {
	f, err := t.Float(name)
	if err != nil {
		return nil, 0, fmt.Errorf("treatment: %w", err)
	}
	treated = make([]bool, len(f.Values))
	missing, other := 0, 0
	for i, v := range f.Values {
		switch {
		case !f.Has(i):
			missing++
		case v == 1:
			treated[i] = true
			count++
		case v != 0:
			other++
		}
	}
	if missing > 0 || other > 0 {
		return nil, 0, fmt.Errorf("treatment: column %q has %d missing values and %d values other than 0 and 1", name, missing, other)
	}
	return treated, count, nil
}

func countFalse(ok []bool) int {
	n := 0
	for _, v := range ok {
		if !v {
			n++
		}
	}
	return n
}
