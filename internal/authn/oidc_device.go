package authn

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Bounds of what an issuer tells of a device flow.
const (
	deviceInterval    = 5 * time.Second // where the issuer tells none (RFC 8628, §3.2)
	maxDeviceInterval = time.Minute
	maxDeviceLife     = 30 * time.Minute
	maxDeviceCode     = 4096 // bytes
	maxDeviceText     = 1024 // bytes
)

// ErrNoDevice is returned where the issuer has no device flow.
var ErrNoDevice = errors.New("the issuer has no device flow")

// DeviceLogin is a login that somebody has begun on a device without a browser (RFC 8628,
// §3.2). They open VerificationURI elsewhere and type UserCode there.
type DeviceLogin struct {
	DeviceCode, UserCode                     string
	VerificationURI, VerificationURIComplete string // the latter holds the code; "" for none
	// Life is how long the codes are good, and Interval the least time between two
	// questions whether the login was confirmed.
	Life, Interval time.Duration
}

// deviceAnswer is what an issuer answers. Some write verification_url.
type deviceAnswer struct {
	DeviceCode              string  `json:"device_code"`
	UserCode                string  `json:"user_code"`
	VerificationURI         string  `json:"verification_uri"`
	VerificationURL         string  `json:"verification_url"`
	VerificationURIComplete string  `json:"verification_uri_complete"`
	ExpiresIn               float64 `json:"expires_in"`
	Interval                float64 `json:"interval"`
}

// StartDevice begins a login. The error wraps ErrNoDevice, or is an *AttemptsError or an
// *UnknownError.
func (o *OIDC) StartDevice(ctx context.Context, from netip.Addr) (DeviceLogin, error) {
	if err := o.who.attempts.ask(from); err != nil {
		return DeviceLogin{}, err
	}
	p, err := o.provider()
	if err != nil {
		return DeviceLogin{}, err
	}
	if p.Device == "" {
		return DeviceLogin{}, ErrNoDevice
	}
	var a deviceAnswer
	err = o.post(ctx, p, p.Device, url.Values{"scope": {strings.Join(o.scopes(p), " ")}}, &a)
	if told, ok := errors.AsType[*oauthError](err); ok {
		return DeviceLogin{}, &UnknownError{Reason: fmt.Sprintf("the issuer %s begins no login on a device (%.50q)", o.Issuer, told.Code), Err: told}
	}
	if err != nil {
		return DeviceLogin{}, err
	}
	d, err := a.login(o.issuer.safe)
	if err != nil {
		return DeviceLogin{}, o.silent(err)
	}
	return d, nil
}

// login is an answer whose texts can be shown to a person, within bounds.
func (a deviceAnswer) login(safe func(string) bool) (DeviceLogin, error) {
	d := DeviceLogin{
		DeviceCode: a.DeviceCode, UserCode: a.UserCode,
		VerificationURI: a.VerificationURI, VerificationURIComplete: a.VerificationURIComplete,
		Life: within(a.ExpiresIn, maxDeviceLife), Interval: within(a.Interval, maxDeviceInterval),
	}
	if d.VerificationURI == "" {
		d.VerificationURI = a.VerificationURL
	}
	if d.Interval == 0 {
		d.Interval = deviceInterval
	}
	for _, shown := range []string{d.UserCode, d.VerificationURI, d.VerificationURIComplete} {
		if len(shown) > maxDeviceText || !printable(shown) {
			return DeviceLogin{}, errors.New("it told a code or an address that is too long or no text")
		}
	}
	switch {
	case d.DeviceCode == "" || len(d.DeviceCode) > maxDeviceCode || d.UserCode == "" || d.Life == 0:
		return DeviceLogin{}, errors.New("it told no code, one that is too long, or no time until when it is good")
	case !safe(d.VerificationURI) || d.VerificationURIComplete != "" && !safe(d.VerificationURIComplete):
		return DeviceLogin{}, errors.New("it told an address to open that is no URL of https")
	}
	return d, nil
}

// within is a number of seconds, or what it may be at most.
func within(seconds float64, most time.Duration) time.Duration {
	switch {
	case seconds >= most.Seconds():
		return most
	case seconds > 0:
		return time.Duration(seconds * float64(time.Second))
	}
	return 0
}

// DeviceAnswer is what became of a login on a device.
type DeviceAnswer struct {
	Login Login
	// Pending says that the login is not confirmed yet, and SlowDown that it was asked for
	// too often: the interval grows by 5 seconds (RFC 8628, §3.5).
	Pending, SlowDown bool
}

// LogInByDevice asks the issuer once whether a login was confirmed. The error is as of
// LogInByCode.
func (o *OIDC) LogInByDevice(ctx context.Context, deviceCode, description string, from netip.Addr) (DeviceAnswer, error) {
	forgive, err := o.begin(from)
	if err != nil {
		return DeviceAnswer{}, err
	}
	answer, err := o.poll(ctx, deviceCode, description)
	if err == nil || !blames(err) {
		forgive()
	}
	return answer, err
}

func (o *OIDC) poll(ctx context.Context, deviceCode, description string) (DeviceAnswer, error) {
	p, err := o.provider()
	if err != nil {
		return DeviceAnswer{}, err
	}
	var answer tokenAnswer
	err = o.post(ctx, p, p.Token, url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {deviceCode},
	}, &answer)
	if told, ok := errors.AsType[*oauthError](err); ok {
		return told.ofDevice()
	}
	if err != nil {
		return DeviceAnswer{}, err
	}
	// There is no nonce in this flow: the token comes from the issuer itself.
	t, err := o.verify(ctx, answer.IDToken)
	if err != nil {
		return DeviceAnswer{}, err
	}
	login, err := o.admit(ctx, t, description)
	return DeviceAnswer{Login: login}, err
}

// ofDevice tells what an error of the token endpoint means in a device flow.
func (e *oauthError) ofDevice() (DeviceAnswer, error) {
	switch e.Code {
	case oauthPending:
		return DeviceAnswer{Pending: true}, nil
	case oauthSlowDown:
		return DeviceAnswer{Pending: true, SlowDown: true}, nil
	case oauthDenied:
		return DeviceAnswer{}, refusedLogin("the login was refused at the issuer: begin again with larder login --device")
	case oauthExpired:
		return DeviceAnswer{}, refusedLogin("the time to confirm the login is over: begin again with larder login --device")
	}
	return DeviceAnswer{}, fmt.Errorf("%w: %w", ErrLogin, e)
}
