package chaos_test

import (
	"cmp"
	"os"
	"testing"
)

// older is the program that replicas run before they are replaced.
func older() string { return cmp.Or(os.Getenv(olderVariable), os.Getenv(binaryVariable)) }

func TestReplicasAreReplacedOneAfterTheOtherWhileEverybodyWorks(t *testing.T) {
	t.Parallel()
	s := newShared(t, older())
	pulls := s.pullThroughout(t)
	before := s.form()
	s.replace(s.a)
	t.Run("what is pushed to one is pulled from the other, and deleted from both", s.pushHerePullThere)
	t.Run("an upload begun on one ends on the other", s.uploadHereAndThere)
	t.Run("a cold stampede over both causes one transfer", s.stampede)
	s.settle(false)
	s.swapped = true
	s.replace(s.b)
	s.settle(true)
	s.goOn()
	pulls.goOn(t, "pulls go on")
	t.Logf("form %d of the database to form %d: %d steps, %d read back and compared; %s while replicas were replaced",
		before, s.form(), s.done.Load(), s.looked, pulls.end())
}

// replace stops a replica as an upgrade does and starts the program under test in its
// place, while everybody works.
func (s *shared) replace(old *server) {
	s.t.Helper()
	old.program = os.Getenv(binaryVariable)
	s.turn(old, false)
}

// form is the version of the database's form.
func (s *shared) form() (version int64) {
	s.t.Helper()
	if err := s.db.QueryRow(s.t.Context(), "SELECT MAX(version_id) FROM larder_schema").Scan(&version); err != nil {
		s.t.Fatal(err)
	}
	return version
}
