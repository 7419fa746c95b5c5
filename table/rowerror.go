package table

import "fmt"

// RowError is an error about one row of the data: whoever read the file turns the
// row into a line of it.
type RowError struct {
	Row int // from 0, in the order the data were given
	Err error
}

func (e *RowError) Error() string { return fmt.Sprintf("row %d: %v", e.Row+1, e.Err) }

func (e *RowError) Unwrap() error { return e.Err }
