package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
)

func answering(p *Principal, err error, asked *int) Authenticator {
	return AuthenticatorFunc(func(context.Context, Credentials) (*Principal, error) {
		*asked++
		return p, err
	})
}

// First passes on ErrNoCredential, however it is wrapped, and nothing else.
func TestFirst(t *testing.T) {
	alice := &Principal{Subject: "alice"}
	wrapped := &Error{Cause: ErrNoCredential, Reason: "not its kind"}
	outage := &Error{Cause: ErrUnavailable}
	for name, tt := range map[string]struct {
		answers []error // nil: alice
		want    error
		asked   int
	}{
		"good":                       {[]error{nil, nil}, nil, 1},
		"passed on":                  {[]error{ErrNoCredential, nil}, nil, 2},
		"passed on, wrapped":         {[]error{wrapped, wrapped, nil}, nil, 3},
		"bad is not saved":           {[]error{ErrInvalid, nil}, ErrInvalid, 1},
		"expired is not saved":       {[]error{ErrNoCredential, ErrExpired, nil}, ErrExpired, 2},
		"an outage is not saved":     {[]error{outage, nil}, ErrUnavailable, 1},
		"a foreign error is no pass": {[]error{context.Canceled, nil}, context.Canceled, 1},
	} {
		asked := 0
		var all []Authenticator
		for _, err := range tt.answers {
			p := alice
			if err != nil {
				p = nil
			}
			all = append(all, answering(p, err, &asked))
		}
		p, err := First(all...).Authenticate(t.Context(), Credentials{Token: "t"})
		if !errors.Is(err, tt.want) || (tt.want == nil) != (p == alice) || asked != tt.asked {
			t.Errorf("%s: %v %v after %d were asked", name, p, err, asked)
		}
	}
}

// A token or key that nobody reads is bad; a certificate is the connection's.
func TestFirstAllPass(t *testing.T) {
	asked := 0
	nobody := answering(nil, ErrNoCredential, &asked)
	f := First(nobody, nobody)
	withCertificate := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
	for name, tt := range map[string]struct {
		c     Credentials
		want  error
		empty bool
	}{
		"nothing":     {Credentials{}, ErrNoCredential, true},
		"TLS alone":   {Credentials{TLS: &tls.ConnectionState{}}, ErrNoCredential, true},
		"token":       {Credentials{Token: "secret"}, ErrInvalid, false},
		"key":         {Credentials{APIKey: "secret"}, ErrInvalid, false},
		"certificate": {Credentials{TLS: withCertificate}, ErrNoCredential, false},
	} {
		p, err := f.Authenticate(t.Context(), tt.c)
		if p != nil || !errors.Is(err, tt.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v %v", name, p, err)
		}
		if tt.c.Empty() != tt.empty {
			t.Errorf("%s: Empty is %v", name, tt.c.Empty())
		}
	}
	if asked != 10 {
		t.Errorf("%d were asked", asked)
	}
}

// An inner First does not end the outer's search.
func TestFirstNested(t *testing.T) {
	asked := 0
	bob := &Principal{Subject: "bob"}
	f := First(First(answering(nil, ErrNoCredential, &asked)), answering(bob, nil, &asked))
	if p, err := f.Authenticate(t.Context(), Credentials{Token: "t"}); p != bob || err != nil || asked != 2 {
		t.Errorf("%v %v after %d", p, err, asked)
	}
}

func TestFirstPanics(t *testing.T) {
	for name, all := range map[string][]Authenticator{
		"none": {}, "nil": {First(AuthenticatorFunc(nobodyAtAll)), nil}, "nil function": {AuthenticatorFunc(nil)},
	} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.HasPrefix(text, "auth: First") {
					t.Errorf("%s: it panicked with %q", name, text)
				}
			}()
			First(all...)
		}()
	}
}

func nobodyAtAll(context.Context, Credentials) (*Principal, error) { return nil, ErrNoCredential }
