package backup

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"
)

func TestVerifiedBytesAreReadInAnyPieces(t *testing.T) {
	for _, text := range []string{"", "a", "hello, larder"} {
		if err := iotest.TestReader(verify(strings.NewReader(text), digest.FromString(text), int64(len(text))), []byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		one := verify(iotest.DataErrReader(iotest.OneByteReader(strings.NewReader(text))), digest.FromString(text), int64(len(text)))
		if got, err := io.ReadAll(one); err != nil || string(got) != text {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestTheLastBytesOfWhatIsWrongAreNotGivenOut(t *testing.T) {
	// Whoever knows the size does not read on to the error that comes after it.
	got := make([]byte, 5)
	n, err := io.ReadFull(verify(strings.NewReader("jello"), digest.FromString("hello"), 5), got)
	if err == nil || n == 5 {
		t.Errorf("read %d bytes, %v", n, err)
	}
}
