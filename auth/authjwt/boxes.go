package authjwt

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"
)

// boxes keeps the strings that many tokens of an issuer have in common, such as
// its name, as they are put into a map[string]any: that spares each token an
// allocation for every one of them, and one for a list of scopes.
//
// Only claims whose signature was good come here. A string is kept when it is
// seen a second time before another one of its slot, so those that are different in each
// token are not. A nil boxes keeps none.
type boxes struct {
	seed  maphash.Seed
	slots [256]struct {
		seen atomic.Uint64 // the hash of the last string that was not kept
		kept atomic.Pointer[box]
	}
}

// maxBox is how long a string that is kept may be, in bytes.
const maxBox = 128

// box is a string with what is made of it.
type box struct {
	s      string
	boxed  any
	fields []string // between white space
}

func newBoxes() *boxes { return &boxes{seed: maphash.MakeSeed()} }

// of returns the box of s, or nil if it has none.
func (b *boxes) of(s string) *box {
	if b == nil || len(s) > maxBox {
		return nil
	}
	hash := maphash.String(b.seed, s)
	slot := &b.slots[hash%uint64(len(b.slots))]
	if kept := slot.kept.Load(); kept != nil && kept.s == s {
		return kept
	}
	if slot.seen.Swap(hash) != hash {
		return nil
	}
	s = strings.Clone(s) // which is a part of a whole token's claims
	kept := &box{s: s, boxed: s, fields: slices.Clip(strings.Fields(s))}
	slot.kept.Store(kept)
	return kept
}

// value returns s as an any.
func (b *boxes) value(s string) any {
	if kept := b.of(s); kept != nil {
		return kept.boxed
	}
	return s
}

// split returns s cut at white space.
func (b *boxes) split(s string) []string {
	if kept := b.of(s); kept != nil {
		return kept.fields
	}
	return strings.Fields(s)
}
