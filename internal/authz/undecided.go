package authz

// UndecidedError says that nobody can tell whether a caller may do something. It is
// never an answer: what it is returned for is neither allowed nor refused.
type UndecidedError struct {
	// Reason is told to the caller, and holds nothing that is not for everyone.
	Reason string
	// Err is the cause, for the log.
	Err error
}

func (e *UndecidedError) Error() string {
	if e.Err == nil {
		return e.Public()
	}
	return e.Public() + ": " + e.Err.Error()
}

// Public is what the caller is told.
func (e *UndecidedError) Public() string {
	return "whether you may do this cannot be decided now: " + e.Reason + "; try again"
}

func (e *UndecidedError) Unwrap() error { return e.Err }
