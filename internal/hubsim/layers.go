package hubsim

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/opencontainers/go-digest"
)

const (
	tarBlock  = 512
	tarEnd    = 2 * tarBlock
	gzipHead  = 12 // with the length of an extra field
	gzipTail  = 8
	chunkHead = 5         // of a stored chunk in DEFLATE
	chunkBody = 63 * 1024 // a chunk can hold 64 KiB less one byte

	// smallestArchive is the smallest layer that is a real archive.
	smallestArchive = gzipHead + chunkHead + tarBlock + tarEnd + gzipTail
)

// layer is a blob with the digest of what it unpacks to.
type layer struct {
	blob
	diffID digest.Digest
}

// newLayer makes a layer of exactly size bytes that clients can unpack: a gzip
// stream without compression (so that any byte can be made by itself) around
// a tar archive of one file of seeded bytes. Below smallestArchive bytes there
// is no room for that, and the layer is just seeded bytes.
func newLayer(seed uint64, size int64) layer {
	if size < smallestArchive {
		b := newBlob(seeded(seed), max(0, size))
		return layer{blob: b, diffID: b.digest}
	}
	archive := newArchive(seed, fileSize(size))
	length := archive.size()

	contents, check := sha256.New(), crc32.NewIEEE()
	each(archive, length, func(p []byte) {
		_, _ = contents.Write(p)
		_, _ = check.Write(p)
	})

	stored := chunked{content: archive, length: length}
	padding := size - gzipHead - stored.size() - gzipTail
	stream := sequence{
		{gzipHeader(padding), gzipHead + padding},
		{stored, stored.size()},
		{gzipTrailer(check.Sum32(), length), gzipTail},
	}
	return layer{blob: newBlob(stream, size), diffID: digest.NewDigest(digest.SHA256, contents)}
}

// fileSize is the largest whole number of tar blocks whose archive fits into a
// layer of size bytes.
func fileSize(size int64) int64 {
	room := size - gzipHead - gzipTail
	chunks := (room + chunkHead + chunkBody - 1) / (chunkHead + chunkBody)
	return (room - chunks*chunkHead - tarBlock - tarEnd) / tarBlock * tarBlock
}

func newArchive(seed uint64, size int64) sequence {
	var header bytes.Buffer
	// A short name, a size and a mode always fit the GNU format, and a buffer
	// takes every write.
	_ = tar.NewWriter(&header).WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg,
		Name:     fmt.Sprintf("data-%016x", seed),
		Mode:     0o644,
		Size:     size,
		Format:   tar.FormatGNU,
	})
	return sequence{
		{literal(header.Bytes()), tarBlock},
		{seeded(seed), size},
		{zeros{}, tarEnd},
	}
}

// gzipHeader is a member header (RFC 1952, §2.3) with an extra field of the
// given length, which brings the layer to its exact size.
func gzipHeader(padding int64) literal {
	const flagExtra, systemUnknown = 4, 255
	header := make([]byte, gzipHead+padding)
	copy(header, []byte{0x1f, 0x8b, 8, flagExtra, 0, 0, 0, 0, 0, systemUnknown})
	binary.LittleEndian.PutUint16(header[10:], uint16(padding))
	return header
}

func gzipTrailer(check uint32, length int64) literal {
	trailer := binary.LittleEndian.AppendUint32(nil, check)
	return binary.LittleEndian.AppendUint32(trailer, uint32(length))
}

// chunked is content as DEFLATE blocks without compression (RFC 1951, §3.2.4).
type chunked struct {
	content source
	length  int64
}

func (c chunked) chunks() int64 { return (c.length + chunkBody - 1) / chunkBody }

func (c chunked) size() int64 { return c.length + c.chunks()*chunkHead }

func (c chunked) fill(p []byte, offset int64) {
	for len(p) > 0 {
		index := offset / (chunkHead + chunkBody)
		within := offset % (chunkHead + chunkBody)
		body := min(chunkBody, c.length-index*chunkBody)
		var n int
		if within < chunkHead {
			n = copy(p, c.head(index, body)[within:])
		} else {
			n = int(min(int64(len(p)), chunkHead+body-within))
			c.content.fill(p[:n], index*chunkBody+within-chunkHead)
		}
		p = p[n:]
		offset += int64(n)
	}
}

func (c chunked) head(index, body int64) []byte {
	var last byte
	if index == c.chunks()-1 {
		last = 1
	}
	length := uint16(body)
	head := binary.LittleEndian.AppendUint16([]byte{last}, length)
	return binary.LittleEndian.AppendUint16(head, ^length)
}
