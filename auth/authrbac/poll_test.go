package authrbac

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/auth"
)

// only is a policy that allows everyone to do action.
func only(action string) string {
	return fmt.Sprintf(`{"version": 1, "roles": {"authenticated": {"allow": [{"actions": [%q], "resources": ["**"]}]}}}`, action)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// inForce fails t if not exactly action is allowed.
func inForce(t *testing.T, p *Policy, action string) {
	t.Helper()
	for _, a := range []string{"one", "two", "three"} {
		if got := answerOf(t, p, user, a, "x").allowed; got != (a == action) {
			t.Errorf("%s: %v, and %s should be in force", a, got, action)
		}
	}
}

// told collects what OnReload is told.
type told struct {
	mu  sync.Mutex
	all []string
}

func (o *told) onReload(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, fmt.Sprint(err))
}

// want fails t if OnReload was not told just that since the last time.
func (o *told) want(t *testing.T, parts ...string) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.EqualFunc(o.all, parts, strings.Contains) {
		t.Errorf("OnReload was told %q, want %q", o.all, parts)
	}
	o.all = nil
}

// polled runs a test in a bubble with a policy of a file that allows one.
func polled(t *testing.T, test func(t *testing.T, p *Policy, file string, o *told)) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.json")
	write(t, file, only("one"))
	synctest.Test(t, func(t *testing.T) {
		o := new(told)
		p, err := New(Config{File: file, OnReload: o.onReload})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		test(t, p, file, o)
	})
}

// wait lets the bubble's time pass.
func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

const interval = 10 * time.Second

func TestFileChanges(t *testing.T) {
	polled(t, func(t *testing.T, p *Policy, file string, o *told) {
		wait(5 * interval)
		o.want(t)
		write(t, file, only("two"))
		inForce(t, p, "one")
		wait(interval + settle)
		inForce(t, p, "two")
		o.want(t, "<nil>")
		wait(5 * interval)
		o.want(t)
	})
}

// A bad policy changes nothing, and is told once.
func TestFileTurnsBad(t *testing.T) {
	polled(t, func(t *testing.T, p *Policy, file string, o *told) {
		write(t, file, `{"version": 1}`)
		wait(5 * interval)
		inForce(t, p, "one")
		o.want(t, "authrbac: roles: missing")
		write(t, file, "")
		wait(5 * interval)
		inForce(t, p, "one")
		o.want(t, "the document is empty")
		write(t, file, only("one"))
		wait(2 * interval)
		inForce(t, p, "one")
		o.want(t, "<nil>")
	})
}

// A file that cannot be read is told once, and that it can be again as well.
func TestFileGoesAway(t *testing.T) {
	polled(t, func(t *testing.T, p *Policy, file string, o *told) {
		for range 2 {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			wait(5 * interval)
			inForce(t, p, "one")
			o.want(t, "authrbac: Config.File: stat")
			write(t, file, only("one"))
			wait(5 * interval)
			inForce(t, p, "one")
			o.want(t, "<nil>")
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		wait(2 * interval)
		write(t, file, only("two"))
		wait(2 * interval)
		inForce(t, p, "two")
		o.want(t, "authrbac: Config.File: stat", "<nil>")
	})
}

// What is half written when it is read may be a policy, too.
func TestFileHalfWritten(t *testing.T) {
	polled(t, func(t *testing.T, p *Policy, file string, o *told) {
		wait(interval - settle/2)
		write(t, file, only("two")) // found at interval
		wait(settle)
		write(t, file, only("three"))
		wait(settle)
		inForce(t, p, "one")
		wait(settle)
		inForce(t, p, "three")
		o.want(t, "<nil>")

		write(t, file, only("two")) // and taken back
		wait(interval)
		write(t, file, only("three"))
		wait(2 * interval)
		inForce(t, p, "three")
		o.want(t)
	})
}

// A ConfigMap's file is a link to a file below a link, and that one is replaced.
func TestConfigMap(t *testing.T) {
	dir := t.TempDir()
	for _, version := range []string{"one", "two"} {
		if err := os.Mkdir(filepath.Join(dir, ".."+version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, ".."+version, "policy.json"), only(version))
	}
	link := func(to, name string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := errors.Join(os.Symlink(to, name+".tmp"), os.Rename(name+".tmp", name)); err != nil {
			t.Fatal(err)
		}
	}
	link("..one", "..data")
	link("..data/policy.json", "policy.json")
	synctest.Test(t, func(t *testing.T) {
		p, err := New(Config{File: filepath.Join(dir, "policy.json"), PollInterval: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = p.Close(t.Context()) }()
		wait(time.Hour)
		inForce(t, p, "one")
		link("..two", "..data")
		wait(time.Minute + settle)
		inForce(t, p, "two")
	})
}

// Replace stays in force until the file changes, or Reload is called.
func TestReplaceAndReload(t *testing.T) {
	polled(t, func(t *testing.T, p *Policy, file string, o *told) {
		if err := p.Replace([]byte(only("two"))); err != nil {
			t.Fatal(err)
		}
		inForce(t, p, "two")
		wait(5 * interval)
		inForce(t, p, "two")
		if err := p.Replace([]byte("{")); err == nil {
			t.Error("no error")
		}
		inForce(t, p, "two")
		if err := p.Reload(); err != nil {
			t.Fatal(err)
		}
		inForce(t, p, "one")
		write(t, file, only("three"))
		if err := p.Reload(); err != nil {
			t.Fatal(err)
		}
		inForce(t, p, "three")
		write(t, file, "{}")
		if err := p.Reload(); err == nil || !strings.Contains(err.Error(), "authrbac: version: missing") {
			t.Errorf("%v", err)
		}
		if err := errors.Join(os.Remove(file), p.Reload()); err == nil {
			t.Error("no error")
		}
		inForce(t, p, "three")
		o.want(t)
	})
}

func TestNoPolling(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.json")
	write(t, file, only("one"))
	synctest.Test(t, func(t *testing.T) { // which would fail for a goroutine that is left
		p, err := New(Config{File: file, PollInterval: -1})
		if err != nil {
			t.Fatal(err)
		}
		write(t, file, only("two"))
		wait(time.Hour)
		inForce(t, p, "one")
		if err := errors.Join(p.Reload(), p.Close(t.Context())); err != nil {
			t.Error(err)
		}
		inForce(t, p, "two")
		d := policyOf(t, only("three"))
		if err := d.Reload(); err == nil || !strings.Contains(err.Error(), "no Config.File") {
			t.Errorf("%v", err)
		}
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Close waits for OnReload, or says what it has waited for.
func TestClose(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.json")
	write(t, file, only("one"))
	synctest.Test(t, func(t *testing.T) {
		called, release := make(chan struct{}), make(chan struct{})
		p, err := New(Config{File: file, OnReload: func(error) { close(called); <-release }})
		if err != nil {
			t.Fatal(err)
		}
		write(t, file, only("two"))
		<-called
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "policy.json, or OnReload, has not ended") {
			t.Errorf("%v", err)
		}
		close(release)
		for range 2 {
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		inForce(t, p, "two")
	})
}

// Each decision is by one policy: by two of these, what neither allows would be allowed.
func TestReplaceIsAtomic(t *testing.T) {
	const closed = `{"version": 1, "roles": {"user": {"allow": [{"actions": ["a"], "resources": ["x"]}], "inherits": ["base"]},
		"base": {"allow": [{"actions": ["a"], "resources": ["z"]}]}}}`
	const open = `{"version": 1, "roles": {"base": {"deny": [{"actions": ["a"], "resources": ["y", "x"]}]},
		"user": {"allow": [{"actions": ["*"], "resources": ["**"]}], "inherits": ["base"]}}}`
	p := policyOf(t, closed)
	var askers sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		askers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := p.Authorize(t.Context(), user, "a", "y"); !errors.Is(err, auth.ErrForbidden) {
					t.Errorf("%v", err)
					return
				}
				e := p.Explain(user, "a", "x")
				if want := map[bool]string{true: "roles.user.allow[0]", false: "roles.base.deny[0]"}[e.Allowed]; e.Rule != want {
					t.Errorf("%+v", e)
					return
				}
			}
		})
	}
	for i := range rounds(500) {
		document, allowed := closed, true
		if i%2 == 0 {
			document, allowed = open, false
		}
		if err := p.Replace([]byte(document)); err != nil {
			t.Error(err)
		}
		if got := answerOf(t, p, user, "a", "x").allowed; got != allowed { // from here on the new one
			t.Errorf("%v after Replace", got)
		}
		if err := p.Replace([]byte("{}")); err == nil {
			t.Error("no error")
		}
	}
	close(done)
	askers.Wait()
}
