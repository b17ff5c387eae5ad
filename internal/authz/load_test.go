package authz_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-registry/larder/internal/authz"
	"github.com/larder-registry/larder/internal/metadata"
)

func TestWhatAnotherProcessChangesIsSeenOnceItIsAnnounced(t *testing.T) {
	w := newWorld(t)
	other := w.open(true)
	if _, err := other.Grant(t.Context(), admin(), authz.Grant{Project: "demo", Role: authz.RoleImagePuller, Subjects: []authz.Subject{authz.User("bob")}}); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Second)
	if w.allowed(person("bob"), authz.Pull, repository("demo/app")) {
		t.Error("it is read again without a reason")
	}
	w.mark.Add(1)
	if !w.allowed(person("bob"), authz.Pull, repository("demo/app")) {
		t.Error("it is not read again")
	}
	before := w.asked.Load()
	for range 10 {
		w.mark.Add(1) // as it is while nobody can tell what others change
		w.allowed(person("bob"), authz.Pull, repository("demo/app"))
	}
	if n := w.asked.Load() - before; n > 2 {
		t.Errorf("everything is read %d times at one moment", n/2)
	}
}

func TestWhileNothingCanBeReadWhatWasKnownLastHolds(t *testing.T) {
	w := newWorld(t)
	w.give("demo", authz.RoleImagePuller, authz.User("bob"))
	w.down.Store(true)
	w.mark.Add(1)
	w.pass(time.Second)
	if !w.allowed(person("bob"), authz.Pull, repository("demo/app")) || w.allowed(person("eve"), authz.Pull, repository("demo/app")) {
		t.Error("rights are lost, or opened, with the database")
	}
	if !strings.Contains(w.log.String(), errDown.Error()) {
		t.Errorf("the log tells nothing: %s", &w.log)
	}
}

// A change of this process that could not be read again is read later, though nobody
// announces it.
func TestAChangeThatIsNotInForceComesIntoForceByItself(t *testing.T) {
	w := newWorld(t)
	w.give("demo", authz.RoleImagePuller, authz.User("bob"))
	w.down.Store(true)
	_, err := w.Revoke(t.Context(), authz.Grant{Project: "demo", Role: authz.RoleImagePuller, Subjects: []authz.Subject{authz.User("bob")}})
	if !errors.Is(err, authz.ErrNotInForce) {
		t.Fatalf("a change that is not in force was answered: %v", err)
	}
	w.down.Store(false)
	w.pass(time.Second)
	if w.allowed(person("bob"), authz.Pull, repository("demo/app")) {
		t.Error("the change does not come into force")
	}
}

func TestWhatCannotBeReadGivesNobodyARight(t *testing.T) {
	w := newWorld(t)
	w.must(w.db.Roles.Create(t.Context(), metadata.Role{Project: "demo", Name: "odd", Rules: `{"verbs":`, CreatedAt: w.time()}))
	w.must(w.db.RoleBindings.Create(t.Context(), metadata.RoleBinding{Project: "demo", Name: "odd", RoleKind: authz.KindRole, RoleName: "odd", Subjects: `[{"kind":"User","name":"bob"}]`, CreatedAt: w.time()}))
	w.must(w.db.RoleBindings.Create(t.Context(), metadata.RoleBinding{Project: "demo", Name: "worse", RoleKind: authz.KindClusterRole, RoleName: "admin", Subjects: `"bob"`, CreatedAt: w.time()}))
	w.must(w.db.RoleBindings.Create(t.Context(), metadata.RoleBinding{Project: "demo", Name: "newer", RoleKind: authz.KindClusterRole, RoleName: "view", Subjects: `[{"kind":"Team","name":"bob"},{"kind":"User","name":"carl"}]`, CreatedAt: w.time()}))
	w.must(w.Reload(t.Context(), "demo"))
	if w.allowed(person("bob"), authz.Pull, repository("demo/app")) || !w.allowed(person("carl"), authz.Pull, repository("demo/app")) {
		t.Error("what cannot be read counts for what it is not")
	}
	if !strings.Contains(w.log.String(), "odd") || !strings.Contains(w.log.String(), "worse") {
		t.Errorf("the log names nothing: %s", &w.log)
	}
}

func TestManyWhoGiveTheSameRoleAtOnceAllGiveIt(t *testing.T) {
	w := newWorld(t)
	one, two := w.Authorizer, w.open(true)
	var work sync.WaitGroup
	for i := range 8 {
		work.Go(func() {
			a := one
			if i%2 == 0 {
				a = two
			}
			for {
				_, err := a.Grant(t.Context(), admin(), authz.Grant{Project: "demo", Role: authz.RoleImagePuller, Subjects: []authz.Subject{authz.User(fmt.Sprintf("user-%d", i))}})
				if err == nil {
					return
				}
				if !strings.Contains(err.Error(), "others change its bindings all the time") {
					t.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	w.must(one.Reload(t.Context(), "demo"))
	for i := range 8 {
		if !w.allowed(person(fmt.Sprintf("user-%d", i)), authz.Pull, repository("demo/app")) {
			t.Errorf("the grant to user-%d was lost", i)
		}
	}
	if bindings := one.Bindings(t.Context(), "demo"); len(bindings) > 3 {
		t.Errorf("there are %d bindings of one role", len(bindings))
	}
}

func TestWhoMakesAProjectOwnsItFromTheFirstMoment(t *testing.T) {
	w := newWorld(t)
	p := metadata.Project{Name: "alice", Kind: metadata.Hosted, Creator: "alice", CreatedAt: w.time()}
	w.must(w.MakeProject(t.Context(), person("alice"), p))
	if !w.allowed(person("alice"), authz.UpdateProject, project("alice")) || w.allowed(person("bob"), authz.Pull, repository("alice/app")) {
		t.Error("the project is not alice's alone")
	}
	if err := w.MakeProject(t.Context(), person("bob"), p); !errors.Is(err, metadata.ErrExists) {
		t.Errorf("bob made it again: %v", err)
	}
	if w.allowed(person("bob"), authz.UpdateProject, project("alice")) {
		t.Error("bob owns it now")
	}
}

func TestSelfProvisioningCanBeTurnedOff(t *testing.T) {
	w := newWorld(t)
	w.must(w.SetSelfProvision(t.Context(), false))
	if w.allowed(person("bob"), authz.RequestProject, authz.Target{}) {
		t.Error("bob may make projects")
	}
	w.must(w.SetSelfProvision(t.Context(), true))
	if !w.allowed(person("bob"), authz.RequestProject, authz.Target{}) {
		t.Error("bob may not make projects")
	}
}
