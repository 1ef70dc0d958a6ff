package authkubernetes_test

import (
	"bytes"
	"flag"
	"strings"
	"testing"

	"k8s.io/klog/v2"

	"github.com/ballast-go/ballast/auth/authkubernetes"
)

// At its highest verbosity client-go tells of the requests, without the token or the
// credential of our own.
func TestNoTokenIsLogged(t *testing.T) {
	var log bytes.Buffer
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	set := func(name, value string) {
		if err := flags.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	set("v", "10")
	set("logtostderr", "false")
	klog.SetOutput(&log)
	defer func() {
		klog.Flush()
		klog.SetOutput(nil)
		set("logtostderr", "true")
		set("v", "0")
	}()

	c := overHTTP(t, all())
	c.REST.BearerToken = "own-secret"
	a := authenticator(t, authkubernetes.Config{Client: c})
	good, bad := account("client"), token(map[string]any{"aud": audience, "nonce": 1})
	_, _ = try(a, good), try(a, bad)
	klog.Flush()
	text := log.String()
	if !strings.Contains(text, "tokenreviews") {
		t.Errorf("the log does not tell of the requests: %q", text)
	}
	for _, secret := range append(append(strings.Split(good, "."), strings.Split(bad, ".")...), "own-secret") {
		if strings.Contains(text, secret) {
			t.Errorf("the log has %q:\n%s", secret, text)
		}
	}
}
