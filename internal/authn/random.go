package authn

import "strings"

const (
	base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	// readable leaves out what is easily mistaken when read aloud or copied by hand.
	readable = "abcdefghjkmnpqrstuvwxyz23456789"
)

// randomString draws n characters of alphabet, each equally likely.
func randomString(alphabet string, n int) string {
	// Bytes from here on would favor the alphabet's first characters.
	limit := 256 - 256%len(alphabet)
	var b strings.Builder
	for b.Len() < n {
		for _, c := range randomBytes(n) {
			if int(c) < limit && b.Len() < n {
				b.WriteByte(alphabet[int(c)%len(alphabet)])
			}
		}
	}
	return b.String()
}
