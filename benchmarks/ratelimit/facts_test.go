package limitbench

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What the report says of ballast must be right, and of a peer what it did.
func TestFacts(t *testing.T) {
	all, err := facts()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"throttled, LRU":     "130 admitted",
		"x/rate, AllowN(t)":  "20 admitted",
		"httprate":           "1 different values; the commonest goes to 10k clients",
		"sethvargo":          "a Retry-After that is no HTTP date",
		"failsafe, bulkhead": "3 permits lost",
	}
	ours := 0
	for _, f := range all {
		if f.who == Ours {
			ours++
			if !f.right {
				t.Errorf("%s: %s: %s", f.about, f.who, f.saw)
			}
		}
		if !strings.HasPrefix(f.saw, want[f.who]) || want[f.who] != "" && f.right {
			t.Errorf("%s: %s, %v, want %q", f.who, f.saw, f.right, want[f.who])
		}
	}
	if ours != 4 {
		t.Errorf("%d facts are about ballast, want 4", ours)
	}
}

// The test itself must tell a limiter that remembers from one that does not.
func TestVictim(t *testing.T) {
	for _, forgets := range []bool{false, true} {
		used := map[string]int{}
		got, others, err := victim(func(key string) (bool, error) {
			if forgets && key != "victim" {
				clear(used)
			}
			used[key]++
			return used[key] <= victimLimit, nil
		})
		want := victimLimit
		if forgets {
			want = victimLimit * (victimTries + 1)
		}
		if got != want || others != 0 || err != nil {
			t.Errorf("forgets %v: %d admitted, %d others denied, %v, want %d", forgets, got, others, err, want)
		}
	}
	if _, _, err := victim(func(string) (bool, error) { return false, errDenied }); !errors.Is(err, errDenied) {
		t.Errorf("error %v is lost", err)
	}
}

func TestAnswers(t *testing.T) {
	date := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, test := range map[string]struct {
		a     answers
		right bool
	}{
		"spread":  {answers{"60": 4, "61": 4, "62": 4}, true},
		"one":     {answers{"60": 12}, false},
		"none":    {answers{"": 12}, false},
		"some":    {answers{"": 1, "60": 4, "61": 4, "62": 4}, false},
		"dates":   {answers{date.Format(http.TimeFormat): 4, date.Add(time.Second).Format(http.TimeFormat): 3, "9": 3}, true},
		"no date": {answers{date.Format(time.RFC1123): 3, "60": 4, "61": 4}, false},
	} {
		if f := test.a.fact("", ""); f.right != test.right {
			t.Errorf("%s: %s: right %v, want %v", name, f.saw, f.right, test.right)
		}
	}
}
