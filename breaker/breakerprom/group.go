package breakerprom

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-go/ballast/breaker"
)

// maxKey is how many bytes of a key are shown.
const maxKey = 128

// NewGroupCollector is [NewCollector] for the breakers of g, which must not be
// nil: those that there are at each scrape. name is the label breaker of all
// series, and the label key says which: the key, as fmt.Sprint has it, or "" for
// the one that keys share for which there was no room.
//
// A key can be what a client has chosen, and so it never makes a scrape fail: of
// a long one the first 128 bytes are shown, and what is not UTF-8 is replaced. Those
// that look alike then are shown as one: what is counted, as a sum; the state, the
// share and the time to wait, of the one that lets least through.
func NewGroupCollector[K comparable](name string, g *breaker.Group[K]) prometheus.Collector {
	return &groupCollector[K]{newSeries(name), g}
}

type groupCollector[K comparable] struct {
	series
	group *breaker.Group[K]
}

func (c *groupCollector[K]) Collect(to chan<- prometheus.Metric) {
	shown := map[string]breaker.Stats{"": c.group.Overflow().Stats()}
	for key, b := range c.group.All() {
		text, stats := label(key), b.Stats()
		if other, ok := shown[text]; ok {
			stats = merge(stats, other)
		}
		shown[text] = stats
	}
	for key, stats := range shown {
		c.collect(to, key, stats)
	}
}

// label is what is shown of a key.
func label(key any) string {
	text := fmt.Sprint(key)
	if len(text) > maxKey {
		end := maxKey
		for end > maxKey-utf8.UTFMax && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// merge makes one of two breakers.
func merge(a, b breaker.Stats) breaker.Stats {
	s := a
	if b.Share < a.Share {
		s = b
	}
	s.Successes = a.Successes + b.Successes
	s.Failures = a.Failures + b.Failures
	s.Ignored = a.Ignored + b.Ignored
	s.Late = a.Late + b.Late
	s.Slow = a.Slow + b.Slow
	s.Rejected = a.Rejected + b.Rejected
	s.Opened = a.Opened + b.Opened
	s.ExpiredProbes = a.ExpiredProbes + b.ExpiredProbes

	s.WindowCalls = a.WindowCalls + b.WindowCalls
	mean := func(x, y float64) float64 {
		if s.WindowCalls == 0 {
			return 0
		}
		return (x*float64(a.WindowCalls) + y*float64(b.WindowCalls)) / float64(s.WindowCalls)
	}
	s.WindowFailureRate = mean(a.WindowFailureRate, b.WindowFailureRate)
	s.WindowSlowRate = mean(a.WindowSlowRate, b.WindowSlowRate)
	return s
}
