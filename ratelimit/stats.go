package ratelimit

// Stats are a [Keyed] limiter's numbers. The counts are since New.
type Stats struct {
	Capacity int // keys that it has cells for
	Keys     int // cells of keys that have not recovered all of their burst

	Allowed, Denied uint64 // calls of Allow, AllowAt and AllowN, by what was decided

	// Overflow are the calls that a shared cell decided or was charged with,
	// because there was no room for the key, or had not been lately. If it
	// grows, honest keys may be denied: raise MaxKeys.
	Overflow uint64

	// Reused is how often a key got the cell of another that had recovered.
	Reused uint64
}

// Stats returns a snapshot. It looks at every cell: milliseconds for a million.
func (k *Keyed) Stats() Stats {
	t := &k.table
	st := Stats{Capacity: len(t.lines) * len(line{})}
	for i := range t.stripes {
		s := &t.stripes[i]
		st.Allowed += s.allowed.Load()
		st.Denied += s.denied.Load()
		st.Overflow += s.overflow.Load()
		st.Reused += s.reused.Load()
	}
	now := k.now()
	for i := range t.lines {
		for j := range t.lines[i] {
			if t.lines[i][j].tat.Load() > now {
				st.Keys++
			}
		}
	}
	return st
}
