package authn

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/crypto/argon2"
)

// The cost of one computation, as OWASP's Password Storage Cheat Sheet has it.
const (
	argonMemory = 19 << 10 // KiB
	argonTime   = 2
	argonLanes  = 1
	argonSalt   = 16 // bytes
	argonKey    = 32 // bytes
)

// Larger costs in a stored hash are refused, so that a damaged row cannot take
// all memory.
const (
	maxArgonMemory = 256 << 10 // KiB
	maxArgonTime   = 16
	maxArgonLanes  = 16
	maxArgonKey    = 128 // bytes
)

const (
	// maxPassword is the longest password that is looked at, in bytes.
	maxPassword = 1024
	// computations at once: more would take the memory and the processors that
	// pulls need.
	computations = 2
	// passwordLife is how long a password once verified is not computed again.
	passwordLife = 10 * time.Minute
)

var errHash = errors.New("the stored password hash cannot be read")

// passwords makes and verifies argon2id hashes, two at once at most.
type passwords struct {
	turns    chan struct{}
	secret   []byte // of this process, so that the cache's keys tell nothing about passwords
	decoy    string // what an unknown user's password is compared to
	verified *otter.Cache[[sha256.Size]byte, time.Time]
	now      func() time.Time
}

func newPasswords(now func() time.Time) (*passwords, error) {
	cache, err := newCache[[sha256.Size]byte, time.Time]()
	if err != nil {
		return nil, err
	}
	return &passwords{
		turns:    make(chan struct{}, computations),
		secret:   randomBytes(sha256.Size),
		decoy:    phc(argonMemory, argonTime, argonLanes, randomBytes(argonSalt), randomBytes(argonKey)),
		verified: cache,
		now:      now,
	}, nil
}

// hash returns the PHC string of password.
func (p *passwords) hash(ctx context.Context, password string) (string, error) {
	if len(password) > maxPassword {
		return "", fmt.Errorf("the password has %d bytes: the limit is %d, choose a shorter one", len(password), maxPassword)
	}
	release, err := p.turn(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	salt := randomBytes(argonSalt)
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonLanes, argonKey)
	return phc(argonMemory, argonTime, argonLanes, salt, key), nil
}

// matches compares password with a user's hash; an empty hash means that there is no
// such user, or one without a password, which takes the same time to find out. It is
// called by who has the turn.
func (p *passwords) matches(generation int64, hash, password string) (bool, error) {
	if len(password) > maxPassword {
		return false, nil
	}
	if hash == "" {
		_, err := compare(p.decoy, password)
		return false, err
	}
	ok, err := compare(hash, password)
	if ok {
		p.verified.Set(p.cacheKey(generation, hash, password), p.now())
	}
	return ok, err
}

// verifiedLately tells whether the password need not be computed again.
func (p *passwords) verifiedLately(generation int64, hash, password string) bool {
	if len(password) > maxPassword || hash == "" {
		return false
	}
	at, ok := p.verified.GetIfPresent(p.cacheKey(generation, hash, password))
	return ok && fresh(at, p.now(), passwordLife)
}

// turn waits until the caller may compute.
func (p *passwords) turn(ctx context.Context) (release func(), err error) {
	select {
	case p.turns <- struct{}{}:
		return func() { <-p.turns }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting to verify a password: %w", context.Cause(ctx))
	}
}

// checkHash returns an error for a hash that no password can be compared with.
func checkHash(hash string) error {
	if hash == "" {
		return nil
	}
	_, _, _, err := parsePHC(hash)
	return err
}

// compare is called by who has the turn.
func compare(hash, password string) (bool, error) {
	cost, salt, want, err := parsePHC(hash)
	if err != nil {
		return false, err
	}
	got := argon2.IDKey([]byte(password), salt, cost.time, cost.memory, cost.lanes, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

// cacheKey goes by the hash, whose salt is its user's alone: an account that was deleted
// and made anew has another. It writes the length before, so that no two can be alike.
func (p *passwords) cacheKey(generation int64, hash, password string) (key [sha256.Size]byte) {
	mac := hmac.New(sha256.New, p.secret)
	head := binary.BigEndian.AppendUint64(nil, uint64(generation))
	head = binary.BigEndian.AppendUint64(head, uint64(len(hash)))
	mac.Write(head)
	mac.Write([]byte(hash))
	mac.Write([]byte(password))
	mac.Sum(key[:0])
	return key
}

type argonCost struct {
	memory, time uint32
	lanes        uint8
}

// phc writes the Password Hashing Competition's string format.
func phc(memory, time uint32, lanes uint8, salt, key []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, memory, time, lanes, b64.EncodeToString(salt), b64.EncodeToString(key))
}

func parsePHC(s string) (c argonCost, salt, key []byte, err error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return argonCost{}, nil, nil, errHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.time, &c.lanes); err != nil {
		return argonCost{}, nil, nil, errHash
	}
	salt, saltErr := base64.RawStdEncoding.DecodeString(parts[4])
	key, keyErr := base64.RawStdEncoding.DecodeString(parts[5])
	if saltErr != nil || keyErr != nil || len(key) == 0 || len(key) > maxArgonKey ||
		c.memory > maxArgonMemory || c.time == 0 || c.time > maxArgonTime || c.lanes == 0 || c.lanes > maxArgonLanes {
		return argonCost{}, nil, nil, errHash
	}
	return c, salt, key, nil
}

// randomBytes never fails: crypto/rand ends the process where there is no
// randomness to be had.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
