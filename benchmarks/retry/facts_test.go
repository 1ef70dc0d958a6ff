package retrybench

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
)

// TestMain makes the test binary the facts' process, if it was started as one.
func TestMain(m *testing.M) {
	Helper(os.Stdout)
	os.Exit(m.Run())
}

const fewCalls = 400 // of an outage, in tests

// wantFacts are, by what a fact is about and who: the beginning of what a peer
// did that is not right. Whoever is not here did right; a nil map says nothing of
// peers.
func wantFacts() map[string]map[string]string {
	everyone := func(saw string, but ...string) map[string]string {
		all := map[string]string{}
		for _, p := range peers() {
			all[p.name] = saw
		}
		for _, name := range append(but, Ours) {
			delete(all, name)
		}
		return all
	}
	both := func(retryable, failsafe string) map[string]string {
		return map[string]string{retryablehttpName: retryable, failsafehttpName: failsafe}
	}
	late := everyone("after 50ms, 1 attempt; the error is the deadline, the cause is lost")
	for _, name := range []string{avastName, avastThrottled} {
		late[name] = "after 50ms, 1 attempt; the error is the cause and the deadline"
	}
	outage := everyone("1200, 3 for each call", avastThrottled)
	outage[failsafeBudgeted] = "1" // 1198 or so
	posts := "POST 3, POST with an Idempotency-Key 3, GET 3"
	return map[string]map[string]string{
		"An outage": outage,
		"400ms at 1,000 calls a second, and one answer in 20": {},
		"A call with 50ms left":                               late,
		"3 layers in one process":                             everyone("27"),
		"A server that answers 503":                           both(posts, posts),
		"503 with Retry-After: 2.":                            {},
		"503 with Retry-After: the d":                         {failsafehttpName: "after 100ms"},
		"503 with Retry-After: -1":                            {failsafehttpName: "after 0s"},
		"503 with Retry-After: 86400":                         both("after 24h0m0s", "after 24h0m0s"),
		"503 with Retry-After: 922337":                        both("after 0s", "after 0s"),
		"3 servers in a row":                                  both("27", "27"),
		"Hedging: 400ms at 1,000 calls a second, and one":     {},
		"Hedging: 400ms at 1,000 calls a second, and from":    nil,
	}
}

// What the report says of ballast must be right, and of a peer what it did.
func TestFacts(t *testing.T) {
	all, err := virtual(t, allTries(fewCalls))
	if err != nil {
		t.Fatal(err)
	}
	want, seen := wantFacts(), map[string]int{}
	for _, f := range all {
		found := ""
		for about := range want {
			if strings.HasPrefix(f.About, about) {
				found = about
			}
		}
		if found == "" {
			t.Errorf("nothing is known of %q", f.About)
			continue
		}
		seen[found]++
		if want[found] == nil && f.Who != Ours {
			continue
		}
		if saw, wrong := want[found][f.Who]; f.Right == wrong || !strings.HasPrefix(f.Saw, saw) {
			t.Errorf("%s: %s: %s, right %v", f.About, f.Who, f.Saw, f.Right)
		}
	}
	for about := range want {
		if n := seen[about]; n != len(peers()) && n != len(httpPeers()) && n != len(hedgePeers()) {
			t.Errorf("%q is about %d libraries", about, n)
		}
	}
}

// An outage gets a tenth more than its calls, and ten: no more, and hardly less.
func TestOutageIsBounded(t *testing.T) {
	const calls, most = 1000, 1000 + 100 + 10
	var all []fact
	var err error
	synctest.Test(t, func(*testing.T) { all, err = load{calls}.outage() })
	if err != nil || all[0].Who != Ours {
		t.Fatal(all, err)
	}
	var reached int
	if _, err := fmt.Sscan(all[0].Saw, &reached); err != nil || reached > most || reached < most-2 {
		t.Errorf("%s, want %d, %v", all[0].Saw, most, err)
	}
}

func TestVirtualFails(t *testing.T) {
	_, err := virtual(t, []try{func() ([]fact, error) { return nil, errWrong }, deadlineFacts})
	if !errors.Is(err, errWrong) {
		t.Errorf("error %v is lost", err)
	}
}

func TestProcessFails(t *testing.T) {
	if out, err := process("many"); err == nil || !strings.Contains(err.Error(), "many") {
		t.Errorf("%s, %v", out, err)
	}
	if got, err := decode([]byte("PASS")); err == nil {
		t.Errorf("%v without facts", got)
	}
}

func TestTold(t *testing.T) {
	if got := told(errWrong); !strings.Contains(got, "neither") || !strings.Contains(got, errWrong.Error()) {
		t.Error(got)
	}
}
