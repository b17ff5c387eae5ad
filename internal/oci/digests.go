package oci

import (
	"bytes"
	"encoding/json"

	"github.com/opencontainers/go-digest"
)

// NamedDigests lists every digest that a manifest names, each once, in whatever field
// and whatever its media type: what is only kept, not understood, is not lost either. Of
// what is no JSON it lists what comes before the error.
func NamedDigests(content []byte) []digest.Digest {
	var all []digest.Digest
	seen := map[digest.Digest]bool{}
	tokens := json.NewDecoder(bytes.NewReader(content))
	for {
		token, err := tokens.Token()
		if err != nil {
			return all
		}
		text, _ := token.(string)
		d, err := ParseDigest(text)
		if err == nil && !seen[d] {
			seen[d] = true
			all = append(all, d)
		}
	}
}
