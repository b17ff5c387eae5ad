package e2e_test

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-registry/larder/internal/hubsim"
)

const adminPassword = "correct-horse-battery-staple"

// stack is the built program in front of a simulated Docker Hub.
type stack struct {
	t      *testing.T
	hub    *hubsim.Hub
	larder *program
	daemon *daemon
	// main and mirror are the addresses of the two listeners.
	main, mirror string
}

// newStack starts both. The lines of config are added to the configuration file, whose
// last ones are those of the upstream docker-hub. One of them may have the address.
func newStack(t *testing.T, options hubsim.Options, config ...string) *stack {
	t.Helper()
	hub, err := hubsim.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Close)
	s := &stack{t: t, hub: hub, larder: newLarder(t)}
	s.larder.env = append(s.larder.env, "LARDER_ADMIN_PASSWORD="+adminPassword)
	if !slices.ContainsFunc(config, func(line string) bool { return strings.HasPrefix(line, "listen: ") }) {
		config = append(config, "listen: 127.0.0.1:0")
	}
	s.larder.write("larder.yaml", strings.Join(append([]string{
		"mirror: {listen: 127.0.0.1:0}",
		"upstreams:",
		"  - name: docker-hub",
		"    url: " + hub.URL(),
	}, config...), "\n"))
	s.start()
	return s
}

// start starts Larder on the stack's data folder and configuration.
func (s *stack) start() {
	s.t.Helper()
	s.daemon = startDaemon(s.larder, "serve", "--config", "larder.yaml")
	s.main = "127.0.0.1:" + s.daemon.await(`listens on https?://localhost:(\d+),`)[1]
	s.mirror = s.daemon.await(`registry-mirrors may use https?://(\S+)\n`)[1]
}

// killAndStartAgain gives Larder no time to write anything.
func (s *stack) killAndStartAgain() {
	s.t.Helper()
	s.daemon.signalGroup(syscall.SIGKILL)
	<-s.daemon.ended
	s.start()
}

// alwaysCheck makes Larder ask the Hub about a tag at each pull.
const alwaysCheck = "    tagTTL: 1ms"

// newLarder is the program under test.
func newLarder(t *testing.T) *program {
	t.Helper()
	return newProgram(t, os.Getenv(binaryVariable))
}

// hubSaw fails the test unless these were the requests to the Hub's registry since the
// last call, but for those that it only challenged, and the Hub counted so many of them
// as pulls. The requests are in alphabetical order, because clients fetch several things
// at once. Digests of what was pushed to the Hub have short names.
func (s *stack) hubSaw(pushed hubsim.Pushed, pulls int64, want ...string) {
	s.t.Helper()
	short := names(pushed)
	var got []string
	for _, r := range s.hub.Requests() {
		if r.Service != hubsim.Registry || r.Status == http.StatusUnauthorized {
			continue
		}
		line := r.String()
		for digest, name := range short {
			line = strings.ReplaceAll(line, digest, name)
		}
		got = append(got, line)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("what the Hub saw (-want +got):\n%s", diff)
	}
	if counted := s.hub.Counters().PullsCounted; counted != pulls {
		s.t.Errorf("the Hub counted %d pulls, want %d", counted, pulls)
	}
	if leaked := s.hub.CredentialsLeaked(); len(leaked) > 0 {
		s.t.Errorf("credentials went to the Hub's CDN: %v", leaked)
	}
	s.hub.ResetRequests()
}

// hubSawNothing fails the test if the Hub was asked for anything since the last call.
func (s *stack) hubSawNothing() {
	s.t.Helper()
	requests := s.hub.Requests()
	s.hub.ResetRequests()
	if len(requests) > 0 {
		s.t.Errorf("the Hub was asked: %v", requests)
	}
}

// hubGoes takes the Hub from the network.
func (s *stack) hubGoes() { s.hub.Break(hubsim.Fault{Kind: hubsim.Down}) }

func names(pushed hubsim.Pushed) map[string]string {
	short := map[string]string{}
	if len(pushed.Manifests) != 1 || pushed.Manifests[0].Digest != pushed.Digest {
		short[pushed.Digest.String()] = "INDEX"
	}
	for i, m := range pushed.Manifests {
		letter := string(rune('A' + i))
		short[m.Digest.String()] = "MANIFEST-" + letter
		short[m.Config.Digest.String()] = "CONFIG-" + letter
		for j, l := range m.Layers {
			short[l.Digest.String()] = "LAYER-" + letter + string(rune('1'+j))
		}
	}
	return short
}
