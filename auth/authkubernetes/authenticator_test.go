package authkubernetes_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/client-go/rest"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authkubernetes"
)

// Over TLS, by client-go's own transport, as in a cluster.
func TestPrincipal(t *testing.T) {
	f := all()
	var asked authenticationv1.TokenReviewSpec
	var header http.Header
	byToken := f.token
	f.token = func(r *http.Request, review *authenticationv1.TokenReview) {
		asked, header = review.Spec, r.Header
		byToken(r, review)
	}
	srv := httptest.NewTLSServer(f)
	defer srv.Close()
	a := authenticator(t, authkubernetes.Config{
		Client: authkubernetes.Client{REST: &rest.Config{
			Host: srv.URL, BearerToken: "own", UserAgent: "model-server",
			TLSClientConfig: rest.TLSClientConfig{CAData: certificate(srv.Certificate())},
		}},
		Cluster: "east",
	})
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	tok := token(map[string]any{"iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:prod:client", "aud": audience, "exp": end.Unix()})
	p, err := a.Authenticate(t.Context(), auth.Credentials{Token: tok})
	if err != nil {
		t.Fatal(err)
	}
	want := &auth.Principal{
		Subject: "system:serviceaccount:prod:client", Issuer: "east", Method: auth.MethodKubernetes,
		Roles: []string{"system:authenticated"},
		Claims: map[string]any{"uid": "uid-1", "extra": map[string]any{
			"authentication.kubernetes.io/pod-name": []any{"pod-1"},
		}},
		ExpiresAt: end,
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v, want %+v", p, want)
	}
	if asked.Token != tok || !reflect.DeepEqual(asked.Audiences, []string{"other.example.org", audience}) {
		t.Errorf("asked %+v", asked)
	}
	if header.Get("Authorization") != "Bearer own" || header.Get("User-Agent") != "model-server" {
		t.Errorf("asked with %v", header)
	}
	if s := a.Stats(); s.Reviews != 1 || s.Entries != 1 || s.Failed != 0 {
		t.Errorf("stats %+v", s)
	}
}

func certificate(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// Each of these answers says that the request failed, or that the token is not good,
// and none is anybody.
func TestRefusals(t *testing.T) {
	good := func() authenticationv1.TokenReviewStatus {
		return authenticationv1.TokenReviewStatus{
			Authenticated: true, Audiences: []string{audience},
			User: authenticationv1.UserInfo{Username: "system:serviceaccount:prod:client"},
		}
	}
	tok := account("client")
	for name, test := range map[string]struct {
		change func(*authenticationv1.TokenReview)
		want   error
		reason string
	}{
		"not authenticated": {func(r *authenticationv1.TokenReview) { r.Status.Authenticated = false }, auth.ErrInvalid, `refuses the token: ""`},
		"with an error":     {func(r *authenticationv1.TokenReview) { r.Status.Authenticated, r.Status.Error = false, "expired\n" }, auth.ErrInvalid, `refuses the token: "expired\n"`},
		"error with token":  {func(r *authenticationv1.TokenReview) { r.Status.Authenticated, r.Status.Error = false, "bad "+tok }, auth.ErrInvalid, "withheld"},
		"error with a part": {func(r *authenticationv1.TokenReview) {
			r.Status.Authenticated, r.Status.Error = false, strings.Split(tok, ".")[2]
		}, auth.ErrInvalid, "withheld"},
		"long error": {func(r *authenticationv1.TokenReview) {
			r.Status.Authenticated, r.Status.Error = false, strings.Repeat("x", 9999)
		}, auth.ErrInvalid, "xxx"},
		"no audiences":      {func(r *authenticationv1.TokenReview) { r.Status.Audiences = nil }, auth.ErrInvalid, "Audiences"},
		"another audience":  {func(r *authenticationv1.TokenReview) { r.Status.Audiences = []string{"https://kubernetes.default.svc"} }, auth.ErrInvalid, "Audiences"},
		"no user":           {func(r *authenticationv1.TokenReview) { r.Status.User.Username = "" }, auth.ErrInvalid, "no user"},
		"not a TokenReview": {func(r *authenticationv1.TokenReview) { r.Kind = "Status" }, auth.ErrUnavailable, "not a review"},
		"audience, no verdict": {func(r *authenticationv1.TokenReview) {
			r.Status = authenticationv1.TokenReviewStatus{Audiences: []string{audience}}
		}, auth.ErrInvalid, "refuses"},
	} {
		t.Run(name, func(t *testing.T) {
			f := all()
			f.token = func(_ *http.Request, r *authenticationv1.TokenReview) {
				r.Status = good()
				test.change(r)
			}
			a := authenticator(t, authkubernetes.Config{Client: overHTTP(t, f)})
			err := try(a, tok)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.reason) {
				t.Fatalf("error is %v, want %v with %s", err, test.want, test.reason)
			}
			for part := range strings.SplitSeq(tok, ".") {
				if strings.Contains(err.Error(), part) || len(err.Error()) > 400 {
					t.Errorf("it says %v", err)
				}
			}
		})
	}
}

// What cannot be good is not sent anywhere.
func TestNothingIsAsked(t *testing.T) {
	f := all()
	a := authenticator(t, authkubernetes.Config{Client: direct(f)})
	only := authenticator(t, authkubernetes.Config{Client: direct(f), Issuers: []string{"https://kubernetes.default.svc"}})
	past := token(map[string]any{"sub": "s", "aud": audience, "exp": time.Now().Add(-time.Second).Unix(), "iss": "https://kubernetes.default.svc"})
	// Good, but for a byte too many.
	long := account("client")
	long += strings.Repeat("A", 16<<10+1-len(long))
	for name, test := range map[string]struct {
		a     auth.Authenticator
		token string
		want  error
	}{
		"nothing":          {a, "", auth.ErrNoCredential},
		"an API key":       {a, "sk_live_1", auth.ErrNoCredential},
		"one dot":          {a, "abcdef.0123456789abcdef", auth.ErrNoCredential},
		"three dots":       {a, "a.b.c.d", auth.ErrNoCredential},
		"longer than 16 K": {a, long, auth.ErrInvalid},
		"no base64url":     {a, "e30.e+0.c2ln", auth.ErrInvalid},
		"spaces":           {a, "e30.e30 .c2ln", auth.ErrInvalid},
		"a NUL":            {a, "e30.e30.c2\x00ln", auth.ErrInvalid},
		"no claims":        {a, "e30..c2ln", auth.ErrInvalid},
		"null":             {a, "e30.bnVsbA.c2ln", auth.ErrInvalid},
		"a list":           {a, "e30.W10.c2ln", auth.ErrInvalid},
		"no signature":     {a, "e30.e30.", auth.ErrInvalid},
		"iss is a number":  {a, token(map[string]any{"iss": 1}), auth.ErrInvalid},
		"exp is a string":  {a, token(map[string]any{"exp": "1"}), auth.ErrInvalid},
		"exp is 1e18":      {a, token(map[string]any{"exp": 1e18}), auth.ErrInvalid},
		"exp is negative":  {a, token(map[string]any{"exp": -1}), auth.ErrInvalid},
		"over":             {a, past, auth.ErrExpired},
		"over, of ours":    {only, past, auth.ErrExpired},
		"another issuer":   {only, token(map[string]any{"iss": "https://idp.example.org", "sub": "s", "aud": audience}), auth.ErrNoCredential},
		"Iss":              {only, token(map[string]any{"Iss": "https://kubernetes.default.svc", "sub": "s", "aud": audience}), auth.ErrNoCredential},
		"no issuer":        {only, token(map[string]any{"sub": "s", "aud": audience}), auth.ErrNoCredential},
		"another format":   {only, "a.b.c", auth.ErrNoCredential},
	} {
		err := try(test.a, test.token)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if test.token != "" && strings.Contains(err.Error(), test.token) {
			t.Errorf("%s: the error has the token", name)
		}
	}
	if n := f.asked.Load(); n != 0 {
		t.Errorf("%d were asked about", n)
	}
	for _, good := range []string{account("client"), long[1:]} {
		if err := try(only, good); err != nil {
			t.Errorf("one of ours: %v", err)
		}
	}
}

// A token is remembered until its TTL, or until its own end if that comes first.
func TestRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := all()
		a := authenticator(t, authkubernetes.Config{Client: direct(f)})
		check := func(tok string, want error, asked int64) {
			t.Helper()
			if err := try(a, tok); !errors.Is(err, want) {
				t.Fatalf("error is %v, want %v", err, want)
			}
			if n := f.asked.Swap(0); n != asked {
				t.Fatalf("%d were asked, want %d", n, asked)
			}
		}
		forever := account("client")
		brief := token(map[string]any{"sub": "s", "aud": audience, "exp": time.Now().Add(4 * time.Second).Unix()})
		bad := token(map[string]any{"aud": audience})
		check(forever, nil, 1)
		check(brief, nil, 1)
		check(bad, auth.ErrInvalid, 1)
		check(forever, nil, 0)
		check(brief, nil, 0)
		check(bad, auth.ErrInvalid, 0)
		sleep(999 * time.Millisecond)
		check(bad, auth.ErrInvalid, 0)
		sleep(time.Millisecond) // RefusedTTL
		check(bad, auth.ErrInvalid, 1)
		sleep(3*time.Second - time.Nanosecond)
		check(brief, nil, 0)
		sleep(time.Nanosecond) // its exp
		check(brief, auth.ErrExpired, 0)
		sleep(6*time.Second - time.Nanosecond)
		check(forever, nil, 0)
		sleep(time.Nanosecond) // CacheTTL
		check(forever, nil, 1)
	})
}

// sleep lets virtual time go by.
func sleep(d time.Duration) { <-time.After(d) }

// Credentials.At is the time that counts, and no other.
func TestAt(t *testing.T) {
	f := all()
	a := authenticator(t, authkubernetes.Config{Client: direct(f)})
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	tok := token(map[string]any{"sub": "s", "aud": audience, "exp": at.Unix() + 5})
	for _, step := range []struct {
		after time.Duration
		asked int64
		want  error
	}{{0, 1, nil}, {5*time.Second - 1, 0, nil}, {5 * time.Second, 0, auth.ErrExpired}} {
		_, err := a.Authenticate(t.Context(), auth.Credentials{Token: tok, At: at.Add(step.after)})
		if !errors.Is(err, step.want) || f.asked.Swap(0) != step.asked {
			t.Errorf("after %v: %v", step.after, err)
		}
	}
}

func TestNotRemembered(t *testing.T) {
	f := all()
	a := authenticator(t, authkubernetes.Config{Client: direct(f), CacheTTL: -1, RefusedTTL: -1})
	for _, tok := range []string{account("client"), token(map[string]any{"aud": audience})} {
		_, _ = try(a, tok), try(a, tok)
		if n := f.asked.Swap(0); n != 2 {
			t.Errorf("asked %d times", n)
		}
	}
	if n := a.Stats().Entries; n != 0 {
		t.Errorf("%d are remembered", n)
	}
}

// Made-up tokens fill a memory of their own, of bounded size.
func TestFloodOfTokens(t *testing.T) {
	f := all()
	c := direct(f)
	c.QPS, c.Burst = 5000, 10000
	a := authenticator(t, authkubernetes.Config{Client: c, CacheEntries: 16, RefusedTTL: 10 * time.Second})
	tok := account("client")
	if err := try(a, tok); err != nil {
		t.Fatal(err)
	}
	for range 5000 {
		if err := try(a, token(map[string]any{"aud": audience})); !errors.Is(err, auth.ErrInvalid) {
			t.Fatal(err)
		}
	}
	if n := a.Stats().Entries; n > 32 {
		t.Errorf("%d are remembered", n)
	}
	f.asked.Store(0)
	if err := try(a, tok); err != nil || f.asked.Load() != 0 {
		t.Errorf("the good one was forgotten: %v", err)
	}
}

// The service account's token is rotated by the kubelet in its file.
func TestOwnTokenRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "token")
		write := func(s string) {
			if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("first")
		f := all()
		var own string
		byToken := f.token
		f.token = func(r *http.Request, review *authenticationv1.TokenReview) {
			own = r.Header.Get("Authorization")
			byToken(r, review)
		}
		c := direct(f)
		c.REST.BearerTokenFile = file
		a := authenticator(t, authkubernetes.Config{Client: c})
		for _, want := range []string{"first", "second"} {
			write(want)
			sleep(2 * time.Minute) // client-go reads it anew each minute
			if err := try(a, account("client")); err != nil || own != "Bearer "+want {
				t.Errorf("asked as %q, want %q: %v", own, want, err)
			}
		}
	})
}

// Neither what is remembered nor anything else has the token.
func TestNoTokenStays(t *testing.T) {
	f := all()
	a := authenticator(t, authkubernetes.Config{Client: direct(f)})
	good, bad := account("client"), token(map[string]any{"aud": audience, "nonce": "fills the middle"})
	_, _ = try(a, good), try(a, bad)
	for _, tok := range []string{good, bad} {
		for part := range strings.SplitSeq(tok, ".") {
			walk(reflect.ValueOf(a), map[uintptr]bool{}, func(s string) {
				if strings.Contains(s, part) {
					t.Errorf("it keeps %q", s)
				}
			})
		}
	}
	found := false
	walk(reflect.ValueOf(a), map[uintptr]bool{}, func(s string) { found = found || s == "system:serviceaccount:prod:client" })
	if !found {
		t.Error("the search does not find what is there")
	}
}

// walk calls f with every string that v leads to.
func walk(v reflect.Value, seen map[uintptr]bool, f func(string)) {
	switch v.Kind() {
	case reflect.String:
		f(v.String())
	case reflect.Pointer:
		if !v.IsNil() && !seen[v.Pointer()] {
			seen[v.Pointer()] = true
			walk(v.Elem(), seen, f)
		}
	case reflect.Interface:
		if !v.IsNil() {
			walk(v.Elem(), seen, f)
		}
	case reflect.Struct:
		if v.Type().PkgPath() == "net/http" || v.Type().PkgPath() == "time" {
			return
		}
		for i := range v.NumField() {
			walk(v.Field(i), seen, f)
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			text := make([]byte, v.Len())
			for i := range text {
				text[i] = byte(v.Index(i).Uint())
			}
			f(string(text))
			return
		}
		for i := range v.Len() {
			walk(v.Index(i), seen, f)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			walk(it.Key(), seen, f)
			walk(it.Value(), seen, f)
		}
	}
}

func TestHitAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Log("not measured under the race detector")
		return
	}
	a := authenticator(t, authkubernetes.Config{Client: direct(all())})
	c := auth.Credentials{Token: account("client"), At: time.Now()}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		if _, err := a.Authenticate(ctx, c); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
