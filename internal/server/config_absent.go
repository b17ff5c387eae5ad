package server

import "fmt"

// absent is the error for a feature that is announced but not in this version: it is
// refused, never ignored, since whoever asks for one would otherwise believe to have
// it. what may hold the value where that is no secret.
func absent(what, from, advice string) error {
	return fmt.Errorf("%s (%s) is not in this version of Larder; %s", what, from, advice)
}
