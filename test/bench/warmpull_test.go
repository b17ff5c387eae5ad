package bench

import (
	"context"
	"math"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/larder-registry/larder/internal/hubsim"
)

// request is one of those that a client makes, its path without the project.
type request struct{ method, path string }

// pull is what containerd asks for to pull an image for one platform: what the tag is, the
// index, the platform's manifest, its configuration and its layers.
func pull(image hubsim.Pushed) []request {
	m := image.Manifests[0]
	all := []request{
		{http.MethodHead, "/manifests/latest"},
		{http.MethodGet, "/manifests/" + image.Digest.String()},
		{http.MethodGet, "/manifests/" + m.Digest.String()},
		{http.MethodGet, "/blobs/" + m.Config.Digest.String()},
	}
	for _, layer := range m.Layers {
		all = append(all, request{http.MethodGet, "/blobs/" + layer.Digest.String()})
	}
	return all
}

// twins are two caches of one upstream in one server. Two servers would differ by where
// their programs lie in memory.
type twins struct {
	server
	upstream string
	config   string // the file's path
	client   *http.Client
}

// The twins, and neither of them.
const (
	first   = 0
	second  = 1
	neither = -1
)

func twin(i int) string { return [...]string{first: "hub-one", second: "hub-two"}[i] }

func startTwins(b *testing.B, upstream string) twins {
	b.Helper()
	t := twins{
		upstream: upstream, config: writeFile(b, "larder.yaml", limiting(upstream, neither)),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}},
	}
	b.Cleanup(t.client.CloseIdleConnections)
	t.server = larder(b, "", "--config", t.config)
	return t
}

// limiting is the configuration in which one of the twins has a limit that nobody reaches,
// a reserve and a budget, and the other nothing of it.
func limiting(upstream string, limited int) string {
	text := "upstreams:\n"
	for i := range 2 {
		text += "  - {name: " + twin(i) + ", registries: [" + twin(i) + ".example], url: '" + upstream + "'"
		if i == limited {
			text += ", reserve: [{project: prod, share: 20%}], budgets: [{project: demo, limit: 50/6h}]"
		}
		text += "}\n"
	}
	if limited == neither {
		return text
	}
	return text + "pullLimits: {anonymous: 1000000000/6h, exceptions: [{project: " + twin(1-limited) + ", limit: unlimited}]}\n"
}

// limit gives the limit to one of the twins, or to neither, and waits until it has it.
func (t twins) limit(b *testing.B, limited int) {
	b.Helper()
	if err := os.WriteFile(t.config, []byte(limiting(t.upstream, limited)), 0o600); err != nil {
		b.Fatal(err)
	}
	if err := syscall.Kill(t.process, syscall.SIGHUP); err != nil {
		b.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if t.limited(b, first) == (limited == first) && t.limited(b, second) == (limited == second) {
			return
		}
		if time.Now().After(deadline) {
			b.Fatal("the server does not take its configuration over")
		}
	}
}

func (t twins) limited(b *testing.B, i int) bool {
	b.Helper()
	resp, err := t.client.Head(t.url + "/v2/" + twin(i) + "/" + repository + "/manifests/latest")
	if err != nil {
		b.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.Header.Get("RateLimit-Limit") != ""
}

// load is how one of the twins is asked in a turn: by so many clients at once, each of which
// makes the requests.
type load struct {
	clients  int
	requests []request
}

// cost is what a turn took: from its beginning to its end, and of the server on processors.
type cost struct{ time, processor time.Duration }

func (t twins) spend(b *testing.B, i int, l load) cost {
	b.Helper()
	base := t.url + "/v2/" + twin(i) + "/" + repository
	before, began := t.processor(b), time.Now()
	var work sync.WaitGroup
	for range l.clients {
		work.Go(func() {
			for _, r := range l.requests {
				if _, err := send(context.Background(), t.client, r.method, base+r.path); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	if b.Failed() {
		b.FailNow()
	}
	return cost{time.Since(began), t.processor(b) - before}
}

// order is which of the twins has its turn, in the order of Thue and Morse: each two of them
// are a pair, and what becomes more, or less, or comes and goes falls out.
var order = [...]int{first, second, second, first, second, first, first, second}

// ratio is what something takes in terms of something else.
type ratio struct{ time, processor float64 }

// compare has turns follow each other, and returns what the one of the twins takes in terms
// of the other: the median of the pairs.
func (t twins) compare(b *testing.B, one int, l load, rounds int) ratio {
	b.Helper()
	var times, processors []float64
	for round := range rounds + 1 {
		var spent [2]cost
		for turn, i := range order {
			spent[i] = t.spend(b, i, l)
			if turn%2 == 0 || round == 0 { // in the first round the new configuration's caches fill
				continue
			}
			times = append(times, float64(spent[one].time)/float64(spent[1-one].time))
			processors = append(processors, float64(spent[one].processor)/float64(spent[1-one].processor))
		}
	}
	slices.Sort(times)
	slices.Sort(processors)
	return ratio{times[len(times)/2], processors[len(processors)/2]}
}

// both is the mean of what was measured with the one twin first and with the other, so that
// it falls out what else they differ by.
func both(r, s ratio) ratio {
	return ratio{math.Sqrt(r.time * s.time), math.Sqrt(r.processor * s.processor)}
}

// compareLimits has the twins answer the same requests in turns that are so short that the
// machine is the same for both, and compares what they take: while the one has a limit, while
// the other has it, and while neither has. By what the last differs from 1 nothing is
// measured.
//
// It reports the median of 25 such comparisons, which is above 1 by what limits cost, and the
// bounds within which that median lies 19 times of 20. The few turns in which memory is
// collected do not move a median. Of one client's pulls, the time on processors is in good
// part that of threads which look for work meanwhile. A longer run (-benchtime 3x) has
// narrower bounds.
func compareLimits(b *testing.B, upstream string, l load, rounds int) {
	b.Helper()
	const comparisons = 25
	t := startTwins(b, upstream)
	var with, same []ratio
	limited := func(i int) ratio {
		t.limit(b, i)
		return t.compare(b, i, l, rounds)
	}
	for b.Loop() {
		for range comparisons {
			with = append(with, both(limited(first), limited(second)))
			t.limit(b, neither)
			same = append(same, both(t.compare(b, first, l, rounds), t.compare(b, second, l, rounds)))
		}
	}
	report(b, with, "")
	report(b, same, "-same")
}

func report(b *testing.B, ratios []ratio, suffix string) {
	b.Helper()
	var times, processors []float64
	for _, r := range ratios {
		times, processors = append(times, r.time), append(processors, r.processor)
	}
	reportMedian(b, times, "time"+suffix)
	reportMedian(b, processors, "processor"+suffix)
}

// reportMedian reports the median, and the measured values between which that of endlessly
// many would lie with 95%, by the binomial distribution's normal approximation.
func reportMedian(b *testing.B, of []float64, unit string) {
	b.Helper()
	slices.Sort(of)
	n := len(of)
	off := max(0, int(float64(n)/2-0.98*math.Sqrt(float64(n))))
	b.ReportMetric(of[n/2], unit)
	b.ReportMetric(of[off], unit+"-low")
	b.ReportMetric(of[n-1-off], unit+"-high")
}

// BenchmarkWarmManifestUnderLimits is about the one request that counts.
func BenchmarkWarmManifestUnderLimits(b *testing.B) {
	h, _ := hub(b, 1<<20)
	compareLimits(b, h.URL(), load{1, []request{{http.MethodGet, "/manifests/latest"}}}, 400)
}

// BenchmarkWarmPullUnderLimits is about whole pulls by a client that is alone: of an image as
// most are, of one like the smallest that people build on, and of one that is so small that
// nothing costs but the requests themselves; and of that one by several at once.
func BenchmarkWarmPullUnderLimits(b *testing.B) {
	tiny := []int64{50 << 10, 16 << 10, 1 << 10}
	for _, tt := range []struct {
		name            string
		layers          []int64
		clients, rounds int
	}{
		{"13MiB", []int64{8 << 20, 4 << 20, 1 << 20}, 1, 12},
		{"4MiB", []int64{3 << 20, 512 << 10}, 1, 30},
		{"67KiB", tiny, 1, 100},
		{"67KiB at once", tiny, clients, 25},
	} {
		b.Run(tt.name, func(b *testing.B) {
			h, pushed := hubWith(b, hubsim.Image{
				Seed: 7, LayerSizes: tt.layers,
				Platforms: []ocispec.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}},
			})
			compareLimits(b, h.URL(), load{tt.clients, pull(pushed)}, tt.rounds)
		})
	}
}
