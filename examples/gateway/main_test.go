package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func none(string) string { return "" }

func TestConfig(t *testing.T) {
	c, err := parseConfig([]string{"-upstream=https://host/base/v1/", "-tokens=7", "-requests=0.5", "-output-weight=4"}, none, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if c.upstream.String() != "https://host/base" || c.tokens.Burst != 7 || c.requests.Burst != 1 || c.weights.Output != 4 || c.weights.Input != 1 || c.keys != nil {
		t.Errorf("%+v", c)
	}
	_, err = parseConfig([]string{"-upstream=localhost:8000", "-tokens=0", "-requests=-1", "-input-weight=-1", "-output-weight=NaN", "-default-output=0", "-max-body=0", "-write-timeout=0", "stray"},
		func(string) string { return "sk-secret" }, io.Discard)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"-upstream", "-tokens", "-requests", "-input-weight", "-output-weight", "-default-output", "-max-body", "-write-timeout", "stray", "GATEWAY_API_KEYS: entry 1"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is missing from:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
	if _, err := parseConfig([]string{"-upstream=http://u:secret@host"}, none, io.Discard); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a password in a URL: %v", err)
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if _, err := parseConfig([]string{"-h"}, none, &out); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	for _, want := range []string{"-upstream URL", "GATEWAY_API_KEYS", "GATEWAY_UPSTREAM_API_KEY", "(default 100000)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-tokens=0"}, 2, "-tokens"},
		{[]string{"-bogus"}, 2, "-bogus"},
		{[]string{"-h"}, 0, "Flags:"},
		{[]string{"-listen", taken.Addr().String()}, 1, "address already in use"},
	} {
		var stderr bytes.Buffer
		if code := run(t.Context(), tt.args, none, io.Discard, &stderr); code != tt.code || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("%v: exit code %d and\n%s", tt.args, code, &stderr)
		}
	}
}

// curlCommand is the first of the banner's.
var curlCommand = regexp.MustCompile(`curl -iN (\S+) -H '(.*?): (.*?)' -H '(.*?): (.*?)' \\\s+-d '(.*?)'`)

// The program, in front of its parrot: what its banner says to try works.
func TestRun(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stderr, code := new(lockedBuffer), make(chan int, 1)
	go func() { code <- run(ctx, []string{"-listen=127.0.0.1:0"}, none, io.Discard, stderr) }()
	until(t, "it is up", func() bool { return strings.Contains(stderr.String(), "metrics") })
	command := curlCommand.FindStringSubmatch(stderr.String())
	if command == nil {
		t.Fatalf("the banner is %s", stderr)
	}
	url := "http://" + command[1]
	req, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader(command[6]))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(command[2], command[3])
	req.Header.Set(command[4], command[5])
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := hear(t, string(text)); got != (heard{words: 3, finish: "stop", done: true}) || resp.Header.Get("Content-Type") != "text/event-stream" || !strings.HasPrefix(resp.Header.Get("RateLimit"), `"requests";r=59;`) {
		t.Errorf("the parrot says %+v in %v", got, resp.Header)
	}
	f := &fixture{t: t, url: strings.TrimSuffix(url, "/v1/chat/completions")}
	for name, want := range map[string]string{
		`gateway_tokens_total{kind="output"}`:                                                       "3",
		`gateway_calls_settled_total{how="usage"}`:                                                  "1",
		`ratelimit_calls_total{limiter="requests",outcome="allowed"}`:                               "1",
		`http_requests_total{endpoint="/v1/chat/completions",method="POST",reason="",status="200"}`: "1",
	} {
		if got := f.metric(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	stop()
	if code := <-code; code != 0 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if _, err := http.Get(f.url); err == nil {
		t.Error("it still listens")
	}
}
