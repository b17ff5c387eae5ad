package events

import (
	"fmt"
	"testing"

	"github.com/larder-registry/larder/internal/metadata"
)

func TestSlowReceiversDoNotTakeTheRoomOfOthers(t *testing.T) {
	l := newLanes()
	of := func(webhook int64, repository string) metadata.Delivery {
		return metadata.Delivery{Event: metadata.Event{Repository: repository}, Webhook: metadata.Webhook{ID: webhook}}
	}
	takes := func(webhook int64) (taken []metadata.Delivery) {
		for i := range 100 {
			if d := of(webhook, fmt.Sprint(i)); l.take(d) {
				taken = append(taken, d)
			}
		}
		return taken
	}
	// Each of a hundred is found to be slow.
	for id := range int64(100) {
		first := takes(id)
		if len(first) != mostOfOne {
			t.Fatalf("webhook %d has %d deliveries at once, want %d", id, len(first), mostOfOne)
		}
		for _, d := range first {
			l.leave(d, true)
		}
	}
	under := 0
	for id := range int64(100) {
		under += len(takes(id))
	}
	if under != mostSlow {
		t.Errorf("%d deliveries go to slow receivers at once, want %d", under, mostSlow)
	}
	if room, _ := l.of(1000); room != mostOfOne {
		t.Errorf("another one has room for %d", room)
	}
	quick := 0
	for id := int64(1000); id < 1100; id++ {
		quick += len(takes(id))
	}
	if quick != mostSending-mostSlow {
		t.Errorf("%d deliveries go to others at once, want %d", quick, mostSending-mostSlow)
	}
}

func TestALaneHasOneDeliveryAtATime(t *testing.T) {
	l := newLanes()
	d := metadata.Delivery{Event: metadata.Event{Repository: "demo/app"}, Webhook: metadata.Webhook{ID: 1}}
	if !l.take(d) || l.take(d) {
		t.Error("the lane was taken twice, or not at all")
	}
	if room, busy := l.of(1); room != mostOfOne-1 || !busy["demo/app"] {
		t.Errorf("there is room for %d, busy are %v", room, busy)
	}
	l.leave(d, false)
	if room, busy := l.of(1); room != mostOfOne || len(busy) > 0 || !l.take(d) {
		t.Errorf("there is room for %d, busy are %v", room, busy)
	}
}
