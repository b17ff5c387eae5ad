package scripts_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// opener is what opens addresses on a desktop. It tells the browser of a script.
const opener = `#!/bin/sh
printf '%s' "$1" > "$WORK/opened.part" && mv "$WORK/opened.part" "$WORK/opened"
`

// browser opens the one address that a program asks for, as a browser does.
type browser struct {
	cancel context.CancelFunc
	done   chan struct{}
	page   string // read it, and err, once done is closed
	err    error
}

// browse plays a browser:
//
//	browser start    there is a screen, and what a program opens there is opened
//	browser page     prints what the browser shows
func browse(ts *testscript.TestScript, neg bool, args []string) {
	w := worldOf(ts)
	switch what := strings.Join(args, " "); {
	case !neg && what == "start":
		if w.browser != nil {
			w.browser.close()
		}
		startBrowser(ts)
	case !neg && what == "page" && w.browser != nil:
		<-w.browser.done
		ts.Check(w.browser.err)
		_, _ = fmt.Fprintln(ts.Stdout(), w.browser.page)
	default:
		usage(ts, "browser", args, "browser start, browser page")
	}
}

func startBrowser(ts *testscript.TestScript) {
	folder := ts.MkAbs("desktop")
	ts.Check(os.MkdirAll(folder, 0o700))
	ts.Check(os.WriteFile(filepath.Join(folder, "xdg-open"), []byte(opener), 0o700))
	ts.Setenv("PATH", folder+string(filepath.ListSeparator)+ts.Getenv("PATH"))
	ts.Setenv("DISPLAY", ":0")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	b := &browser{cancel: cancel, done: make(chan struct{})}
	worldOf(ts).browser = b
	opened := filepath.Join(ts.Getenv("WORK"), "opened")
	go func() {
		defer close(b.done)
		b.page, b.err = open(ctx, opened)
	}()
}

func (b *browser) close() {
	b.cancel()
	<-b.done
}

// open waits for an address in a file, and opens it.
func open(ctx context.Context, file string) (page string, err error) {
	address, err := os.ReadFile(file)
	for errors.Is(err, fs.ErrNotExist) {
		select {
		case <-ctx.Done():
			return "", errors.New("no program opened an address")
		case <-time.After(poll):
		}
		address, err = os.ReadFile(file)
	}
	if err != nil {
		return "", err
	}
	if err := os.Remove(file); err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, string(address), nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	return fmt.Sprintf("%s\n%s", response.Status, text), err
}
