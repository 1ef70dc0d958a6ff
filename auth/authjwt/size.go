package authjwt

import (
	"math/bits"

	"github.com/ballast-go/ballast/auth"
)

// entrySize is about what an entry keeps in memory: the token, its claims, of
// which the strings are parts of one copy of the payload, and what holds them.
func entrySize(t token, p *auth.Principal) int {
	const perEntry = 384 // the Principal and the copies' rounding, and some room
	return perEntry + len(t.whole) + len(t.payload) + heldBy(p.Claims) + 16*(cap(p.Roles)+cap(p.Scopes))
}

// heldBy is about what a claim keeps in memory beside the payload's bytes. It is
// 100 times those of a list of small objects: without it an issuer's users whose
// tokens are of that kind would take 1 GiB where 64 MiB were given.
func heldBy(v any) (n int) {
	switch v := v.(type) {
	case string:
		return 16
	case float64:
		return 8
	case []any:
		n = 24 + 16*cap(v)
		for _, e := range v {
			n += heldBy(e)
		}
	case map[string]any:
		n = 48 // and groups of eight places, of a word and 32 bytes each
		switch {
		case len(v) > 8: // which are seven eighths full at most
			n += 128 + 36<<bits.Len(uint(len(v)*8/7))
		case len(v) > 0:
			n += 288
		}
		for _, e := range v {
			n += heldBy(e)
		}
	}
	return n
}
