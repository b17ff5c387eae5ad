package hubsim

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// meter counts pulls in a rolling window.
type meter struct {
	window time.Duration
	mu     sync.Mutex
	pulls  map[string][]time.Time // at most the limit's number for each key
}

func newMeter(window time.Duration) *meter {
	return &meter{window: window, pulls: map[string][]time.Time{}}
}

// recent must be called with mu held.
func (m *meter) recent(key string, now time.Time) []time.Time {
	pulls := m.pulls[key]
	for len(pulls) > 0 && !pulls[0].After(now.Add(-m.window)) {
		pulls = pulls[1:]
	}
	if len(pulls) == 0 {
		delete(m.pulls, key)
		return nil
	}
	m.pulls[key] = pulls
	return pulls
}

func (m *meter) remaining(key string, limit int, now time.Time) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(0, limit-len(m.recent(key, now)))
}

// pull counts one more, or reports that the limit is reached.
func (m *meter) pull(key string, limit int, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	pulls := m.recent(key, now)
	if len(pulls) >= limit {
		return false
	}
	m.pulls[key] = append(pulls, now)
	return true
}

// allowance is who a caller is to the meter: the key that pulls are counted
// by, what docker-ratelimit-source says, and the limit.
type allowance struct {
	key, source string
	limit       int
}

func (h *Hub) allowance(account, address string) allowance {
	if h.options.Shape != DockerHub {
		return allowance{limit: Unmetered}
	}
	if account == "" {
		return allowance{key: "address " + address, source: address, limit: h.options.AnonymousLimit}
	}
	// Docker Hub shows an opaque identifier of the account.
	sum := sha256.Sum256([]byte(account))
	a := allowance{key: "account " + account, source: fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])}
	known, _ := h.options.account(account)
	a.limit = orDefault(known.Limit, h.options.AccountLimit)
	return a
}

// meterPull counts a manifest GET and sets the rate-limit headers. When the
// limit is reached it answers 429 and reports false. HEAD is never counted
// nor refused.
func (h *Hub) meterPull(w http.ResponseWriter, r *http.Request, c caller) bool {
	a := h.allowance(c.account, c.address)
	allowed := true
	if r.Method == http.MethodGet && a.limit >= 0 {
		if allowed = h.meter.pull(a.key, a.limit, h.options.Clock()); allowed {
			h.recorder.pull(c.account)
		}
	}
	h.meterHeaders(w, c)
	if !allowed {
		writePullLimit(w)
	}
	return allowed
}

func (h *Hub) meterHeaders(w http.ResponseWriter, c caller) {
	a := h.allowance(c.account, c.address)
	if a.limit < 0 {
		return
	}
	h.rateLimitHeaders(w, a, h.meter.remaining(a.key, a.limit, h.options.Clock()))
}

func (h *Hub) rateLimitHeaders(w http.ResponseWriter, a allowance, remaining int) {
	window := ";w=" + strconv.FormatInt(int64(h.options.Window/time.Second), 10)
	w.Header().Set("RateLimit-Limit", strconv.Itoa(a.limit)+window)
	w.Header().Set("RateLimit-Remaining", strconv.Itoa(remaining)+window)
	w.Header().Set("Docker-RateLimit-Source", a.source)
}

const pullLimitMessage = "You have reached your pull rate limit. You may increase the limit by authenticating " +
	"and upgrading: https://www.docker.com/increase-rate-limit"

func writePullLimit(w http.ResponseWriter) {
	writeError(w, http.StatusTooManyRequests, apiError{Code: "TOOMANYREQUESTS", Message: pullLimitMessage})
}

// writeAbuseLimit is the refusal of the limit that guards all of Docker Hub:
// not JSON, and the connection ends with it.
func writeAbuseLimit(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "60")
	w.Header().Set("Connection", "close")
	writeBody(w, http.StatusTooManyRequests, "text/plain", []byte("Too Many Requests (HAP429).\n"))
}

// Remaining is how many pulls an account has left in the present window;
// Unmetered if it has no limit. The empty account is a stranger at 127.0.0.1.
func (h *Hub) Remaining(account string) int {
	a := h.allowance(account, "127.0.0.1")
	if a.limit < 0 {
		return Unmetered
	}
	return h.meter.remaining(a.key, a.limit, h.options.Clock())
}

// address is what an anonymous caller is metered by: the IPv4 address, or the
// first 64 bits of the IPv6 address.
func address(remote string) string {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	ip := peer.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, 64).Masked().Addr().String()
}
