package authbench

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"
)

// A flood is of tokens with key ids that somebody makes up, while the issuer changes its
// key: every one of them looks like one of the new key's, until its keys are asked for.

// floodCallers are those that send such tokens, each as soon as it is answered.
const floodCallers = 64

// verify reports whether a token's signature is one of the keys' behind a URL.
type verify func(ctx context.Context, token string) error

// flooded is what became of a library that fetches keys.
type flooded struct {
	name, note string
	fetches    float64       // a second
	answers    float64       // to made-up tokens, a second
	accepted   time.Duration // how long after the change the new key's token was; 0: it was not
	refused    int           // of the new key's tokens, one each 10 ms
	waited     time.Duration // for the longest of the answers to it
	span       time.Duration // of the flood
}

// keyServer serves a JWK Set with one key.
type keyServer struct {
	*httptest.Server
	set     atomic.Value // of []byte
	fetches atomic.Int64
}

func newKeyServer(i *issuer) *keyServer {
	s := &keyServer{}
	s.serve(i)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.fetches.Add(1)
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(s.set.Load().([]byte))
	}))
	return s
}

// serve has the server change over to i's key.
func (s *keyServer) serve(i *issuer) {
	public := i.public.(*rsa.PublicKey)
	set, err := json.Marshal(map[string]any{"keys": []members{{
		"kty": "RSA", "use": "sig", "alg": i.alg, "kid": i.kid,
		"n": base64.RawURLEncoding.EncodeToString(public.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes()),
	}}})
	if err != nil {
		panic(err) // of strings
	}
	s.set.Store(set)
}

// madeUp is a token of nobody's, with a key id of its own.
func madeUp(i *issuer, rest string) string {
	return encode(i.header().with(members{"kid": rand.Text()})) + rest
}

// flood floods a library for so long before the key is changed, and for at most
// twice as long again until the new one is accepted.
func flood(p floodPeer, length time.Duration) (f flooded, err error) {
	f = flooded{name: p.name, note: p.note}
	before, err := newIssuer("RS256")
	if err != nil {
		return f, err
	}
	after, err := newIssuer("RS256")
	if err != nil {
		return f, err
	}
	after.kid = "2026-12-a"
	s := newKeyServer(before)
	defer s.Close()
	ctx, stop := context.WithCancel(context.Background())
	check, closeIt, err := p.new(ctx, s.URL)
	defer closeIt()
	defer stop()
	if err != nil {
		return f, err
	}
	old, err := before.token(0)
	if err != nil {
		return f, err
	}
	if err := check(ctx, old); err != nil {
		return f, fmt.Errorf("%s: a good token: %w", p.name, err)
	}
	began, fetched := time.Now(), s.fetches.Load()
	count, end := attack(ctx, before, old, check)
	defer end()
	<-time.After(length)
	s.serve(after)
	if err := f.wait(ctx, after, check, 2*length); err != nil {
		return f, err
	}
	f.span = time.Since(began)
	f.fetches, f.answers = float64(s.fetches.Load()-fetched)/f.span.Seconds(), float64(count())/f.span.Seconds()
	return f, nil
}

// attack sends tokens with the claims and the signature of a good one until end.
func attack(ctx context.Context, i *issuer, good string, check verify) (count func() int64, end func()) {
	ctx, stop := context.WithCancel(ctx)
	var sent atomic.Int64
	var all sync.WaitGroup
	rest := good[len(encode(i.header())):]
	for range floodCallers {
		all.Go(func() {
			for ctx.Err() == nil {
				_ = within(ctx, check, madeUp(i, rest))
				sent.Add(1)
			}
		})
	}
	return sent.Load, func() { stop(); all.Wait() }
}

// within gives an answer five seconds, as a service would.
func within(ctx context.Context, check verify, token string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return check(ctx, token)
}

// wait sends the new key's token until it is accepted, for so long.
func (f *flooded) wait(ctx context.Context, i *issuer, check verify, length time.Duration) error {
	token, err := i.token(0)
	if err != nil {
		return err
	}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for begin := time.Now(); time.Since(begin) < length; <-again.C {
		asked := time.Now()
		err := within(ctx, check, token)
		f.waited = max(f.waited, time.Since(asked))
		if err == nil {
			f.accepted = max(time.Since(begin), 1)
			return nil
		}
		f.refused++
	}
	return nil
}

// floods puts everybody to it, one after the other.
func floods(length time.Duration) ([]flooded, error) {
	var all []flooded
	for _, p := range floodPeers() {
		f, err := flood(p, length)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

func writeFloods(w io.Writer, all []flooded, length time.Duration) {
	fmt.Fprintf(w, "\n%d callers send tokens with key ids that they make up, each as soon as the one before is answered. After %v\n"+
		"the issuer has another key, and its token is tried every 10 ms, for %v at most.\n\n"+
		"| | keys fetched, a second | the new key's token is accepted | refused before | the longest answer to it | made-up tokens answered, a second | |\n"+
		"|---|---:|---:|---:|---:|---:|---|\n", floodCallers, length, 2*length)
	for _, f := range all {
		accepted := "**not in this time**"
		if f.accepted > 0 {
			accepted = "after " + f.accepted.Round(time.Millisecond).String()
		}
		fmt.Fprintf(w, "| %s | %s | %s | %d | %v | %s | %s |\n",
			f.name, number(f.fetches), accepted, f.refused, f.waited.Round(time.Millisecond), number(f.answers), f.note)
	}
}
