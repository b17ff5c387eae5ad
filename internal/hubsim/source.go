package hubsim

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
)

// source is content that can be made at any offset, so that nobody has to
// hold it. fill must not be asked for bytes beyond the content's end.
type source interface {
	fill(p []byte, offset int64)
}

// literal is content that is held.
type literal []byte

func (l literal) fill(p []byte, offset int64) { copy(p, l[offset:]) }

// zeros is as many zero bytes as one likes.
type zeros struct{}

func (zeros) fill(p []byte, _ int64) { clear(p) }

// seeded is an endless stream of bytes that look random and do not compress:
// the words of SplitMix64, whose nth word needs no other.
type seeded uint64

func (s seeded) word(index int64) uint64 {
	z := uint64(s) + (uint64(index)+1)*0x9e3779b97f4a7c15
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

func (s seeded) fill(p []byte, offset int64) {
	index := offset / 8
	var edge [8]byte
	if skip := offset % 8; skip != 0 {
		binary.LittleEndian.PutUint64(edge[:], s.word(index))
		p = p[copy(p, edge[skip:]):]
		index++
	}
	for ; len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, s.word(index))
		index++
	}
	if len(p) > 0 {
		binary.LittleEndian.PutUint64(edge[:], s.word(index))
		copy(p, edge[:])
	}
}

// part is a stretch of a sequence.
type part struct {
	source
	size int64
}

// sequence is parts one after another.
type sequence []part

func (s sequence) fill(p []byte, offset int64) {
	for _, next := range s {
		if offset >= next.size {
			offset -= next.size
			continue
		}
		n := min(int64(len(p)), next.size-offset)
		next.fill(p[:n], offset)
		if p = p[n:]; len(p) == 0 {
			return
		}
		offset = 0
	}
}

func (s sequence) size() int64 {
	var total int64
	for _, next := range s {
		total += next.size
	}
	return total
}

// blob is content with its size and digest.
type blob struct {
	source
	size   int64
	digest digest.Digest
}

func newBlob(content source, size int64) blob {
	hash := sha256.New()
	each(content, size, func(p []byte) { _, _ = hash.Write(p) })
	return blob{source: content, size: size, digest: digest.NewDigest(digest.SHA256, hash)}
}

func literalBlob(raw []byte) blob {
	return newBlob(literal(raw), int64(len(raw)))
}

// each hands out all of the content in pieces.
func each(content source, size int64, use func([]byte)) {
	buffer := make([]byte, min(size, 256<<10))
	for offset := int64(0); offset < size; {
		piece := buffer[:min(int64(len(buffer)), size-offset)]
		content.fill(piece, offset)
		use(piece)
		offset += int64(len(piece))
	}
}

func (b blob) reader() *io.SectionReader { return io.NewSectionReader(b, 0, b.size) }

// ReadAt implements io.ReaderAt.
func (b blob) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, fmt.Errorf("reading blob %s: negative offset %d", b.digest, offset)
	}
	n := int(max(0, min(int64(len(p)), b.size-offset)))
	if n > 0 {
		b.fill(p[:n], offset)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
