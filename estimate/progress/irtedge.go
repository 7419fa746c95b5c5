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
			return fmt.Errorf("%w: the variance of the trait grows without bound: everybody answers all items alike", estimate.ErrNotIdentified)
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

func (m *irtModel) unidentified() error {
	return fmt.Errorf("%w: the answers do not decide the parameters; too few persons or items (steepest item: %q)", estimate.ErrNotIdentified, m.steepest())
}

func noCommonTrait() error {
	return fmt.Errorf("%w: the variance of the trait goes to 0: the items do not go together more than by chance", estimate.ErrNotIdentified)
}

func (m *irtModel) stuck() error {
	for _, t := range m.latent { // on its way to 0, where the likelihood is flat
		if s := t.sd(); t.freeSpan && s*s < 100*leastSpan {
			return noCommonTrait()
		}
	}
	return fmt.Errorf("%w: the likelihood has no maximum that could be reached (steepest item: %q); leave that item out or use a model with equal slopes", estimate.ErrNotConverged, m.steepest())
}
