package breakerprom_test

import (
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/breaker/breakerprom"
)

// Each field has another number.
var numbers = breaker.Stats{
	State:     breaker.Recovering,
	Successes: 101, Failures: 102, Ignored: 103, Late: 104, Slow: 105,
	Rejected: 106, Opened: 107, ExpiredProbes: 108,
	WindowCalls: 109, WindowFailureRate: 0.25, WindowSlowRate: 0.125,
	RetryAfter: 1500 * time.Millisecond, Share: 0.75,
}

// named stands for a breaker.
type named struct {
	source[breaker.Stats]
	name string
}

func (n *named) Name() string { return n.name }

func stub(name string, stats breaker.Stats) *named {
	return &named{source[breaker.Stats]{stats: stats}, name}
}

func TestExposition(t *testing.T) {
	b := stub("payments", numbers)
	r := registryOf(t, breakerprom.NewCollector(b))
	if b.asked != 0 {
		t.Error("a snapshot was taken before a scrape")
	}
	if got := page(t, r); got != exposition {
		t.Errorf("got:\n%s\nwant:\n%s", got, exposition)
	}
	if b.asked != 1 {
		t.Errorf("a scrape took %d snapshots, want one", b.asked)
	}
}

// A breaker is in one state at a time, whichever it is.
func TestStates(t *testing.T) {
	for state, text := range map[breaker.State]string{
		breaker.Closed: "closed", breaker.Open: "open", breaker.HalfOpen: "half_open",
		breaker.Recovering: "recovering", breaker.ForcedOpen: "forced_open", breaker.ForcedClosed: "forced_closed",
	} {
		got := samples(t, page(t, registryOf(t, breakerprom.NewCollector(stub("", breaker.Stats{State: state})))))
		sum := 0.0
		for name, v := range got {
			if len(name) > len("breaker_state{") && name[:len("breaker_state{")] == "breaker_state{" {
				sum += v
			}
		}
		if got[`breaker_state{breaker="",key="",state="`+text+`"}`] != 1 || sum != 1 {
			t.Errorf("%v: %v", state, got)
		}
	}
}

// Two breakers and two groups, and one that takes the place of another.
func TestSeveral(t *testing.T) {
	more := numbers
	more.Rejected = 7
	group := newGroup[string](t, breaker.GroupConfig[string]{})
	r := registryOf(t,
		breakerprom.NewCollector(stub("payments", numbers)),
		breakerprom.NewCollector(stub("images", more)),
		breakerprom.NewGroupCollector("models", group),
		breakerprom.NewGroupCollector("hosts", newGroup[int](t, breaker.GroupConfig[int]{})),
	)
	want(t, r, map[string]float64{
		`breaker_rejected_total{breaker="payments",key=""}`: 106,
		`breaker_rejected_total{breaker="images",key=""}`:   7,
		`breaker_rejected_total{breaker="models",key=""}`:   0,
		`breaker_rejected_total{breaker="hosts",key=""}`:    0,
	})
	for _, replacement := range []prometheus.Collector{
		breakerprom.NewCollector(stub("payments", breaker.Stats{})),
		breakerprom.NewGroupCollector("models", group),
		breakerprom.NewCollector(stub("hosts", breaker.Stats{})), // a group's name
	} {
		var already prometheus.AlreadyRegisteredError
		if err := r.Register(replacement); !errors.As(err, &already) {
			t.Fatalf("a second one of the same name: %v", err)
		}
		r.Unregister(already.ExistingCollector)
		r.MustRegister(replacement)
	}
	want(t, r, map[string]float64{`breaker_rejected_total{breaker="payments",key=""}`: 0})
}

func TestNames(t *testing.T) {
	r := registryOf(t, breakerprom.NewCollector(stub("a \"quoted\"\nname", numbers)))
	want(t, r, map[string]float64{`breaker_opened_total{breaker="a \"quoted\"\nname",key=""}`: 107})
	for _, c := range []prometheus.Collector{
		breakerprom.NewCollector(stub("\xff", numbers)),
		breakerprom.NewGroupCollector("\xff", newGroup[string](t, breaker.GroupConfig[string]{})),
	} {
		if err := r.Register(c); err == nil {
			t.Error("a name that is not UTF-8 was registered")
		}
	}
}
