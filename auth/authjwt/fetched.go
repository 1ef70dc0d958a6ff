package authjwt

import (
	"context"
	"errors"
	"reflect"
	"runtime"

	"github.com/ballast-go/ballast/auth"
)

// sourcesOf returns the sources of keys, those that trusts share once.
func sourcesOf(trusts []*trust) (sources []KeySource) {
	seen := map[KeySource]bool{}
	for _, t := range trusts {
		if reflect.ValueOf(t.source).Comparable() {
			if seen[t.source] {
				continue
			}
			seen[t.source] = true
		}
		sources = append(sources, t.source)
	}
	return sources
}

// fetched asks the sources that lack the key for newer ones, all at once lest one that
// hangs keeps the others' waiting, and tries again with each that has some. It returns
// as soon as the key is found, and not before all have answered otherwise.
func (a *attempt) fetched(ctx context.Context) (*auth.Principal, error) {
	ctx, cancel := context.WithCancel(ctx)
	replies := make(chan reply, len(a.v.sources))
	asked := 0
	defer func() {
		cancel()
		var left reply
		for ; asked > 0; asked-- {
			if got := <-replies; got.ended {
				left = got
			}
		}
		left.pass()
	}()
	seen := make([]*KeySet, len(a.v.sources))
	for i, source := range a.v.sources {
		seen[i] = source.KeySet()
	}
	// Keys may have been replaced since they were tried.
	if p, err := a.known(); !errors.Is(err, errUnknownKey) {
		return p, err
	}
	for i, source := range a.v.sources {
		if seen[i].has(a.h.kid) {
			continue
		}
		if len(a.v.sources) == 1 {
			replies <- reply{err: newer(ctx, source, seen[i], a.h.kid)}
		} else {
			go ask(ctx, source, seen[i], a.h.kid, replies)
		}
		asked++
	}
	failed := a.refusal
	if failed == nil {
		failed = invalid("unknown key " + quote(a.h.kid))
	}
	for asked > 0 {
		got := <-replies
		asked--
		got.pass()
		if got.err == nil {
			if p, err := a.known(); !errors.Is(err, errUnknownKey) {
				return p, err
			}
		} else if !errors.Is(got.err, errUnknownKey) {
			failed = got.err
		}
	}
	return nil, failed
}

// has reports whether there is nothing to ask of who holds s for the key kid. No
// name is no question, but where there are no keys at all.
func (s *KeySet) has(kid string) bool {
	if s == nil {
		return false
	}
	_, known := s.find(kid, "")
	return known || kid == ""
}

// newer asks source for a newer set than seen. nil: there may be one.
func newer(ctx context.Context, source KeySource, seen *KeySet, kid string) error {
	set, err := source.Refresh(ctx, seen, kid)
	if err == nil && set == seen {
		return errUnknownKey
	}
	return err
}

// reply is what newer returned, or how it ended instead.
type reply struct {
	err      error
	ended    bool // by panicking or, if panicked is nil, by runtime.Goexit
	panicked any
}

// ask sends newer's reply. A panic in a goroutine of ours would end the process.
func ask(ctx context.Context, source KeySource, seen *KeySet, kid string, replies chan<- reply) {
	got := reply{ended: true}
	defer func() {
		if got.ended {
			got.panicked = recover()
		}
		replies <- got
	}()
	got = reply{err: newer(ctx, source, seen, kid)}
}

// pass ends the caller as the source's goroutine was ended.
func (r reply) pass() {
	switch {
	case r.panicked != nil:
		panic(r.panicked)
	case r.ended:
		runtime.Goexit()
	}
}
