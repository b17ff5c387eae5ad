package scripts_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/rogpeppe/go-internal/testscript"
)

// download is a transfer in the background.
type download struct {
	cancel context.CancelFunc
	ended  chan struct{}
	// What follows is read once ended is closed.
	digest digest.Digest
	err    error
}

// transfer begins a download of a stranger, which goes on beside the script once its
// first byte has come; later it says how that ended.
func transfer(ts *testscript.TestScript, neg bool, args []string) {
	const known = "transfer start PATH, transfer whole DIGEST, transfer cut"
	w := worldOf(ts)
	what := strings.Join(args[:min(len(args), 1)], "")
	switch {
	case neg:
		usage(ts, "! transfer", args, known)
	case what == "start" && len(args) == 2 && w.transfer == nil:
		w.transfer = startTransfer(ts, args[1])
	case what == "whole" && len(args) == 2 && w.transfer != nil:
		w.transfer.wait(ts)
		if d := w.transfer; d.err != nil || d.digest.String() != args[1] {
			ts.Fatalf("the transfer ended with %v and digest %s, not whole with %s", d.err, d.digest, args[1])
		}
	case what == "cut" && len(args) == 1 && w.transfer != nil:
		w.transfer.wait(ts)
		if w.transfer.err == nil {
			ts.Fatalf("the transfer ended as if it were whole")
		}
	default:
		usage(ts, "transfer", args, known)
	}
}

func startTransfer(ts *testscript.TestScript, path string) *download {
	ctx, cancel := context.WithCancel(context.Background())
	d := &download{cancel: cancel, ended: make(chan struct{})}
	resp, err := call{method: http.MethodGet, path: path}.send(ctx, ts)
	ts.Check(err)
	start := make([]byte, 1)
	_, err = io.ReadFull(resp.Body, start)
	if err = errors.Join(err, statusError(resp)); err != nil {
		cancel()
		ts.Fatalf("starting the transfer of %s: %v", path, err)
	}
	go func() {
		defer close(d.ended)
		defer func() { _ = resp.Body.Close() }()
		sum := digest.SHA256.Digester()
		_, _ = sum.Hash().Write(start)
		_, d.err = io.Copy(sum.Hash(), resp.Body)
		d.digest = sum.Digest()
	}()
	return d
}

func statusError(resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return errors.New("the status is " + resp.Status)
}

func (d *download) wait(ts *testscript.TestScript) {
	select {
	case <-d.ended:
	case <-time.After(patience):
		ts.Fatalf("the transfer goes on for ever")
	}
}
