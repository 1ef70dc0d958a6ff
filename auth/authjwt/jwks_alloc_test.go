package authjwt

import "testing"

// Each request asks for the current set; each made-up token of a kid that is known to
// be absent is answered at once.
func TestKeySourcesDoNotAllocate(t *testing.T) {
	if raceEnabled {
		return // it allocates itself
	}
	set, err := ParseKeySet(jwksDocument("a"))
	if err != nil {
		t.Fatal(err)
	}
	ring := NewKeyring(set)
	j := readyJWKS(t, newJWKSServer("a"), JWKSConfig{MinInterval: defaultRefreshInterval})
	current := j.KeySet()
	j.mu.Lock()
	j.absent.add(j.hash("absent"))
	j.mu.Unlock()
	for name, f := range map[string]func(){
		"Keyring.KeySet":  func() { ring.KeySet() },
		"Keyring.Refresh": func() { _, _ = ring.Refresh(t.Context(), nil, "a") },
		"JWKS.KeySet":     func() { j.KeySet() },
		"JWKS.Refresh, a known kid": func() {
			if set, err := j.Refresh(t.Context(), current, "a"); set != current || err != nil {
				t.Errorf("%p, %v", set, err)
			}
		},
		"JWKS.Refresh, an absent kid": func() {
			if set, err := j.Refresh(t.Context(), current, "absent"); set != current || err != nil {
				t.Errorf("%p, %v", set, err)
			}
		},
	} {
		// What ends of earlier tests may allocate beside it.
		if n := min(testing.AllocsPerRun(100, f), testing.AllocsPerRun(100, f), testing.AllocsPerRun(100, f)); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
