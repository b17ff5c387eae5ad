package main

import (
	"errors"
	"fmt"
	"time"
)

// judgeCold holds the first act against the first promise: one upstream transfer
// for each blob and each manifest.
func (d *demo) judgeCold(a *act) {
	a.holds = "one upstream transfer for each blob and manifest"
	blobs := int64(len(d.image.Manifests[0].Layers) + 1)
	if a.hub.PullsCounted != manifestsPerPull || a.hub.BlobGETs != blobs || a.hub.CDNGETs != blobs {
		a.broken = fmt.Sprintf("Docker Hub saw %d manifest and %d blob transfers, not %d and %d", a.hub.PullsCounted, a.hub.CDNGETs, manifestsPerPull, blobs)
	}
}

// judgeWarm holds the second act against the second promise: no transfer, and one
// HEAD for each time that the tag's TTL has passed.
func (d *demo) judgeWarm(a *act) {
	a.holds = "a cached tag costs no pull, and one HEAD for each TTL"
	most := int64(a.took/demoTagTTL) + 1
	if a.hub.PullsCounted != 0 || a.hub.CDNGETs != 0 || a.hub.ManifestHEADs > most {
		a.broken = fmt.Sprintf("Docker Hub counted %d pulls, served %d blobs and saw %d HEADs in %s", a.hub.PullsCounted, a.hub.CDNGETs, a.hub.ManifestHEADs, a.took.Round(time.Millisecond))
	}
}

// judgeGone holds the last act against the third promise. Its pulls have failed or
// not; what is left to see is that the Hub was really gone.
func (d *demo) judgeGone(a *act) {
	a.holds = "what is cached is served without Docker Hub"
	if a.hub.Bytes != 0 {
		a.broken = fmt.Sprintf("Docker Hub was not gone: it sent %d bytes", a.hub.Bytes)
	}
}

// judge is the error of the whole demonstration: the promises that did not hold.
func judge(acts []act) error {
	var broken []error
	for _, a := range acts {
		if len(a.failures) > 0 {
			broken = append(broken, fmt.Errorf("%s: %d pulls failed, the first with: %w", a.name, len(a.failures), a.failures[0]))
		}
		if a.broken != "" {
			broken = append(broken, fmt.Errorf("%s: %s", a.name, a.broken))
		}
	}
	if len(broken) > 0 {
		return fmt.Errorf("a promise did not hold: %w", errors.Join(broken...))
	}
	return nil
}
