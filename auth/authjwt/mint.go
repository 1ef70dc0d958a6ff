package authjwt

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// MintRequest is what [Issuer.Mint] is to say of somebody who has proved to be them.
type MintRequest struct {
	// Subject is the claim sub. Required.
	Subject string
	// ClientID is the claim client_id: the application that asks. Empty: IssuerConfig.ClientID.
	ClientID string
	// Roles is the claim roles, and Scopes scope. Scopes have no spaces (RFC 6749 §3.3).
	Roles, Scopes []string
	// Claims are more claims, of values that encoding/json encodes. Those that the Issuer
	// itself says are refused: iss, sub, aud, exp, iat, nbf, jti, client_id, roles,
	// scope and sid. They go into the refresh token, too, and are no secrets.
	Claims map[string]any
	// TTL is how long the access token is good: whole seconds, up to 24 h. 0 means IssuerConfig.TTL.
	TTL time.Duration
	// AccessOnly leaves the refresh token out: for machines, which can ask anew
	// (RFC 6749 §4.4.3).
	AccessOnly bool

	_ struct{}
}

// Tokens is what a client gets. Encoded as JSON it is the answer of RFC 6749 §5.1,
// which must be sent with "Cache-Control: no-store". Printed or logged, and not within
// a value that is logged as JSON, it shows no token.
type Tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`              // "Bearer"
	ExpiresIn    int64  `json:"expires_in"`              // seconds
	RefreshToken string `json:"refresh_token,omitempty"` // empty: there is none
	Scope        string `json:"scope,omitempty"`

	// ExpiresAt is when the access token ends, and SessionEnds when the refresh token and
	// all that come from it do; zero without one.
	ExpiresAt   time.Time `json:"-"`
	SessionEnds time.Time `json:"-"`
}

// Format shows when the tokens end, whatever the verb, and nothing else of them.
func (t Tokens) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "tokens until "+t.ExpiresAt.UTC().Format(time.RFC3339))
}

// LogValue is what a log shows.
func (t Tokens) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(t)) }

// reserved are the claims that only the Issuer itself sets, or that would change
// when a token is good.
var reserved = [...]string{"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "roles", "scope", "sid"}

// Mint returns an access token and, unless that is ruled out, a refresh token, which
// begins a session. All errors of req come at once.
func (i *Issuer) Mint(req MintRequest) (Tokens, error) {
	if err := req.check(); err != nil {
		return Tokens{}, err
	}
	now := time.Now()
	s := grant{
		subject: req.Subject, client: req.ClientID, roles: req.Roles, scopes: req.Scopes,
		ttl: int64(req.TTL / time.Second), began: now.Unix(),
	}
	if s.client == "" {
		s.client = i.cfg.ClientID
	}
	if len(req.Claims) > 0 {
		extra, err := json.Marshal(req.Claims)
		if err == nil {
			_, err = parseJSON(extra)
		}
		if err != nil {
			return Tokens{}, fmt.Errorf("authjwt: MintRequest.Claims: %w", err)
		}
		s.extra = string(extra)
	}
	if !req.AccessOnly && i.cfg.RefreshTTL > 0 {
		s.session = rand.Text()
		s.ends = now.Add(i.cfg.RefreshTTL).Unix()
	}
	return i.mint(s, s.scopes, now)
}

func (req MintRequest) check() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("authjwt: MintRequest."+format, args...))
	}
	if req.Subject == "" || !utf8.ValidString(req.Subject) {
		bad("Subject is empty or no UTF-8")
	}
	if !utf8.ValidString(req.ClientID) {
		bad("ClientID is no UTF-8")
	}
	for i, role := range req.Roles {
		if role == "" || !utf8.ValidString(role) {
			bad("Roles[%d] is empty or no UTF-8", i)
		}
	}
	for i, scope := range req.Scopes {
		if !goodScope(scope) {
			bad("Scopes[%d] is empty, or has other than printable ASCII, a space, a quotation mark or a backslash", i)
		}
	}
	for _, name := range reserved {
		if _, ok := req.Claims[name]; ok {
			bad("Claims has %s, which the Issuer says", name)
		}
	}
	if req.TTL != 0 && !goodTTL(req.TTL) {
		bad("TTL is %v, not whole seconds within 1s and %v", req.TTL, maxTTL)
	}
	return errors.Join(errs...)
}

// goodScope reports whether s is a scope-token (RFC 6749 §3.3).
func goodScope(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || r == '"' || r == '\\'
	})
}

// grant is what a session's tokens say.
type grant struct {
	subject, client string
	roles, scopes   []string
	extra           string // more claims: a JSON object, or empty
	ttl             int64  // of access tokens, in seconds; 0: the Issuer's
	session         string // sid; empty: there is none to be refreshed
	began, ends     int64  // of the session: seconds since 1970
	turn            int64  // how many refreshes went before
}

// mint signs g's tokens: the refresh token with all the scopes of g.
func (i *Issuer) mint(g grant, scopes []string, now time.Time) (Tokens, error) {
	ttl := g.ttl
	if ttl == 0 {
		ttl = int64(i.cfg.TTL / time.Second)
	}
	exp := now.Unix() + ttl
	if g.session != "" {
		exp = min(exp, g.ends)
	}
	out := Tokens{
		TokenType: "Bearer", ExpiresIn: exp - now.Unix(), ExpiresAt: time.Unix(exp, 0),
		Scope: strings.Join(scopes, " "),
	}
	signing := i.signing.Load()
	claims, err := i.accessClaims(g, out.Scope, now.Unix(), exp)
	if err != nil {
		return Tokens{}, err
	}
	if out.AccessToken, err = signing.token(signing.access, claims); err != nil || g.session == "" {
		return out.or(err)
	}
	out.SessionEnds = time.Unix(g.ends, 0)
	if claims, err = json.Marshal(i.refreshClaims(g, now.Unix())); err != nil {
		return Tokens{}, fmt.Errorf("authjwt: refresh token: %w", err)
	}
	out.RefreshToken, err = signing.token(signing.refresh, claims)
	return out.or(err)
}

// or returns t, or no tokens and err.
func (t Tokens) or(err error) (Tokens, error) {
	if err != nil {
		return Tokens{}, err
	}
	return t, nil
}

// accessClaims are those of RFC 9068 §2.2, with sid of the session's.
func (i *Issuer) accessClaims(g grant, scope string, iat, exp int64) ([]byte, error) {
	all := map[string]any{}
	if g.extra != "" {
		var extra map[string]json.RawMessage // numbers stay as they are
		if err := json.Unmarshal([]byte(g.extra), &extra); err != nil {
			return nil, fmt.Errorf("authjwt: claims: %w", err)
		}
		for name, value := range extra {
			all[name] = value
		}
	}
	maps.Copy(all, map[string]any{
		"iss": i.cfg.Issuer, "sub": g.subject, "client_id": g.client,
		"iat": iat, "exp": exp, "jti": rand.Text(),
	})
	// One audience is a string: there are readers that know no list (RFC 7519 §4.1.3).
	if all["aud"] = i.cfg.Audience[0]; len(i.cfg.Audience) > 1 {
		all["aud"] = i.cfg.Audience
	}
	if len(g.roles) > 0 {
		all["roles"] = g.roles
	}
	if scope != "" {
		all["scope"] = scope
	}
	if g.session != "" {
		all["sid"] = g.session
	}
	claims, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("authjwt: claims: %w", err)
	}
	return claims, nil
}

// common are the elements of scopes that are in granted, too.
func common(scopes, granted []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !slices.Contains(granted, s) })
}
