package auth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/internal/reqstate"
)

// A journal keeps what it is told, one line an event.
type journal struct{ lines []string }

func (j *journal) Audit(_ context.Context, event string, attrs ...slog.Attr) {
	for _, a := range attrs {
		event += fmt.Sprintf(" %s=%s", a.Key, a.Value)
	}
	j.lines = append(j.lines, event)
}

// allow allows one resource.
type allow string

func (a allow) Authorize(_ context.Context, p *auth.Principal, action, resource string) error {
	switch resource {
	case string(a):
		return nil
	case "down":
		return &auth.Error{Cause: auth.ErrUnavailable, Reason: "no policy"}
	case "panic":
		panic("broken")
	}
	return &auth.ForbiddenError{Subject: p.Subject, Action: action, Resource: resource, Scopes: []string{"models:" + action}}
}

// ruled names its rules, too.
type ruled struct{ allow }

func (a ruled) Decide(ctx context.Context, p *auth.Principal, action, resource string) (string, error) {
	return "rule 7", a.Authorize(ctx, p, action, resource)
}

// named is an observer that names its requests, as package logging does.
type named struct{ observer }

func (o *named) Begin(s *reqstate.State, _ http.ResponseWriter, _ *http.Request) {
	s.SetRequestID("req-1")
}

func (o *named) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { reqstate.Serve(w, r, next, o) })
}

func TestAudited(t *testing.T) {
	alice := &auth.Principal{Subject: "alice", Issuer: "https://issuer.example", Method: auth.MethodJWT}
	const who = "auth.authorize subject=alice issuer=https://issuer.example method=jwt action=predict"
	for _, tt := range []struct {
		az       auth.Authorizer
		resource string
		err      error
		want     string
	}{
		{allow("llama"), "llama", nil, " resource=llama decision=allow"},
		{allow("llama"), "gpt", auth.ErrForbidden, " resource=gpt decision=deny"},
		{allow("llama"), "", auth.ErrForbidden, " decision=deny rule=deny: no resource"},
		{allow("llama"), "down", auth.ErrUnavailable, " resource=down decision=error reason=auth: cannot be checked at the moment: no policy"},
		{ruled{"llama"}, "llama", nil, " resource=llama decision=allow rule=rule 7"},
		{ruled{"llama"}, "gpt", auth.ErrForbidden, " resource=gpt decision=deny rule=rule 7"},
	} {
		var j, outer journal
		az := auth.Audited(auth.Audited(tt.az, &j), &outer) // one sees what the other does
		ctx := auth.ContextWithPrincipal(t.Context(), alice)
		if err := auth.Check(ctx, az, "predict", tt.resource); !errors.Is(err, tt.err) {
			t.Errorf("%v, want %v", err, tt.err)
		}
		if tt.resource != "" && (len(j.lines) != 1 || j.lines[0] != who+tt.want) {
			t.Errorf("%q, want %q", j.lines, who+tt.want)
		}
		if len(outer.lines) != 1 || outer.lines[0] != who+tt.want {
			t.Errorf("%q, want %q", outer.lines, who+tt.want)
		}
	}
}

// What panics has not allowed anything, and is written down before it goes on.
func TestAuditedPanic(t *testing.T) {
	var j journal
	ctx := auth.ContextWithPrincipal(t.Context(), &auth.Principal{Subject: "alice"})
	if v := tryPanic(func() { _ = auth.Check(ctx, auth.Audited(ruled{"llama"}, &j), "predict", "panic") }); v != "broken" {
		t.Errorf("recovered %v", v)
	}
	if want := "auth.authorize subject=alice action=predict resource=panic decision=error reason=auth: the Authorizer panicked"; len(j.lines) != 1 || j.lines[0] != want {
		t.Errorf("%q", j.lines)
	}
}

// Refusals are written down with the request's id, whatever their cause, and nothing
// of the credential is.
func TestMiddlewareAudits(t *testing.T) {
	var j journal
	var o named
	var limit error
	h := o.around(auth.Middleware(new(caller), auth.MiddlewareConfig{
		Audit: &j,
		Admit: func(*http.Request) error { return limit },
	})(auth.Require(auth.Audited(allow("llama"), &j), "predict", func(*http.Request) string { return "gpt" })(greet)))
	do(h)
	do(h, "Authorization", "Bearer bad")
	do(h, "Authorization", "Bearer s3cret", "Authorization", "Bearer s3cret")
	do(h, "Authorization", "Bearer s3cret,s3cret")
	do(h, "Authorization", "Bearer down")
	do(h, "Authorization", "Bearer alice")
	limit = errors.New("over the limit")
	do(h, "Authorization", "Bearer s3cret")
	const event, rest = "auth.authenticate reason=auth: ", " remote=192.0.2.1:1234 request_id=req-1"
	want := []string{
		event + "no credential" + rest,
		event + "invalid credential: secret reason" + rest,
		event + "more than one credential: several Authorization fields" + rest,
		event + "invalid credential: malformed Authorization field" + rest,
		event + "cannot be checked at the moment" + rest,
		"auth.authorize subject=alice method=jwt action=predict resource=gpt decision=deny request_id=req-1",
		"auth.authenticate reason=over the limit" + rest,
	}
	if got := strings.Join(j.lines, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s", got)
	}
}

// What stops before the Authorizer is asked is a decision, too.
func TestRequireAudits(t *testing.T) {
	var j journal
	h := auth.Middleware(new(caller), auth.MiddlewareConfig{AllowAnonymous: true})(
		auth.Require(auth.Audited(allow("llama"), &j), "predict", func(*http.Request) string { return "llama" })(greet))
	for path, want := range map[string]string{
		"/a":            "auth.authorize subject=alice method=jwt action=predict resource=llama decision=allow",
		"/a%2f..%2fb":   "auth.authorize subject=alice method=jwt action=predict decision=deny reason=auth: ambiguous path: encoded slash",
		"nobody /a":     "auth.authorize action=predict resource=llama decision=deny reason=auth: no credential",
		"nobody /a%2fb": "auth.authorize action=predict decision=deny reason=auth: ambiguous path: encoded slash",
	} {
		j.lines = nil
		path, nobody := strings.CutPrefix(path, "nobody ")
		r := httptest.NewRequest("GET", path, nil)
		if !nobody {
			r.Header.Set("Authorization", "Bearer alice")
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
		if got := strings.Join(j.lines, "\n"); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// Nothing that a client sends ends a line, steers a terminal, or fills the journal.
func TestAuditIsNewlineProof(t *testing.T) {
	hostile := []string{
		"a\nauth.authorize subject=root decision=allow", "a\r\nb", "a\u2028b\u2029c", "a\u0085b", "\x1b[2Ka", "a\x00b",
		"\u202egpj.exe", "a\xffb\xc0\xaf", strings.Repeat("x", 1<<20), strings.Repeat("é\n", 1000), strings.Repeat("\xff", 300),
	}
	for _, s := range hostile {
		j := attrJournal{t: t}
		p := &auth.Principal{Subject: s, Issuer: s, Method: s}
		ctx := auth.ContextWithPrincipal(t.Context(), p)
		_ = auth.Check(ctx, auth.Audited(allow("x"), &j), s, s)
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = s
		auth.Middleware(auth.AuthenticatorFunc(func(context.Context, auth.Credentials) (*auth.Principal, error) {
			return nil, &auth.Error{Cause: auth.ErrInvalid, Reason: s}
		}), auth.MiddlewareConfig{Audit: &j})(greet).ServeHTTP(httptest.NewRecorder(), r)
		if j.n != 8 {
			t.Errorf("%.20q: %d attributes", s, j.n)
		}
		if text := (&auth.ForbiddenError{Subject: s, Action: s, Resource: s, Rule: s}).Error(); strings.ContainsAny(text, "\r\n\x1b\u2028") || len(text) > 1200 {
			t.Errorf("the error's text is %.200q", text)
		}
	}
	j := attrJournal{t: t}
	_ = auth.Check(auth.ContextWithPrincipal(t.Context(), &auth.Principal{Subject: "Zoë 山田"}), auth.Audited(allow("x"), &j), "a", "x")
	if j.last["subject"] != "Zoë 山田" {
		t.Errorf("a name that prints became %q", j.last["subject"])
	}
	cut := attrJournal{t: t}
	_ = auth.Check(auth.ContextWithPrincipal(t.Context(), &auth.Principal{Subject: strings.Repeat("é", 200)}), auth.Audited(allow("x"), &cut), "a", "x")
	if got := cut.last["subject"]; got != strings.Repeat("é", 126)+"…" {
		t.Errorf("cut to %q, %d bytes", got, len(got))
	}
}

// An attrJournal looks at each value.
type attrJournal struct {
	t    *testing.T
	n    int
	last map[string]string
}

func (j *attrJournal) Audit(_ context.Context, _ string, attrs ...slog.Attr) {
	j.last = map[string]string{}
	for _, a := range attrs {
		v := a.Value.String()
		if len(v) > 256 || !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return r != utf8.RuneError && !unicode.IsPrint(r) }) {
			j.t.Errorf("%s is %.300q", a.Key, v)
		}
		j.last[a.Key] = v
		j.n++
	}
}
