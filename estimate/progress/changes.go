package progress

// AuthorityChanges gives for each person the months, from 1 on, in which another authority is responsible than the last one
// was: the events that [Bouncing] counts as authority-changes, with months that nobody is responsible for not counting, none
// across own support, and none after a person leaves. left is the month in which that happens, −1 if it does not.
//
// Errors: [estimate.ErrInvalidFrame].
func AuthorityChanges(m *Months, of Map) (changes [][]int, left []int, err error) {
	if err := m.check(); err != nil {
		return nil, nil, err
	}
	who, err := of.of(m.States)
	if err != nil {
		return nil, nil, err
	}
	changes, left = make([][]int, len(m.Unit)), make([]int, len(m.Unit))
	for i := range m.Unit {
		last := Nobody
		left[i] = -1
		for k, c := range m.seen(i) {
			a := who[c]
			if a == Left {
				left[i] = k
				break
			}
			switch {
			case a == OwnSupport:
				last = Nobody
			case a == Nobody:
			default:
				if last != Nobody && a != last {
					changes[i] = append(changes[i], k)
				}
				last = a
			}
		}
	}
	return changes, left, nil
}
