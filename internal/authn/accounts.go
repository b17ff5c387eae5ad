package authn

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
	"github.com/larder-registry/larder/internal/oci"
)

// Errors by which a change of accounts is refused, besides those of metadata.
var (
	// ErrName is returned for a name that an account or a group cannot have.
	ErrName = errors.New("this name is not possible")
	// ErrAdminStays is returned where the user admin would be removed or locked out.
	ErrAdminStays = errors.New("the user admin cannot be removed or disabled, so that somebody can administer this registry")
)

// Directory changes the accounts.
type Directory interface {
	Create(ctx context.Context, user metadata.User) error
	SetDisabled(ctx context.Context, name string, disabled bool) error
	Delete(ctx context.Context, name string) error
}

// Groups changes the groups and who is in them.
type Groups interface {
	Create(ctx context.Context, group metadata.Group) error
	Delete(ctx context.Context, name string) error
	AddMember(ctx context.Context, group, user string) error
	RemoveMember(ctx context.Context, group, user string) error
}

// Accounts makes and removes accounts and groups. What it changes counts from the next
// request on.
type Accounts struct {
	who    *Authenticator
	users  Directory
	groups Groups
}

// NewAccounts changes what who goes by.
func NewAccounts(who *Authenticator, users Directory, groups Groups) *Accounts {
	return &Accounts{who: who, users: users, groups: groups}
}

// maxUser is the longest name of an account or a group, in characters.
const maxUser = 128

// userName is what people and their groups may be called. A colon would break what
// clients send as Basic, and a slash the paths of the API.
var userName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]*$`)

// CheckUserName tells whether a person's account may have that name. The error wraps
// ErrName.
func CheckUserName(name string) error { return checkName("user", name) }

func checkName(what, name string) error {
	if len(name) > maxUser || !userName.MatchString(name) {
		return fmt.Errorf("%s %.130q: %w: at most %d letters, digits, and . _ @ + -, a letter or digit first", what, name, ErrName, maxUser)
	}
	return nil
}

// CreateUser makes an account with the password given or, when that is empty, with one
// that it makes and returns. The error wraps ErrName or metadata.ErrExists when there can
// be no such user.
func (a *Accounts) CreateUser(ctx context.Context, name, password string) (made string, err error) {
	if err := CheckUserName(name); err != nil {
		return "", err
	}
	hash, made, err := a.who.newPassword(ctx, password)
	if err != nil {
		return "", fmt.Errorf("creating user %s: %w", name, err)
	}
	return made, a.create(ctx, metadata.User{Name: name, PasswordHash: hash})
}

// CreateServiceAccount makes a service account in a project and tells its user name. The
// error wraps ErrName, metadata.ErrExists or, without such a project,
// metadata.ErrNotFound.
func (a *Accounts) CreateServiceAccount(ctx context.Context, project, name string) (user string, err error) {
	if len(name) > maxUser || strings.Contains(name, "/") || oci.CheckName(name) != nil {
		return "", fmt.Errorf("service account %.130q: %w: at most %d lower-case letters, digits, and single . _ - between them", name, ErrName, maxUser)
	}
	user = ServiceAccount(project, name)
	return user, a.create(ctx, metadata.User{Name: user, Project: project})
}

func (a *Accounts) create(ctx context.Context, u metadata.User) error {
	now := a.who.now().UTC()
	u.CreatedAt = now.Truncate(time.Microsecond)
	// What was issued to an account of that name that was deleted is not good for this one.
	u.Generation = now.UnixMicro()
	err := a.users.Create(ctx, u)
	a.who.Forget()
	if err != nil {
		return fmt.Errorf("creating an account: %w", err)
	}
	return nil
}

// SetDisabled locks an account out, or lets it in again. The error wraps
// metadata.ErrNotFound or ErrAdminStays.
func (a *Accounts) SetDisabled(ctx context.Context, name string, disabled bool) error {
	if name == UserAdmin && disabled {
		return ErrAdminStays
	}
	return a.changed(a.users.SetDisabled(ctx, name, disabled))
}

// Delete removes an account and its access tokens. The error wraps metadata.ErrNotFound
// or ErrAdminStays.
func (a *Accounts) Delete(ctx context.Context, name string) error {
	if name == UserAdmin {
		return ErrAdminStays
	}
	return a.changed(a.users.Delete(ctx, name))
}

// CreateGroup makes a group without members. The error wraps ErrName or
// metadata.ErrExists.
func (a *Accounts) CreateGroup(ctx context.Context, name, creator string) error {
	if err := checkName("group", name); err != nil {
		return err
	}
	return a.changed(a.groups.Create(ctx, metadata.Group{Name: name, Creator: creator, CreatedAt: a.who.now().UTC().Truncate(time.Microsecond)}))
}

// DeleteGroup removes a group; its members stay.
func (a *Accounts) DeleteGroup(ctx context.Context, name string) error {
	return a.changed(a.groups.Delete(ctx, name))
}

// AddMember puts a user into a group.
func (a *Accounts) AddMember(ctx context.Context, group, user string) error {
	return a.changed(a.groups.AddMember(ctx, group, user))
}

// RemoveMember takes a user out of a group.
func (a *Accounts) RemoveMember(ctx context.Context, group, user string) error {
	return a.changed(a.groups.RemoveMember(ctx, group, user))
}

// changed has accounts read anew, also after an error: the change may have been made all
// the same.
func (a *Accounts) changed(err error) error {
	a.who.Forget()
	if err != nil {
		return fmt.Errorf("changing accounts: %w", err)
	}
	return nil
}
