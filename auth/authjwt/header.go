package authjwt

import (
	"errors"
	"strings"
	"sync/atomic"
)

var (
	errAlgorithm = errors.New("no algorithm in the header")
	errCritical  = errors.New("a critical extension in the header")
	errHeader    = errors.New("a member of the header is of the wrong kind")
	errNested    = errors.New("a token within a token")
)

const (
	// maxKeyID is the longest kid, in bytes.
	maxKeyID = 512
	// maxHeader is the longest header, in bytes of base64url, and maxHeaderValues how
	// many values it may have: all of it is read before the signature is, so whoever
	// sends tokens could make us read 16 KiB of tiny objects, which takes as long as
	// ten signatures. A header with a key and a chain of three certificates has some
	// 7 KB and 20 values.
	maxHeader       = 8 << 10
	maxHeaderValues = 64
)

// header is what is read of a JOSE header. jku, jwk, x5u and x5c are not: a
// token does not say by which key it is to be verified, but names one of those
// that are known (RFC 8725 §3.10).
type header struct {
	alg string
	kid string
	typ string // lower case, without "application/"; empty if there is none
	raw string // as in the token
}

// parseHeader reads a header from its base64url.
func parseHeader(raw string) (*header, error) {
	if len(raw) > maxHeader {
		return nil, errLong
	}
	document, err := decode(nil, raw)
	if err != nil {
		return nil, err
	}
	members, err := parseWith(nil, document, maxHeaderValues)
	if err != nil {
		return nil, err
	}
	// No extension is understood, so whatever crit names is not, and an empty
	// crit is malformed (RFC 7515 §4.1.11). That covers b64, which must be in it
	// (RFC 7797 §6); one that is not is refused lest another reader heeds it.
	if _, ok := members["crit"]; ok {
		return nil, errCritical
	}
	if b64, ok := members["b64"]; ok && b64 != true {
		return nil, errCritical
	}
	h := &header{raw: raw}
	for name, to := range map[string]*string{"alg": &h.alg, "kid": &h.kid, "typ": &h.typ} {
		if v, ok := members[name]; ok {
			if *to, ok = v.(string); !ok || *to == "" {
				return nil, errHeader
			}
		}
	}
	if h.alg == "" {
		return nil, errAlgorithm
	}
	if len(h.kid) > maxKeyID {
		return nil, errHeader
	}
	h.typ = mediaType(h.typ)
	if cty, _ := members["cty"].(string); mediaType(cty) == "jwt" {
		return nil, errNested
	}
	return h, nil
}

// mediaType is a typ without what may be left out of it, in lower case
// (RFC 7515 §4.1.9).
func mediaType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

// headers remembers headers of good tokens: an issuer gives all its tokens the
// same until it rotates its key, and a bad token cannot evict one.
type headers [8]atomic.Pointer[header]

func (hs *headers) slot(raw string) *atomic.Pointer[header] {
	n := len(raw)
	return &hs[(n^int(raw[n/2])^int(raw[n-2])<<1)%len(hs)]
}

// get returns the header, parsed if it is not remembered. A raw one has two
// characters or more.
func (hs *headers) get(raw string) (*header, error) {
	if len(raw) < 2 {
		return nil, errBase64
	}
	if h := hs.slot(raw).Load(); h != nil && h.raw == raw {
		return h, nil
	}
	return parseHeader(raw)
}

// keep remembers h.
func (hs *headers) keep(h *header) {
	slot := hs.slot(h.raw)
	if slot.Load() == h {
		return
	}
	kept := *h // whose raw keeps no whole token alive
	kept.raw = strings.Clone(h.raw)
	slot.Store(&kept)
}
