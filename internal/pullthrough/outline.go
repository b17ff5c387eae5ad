package pullthrough

import (
	"crypto/sha256"
	"hash"

	"github.com/opencontainers/go-digest"
)

// blockSize is how much of a blob one entry of its outline stands for, in bytes. An
// outline takes 32 bytes for each.
const blockSize = 256 << 10

// blockSum is the SHA-256 of one block.
type blockSum = [sha256.Size]byte

// outline hashes a blob as it goes by: as a whole, and block by block, so that bytes
// which come by another way can be held against those that were hashed. Its fill's
// lock guards the blocks; the rest belongs to the transfer.
type outline struct {
	algorithm digest.Algorithm
	whole     hash.Hash
	block     hash.Hash
	inBlock   int // bytes of the block that is being hashed
	blocks    []blockSum
}

func newOutline(alg digest.Algorithm) *outline {
	return &outline{algorithm: alg, whole: alg.Hash(), block: sha256.New()}
}

// hash takes in the next bytes and returns the sums of the blocks that they complete.
func (o *outline) hash(p []byte) (complete []blockSum) {
	_, _ = o.whole.Write(p) // a hash never fails
	for len(p) > 0 {
		n := min(len(p), blockSize-o.inBlock)
		_, _ = o.block.Write(p[:n])
		p = p[n:]
		if o.inBlock += n; o.inBlock == blockSize {
			complete = append(complete, blockSum(o.block.Sum(nil)))
			o.block.Reset()
			o.inBlock = 0
		}
	}
	return complete
}

func (o *outline) digest() digest.Digest { return digest.NewDigest(o.algorithm, o.whole) }
