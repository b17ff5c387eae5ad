package oci

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestSizesAreReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]int64{
		"1B": 1, "1.9B": 1, "9223372036854775807B": math.MaxInt64,
		"500KB": 500_000, "50MB": 50_000_000, "200GB": 200e9, "1.5 TB": 1_500_000_000_000,
		"500KiB": 500 << 10, "10 MiB": 10 << 20, "200GiB": 200 << 30, "0.5TiB": 512 << 30,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%s is %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", " ", "0", "200", "1.5", "0B", "0GiB", "0.9B", "GiB", ".GiB", "1.2.3GiB", "1,5GiB", "-1GiB", "+1GiB", "1e3B", "0x1B", "NaNB", "1_000B", "1/2GiB",
		" 1GiB", "1GiB ", "1Gi", "1G", "1gib", "1 PiB", "1KiBB", "1B1", "9223372036854775808B", "99999999TiB", strings.Repeat("0", 64) + "B",
	} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q is %d", text, got)
		} else if want := fmt.Sprintf("%.64q is not a size: write it with its unit, for example 200GiB", text); err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestSizesThatDifferNeverLookTheSame(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 1 << 10: "1.0 KiB (1024 bytes)", 200<<30 + 1: "200.0 GiB (214748364801 bytes)"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

func FuzzSize(f *testing.F) {
	for _, text := range []string{"200GiB", "1.5 TB", "1B", "9223372036854775807B"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := ParseSize(text)
		if err != nil {
			return
		}
		if again, err := ParseSize(fmt.Sprintf("%dB", n)); n < 1 || err != nil || again != n {
			t.Errorf("%q is %d, and that in bytes %d, %v", text, n, again, err)
		}
		if !strings.HasSuffix(text, "B") {
			t.Errorf("%q has no unit and is %d", text, n)
		}
	})
}
