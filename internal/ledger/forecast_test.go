package ledger_test

import (
	"errors"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-registry/larder/internal/hubsim"
	"github.com/larder-registry/larder/internal/ledger"
	"github.com/larder-registry/larder/internal/oci"
	"github.com/larder-registry/larder/internal/upstream"
)

// spender pulls from a simulated Hub that has the desk's time, and books it.
type spender struct {
	*desk
	hub    *hubsim.Hub
	booked *upstream.Registry
	// others pull with the same account, and nobody books it.
	others *upstream.Registry
}

func newSpender(t *testing.T, options hubsim.Options) *spender {
	t.Helper()
	s := &spender{desk: newDesk(t)}
	options.Clock, options.TokensOnRegistry = s.clock.Now, true
	hub, err := hubsim.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Close)
	hub.AddImage("library/nginx", "latest", hubsim.Image{LayerSizes: []int64{1000}})
	s.hub = hub
	s.booked, s.others = s.client(s.Book), s.client(nil)
	return s
}

func (s *spender) client(report func(upstream.Call)) *upstream.Registry {
	s.t.Helper()
	u, err := url.Parse(s.hub.URL())
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := upstream.New(upstream.Config{Name: "docker-hub", URL: u, Hub: true, Now: s.clock.Now, Report: report},
		upstream.NewMetrics(prometheus.NewRegistry()), slog.New(slog.DiscardHandler))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(r.Close)
	return r
}

// pull spends a pull, or tells that none is left.
func (s *spender) pull(with *upstream.Registry) (empty bool) {
	s.t.Helper()
	_, err := with.Manifest(s.t.Context(), upstream.Any.For(oci.Caller{User: "alice"}), "nginx", "latest")
	failure, refused := errors.AsType[*upstream.Error](err)
	if err != nil && (!refused || failure.Kind != upstream.PullLimit) {
		s.t.Fatal(err)
	}
	return err != nil
}

// stranger is the account that pulls are charged to.
func (s *spender) stranger() ledger.Account {
	s.t.Helper()
	return s.accounts(ledger.Upstream{Name: "docker-hub", Credentials: []upstream.Budget{{Credential: "anonymous"}}})[0]
}

// forecast is what was foretold, and when.
type forecast struct{ made, empty time.Time }

// spendSteadily pulls once in every gap until nothing is left, for a window at most, and
// tells what was foretold on the way and when it came to that.
func (s *spender) spendSteadily(gap time.Duration, window time.Duration) (foretold []forecast, empty time.Time) {
	s.t.Helper()
	for pulls := 0; time.Duration(pulls)*gap <= window; pulls++ {
		if s.pull(s.booked) {
			return foretold, s.clock.Now()
		}
		for range 2 { // also between two pulls
			if now := s.stranger(); pulls >= 20 && now.Left > 0 {
				foretold = append(foretold, forecast{s.clock.Now(), now.EmptyAt})
			}
			s.clock.Pass(gap / 2)
		}
	}
	return foretold, time.Time{}
}

func TestAForecastIsRightWithinATenthAtASteadyRate(t *testing.T) {
	tests := []struct {
		name    string
		options hubsim.Options
		gap     time.Duration
		// before is how many pulls were made in the hours before, two minutes apart, and
		// idle how long nobody has pulled since.
		before int
		idle   time.Duration
	}{
		{name: "one pull in two minutes", gap: 2 * time.Minute},
		{name: "one pull in three minutes, close to what never empties", gap: 3 * time.Minute},
		{name: "a pull in five seconds", gap: 5 * time.Second},
		{name: "another limit, of an hour", options: hubsim.Options{AnonymousLimit: 60, Window: time.Hour}, gap: 40 * time.Second},
		{name: "after others that come free meanwhile", gap: 90 * time.Second, before: 60, idle: 3*time.Hour + 30*time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSpender(t, test.options)
			for range test.before {
				s.pull(s.booked)
				s.clock.Pass(2 * time.Minute)
			}
			s.clock.Pass(test.idle)
			foretold, empty := s.spendSteadily(test.gap, 6*time.Hour)
			if empty.IsZero() {
				t.Fatal("it was never empty")
			}
			if len(foretold) < 10 {
				t.Fatalf("only %d forecasts were made", len(foretold))
			}
			for _, f := range foretold {
				right := empty.Sub(f.made)
				off := f.empty.Sub(empty).Abs()
				if f.empty.IsZero() || off > right/10 {
					t.Errorf("%s before it was empty, the forecast was %s off", right, off)
				}
			}
		})
	}
}

func TestARateThatNeverEmptiesALimitHasNoForecast(t *testing.T) {
	s := newSpender(t, hubsim.Options{})
	foretold, empty := s.spendSteadily(4*time.Minute, 9*time.Hour) // 90 in six hours
	if !empty.IsZero() {
		t.Fatal("it was empty")
	}
	for _, f := range foretold {
		if !f.empty.IsZero() {
			t.Fatalf("%s after the start it was foretold that it is empty %s later", f.made.Sub(noon), f.empty.Sub(f.made))
		}
	}
}

func TestAForecastKnowsWhatOthersSpendWithTheSameAccount(t *testing.T) {
	s := newSpender(t, hubsim.Options{})
	var made time.Time
	var foretold ledger.Account
	for pulls := 0; !s.pull(s.booked) && !s.pull(s.others); pulls++ { // each once in four minutes
		if pulls == 30 {
			made, foretold = s.clock.Now(), s.stranger()
		}
		s.clock.Pass(4 * time.Minute)
	}
	right := s.clock.Now().Sub(made)
	if off := foretold.EmptyAt.Sub(s.clock.Now()).Abs(); off > right/10+4*time.Minute {
		t.Errorf("%s before it was empty, the forecast was %s off", right, off)
	}
	if foretold.Elsewhere != 30 {
		t.Errorf("%d were spent elsewhere, and the Hub knows of 30", foretold.Elsewhere)
	}
}

func TestWhatIsLeftIsWhatTheHubSays(t *testing.T) {
	s := newSpender(t, hubsim.Options{})
	for range 40 {
		s.pull(s.booked)
		s.clock.Pass(3 * time.Minute)
		if got, want := s.stranger().Left, int64(s.hub.Remaining("")); got != want {
			t.Fatalf("%d are left, and the Hub says %d", got, want)
		}
	}
	for range 30 { // nobody asks the Hub while they come free
		s.clock.Pass(15 * time.Minute)
		if got, want := s.stranger().Left, int64(s.hub.Remaining("")); got != want {
			t.Fatalf("%s after the last pull %d are left, and the Hub says %d", s.clock.Now().Sub(noon), got, want)
		}
	}
}

func TestAFewPullsMakeNoForecast(t *testing.T) {
	s := newSpender(t, hubsim.Options{AnonymousLimit: 6})
	for range 4 {
		s.pull(s.booked)
	}
	if got := s.stranger(); !got.EmptyAt.IsZero() || got.Left != 2 {
		t.Errorf("%d are left, empty at %s", got.Left, got.EmptyAt)
	}
	s.pull(s.booked)
	s.pull(s.booked)
	if got := s.stranger(); got.EmptyAt != s.clock.Now() {
		t.Errorf("%d are left, empty at %s", got.Left, got.EmptyAt)
	}
}
