package progress

import (
	"fmt"
	"math"

	"utfall/estimate"
)

// sane stops a fit that runs to the edge of the model, and names what runs.
func (m *irtModel) sane() error {
	for _, it := range m.items {
		if math.Abs(it.a) > slopeCap {
			return fmt.Errorf("%w: the slope of item %q grows without bound: together with the others it is answered as if one decided the other; leave it out or use a model with equal slopes",
				estimate.ErrNotIdentified, it.name)
		}
	}
	for _, t := range m.latent {
		if s := t.sd(); !(s*s > leastSpan) {
			return noCommonTrait()
		} else if s > 50 {
			return fmt.Errorf("%w: the variance of the trait grows without bound: everybody answers all items alike; give items of other difficulty, or leave out those that repeat another", estimate.ErrNotIdentified)
		}
	}
	return nil
}

func (m *irtModel) steepest() string {
	name, top := "", -1.0
	for _, it := range m.items {
		if a := math.Abs(it.a); a > top {
			name, top = it.name, a
		}
	}
	return name
}

// equalSlopes says that no slope is free, so that no item can be the one that runs away.
func (m *irtModel) equalSlopes() bool {
	for _, it := range m.items {
		if !it.fixed {
			return false
		}
	}
	return true
}

func (m *irtModel) unidentified() error {
	if m.equalSlopes() {
		return fmt.Errorf("%w: the answers do not decide the parameters; too few persons or items", estimate.ErrNotIdentified)
	}
	return fmt.Errorf("%w: the answers do not decide the parameters; too few persons or items (steepest item: %q)", estimate.ErrNotIdentified, m.steepest())
}

func noCommonTrait() error {
	return fmt.Errorf("%w: the variance of the trait goes to 0: the items do not go together more than by chance; look for an item worded the other way, or leave out those that measure something else", estimate.ErrNotIdentified)
}

func (m *irtModel) stuck() error {
	for _, t := range m.latent { // on its way to 0, where the likelihood is flat
		if s := t.sd(); t.freeSpan && s*s < 100*leastSpan {
			return noCommonTrait()
		}
	}
	if m.equalSlopes() {
		return fmt.Errorf("%w: the likelihood has no maximum that could be reached: the answers follow from each other (whoever passes an item passes every easier one), which leaves the spread of the trait open; add persons or items",
			estimate.ErrNotConverged)
	}
	return fmt.Errorf("%w: the likelihood has no maximum that could be reached (steepest item: %q); leave that item out or use a model with equal slopes", estimate.ErrNotConverged, m.steepest())
}
