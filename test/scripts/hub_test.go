package scripts_test

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/larder-registry/larder/internal/hubsim"
)

// hub is the simulated Docker Hub of one script.
type hub struct {
	*hubsim.Hub
	restore func()
}

// simulate starts, changes, breaks and stops the simulated Hub:
//
//	hub start [-account NAME:PASSWORD:REPOSITORY] [-limit PULLS]   sets $HUB, and $REALM, the host of its token service
//	hub push REPOSITORY:TAG LAYER-SIZE              sets $MANIFEST and $LAYER, the digests
//	hub break down|limit|stalled, hub restore
//	hub counters                                    prints what was asked since the last time
//	hub stop
func simulate(ts *testscript.TestScript, neg bool, args []string) {
	const known = "hub start [-account NAME:PASSWORD:REPOSITORY] [-limit PULLS], hub push REPOSITORY:TAG SIZE, hub break FAULT, hub restore, hub counters, hub stop"
	w := worldOf(ts)
	if neg || len(args) == 0 || (w.hub == nil) != (args[0] == "start") {
		usage(ts, "hub", args, known)
	}
	switch {
	case args[0] == "start":
		w.hub = startHub(ts, args[1:])
	case args[0] == "push" && len(args) == 3:
		w.hub.push(ts, args[1], args[2])
	case args[0] == "break" && len(args) == 2:
		w.hub.fail(ts, args[1])
	case args[0] == "restore" && w.hub.restore != nil:
		w.hub.restore()
		w.hub.restore = nil
	case args[0] == "counters":
		c := w.hub.Counters()
		_, _ = fmt.Fprintf(ts.Stdout(), "pulls %d\nmanifest HEADs %d\nblobs %d\nrefused %d\n", c.PullsCounted, c.ManifestHEADs, c.CDNGETs, c.Refused)
		w.hub.ResetRequests()
	case args[0] == "stop":
		w.hub.Close()
		w.hub = nil
	default:
		usage(ts, "hub", args, known)
	}
}

func startHub(ts *testscript.TestScript, args []string) *hub {
	var options hubsim.Options
	flags := flag.NewFlagSet("hub start", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.IntVar(&options.AnonymousLimit, "limit", 0, "")
	flags.Func("account", "", func(text string) error {
		parts := strings.SplitN(text, ":", 3)
		if len(parts) != 3 {
			return fmt.Errorf("%q is not NAME:PASSWORD:REPOSITORY", text)
		}
		options.Accounts = append(options.Accounts, hubsim.Account{Username: parts[0], Password: parts[1], Repositories: parts[2:]})
		return nil
	})
	ts.Check(flags.Parse(args))
	started, err := hubsim.Start(options)
	ts.Check(err)
	for _, account := range options.Accounts {
		for _, repository := range account.Repositories {
			started.SetPrivate(repository, true)
		}
	}
	ts.Setenv("HUB", started.URL())
	ts.Setenv("REALM", strings.TrimPrefix(started.AuthURL(), "http://"))
	return &hub{Hub: started}
}

func (h *hub) push(ts *testscript.TestScript, image, size string) {
	repository, tag, _ := strings.Cut(image, ":")
	bytes, err := strconv.ParseInt(size, 10, 64)
	ts.Check(err)
	pushed := h.AddImage(repository, tag, hubsim.Image{LayerSizes: []int64{bytes}})
	ts.Setenv("MANIFEST", pushed.Digest.String())
	ts.Setenv("LAYER", pushed.Manifests[0].Layers[0].Digest.String())
}

func (h *hub) fail(ts *testscript.TestScript, how string) {
	faults := map[string]hubsim.Fault{
		"down":    {Kind: hubsim.Down},
		"limit":   {Kind: hubsim.PullLimit429, Method: http.MethodGet, Path: hubsim.ManifestPath},
		"stalled": {Kind: hubsim.Stalled, Path: hubsim.BlobPath, Bytes: 100_000},
	}
	fault, known := faults[how]
	if !known || h.restore != nil {
		ts.Fatalf("hub break %s: it is down, limit or stalled, one at a time", how)
	}
	h.restore = h.Break(fault)
}
