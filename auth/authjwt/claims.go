package authjwt

import (
	"slices"
	"time"

	"github.com/ballast-go/ballast/auth"
)

// latest is the last second of the year 9999, in seconds since 1970. A later exp is one
// in milliseconds, or a mistake.
const latest = 253402300799

// invalid is the error for a token that is not good.
func invalid(reason string) error { return &auth.Error{Cause: auth.ErrInvalid, Reason: reason} }

// checked is a claim set's reading by a trust.
type checked struct {
	claims  map[string]any
	boxes   *boxes
	now     time.Time
	leeway  time.Duration
	expires time.Time
}

// names reports whether t is the trust of the claims' issuer.
func (t *trust) names(claims map[string]any) bool {
	iss, ok := claims["iss"].(string)
	return ok && slices.ContainsFunc(t.issuers, func(i issuer) bool { return i.accepts(iss, claims) })
}

// principal checks what a token claims, and says who it is. typ is the
// header's. The signature is good already, and the issuer the trust's.
func (t *trust) principal(typ string, c *checked) (*auth.Principal, error) {
	if !slices.Contains(t.types, typ) {
		return nil, invalid("another type of token")
	}
	if err := c.times(t.maxAge); err != nil {
		return nil, err
	}
	if err := t.audience(c.claims); err != nil {
		return nil, err
	}
	for _, r := range t.claims {
		if !r.met(c.claims) {
			return nil, invalid("the claim " + string(r.name) + " has not the value required")
		}
	}
	p := &auth.Principal{Method: auth.MethodJWT, Claims: c.claims, ExpiresAt: c.expires}
	p.Issuer, _ = c.claims["iss"].(string)
	if p.Subject, _ = t.subject.of(c.claims).(string); p.Subject == "" {
		return nil, invalid("no subject")
	}
	var ok bool
	if p.Roles, ok = c.collect(t.roles, false); !ok {
		return nil, invalid("roles that are no list of strings")
	}
	if p.Scopes, ok = c.collect(t.scopes, true); !ok {
		return nil, invalid("scopes that are no list of strings")
	}
	return p, nil
}

// times checks exp, nbf and iat (RFC 7519 §4.1.4 to 6).
func (c *checked) times(maxAge time.Duration) error {
	exp, set, ok := timeOf(c.claims, "exp")
	if !ok || !set {
		return invalid("no exp, or one that is no time")
	}
	if c.expires = exp; !c.now.Before(exp.Add(c.leeway)) {
		return &auth.Error{Cause: auth.ErrExpired}
	}
	soon := c.now.Add(c.leeway)
	if nbf, set, ok := timeOf(c.claims, "nbf"); !ok || set && nbf.After(soon) {
		return invalid("not good yet by its nbf, or one that is no time")
	}
	iat, set, ok := timeOf(c.claims, "iat")
	if !ok || set && iat.After(soon) {
		return invalid("issued later by its iat, or one that is no time")
	}
	if maxAge > 0 && (!set || c.now.Sub(iat) > maxAge+c.leeway) {
		return invalid("older than MaxAge, or without iat")
	}
	return nil
}

// timeOf returns a claim in seconds since 1970, which may have a fraction. set
// reports whether it is there; ok, whether it is a time if so.
func timeOf(claims map[string]any, name string) (at time.Time, set, ok bool) {
	v, set := claims[name]
	if !set {
		return at, false, true
	}
	s, ok := v.(float64)
	if !ok || s < 0 || s > latest {
		return at, true, false
	}
	return time.Unix(int64(s), int64((s-float64(int64(s)))*1e9)), true, true
}

// audience checks that the token is meant for this service (RFC 7519 §4.1.3).
func (t *trust) audience(claims map[string]any) error {
	switch aud := claims["aud"].(type) {
	case nil:
		if _, set := claims["aud"]; set {
			break
		}
		if client, _ := claims["client_id"].(string); client != "" && slices.Contains(t.clients, client) {
			return nil
		}
		return invalid("no aud, and no client_id that is accepted instead")
	case string:
		if slices.Contains(t.audiences, aud) {
			return nil
		}
	case []any:
		found := false
		for _, v := range aud {
			s, ok := v.(string)
			if !ok {
				return invalid("an aud that is no list of strings")
			}
			found = found || slices.Contains(t.audiences, s)
		}
		if found {
			return nil
		}
	}
	return invalid("another audience")
}

// met reports whether the claim is one of the values, or a list that holds one.
func (r *required) met(claims map[string]any) bool {
	switch v := r.name.of(claims).(type) {
	case string:
		return slices.Contains(r.values, v)
	case bool:
		return v && slices.Contains(r.values, "true") || !v && slices.Contains(r.values, "false")
	case []any:
		return slices.ContainsFunc(v, func(e any) bool {
			s, ok := e.(string)
			return ok && slices.Contains(r.values, s)
		})
	}
	return false
}

// collect returns the strings in all the claims that are there: a list's, or a
// single one, which is a list separated by spaces if split (RFC 6749 §3.3).
func (c *checked) collect(paths []path, split bool) (all []string, ok bool) {
	for _, p := range paths {
		switch v := p.of(c.claims).(type) {
		case nil:
		case string:
			if !split {
				all = append(all, v)
			} else if fields := c.boxes.split(v); all == nil {
				all = fields
			} else {
				all = append(all, fields...)
			}
		case []any:
			all = slices.Grow(all, len(v))
			for _, e := range v {
				s, ok := e.(string)
				if !ok {
					return nil, false
				}
				all = append(all, s)
			}
		default:
			return nil, false
		}
	}
	return all, true
}
