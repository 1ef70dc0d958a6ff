package authjwt

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/ballast-go/ballast/auth"
)

// ErrReused is what [Issuer.Refresh] returns for a refresh token that was used
// before. Somebody has stolen it, and its session is over: worth an alarm. It is an
// auth.ErrInvalid.
var ErrReused error = reusedError{}

type reusedError struct{}

func (reusedError) Error() string        { return "authjwt: refresh token used before" }
func (reusedError) Is(target error) bool { return target == auth.ErrInvalid }

// session is what is remembered of one that was refreshed.
type session struct {
	turn int64 // the next refresh token's; smaller ones are spent
	over bool  // one of them came back
}

// refreshClaims are a refresh token's. Its audience is the Issuer.
type refreshClaims struct {
	Issuer   string   `json:"iss"`
	Audience string   `json:"aud"`
	Subject  string   `json:"sub"`
	Issued   int64    `json:"iat"`
	Expires  int64    `json:"exp"`
	ID       string   `json:"jti"`
	Session  string   `json:"sid"`
	Turn     int64    `json:"turn"`
	Began    int64    `json:"auth_time"`
	Client   string   `json:"client_id"`
	Roles    []string `json:"roles,omitempty"`
	Scopes   []string `json:"scp,omitempty"`
	TTL      int64    `json:"ttl,omitempty"`
	Extra    string   `json:"claims,omitempty"` // JSON in a string, in which numbers stay what they are
}

func (i *Issuer) refreshClaims(g grant, iat int64) refreshClaims {
	return refreshClaims{
		Issuer: i.cfg.Issuer, Audience: i.cfg.Issuer, Subject: g.subject,
		Issued: iat, Expires: g.ends, ID: rand.Text(),
		Session: g.session, Turn: g.turn, Began: g.began, Client: g.client,
		Roles: g.roles, Scopes: g.scopes, TTL: g.ttl, Extra: g.extra,
	}
}

// grantOf reads them back. ok is false if they are none that an Issuer made.
func grantOf(p *auth.Principal) (g grant, ok bool) {
	number := func(name string) int64 {
		f, _ := p.Claims[name].(float64)
		return int64(f)
	}
	text := func(name string) string {
		s, _ := p.Claims[name].(string)
		return s
	}
	g = grant{
		subject: p.Subject, client: text("client_id"), roles: p.Roles, scopes: p.Scopes,
		extra: text("claims"), ttl: number("ttl"), session: text("sid"),
		began: number("auth_time"), ends: number("exp"), turn: number("turn"),
	}
	return g, g.session != "" && g.began > 0
}

// Refresh takes a refresh token, once, for new tokens of the same session: with
// the roles and scopes that IssuerConfig.Reload says. The session ends when it would
// have ended.
//
// A token that comes a second time was stolen, or its thief came first. As nobody
// can tell which, the session is over for both (RFC 9700 §4.14.2): the error is
// [ErrReused]. A client must therefore not refresh twice at a time, and begins a new
// session if an answer is lost. A token that is not good is an auth.ErrInvalid, of which
// one that has expired is an auth.ErrExpired; with too many sessions the error is an
// auth.ErrUnavailable. An error of Reload is wrapped. ctx is Reload's.
func (i *Issuer) Refresh(ctx context.Context, refreshToken string) (Tokens, error) {
	now := time.Now()
	p, err := i.verify.Authenticate(ctx, auth.Credentials{Token: refreshToken, At: now})
	if errors.Is(err, auth.ErrNoCredential) {
		return Tokens{}, invalid("no refresh token")
	}
	if err != nil {
		return Tokens{}, err
	}
	g, ok := grantOf(p)
	if !ok {
		return Tokens{}, invalid("no refresh token of an Issuer")
	}
	if now.Unix() >= g.ends { // there is no leeway for what would be minted
		return Tokens{}, &auth.Error{Cause: auth.ErrExpired}
	}
	if err := i.mayRefresh(g); err != nil {
		return Tokens{}, err
	}
	scopes := g.scopes
	if i.cfg.Reload != nil {
		if g.roles, scopes, err = i.reload(ctx, g); err != nil {
			return Tokens{}, err
		}
	}
	// Spent last, so that whatever fails before leaves it good; and asked again then, as
	// somebody may have revoked the session in the meantime.
	next := g
	next.turn++
	tokens, err := i.mint(next, scopes, now)
	if err == nil {
		err = i.spend(g, now)
	}
	if err == nil {
		err = i.notRevoked(g)
	}
	return tokens.or(err)
}

// reload asks for the roles and scopes of now.
func (i *Issuer) reload(ctx context.Context, g grant) (roles, scopes []string, err error) {
	roles, scopes, err = i.cfg.Reload(ctx, g.subject)
	if err != nil {
		return nil, nil, fmt.Errorf("authjwt: Reload: %w", err)
	}
	scopes = common(scopes, g.scopes)
	if err := (MintRequest{Subject: g.subject, Roles: roles, Scopes: scopes}).check(); err != nil {
		return nil, nil, fmt.Errorf("authjwt: Reload: %w", err)
	}
	return roles, scopes, nil
}

// mayRefresh reports whether g's token is good as far as is known before it is spent.
func (i *Issuer) mayRefresh(g grant) error {
	i.mu.Lock()
	d := i.sessions.of(nameOf(g.session))
	spent := d != nil && (d.value.over || g.turn < d.value.turn)
	i.mu.Unlock()
	if spent {
		return i.reused(g)
	}
	return i.notRevoked(g)
}

// notRevoked asks the list about the session as it began: whoever revokes a subject's
// tokens of before some time means those that would follow from them, too.
func (i *Issuer) notRevoked(g grant) error {
	if i.cfg.Revocations == nil {
		return nil
	}
	if i.cfg.Revocations.Revoked(&auth.Principal{
		Subject: g.subject, Issuer: i.cfg.Issuer,
		Claims: map[string]any{"sid": g.session, "iat": float64(g.began)},
	}) {
		return invalid("revoked")
	}
	return nil
}

// spend marks g's token as used.
func (i *Issuer) spend(g grant, now time.Time) error {
	i.mu.Lock()
	d := i.sessions.put(nameOf(g.session), time.Unix(g.ends+1, 0).UnixNano(), now.UnixNano())
	spent := d != nil && (d.value.over || g.turn < d.value.turn)
	if d != nil && !spent {
		d.value.turn = g.turn + 1
	}
	i.mu.Unlock()
	switch {
	case d == nil:
		return &auth.Error{Cause: auth.ErrUnavailable, Reason: "more sessions than IssuerConfig.MaxSessions"}
	case spent:
		return i.reused(g)
	}
	return nil
}

// reused ends the session of a token that came back.
func (i *Issuer) reused(g grant) error {
	i.mu.Lock()
	if d := i.sessions.of(nameOf(g.session)); d != nil {
		d.value.over = true
	}
	i.mu.Unlock()
	err := &auth.Error{Cause: ErrReused, Reason: "the session is over"}
	if i.cfg.Revocations != nil {
		if full := i.cfg.Revocations.Revoke(g.session, time.Unix(g.ends, 0)); full != nil {
			err.Reason = "the session cannot be refreshed any more, but its access tokens are good until they expire: " + full.Error()
		}
	}
	return err
}
