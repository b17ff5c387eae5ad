package authn

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// replicaScheme is the authentication scheme (RFC 9110, §11.1) of requests between
	// replicas: the key's id, the time in seconds, and the signature, with dots between.
	replicaScheme = "Larder-Replica"
	// replicaPurpose keeps what signs requests apart from what signs registry tokens.
	replicaPurpose = "larder request between replicas, version 1"
	// replicaSkew is how far the clocks of two replicas may be apart, and how long a
	// request that somebody has overheard can be repeated.
	replicaSkew = time.Minute
)

// ReplicaRequest is what a replica asks of another, as far as it is signed.
type ReplicaRequest struct {
	Method, Path, Range string
}

// SignReplica returns the Authorization header by which another replica on the same
// database knows a request for this registry's own.
func (a *Authenticator) SignReplica(ctx context.Context, r ReplicaRequest) (string, error) {
	key, err := a.keys.newest(ctx)
	if err != nil {
		return "", fmt.Errorf("signing a request to another replica: %w", err)
	}
	at := strconv.FormatInt(a.now().Unix(), 10)
	signature := base64.RawURLEncoding.EncodeToString(r.sign(key.Secret, at))
	return replicaScheme + " " + key.ID + "." + at + "." + signature, nil
}

// VerifyReplica tells whether another replica has signed a request lately. The error is
// ErrTokenInvalid or ErrTokenExpired when the header is refused.
func (a *Authenticator) VerifyReplica(ctx context.Context, r ReplicaRequest, authorization string) error {
	scheme, rest, _ := strings.Cut(authorization, " ")
	parts := strings.Split(rest, ".")
	if scheme != replicaScheme || len(parts) != 3 {
		return ErrTokenInvalid
	}
	at, signature := parts[1], parts[2]
	secret, err := a.keys.find(ctx, parts[0])
	if err != nil {
		return fmt.Errorf("verifying the request of another replica: %w", err)
	}
	got, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || !hmac.Equal(got, r.sign(secret, at)) {
		return ErrTokenInvalid
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return ErrTokenInvalid
	}
	if age := a.now().Sub(time.Unix(seconds, 0)); age > replicaSkew || age < -replicaSkew {
		return ErrTokenExpired
	}
	return nil
}

// sign writes each part's length before it, so that no two requests can be alike.
func (r ReplicaRequest) sign(secret []byte, at string) []byte {
	key := hmac.New(sha256.New, secret)
	key.Write([]byte(replicaPurpose))
	mac := hmac.New(sha256.New, key.Sum(nil))
	for _, part := range []string{r.Method, r.Path, r.Range, at} {
		_, _ = fmt.Fprintf(mac, "%d:%s", len(part), part) // a hash never fails
	}
	return mac.Sum(nil)
}
