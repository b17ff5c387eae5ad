package server

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetricsTellWhenEachListenersCertificateEnds(t *testing.T) {
	metrics := prometheus.NewRegistry()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	main := selfSignedAt(t, t.TempDir(), start, "a.example")
	none := &sharedCertificates{}
	measureExpiry(metrics, map[string]certificates{"main": main, "mirror": nil, "webhook": none})
	want := `
# HELP larder_certificate_expiry_timestamp_seconds When the certificate that a listener shows ends, in seconds since 1970.
# TYPE larder_certificate_expiry_timestamp_seconds gauge
larder_certificate_expiry_timestamp_seconds{listener="main"} 1.8066636e+09
`
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
