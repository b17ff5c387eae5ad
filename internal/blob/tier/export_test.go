package tier

// Settle waits until all that is coming in has ended.
func (s *Store) Settle() { s.work.Wait() }
