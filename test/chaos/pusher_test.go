package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
)

// errRefused is a complete answer that nothing calls for.
var errRefused = errors.New("unexpected answer")

// refusal is the answer that an errRefused is about.
type refusal struct {
	answer
	error
}

func (r *refusal) Unwrap() error { return r.error }

// status is that of the answer in an error's chain, 0 if there is none.
func status(err error) int {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.status
	}
	return 0
}

// pusher is the only client of its shelf, so that it knows what has to be there.
type pusher struct {
	*client
	shelf *shelf
	rng   *rand.Rand
	// common are blobs that all pushers push, and that the shelf named base holds.
	common []content
	base   string
}

// expect sends a request and returns its answer if it has the status.
func (p *pusher) expect(ctx context.Context, status int, r request) (answer, error) {
	a, err := p.do(ctx, r)
	if err == nil && a.status != status {
		err = &refusal{a, fmt.Errorf("%w to %s %s: %s, want %d", errRefused, r.method, r.path, a, status)}
	}
	return a, err
}

func (p *pusher) path(rest string) string { return "/v2/" + p.shelf.repository + rest }

// pushBlob pushes a blob in one of the ways that the specification has.
func (p *pusher) pushBlob(ctx context.Context, c content) error {
	p.shelf.blobSent(c.digest)
	push := []func(context.Context, content) error{p.postWhole, p.postThenPut, p.inChunks, p.mountOrPut}[p.rng.IntN(4)]
	if err := push(ctx, c); err != nil {
		return err
	}
	p.shelf.blobKept(c.digest)
	return nil
}

func (p *pusher) postWhole(ctx context.Context, c content) error {
	_, err := p.expect(ctx, http.StatusCreated, request{
		method: http.MethodPost, path: p.path("/blobs/uploads/?digest=" + c.digest.String()), body: c.reader(0), size: c.size,
	})
	return err
}

// begin begins an upload and returns its location.
func (p *pusher) begin(ctx context.Context) (location string, err error) {
	a, err := p.expect(ctx, http.StatusAccepted, request{method: http.MethodPost, path: p.path("/blobs/uploads/")})
	return a.header.Get("Location"), err
}

func (p *pusher) postThenPut(ctx context.Context, c content) error {
	location, err := p.begin(ctx)
	if err != nil {
		return err
	}
	return p.finish(ctx, location, c, 0)
}

// finish sends the bytes from an offset on and ends the upload. Half of the clients do
// not say how many bytes will come.
func (p *pusher) finish(ctx context.Context, location string, c content, offset int64) error {
	size := c.size - offset
	if p.rng.IntN(2) == 0 && size > 0 {
		size = -1
	}
	_, err := p.expect(ctx, http.StatusCreated, request{
		method: http.MethodPut, path: location + "?digest=" + c.digest.String(), body: c.reader(offset), size: size,
	})
	return err
}

func (p *pusher) inChunks(ctx context.Context, c content) error {
	location, err := p.begin(ctx)
	if err != nil {
		return err
	}
	offset := int64(0)
	for offset < c.size && p.rng.IntN(4) > 0 {
		n := 1 + p.rng.Int64N(c.size-offset)
		if err := p.patch(ctx, location, c, offset, n); err != nil {
			return err
		}
		offset += n
	}
	return p.finish(ctx, location, c, offset)
}

func (p *pusher) patch(ctx context.Context, location string, c content, offset, n int64) error {
	_, err := p.expect(ctx, http.StatusAccepted, request{
		method: http.MethodPatch, path: location, body: io.LimitReader(c.reader(offset), n), size: n,
		header: map[string]string{"Content-Range": fmt.Sprintf("%d-%d", offset, offset+n-1)},
	})
	return err
}

// mountOrPut asks for the blob of the base shelf, and sends what is not there.
func (p *pusher) mountOrPut(ctx context.Context, c content) error {
	r := request{method: http.MethodPost, path: p.path("/blobs/uploads/?mount=" + c.digest.String() + "&from=" + p.base)}
	a, err := p.do(ctx, r)
	switch {
	case err != nil || a.status == http.StatusCreated:
		return err
	case a.status == http.StatusAccepted:
		return p.finish(ctx, a.header.Get("Location"), c, 0)
	}
	return fmt.Errorf("%w to a mount: %s", errRefused, a)
}

// leave begins an upload, sends a part and goes away; goOn takes it up again.
func (p *pusher) leave(ctx context.Context) error {
	if p.shelf.upload != nil {
		return p.goOn(ctx)
	}
	c := newContent(p.rng.Uint64(), 100_000+p.rng.Int64N(1_000_000))
	location, err := p.begin(ctx)
	if err != nil {
		return err
	}
	left := &upload{content: c, location: location}
	p.shelf.leave(left)
	part := 1 + p.rng.Int64N(c.size)
	if err := p.patch(ctx, location, c, 0, part); err != nil {
		return err
	}
	left.acknowledged = part
	p.shelf.note()
	return nil
}

func (p *pusher) goOn(ctx context.Context) error {
	left := p.shelf.upload
	offset, known, err := p.offset(ctx, left)
	if err != nil {
		return err
	}
	ending := left.ending
	left.ending = true
	p.shelf.note()
	if known {
		p.shelf.blobSent(left.content.digest)
		err = p.finish(ctx, left.location, left.content, offset)
	}
	if ending && (!known || status(err) == http.StatusNotFound) {
		p.shelf.leave(nil) // the server was killed when it had made a blob of it already
		return nil
	}
	if err != nil {
		return err
	}
	p.shelf.blobKept(left.content.digest)
	p.shelf.leave(nil)
	return nil
}

// offset asks where an upload goes on. Only one whose end was under way may be unknown.
func (p *pusher) offset(ctx context.Context, left *upload) (offset int64, known bool, err error) {
	a, err := p.do(ctx, request{method: http.MethodGet, path: left.location})
	if err != nil || a.status == http.StatusNotFound && left.ending {
		return 0, false, err
	}
	var last int64
	if _, err := fmt.Sscanf(a.header.Get("Range"), "0-%d", &last); a.status != http.StatusNoContent || err != nil {
		return 0, false, fmt.Errorf("%w to the status of an upload with %d bytes acknowledged: %s", errRefused, left.acknowledged, a)
	}
	offset = last + 1
	if last == 0 {
		offset = min(left.acknowledged, 1) // nothing and one byte look alike
	}
	if offset < left.acknowledged || offset > left.content.size {
		return 0, false, fmt.Errorf("%w: %d bytes of an upload are kept, %d were acknowledged", errRefused, offset, left.acknowledged)
	}
	return offset, true, nil
}

// pushManifest pushes under a digest or a tag, and under further tags.
func (p *pusher) pushManifest(ctx context.Context, i image) error {
	var tags []string
	for range p.rng.IntN(4) {
		tags = append(tags, fmt.Sprintf("t%d", p.rng.IntN(12)))
	}
	reference, more := i.digest.String(), tags
	if len(tags) > 0 && p.rng.IntN(2) == 0 {
		reference, more = tags[0], tags[1:]
	}
	query := ""
	if len(more) > 0 {
		query = "?tag=" + strings.Join(more, "&tag=")
	}
	p.shelf.manifestSent(i, tags)
	_, err := p.expect(ctx, http.StatusCreated, request{
		method: http.MethodPut, path: p.path("/manifests/" + reference + query),
		header: map[string]string{"Content-Type": i.mediaType}, body: strings.NewReader(string(i.raw)), size: int64(len(i.raw)),
	})
	if err != nil {
		return err
	}
	p.shelf.manifestKept(i, tags)
	return nil
}
