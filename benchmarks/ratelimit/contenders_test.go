package limitbench

import (
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"
)

// Each contender does what it is measured at.
func TestEveryContender(t *testing.T) {
	address, stop, skip, err := startRedis()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if skip != "" && os.Getenv("CI") == "true" {
		t.Error("not measured:", skip)
	}
	for _, table := range allTables(1000, address, skip) {
		t.Run(table.Name, func(t *testing.T) {
			if table.Skip != "" {
				t.Skip(table.Skip)
			}
			for _, c := range table.Contenders {
				s, err := table.turn(c, time.Millisecond)
				if err == nil && s.Ops < table.Batch { // a slow machine
					s, err = table.turn(c, time.Second)
				}
				if err != nil || s.Ops < table.Batch {
					t.Errorf("%s: %d operations, %v", c.Name, s.Ops, err)
				}
			}
		})
	}
}

// A middleware that told nobody apart, or let everybody through, would be
// faster.
func TestEveryMiddlewareLimits(t *testing.T) {
	for _, by := range []keyOf{byAPIKey, byAddress} {
		for _, p := range httpPeers() {
			m, err := p.new(allowance{burst: 2, per: time.Hour}, by)
			if err != nil {
				t.Fatal(err)
			}
			h := m(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
			got := ""
			for _, who := range []int{1, 1, 1, 2, 1, 2, 2} {
				w, r := &discard{header: http.Header{}}, request()
				if by == byAPIKey {
					r.Header.Set(apiKey, fmt.Sprintf("tenant-%d", who))
				} else {
					r.RemoteAddr = fmt.Sprintf("203.0.113.%d:1234", who)
				}
				h.ServeHTTP(w, r)
				got += fmt.Sprint(w.status, " ")
			}
			if want := "200 200 429 200 429 200 429 "; got != want {
				t.Errorf("%s, %v: %s, want %s", p.name, by, got, want)
			}
		}
	}
}

func TestMemory(t *testing.T) {
	const keys, each = 10_000, 64
	kept := make([][]byte, keys)
	all, err := measureMemory([]keyedPeer{{name: "64 bytes", new: func(int) (keyedLimiter, error) {
		i := 0
		return keyedLimiter{loop: func(_ time.Time, keys []string) error {
			for range keys {
				kept[i] = make([]byte, each)
				i++
			}
			return nil
		}}, nil
	}}}, keys)
	if err != nil {
		t.Fatal(err)
	}
	if got := all[0].heap; got < each || got > 1.2*each {
		t.Errorf("%v bytes a key, want %d", got, each)
	}
	if got := all[0].scanned; got > 0.1*each {
		t.Errorf("%v bytes a key are scanned, although none has a pointer", got)
	}
}

// What the report says of ballast's table: it has no pointers.
func TestBallastIsNotScanned(t *testing.T) {
	all, err := measureMemory([]keyedPeer{{name: Ours, new: newBallastAllowAt}}, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	if f := all[0]; f.heap > 24 || f.scanned > 0.5 {
		t.Errorf("%v bytes a key, %v of them scanned", f.heap, f.scanned)
	}
}
