package main

import (
	"bufio"
	"context"
	"fmt"
	"mime"
	"net/http"
	"time"
)

const (
	// linesPatience is how long nothing may come of an answer that grows line by line;
	// the server sends one every few seconds.
	linesPatience = time.Minute
	// maxLine bounds one line, in bytes.
	maxLine = 1 << 20
)

// lines posts body as JSON and reads an answer that grows while the server works, for
// as long as something comes. What the server refuses is an *answerError.
func (c *client) lines(ctx context.Context, path string, body any, each func(line []byte) error) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	silence := time.AfterFunc(linesPatience, func() { end(fmt.Errorf("nothing came for %s", linesPatience)) })
	defer silence.Stop()
	r, err := c.request(ctx, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	lasting := *c.http
	lasting.Timeout = 0
	response, err := lasting.Do(r)
	if err != nil {
		return c.unreachable(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return c.answer(response, nil)
	}
	if mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); mediaType != "application/jsonl" {
		return c.stranger(response, nil)
	}
	scanner := bufio.NewScanner(response.Body)
	scanner.Buffer(nil, maxLine)
	for scanner.Scan() {
		silence.Reset(linesPatience)
		if err := each(scanner.Bytes()); err != nil {
			return err
		}
	}
	err = scanner.Err()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", c.server, err)
	}
	return nil
}
