package main

import (
	"context"
	"fmt"

	"utfall/estimate/combine"
)

// fitMeta pools effects of many places and shrinks each toward the whole.
type fitMeta struct {
	f                    *flagSet
	effect, se, variance string
	method, test         string
	moderators           []string
}

func (m *fitMeta) flags(f *flagSet) {
	m.f = f
	f.column(&m.effect, "effect", "the estimate of each place, on a scale on which it is nearly normal")
	f.column(&m.se, "se", "its standard error")
	f.column(&m.variance, "variance", "its variance, instead of --se")
	f.text(&m.method, "method", "reml", "of the variance between places: reml, dl, pm, eb (the same as pm), ml; or fixed (none)")
	f.text(&m.test, "test", "z", "z or knapp-hartung")
	f.list(&m.moderators, "moderators", "`columns` that may explain differences between places")
	f.need("effect")
}

func (m *fitMeta) columns() fitColumns {
	c := fitColumns{unique: true}
	c.apart("effect", m.effect)
	c.apart("se", m.se)
	c.apart("variance", m.variance)
	c.apart("moderators", m.moderators...)
	return c
}

func (m *fitMeta) check() []string {
	problems := append(oneOf("method", m.method, "reml", "dl", "pm", "eb", "ml", "fixed"), oneOf("test", m.test, "z", "knapp-hartung")...)
	if (m.se == "") == (m.variance == "") {
		problems = append(problems, "give one of --se and --variance")
	}
	if m.method == "fixed" && m.test == "knapp-hartung" {
		problems = append(problems, "--test knapp-hartung goes with a random-effects method, not with --method fixed")
	}
	return problems
}

func (m *fitMeta) fit(ctx context.Context, d *fitData) (*fitOutput, error) {
	f := &combine.Effects{Unit: d.units, Level: d.level}
	var err error
	if f.Y, err = d.numbers(m.effect); err != nil {
		return nil, err
	}
	column := m.se + m.variance
	v, err := d.numbers(column)
	if err != nil {
		return nil, err
	}
	if i := d.first(func(i int) bool { return !(v[i] > 0) }); i >= 0 {
		return nil, d.at(i, column, fmt.Errorf("the error of an effect must be above 0"))
	}
	for _, s := range v {
		if m.se != "" {
			s *= s
		}
		f.Variance = append(f.Variance, s)
	}
	if f.X, f.XNames, err = d.design(m.moderators); err != nil {
		return nil, err
	}
	r, err := combine.Meta{Method: m.method, Test: m.test}.Fit(ctx, f)
	if err != nil {
		return nil, err
	}
	return newFitOutput(r), nil
}
