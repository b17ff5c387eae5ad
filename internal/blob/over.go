package blob

// As finds an ability that not every driver has, in a store or in the one that it stands
// in front of.
func As[T any](s Store) (ability T, ok bool) {
	for s != nil {
		if ability, ok := s.(T); ok {
			return ability, true
		}
		s = beneath(s)
	}
	return ability, false
}

// Innermost is the store that keeps the blobs, beneath all that stand in front of it.
func Innermost(s Store) Store {
	for next := beneath(s); next != nil; next = beneath(s) {
		s = next
	}
	return s
}

// beneath is the store that one stands in front of; nil when there is none.
func beneath(s Store) Store {
	front, ok := s.(interface{ Beneath() Store })
	if !ok {
		return nil
	}
	return front.Beneath()
}
