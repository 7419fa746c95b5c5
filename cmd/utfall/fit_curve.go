package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"gonum.org/v1/gonum/mat"

	"utfall/estimate/panel"
)

// curveJSON is details.event_curve: what honest-did needs of a did or event-study answer.
type curveJSON struct {
	Reference  int         `json:"reference_event"`
	Events     []int       `json:"events"`
	Estimates  []float64   `json:"estimates"`
	Overall    *float64    `json:"overall"`
	Weights    []float64   `json:"overall_weights"`
	Covariance [][]float64 `json:"covariance"`
}

// curveDetails is the curve for the details of an answer; nil where there is none.
func curveDetails(c *panel.EventCurve, err error) any {
	if err != nil {
		return nil
	}
	out := curveJSON{Reference: c.Reference, Events: c.Event, Estimates: c.Value, Overall: orNull(c.Overall), Weights: c.Weight}
	n := c.Cov.SymmetricDim()
	for i := range n {
		row := make([]float64, n)
		for j := range row {
			row[j] = c.Cov.At(i, j)
		}
		out.Covariance = append(out.Covariance, row)
	}
	return out
}

// errNoAnswer is standard input without an answer that honest-did can use.
var errNoAnswer = errors.New("fit honest-did needs --betas, --covariance and --pre, or on standard input the answer of fit did or fit event-study with --format json")

// readCurve reads an answer from standard input.
func readCurve(in io.Reader) (*panel.EventCurve, error) {
	if f, ok := in.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return nil, usage("%v", errNoAnswer) // a terminal: nothing will come
		}
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, inputError{fmt.Errorf("standard input: %w", err)}
	}
	if len(text) == 0 {
		return nil, usage("%v", errNoAnswer)
	}
	var answer struct {
		Method  string `json:"method"`
		Details struct {
			Estimator string     `json:"estimator"`
			Base      string     `json:"base"`
			Curve     *curveJSON `json:"event_curve"`
		} `json:"details"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, inputError{errors.New("standard input is not the JSON answer of fit did or fit event-study (--format json)")}
	}
	c := answer.Details.Curve
	switch {
	case answer.Method != "did" && answer.Method != "event-study":
		return nil, inputError{errors.New("standard input is the answer of another method than did and event-study")}
	case c == nil && answer.Details.Base == panel.Varying:
		return nil, inputError{errors.New("did with --base varying gives steps before treatment, not distances to one event: use --base universal")}
	case c == nil && answer.Method == "event-study":
		return nil, inputError{fmt.Errorf("the answer has no effects counted from one reference event; use did, or event-study with sun-abraham, stacked, lpdid or dcdh")}
	case c == nil:
		return nil, inputError{errors.New("the answer has no effects by event counted from one reference event; periods must be one apart")}
	}
	return c.curve()
}

// curve checks the shape.
func (c *curveJSON) curve() (*panel.EventCurve, error) {
	n := len(c.Events)
	out := &panel.EventCurve{Event: c.Events, Value: c.Estimates, Reference: c.Reference, Overall: math.NaN(), Weight: c.Weights}
	size := n
	if c.Overall != nil && len(c.Weights) == n {
		out.Overall = *c.Overall
		size++
	} else {
		out.Weight = nil
	}
	shape := inputError{errors.New("standard input: details.event_curve does not have a row of the covariance for each effect")}
	if n == 0 || len(c.Estimates) != n || len(c.Covariance) != size {
		return nil, shape
	}
	out.Cov = mat.NewSymDense(size, nil)
	for i, row := range c.Covariance {
		if len(row) != size {
			return nil, shape
		}
		for j := range i + 1 {
			out.Cov.SetSym(i, j, row[j])
		}
	}
	return out, nil
}
