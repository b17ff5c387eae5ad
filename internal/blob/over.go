package blob

// As finds an ability that not every driver has, in a store or in the one that it stands
// in front of.
func As[T any](s Store) (ability T, ok bool) {
	for {
		if ability, ok := s.(T); ok {
			return ability, true
		}
		front, ok := s.(interface{ Beneath() Store })
		if !ok {
			return ability, false
		}
		s = front.Beneath()
	}
}
