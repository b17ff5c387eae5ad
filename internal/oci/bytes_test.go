package oci

import "testing"

func TestSizesAreReadAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]int64{"200GiB": 200 << 30, "1.5 TB": 1_500_000_000_000, "1B": 1, "10 MiB": 10 << 20} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("%s is %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "200", "GiB", "-1GiB", "0B", "1e3B", "1 PiB", "0x1B", "NaNB", "99999999TiB"} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("%q is %d", text, got)
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

func FuzzBytes(f *testing.F) {
	f.Add("200GiB")
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := ParseBytes(text); err == nil && n < 1 {
			t.Errorf("%q is %d", text, n)
		}
	})
}
