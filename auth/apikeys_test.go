package auth

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func mustKeys(t testing.TB, cfg APIKeysConfig) *APIKeys {
	t.Helper()
	a, err := NewAPIKeys(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAPIKeysAuthenticate(t *testing.T) {
	now := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	const good, old, bare, unknown = "sk_good", "sk_old", "bare", "sk_unknown"
	keys := []APIKey{
		{Hash: HashAPIKey(good), ID: "k1", Owner: "alice", Roles: []string{"r"}, Scopes: []string{"a:b", "c"}, ExpiresAt: now.Add(time.Hour)},
		{Hash: HashAPIKey(old), Owner: "bob", ExpiresAt: now},
		{Hash: HashAPIKey(bare), Owner: "carol"},
	}
	prefixed, plain := mustKeys(t, APIKeysConfig{Prefix: "sk_", Keys: keys}), mustKeys(t, APIKeysConfig{Keys: keys})
	long := "sk_" + strings.Repeat("x", maxAPIKey)
	for name, tt := range map[string]struct {
		a     *APIKeys
		c     Credentials
		owner string
		err   error
	}{
		"key":                       {prefixed, Credentials{APIKey: good}, "alice", nil},
		"bearer":                    {prefixed, Credentials{Token: good}, "alice", nil},
		"bearer of another kind":    {prefixed, Credentials{Token: "a.b.c"}, "", ErrNoCredential},
		"key beside another token":  {prefixed, Credentials{APIKey: good, Token: "a.b.c"}, "alice", nil},
		"both":                      {prefixed, Credentials{APIKey: good, Token: good}, "", ErrAmbiguous},
		"nothing":                   {prefixed, Credentials{}, "", ErrNoCredential},
		"unknown":                   {prefixed, Credentials{APIKey: unknown}, "", ErrInvalid},
		"unknown bearer":            {prefixed, Credentials{Token: unknown}, "", ErrInvalid},
		"expires now":               {prefixed, Credentials{APIKey: old}, "", ErrExpired},
		"known, without the prefix": {prefixed, Credentials{APIKey: bare}, "", ErrInvalid},
		"too long":                  {prefixed, Credentials{APIKey: long}, "", ErrInvalid},
		"too long a bearer":         {prefixed, Credentials{Token: long}, "", ErrInvalid},
		"capitals":                  {prefixed, Credentials{APIKey: "sk_GOOD"}, "", ErrInvalid},
		"white space":               {prefixed, Credentials{APIKey: good + " "}, "", ErrInvalid},
		"plain":                     {plain, Credentials{APIKey: bare}, "carol", nil},
		"plain reads no token":      {plain, Credentials{Token: bare}, "", ErrNoCredential},
		"plain ignores the token":   {plain, Credentials{Token: good, APIKey: good}, "alice", nil},
	} {
		tt.c.At = now
		p, err := tt.a.Authenticate(t.Context(), tt.c)
		if !errors.Is(err, tt.err) || (err == nil) != (p != nil) || p != nil && p.Subject != tt.owner {
			t.Errorf("%s: %v %v", name, p, err)
		}
		if tt.err == ErrInvalid && errors.Is(err, ErrExpired) {
			t.Errorf("%s: expired", name)
		}
		if err != nil && (strings.Contains(err.Error(), "sk_") || strings.Contains(err.Error(), "xxx")) {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
	}
	got, _ := prefixed.Authenticate(t.Context(), Credentials{APIKey: good, At: now})
	want := &Principal{Subject: "alice", Method: MethodAPIKey, Roles: []string{"r"}, Scopes: []string{"a:b", "c"},
		Claims: map[string]any{"key_id": "k1"}, ExpiresAt: now.Add(time.Hour)}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	keys[0].Roles[0] = "admin" // what was given is copied
	if got.Roles[0] != "r" {
		t.Error("a Principal's role was changed from outside")
	}
	if _, err := prefixed.Authenticate(t.Context(), Credentials{APIKey: good, At: now.Add(time.Hour)}); !errors.Is(err, ErrExpired) || !strings.Contains(err.Error(), `"k1"`) {
		t.Errorf("after its end: %v", err)
	}
}

// A key may have 256 bytes, and one that goes on behind them is another.
func TestAPIKeysLength(t *testing.T) {
	key := strings.Repeat("k", maxAPIKey)
	a := mustKeys(t, APIKeysConfig{Keys: []APIKey{{Hash: HashAPIKey(key), Owner: "o"}, {Hash: HashAPIKey(key + "x"), Owner: "p"}}})
	if _, err := a.Authenticate(t.Context(), Credentials{APIKey: key}); err != nil {
		t.Error(err)
	}
	if _, err := a.Authenticate(t.Context(), Credentials{APIKey: key + "x"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("one byte more: %v", err)
	}
}

// Without an At the time is now.
func TestAPIKeysReadTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := mustKeys(t, APIKeysConfig{Keys: []APIKey{{Hash: HashAPIKey("k"), Owner: "o", ExpiresAt: time.Now().Add(time.Hour)}}})
		if _, err := a.Authenticate(t.Context(), Credentials{APIKey: "k"}); err != nil {
			t.Error(err)
		}
		<-time.After(time.Hour)
		if _, err := a.Authenticate(t.Context(), Credentials{APIKey: "k"}); !errors.Is(err, ErrExpired) {
			t.Error(err)
		}
	})
}

func TestAPIKeysConfigErrors(t *testing.T) {
	hash := HashAPIKey("k")
	bad := []APIKey{
		{Hash: hash, Owner: "o"},
		{Owner: "o"},
		{Hash: HashAPIKey("l")},
		{Hash: hash, Owner: "p"},
		{Hash: HashAPIKey("m"), Owner: "o", Roles: []string{"r", ""}, Scopes: []string{"a b", "", `q"`, `b\`, "ü", "ok"}},
	}
	want := []string{
		"[1].Hash is not set", "[2].Owner is empty", "[3].Hash is that of ", "[4].Roles[1] is empty",
		"[4].Scopes[0] is no scope", "[4].Scopes[1] is", "[4].Scopes[2] is", "[4].Scopes[3] is", "[4].Scopes[4] is",
	}
	_, err := NewAPIKeys(APIKeysConfig{Prefix: "sk live", Keys: bad})
	a := mustKeys(t, APIKeysConfig{Keys: []APIKey{{Hash: HashAPIKey("n"), Owner: "o"}}})
	errReplace := a.Replace(bad)
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), "auth: APIKeysConfig.Keys"+w) || errReplace == nil || !strings.Contains(errReplace.Error(), "auth: Replace: keys"+w) {
			t.Errorf("%q is missing from:\n%v\n%v", w, err, errReplace)
		}
	}
	if !strings.Contains(err.Error(), "APIKeysConfig.Prefix has something") || strings.Count(err.Error(), "\n") != len(want) {
		t.Errorf("%v", err)
	}
	if _, err := a.Authenticate(t.Context(), Credentials{APIKey: "n"}); err != nil {
		t.Errorf("after a Replace that failed: %v", err)
	}
	if _, err := NewAPIKeys(APIKeysConfig{Prefix: strings.Repeat("p", 65)}); err == nil || !strings.Contains(err.Error(), "Prefix has 65 bytes") {
		t.Errorf("%v", err)
	}
	if _, err := NewAPIKeys(APIKeysConfig{Keys: make([]APIKey, 1000)}); strings.Count(err.Error(), "\n") != maxKeyErrors || !strings.HasSuffix(err.Error(), "and 1980 more mistakes in the keys") {
		t.Errorf("%v", err)
	}
}

// The table finds what a map finds, whatever is in it.
func TestKeyTableAgainstMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 50 {
		var keys []APIKey
		reference := make(map[[32]byte]string)
		for i := range rng.IntN(50) {
			var hash [32]byte
			hash[0], hash[7], hash[31] = byte(rng.IntN(4)), byte(rng.IntN(2)), byte(i+1) // many in one slot
			keys = append(keys, APIKey{Hash: hash, Owner: fmt.Sprint(i)})
			reference[hash] = fmt.Sprint(i)
		}
		table, errs := newKeyTable("keys", keys)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		for range 200 {
			var hash [32]byte
			hash[0], hash[7], hash[31] = byte(rng.IntN(4)), byte(rng.IntN(2)), byte(rng.IntN(60))
			got := ""
			if e := table.find(&hash); e.principal != nil {
				got = e.principal.Subject
			}
			if got != reference[hash] {
				t.Fatalf("round %d: %q, not %q", round, got, reference[hash])
			}
		}
	}
}

// No request that begins after Replace has returned sees a key that it took away,
// and none ever misses a key that always is there.
func TestAPIKeysReplaceIsAtomic(t *testing.T) {
	const generations = 300
	name := func(g int) string { return fmt.Sprint("key of generation ", g) }
	set := func(g int) []APIKey {
		return []APIKey{{Hash: HashAPIKey("always"), Owner: "o"}, {Hash: HashAPIKey(name(g)), Owner: "o"}}
	}
	a := mustKeys(t, APIKeysConfig{Keys: set(0)})
	var current atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				before := int(current.Load()) // a Replace has returned
				if before == generations {
					return
				}
				if before > 0 {
					if _, err := a.Authenticate(t.Context(), Credentials{APIKey: name(before - 1)}); err == nil {
						t.Errorf("a key of generation %d in generation %d", before-1, before)
						return
					}
				}
				if _, err := a.Authenticate(t.Context(), Credentials{APIKey: "always"}); err != nil {
					t.Errorf("generation %d: %v", before, err)
					return
				}
				runtime.Gosched()
			}
		})
	}
	for g := 1; g <= generations; g++ {
		if err := a.Replace(set(g)); err != nil {
			t.Fatal(err)
		}
		current.Store(int64(g))
		runtime.Gosched()
	}
	wg.Wait()
}

// A generated key is as documented, and no two are alike.
func TestGenerateAPIKey(t *testing.T) {
	seen := make(map[string]bool)
	var count [256]int
	for range 2000 {
		key := GenerateAPIKey("sk_live_")
		digits, ok := strings.CutPrefix(key, "sk_live_")
		if !ok || len(digits) != 49 || strings.Trim(digits, base62) != "" || seen[key] {
			t.Fatalf("%q", key)
		}
		seen[key] = true
		body, check := key[:len(key)-6], key[len(key)-6:]
		sum := uint64(0)
		for _, c := range check {
			sum = sum*62 + uint64(strings.IndexRune(base62, c))
		}
		if sum != uint64(crc32.ChecksumIEEE([]byte(body))) {
			t.Fatalf("the checksum of %q is %d", key, sum)
		}
		for _, c := range []byte(digits[:43]) {
			count[c]++
		}
	}
	// 86000 digits, 1387 of each: ±6 standard deviations.
	for _, c := range []byte(base62) {
		if count[c] < 1165 || count[c] > 1610 {
			t.Errorf("%c comes %d times", c, count[c])
		}
	}
	a := mustKeys(t, APIKeysConfig{Prefix: "sk_", Keys: []APIKey{{Hash: HashAPIKey(GenerateAPIKey("sk_")), Owner: "o"}}})
	if _, err := a.Authenticate(t.Context(), Credentials{APIKey: GenerateAPIKey("sk_")}); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}

func TestAPIKeysAllocateNothing(t *testing.T) {
	if raceEnabled {
		return // the race detector allocates
	}
	key := GenerateAPIKey("sk_live_")
	a := mustKeys(t, APIKeysConfig{Prefix: "sk_", Keys: []APIKey{{Hash: HashAPIKey(key), Owner: "o", ID: "i", ExpiresAt: time.Now().Add(time.Hour)}}})
	all := First(AuthenticatorFunc(nobodyAtAll), a)
	ctx := t.Context()
	for name, c := range map[string]Credentials{"key": {APIKey: key, At: time.Now()}, "bearer": {Token: key}} {
		if n := testing.AllocsPerRun(100, func() {
			if _, err := all.Authenticate(ctx, c); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkAPIKeys100k(b *testing.B) {
	keys := make([]APIKey, 100_000)
	texts := make([]string, len(keys))
	for i := range keys {
		texts[i] = GenerateAPIKey("sk_")
		keys[i] = APIKey{Hash: HashAPIKey(texts[i]), Owner: "o", ExpiresAt: time.Now().Add(time.Hour)}
	}
	// Who comes next is not who is next in the table.
	rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	a := mustKeys(b, APIKeysConfig{Keys: keys})
	ctx, now := b.Context(), time.Now()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i++; i == len(texts) {
			i = 0
		}
		if _, err := a.Authenticate(ctx, Credentials{APIKey: texts[i], At: now}); err != nil {
			b.Fatal(err)
		}
	}
}
