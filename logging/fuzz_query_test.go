package logging

import (
	"net/url"
	"testing"
)

// queryValue reads as net/url does.
func FuzzQueryValue(f *testing.F) {
	for _, seed := range [][2]string{
		{"a=1&b=2", "b"}, {"%61=1", "a"}, {"a+b=1", "a b"}, {"a=%zz&a=2", "a"}, {"a;b=1&a=2", "a"}, {"a", "a"}, {"=1", ""}, {"a=1=2", "a"}, {"&&a=&", "a"}, {"%zz=1&a=1", "a"}, {"%", "%"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, raw, name string) {
		if name == "" { // is never asked for, and url.ParseQuery skips empty parts
			return
		}
		values, _ := url.ParseQuery(raw)
		got, ok := queryValue(raw, name)
		if ok != values.Has(name) || got != values.Get(name) {
			t.Errorf("%q of %q: %q %v, want %q", name, raw, got, ok, values[name])
		}
	})
}
