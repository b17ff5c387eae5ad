package authn

import (
	"strings"
	"testing"
	"time"
)

func TestARequestBetweenReplicas(t *testing.T) {
	asked := ReplicaRequest{Method: "GET", Path: "/internal/fills/sha256:1", Range: "bytes=5-"}
	tests := []struct {
		name   string
		change func(r *ReplicaRequest, header *string)
		pass   time.Duration
		want   error
	}{
		{name: "that another replica has signed is good", change: func(*ReplicaRequest, *string) {}},
		{name: "is good a moment later", pass: 50 * time.Second, change: func(*ReplicaRequest, *string) {}},
		{name: "is good a moment earlier, by another clock", pass: -50 * time.Second, change: func(*ReplicaRequest, *string) {}},
		{name: "that is old is refused", pass: 2 * time.Minute, change: func(*ReplicaRequest, *string) {}, want: ErrTokenExpired},
		{name: "from the future is refused", pass: -2 * time.Minute, change: func(*ReplicaRequest, *string) {}, want: ErrTokenExpired},
		{name: "for another blob is refused", change: func(r *ReplicaRequest, _ *string) { r.Path = "/internal/fills/sha256:2" }, want: ErrTokenInvalid},
		{name: "for another range is refused", change: func(r *ReplicaRequest, _ *string) { r.Range = "" }, want: ErrTokenInvalid},
		{name: "by another method is refused", change: func(r *ReplicaRequest, _ *string) { r.Method = "DELETE" }, want: ErrTokenInvalid},
		{name: "whose parts are shifted is refused", change: func(r *ReplicaRequest, _ *string) { r.Method, r.Path = "GET/", r.Path[1:] }, want: ErrTokenInvalid},
		{name: "without a header is refused", change: func(_ *ReplicaRequest, h *string) { *h = "" }, want: ErrTokenInvalid},
		{name: "of another scheme is refused", change: func(_ *ReplicaRequest, h *string) { *h = strings.Replace(*h, "Larder-Replica", "Bearer", 1) }, want: ErrTokenInvalid},
		{name: "with another signature is refused", change: func(_ *ReplicaRequest, h *string) { *h = spoiled(*h) }, want: ErrTokenInvalid},
		{name: "signed with no key of ours is refused", change: func(_ *ReplicaRequest, h *string) { *h = strings.Replace(*h, " ", " x", 1) }, want: ErrTokenInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, store, c := newTest(t)
			r := asked
			header, err := newServer(t, store, c).SignReplica(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			tt.change(&r, &header)
			c.Pass(tt.pass)
			wantError(t, a.VerifyReplica(t.Context(), r, header), tt.want)
		})
	}
}

func TestARegistryTokenIsNoReplicasSignature(t *testing.T) {
	a, _, _ := newTest(t)
	token := issue(t, a, pullApp, time.Minute)
	wantError(t, a.VerifyReplica(t.Context(), ReplicaRequest{}, "Larder-Replica "+token), ErrTokenInvalid)
	wantError(t, a.VerifyReplica(t.Context(), ReplicaRequest{}, "Bearer "+token), ErrTokenInvalid)
}

func TestAReplicaWhoseDatabaseFailsSaysSo(t *testing.T) {
	a, store, _ := newTest(t)
	store.fault = errStore
	_, err := a.SignReplica(t.Context(), ReplicaRequest{})
	wantError(t, err, errStore)
}

// spoiled is a header with another signature.
func spoiled(header string) string {
	first := strings.LastIndexByte(header, '.') + 1
	other := "A"
	if header[first] == 'A' {
		other = "B"
	}
	return header[:first] + other + header[first+1:]
}
