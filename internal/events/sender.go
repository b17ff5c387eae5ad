package events

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/larder-registry/larder/internal/metadata"
)

// Headers of a delivery. The first has the form in which GitHub and others sign.
const (
	SignatureHeader = "X-Hub-Signature-256" // sha256= and the HMAC of the body in hex
	EventHeader     = "X-Larder-Event"
	DeliveryHeader  = "X-Larder-Delivery" // the id, the same at each attempt
	WebhookHeader   = "X-Larder-Webhook"  // PROJECT/NAME
)

const (
	// sendTimeout is what a receiver gets to answer.
	sendTimeout = 10 * time.Second
	// maxAnswer is how many bytes of an answer are read, to no other end than politeness.
	maxAnswer        = 64 << 10
	maxAnswerHeaders = 64 << 10
)

// sender posts deliveries. Each goes over a connection of its own, whose address is checked
// when it is made: whatever the name meant before, and wherever a proxy might lead.
type sender struct {
	client    *http.Client
	userAgent string
}

func newSender(addresses func() Addresses, userAgent string) *sender {
	dialer := &net.Dialer{Timeout: sendTimeout, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return &AddressError{Address: address, Why: "is no address"}
		}
		return addresses().Check(to.Addr())
	}}
	return &sender{userAgent: userAgent, client: &http.Client{
		Timeout: sendTimeout,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, DisableKeepAlives: true, TLSHandshakeTimeout: sendTimeout,
			MaxResponseHeaderBytes: maxAnswerHeaders, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// post sends one delivery, and tells the status of the answer, 0 when there was none. Any
// status but 2xx is an error.
func (s *sender) post(ctx context.Context, d metadata.Delivery, secret string, body []byte) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.Webhook.URL, bytes.NewReader(body))
	if err != nil {
		return 0, cause(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", s.userAgent)
	req.Header.Set(EventHeader, d.Kind)
	req.Header.Set(DeliveryHeader, strconv.FormatInt(d.ID, 10))
	req.Header.Set(WebhookHeader, d.Webhook.Project+"/"+d.Webhook.Name)
	req.Header.Set(SignatureHeader, sign(secret, body))
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, cause(err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return resp.StatusCode, fmt.Errorf("the receiver answered %s, and redirects are not followed: give the webhook the last address", answered(resp))
	case resp.StatusCode < 200 || resp.StatusCode >= 300:
		return resp.StatusCode, fmt.Errorf("the receiver answered %s", answered(resp))
	}
	return resp.StatusCode, nil
}

// answered is a status in our words: what the receiver writes beside it is its own.
func answered(resp *http.Response) string {
	return strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode)
}

// sign is the signature of a body.
func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// cause is an error of a request without its URL, which may hold what is nobody's business.
func cause(err error) error {
	if refused, ok := errors.AsType[*AddressError](err); ok {
		return refused
	}
	if unknown, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Errorf("the address of %s could not be found", unknown.Name)
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return fmt.Errorf("the receiver did not answer within %s", sendTimeout)
	}
	if failure, ok := errors.AsType[*url.Error](err); ok {
		return failure.Err
	}
	return err
}
