package ratelimit

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/time/rate"
)

// As net/http spells them in a map: there "RateLimit" would not be found.
const (
	limitField  = "Ratelimit"
	policyField = "Ratelimit-Policy"
)

// SetHeaders tells the client where it stands, in the fields RateLimit and
// RateLimit-Policy of draft-ietf-httpapi-ratelimit-headers-11, which are
// structured fields (RFC 9651):
//
//	RateLimit-Policy: "default";q=100;w=60
//	RateLimit: "default";r=50;t=30
//
// Both name the Rule, or "default". q is Burst, and w the seconds in which an
// exhausted key recovers it. r is Remaining. t is the seconds within which the
// client should use no more than r: RetryAfter of a denial, and otherwise as
// long as Rate takes to earn r again, so that a client which spreads r over t
// keeps to Rate (§8.5 there). All are rounded up, and q and r count what the
// limiter counts: there is no qu, which says what it is where it is not
// requests, because no unit is registered for tokens.
//
// What h holds of the two is replaced. A Decision without a Limit sets nothing:
// the zero Decision of a limiter that failed says nothing about a key.
func (d Decision) SetHeaders(h http.Header) {
	if d.hasLimit() {
		p := newPolicy(d.Limit, d.Rule)
		d.setHeaders(h, &p)
	}
}

func (d *Decision) hasLimit() bool { return d.Limit.Rate > 0 && d.Limit.Burst >= 1 }

// setHeaders allocates once, for the slices that the map wants and one of the
// values. No slice is shared between responses: a handler may write to its own.
func (d *Decision) setHeaders(h http.Header, p *policy) {
	f := new(struct {
		values [2]string
		text   [48]byte // of most names and numbers; append knows what to do if not
	})
	b := append(f.text[:0], p.text[:p.name]...)
	b = appendInteger(append(b, ";r="...), int64(max(0, d.Remaining)))
	b = appendInteger(append(b, ";t="...), d.window(float64(d.Limit.Rate)))
	f.values[0] = p.text
	f.values[1] = unsafe.String(unsafe.SliceData(b), len(b)) // which nobody writes to again
	h[policyField] = f.values[0:1:1]
	h[limitField] = f.values[1:2:2]
}

// A policy is what RateLimit-Policy says of a rule.
type policy struct {
	limit Limit
	rule  string
	text  string
	name  int // bytes of it that are the name
}

func newPolicy(l Limit, rule string) policy {
	p := policy{limit: l, rule: rule}
	if rule == "" {
		rule = "default"
	}
	b := appendString(make([]byte, 0, 48), rule)
	p.name = len(b)
	b = appendInteger(append(b, ";q="...), int64(l.Burst))
	b = appendInteger(append(b, ";w="...), seconds(float64(l.Burst)/float64(l.Rate)))
	p.text = string(b)
	return p
}

// policies remembers some of them. A Middleware mostly has few, and to write
// one takes longer than to decide.
type policies [8]atomic.Pointer[policy]

func (ps *policies) of(l Limit, rule string) *policy {
	slot := &ps[(uint(l.Burst)*0x9e3779b1+uint(len(rule)))>>16%uint(len(ps))]
	p := slot.Load()
	if p == nil || p.limit != l || p.rule != rule {
		made := newPolicy(l, rule)
		p = &made
		slot.Store(p)
	}
	return p
}

// window is the field's t.
func (d *Decision) window(perSecond float64) int64 {
	if !d.OK && d.RetryAfter > 0 && d.RetryAfter != rate.InfDuration {
		// Retry-After should not be earlier (§6 of the draft): it is this, jittered upward.
		return int64((d.RetryAfter-1)/time.Second) + 1
	}
	if d.Remaining > 0 {
		return seconds(float64(d.Remaining) / perSecond)
	}
	return seconds(d.ResetAfter.Seconds() - float64(d.Limit.Burst-1)/perSecond) // until there is one
}

// seconds is s rounded up, and at least 1. It takes off what is left over of a
// division: 11 at 11 a minute take 60 seconds and not 61.
func seconds(s float64) int64 {
	s *= 1 - 1e-9
	if s >= maxInteger {
		return maxInteger
	}
	n := int64(s)
	if float64(n) < s || n < 1 {
		n = max(0, n) + 1
	}
	return n
}

// maxInteger is the greatest Integer (RFC 9651 §3.3.1).
const maxInteger = 999_999_999_999_999

func appendInteger(b []byte, n int64) []byte { return strconv.AppendInt(b, min(n, maxInteger), 10) }

// appendString appends a String (RFC 9651 §4.1.6), which is ASCII that prints.
// What is not becomes a question mark.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ' || r > '~':
			b = append(b, '?')
		default:
			b = append(b, byte(r))
		}
	}
	return append(b, '"')
}
