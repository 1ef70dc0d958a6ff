package authkubernetes

import (
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// The memory is compared with one that does the obvious, slowly.
func TestCacheAgainstNaive(t *testing.T) {
	type entry struct {
		key, value int
		until      time.Time
	}
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		const most = 8
		c := newCache[int](most)
		var naive []entry // by age
		now := time.Unix(1000, 0)
		for step := range 2000 {
			key := rnd.IntN(20)
			now = now.Add(time.Duration(rnd.IntN(3)) * time.Second)
			index := slices.IndexFunc(naive, func(e entry) bool { return e.key == key })
			if rnd.IntN(2) == 0 {
				until := now.Add(time.Duration(rnd.IntN(12)-1) * time.Second)
				c.put(sum{byte(key)}, step, now, until)
				if until.After(now) {
					if index >= 0 {
						naive = slices.Delete(naive, index, index+1)
					}
					naive = append(naive, entry{key, step, until})
					for len(naive) > most || !naive[0].until.After(now) {
						naive = naive[1:]
					}
				}
			} else {
				v, ok := c.get(sum{byte(key)}, now)
				if want := index >= 0 && naive[index].until.After(now); ok != want || ok && v != naive[index].value {
					t.Fatalf("seed %d, step %d: got %v %v", seed, step, v, ok)
				}
			}
			if c.len() != len(naive) || c.order.Len() != c.len() {
				t.Fatalf("seed %d, step %d: %d are remembered, want %d", seed, step, c.len(), len(naive))
			}
		}
	}
}

// Whatever is said to be a token can go into JSON as it is, and into a log by its
// claims alone.
func FuzzParse(f *testing.F) {
	f.Add("e30.e30.c2ln")
	f.Add("e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"a","exp":1e9,"exp":2e9}`)) + ".c2ln")
	f.Add("..")
	f.Add("a.bnVsbA.c")
	f.Add("a.eyJleHAiOjFlMTh9.c")
	f.Fuzz(func(t *testing.T, token string) {
		if strings.Count(token, ".") != 2 {
			return
		}
		u, err := parse(token)
		if err != nil {
			return
		}
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		if err != nil {
			t.Fatalf("the payload is %v", err)
		}
		var claims map[string]any
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatalf("the claims are %v", err)
		}
		if iss, _ := claims["iss"].(string); u.issuer != iss {
			t.Errorf("issuer %q, want %q", u.issuer, iss)
		}
		if exp, ok := claims["exp"].(float64); ok != !u.expires.IsZero() || ok && u.expires.Unix() != int64(exp) {
			t.Errorf("expires %v, want %v", u.expires, exp)
		}
		if text, err := json.Marshal(token); err != nil || string(text) != `"`+token+`"` {
			t.Errorf("in JSON it is %s: %v", text, err)
		}
	})
}
