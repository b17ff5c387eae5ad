package chaos_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	silentConnections = 10_000
	// reserve are the open files that the two processes need beside the connections.
	reserve   = 1000
	trickling = 200
	perByte   = 100 * time.Millisecond
	// flooded is how much a client tries to send where little is taken, in bytes.
	// Loopback alone buffers tens of megabytes.
	flooded = 100 << 20
	// closeLimit is when the server has closed a connection that brings no request.
	closeLimit = 30 * time.Second
)

func (b *besieged) dial() (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(b.t.Context(), "tcp", strings.TrimPrefix(b.server.url, "http://"))
}

// sayNothing opens connections and waits until the server has closed every one.
func (b *besieged) sayNothing() {
	count := min(silentConnections, openFiles(b.t)-reserve)
	b.t.Logf("%d silent connections, %d that trickle", count, trickling)
	var waiting sync.WaitGroup
	for i := range count + trickling {
		conn, err := b.dial()
		if err != nil {
			b.t.Errorf("connection %d: %v", i, err)
			break
		}
		waiting.Go(func() {
			defer func() { _ = conn.Close() }()
			if i >= count {
				trickle(conn)
			}
			if err := closedByServer(conn); err != nil {
				b.t.Errorf("connection %d: %v", i, err)
			}
		})
	}
	waiting.Wait()
}

// openFiles raises the limit on open files as far as it may be, and returns it.
func openFiles(t *testing.T) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return int(min(limit.Cur, 1<<20))
}

// trickle sends a header byte by byte until the server has had enough.
func trickle(conn net.Conn) {
	text := "GET /v2/ HTTP/1.1\r\nHost: larder\r\nX-Patience: " + strings.Repeat("x", int(closeLimit/perByte))
	for i := range len(text) {
		if _, err := conn.Write([]byte{text[i]}); err != nil {
			return
		}
		time.Sleep(perByte)
	}
}

func closedByServer(conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(closeLimit)); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("still open after %s", closeLimit)
	}
	return nil
}

// flood sends what a function writes, and returns the answer that came meanwhile and
// how much was sent. Status 0 is a connection that was closed without an answer.
func (b *besieged) flood(head string, bytes int64, piece string) (status int, sent int64, err error) {
	conn, err := b.dial()
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = conn.Close() }()
	answered := make(chan int, 1)
	go func() {
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			answered <- 0
			return
		}
		_ = resp.Body.Close()
		answered <- resp.StatusCode
	}()
	if err := conn.SetWriteDeadline(time.Now().Add(requestLimit)); err != nil {
		return 0, 0, err
	}
	_, err = io.WriteString(conn, head)
	for err == nil && sent < bytes {
		var n int
		n, err = io.WriteString(conn, piece)
		sent += int64(n)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, sent, fmt.Errorf("the server neither reads nor answers: %w", err)
	}
	select {
	case status = <-answered:
		return status, sent, nil
	case <-time.After(closeLimit):
		return 0, sent, fmt.Errorf("no answer within %s", closeLimit)
	}
}

// refusedMidway floods the server and expects it to refuse before the end. A status
// may be lost when the connection is closed while more is coming in.
func (b *besieged) refusedMidway(head, piece string, want int) error {
	status, sent, err := b.flood(head, flooded, piece)
	if err != nil || status != want && status != 0 || sent >= flooded {
		return fmt.Errorf("answered with %d after %d bytes: %w", status, sent, err)
	}
	return nil
}

// sendHeadersWithoutEnd is answered with 431 as soon as the headers are too large.
func (b *besieged) sendHeadersWithoutEnd() {
	b.together(func() error {
		return b.refusedMidway("GET /v2/ HTTP/1.1\r\nHost: larder\r\nX-Long: ", strings.Repeat("x", 64<<10), http.StatusRequestHeaderFieldsTooLarge)
	})
}

// readSlowly takes a big blob in small pieces, for a while.
func (b *besieged) readSlowly() {
	big := newContent(b.rng.Uint64(), 64<<20)
	p := &pusher{client: b.client, shelf: newShelf("demo/big"), rng: b.rng}
	if err := p.postWhole(b.t.Context(), big); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), 3*time.Second)
	defer cancel()
	var group sync.WaitGroup
	for range 200 {
		group.Go(func() {
			if err := b.sip(ctx, "/v2/demo/big/blobs/"+big.digest.String()); err != nil {
				b.t.Error(err)
			}
		})
	}
	group.Wait()
}

func (b *besieged) sip(ctx context.Context, path string) error {
	req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, b.server.url+path, nil)
	if err != nil {
		return err
	}
	req.SetBasicAuth("admin", adminPassword)
	transport := &http.Transport{ReadBufferSize: 1 << 10}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answered with %s", resp.Status)
	}
	for ctx.Err() == nil {
		if _, err := io.CopyN(io.Discard, resp.Body, 1<<10); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(perByte):
		}
	}
	return nil
}
