package authbench

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// Each library takes part with keys that it has fetched, and ours keeps to its
// bound: one fetch a second, however many are asked for.
func TestFlood(t *testing.T) {
	for _, p := range floodPeers() {
		begin := time.Now()
		f, err := flood(p, 50*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if f.answers == 0 || f.accepted == 0 && f.refused == 0 {
			t.Errorf("%s: %+v", p.name, f)
		}
		if most := 1 + time.Since(begin).Seconds(); p.name == Ours && f.fetches*f.span.Seconds() > most {
			t.Errorf("%v fetches, want %v at most", f.fetches*f.span.Seconds(), most)
		}
	}
}

// The measurement must tell one that takes up the new key from one that does not.
func TestFloodTells(t *testing.T) {
	for _, takes := range []bool{false, true} {
		p := floodPeer{name: "p", new: func(context.Context, string) (verify, func(), error) {
			return func(_ context.Context, token string) error {
				if header, _, _ := strings.Cut(token, "."); header == encode(members{"alg": "RS256", "kid": "2026-12-a", "typ": "at+jwt"}) && !takes {
					return errors.New("an unknown key")
				}
				return nil
			}, nothingToClose, nil
		}}
		f, err := flood(p, 20*time.Millisecond)
		if err != nil || (f.accepted > 0) != takes || (f.refused == 0) != takes || f.fetches != 0 {
			t.Errorf("takes it %v: %+v, %v", takes, f, err)
		}
	}
}

func TestFloodRefusesABadStart(t *testing.T) {
	wrong := errors.New("no keys")
	for name, p := range map[string]floodPeer{
		"new": {new: func(context.Context, string) (verify, func(), error) { return nil, nothingToClose, wrong }},
		"check": {new: func(context.Context, string) (verify, func(), error) {
			return func(context.Context, string) error { return wrong }, nothingToClose, nil
		}},
	} {
		if _, err := flood(p, time.Millisecond); !errors.Is(err, wrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
