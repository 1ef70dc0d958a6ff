package main

import (
	"bytes"
	"errors"
	"flag"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/logging"
)

func TestConfigDefaults(t *testing.T) {
	c, err := parseConfig(nil, []string{"PATH=/bin", "HOME="}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.listen != "127.0.0.1:8080" || c.defaultModel != "digits-large" || c.maxBatch != 32 || c.maxQueue != 1024 || c.logLevel != slog.LevelInfo || c.drainDelay != time.Second {
		t.Errorf("%+v", c)
	}
	for i, v := 0, reflect.ValueOf(*c); i < v.NumField(); i++ {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "linger" && name != "logLevel" && name != "logFormat" {
			t.Errorf("%s has no default", name)
		}
	}
}

func TestFlagBeatsEnvironment(t *testing.T) {
	environ := []string{"SERVING_LISTEN=:1", "SERVING_MAX_BATCH=8", "SERVING_LOG_FORMAT=console", "SERVING_LINGER=nonsense", "SERVING_READ_HEADER_TIMEOUT=1m"}
	c, err := parseConfig([]string{"-listen", "[::1]:2", "-linger=2ms", "-log-level", "debug"}, environ, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.listen != "[::1]:2" || c.maxBatch != 8 || c.logFormat != logging.Console || c.linger != 2*time.Millisecond || c.logLevel != slog.LevelDebug || c.readHeaderTimeout != time.Minute {
		t.Errorf("%+v", c)
	}
}

func TestEveryMistakeAtOnce(t *testing.T) {
	_, err := parseConfig([]string{"-max-batch", "0", "-bogus", "-listen=nowhere", "-log-level=loud", "-default-model", "gpt", "-max-queue=many", "-request-timeout=1", "-drain-delay=-1s", "stray"},
		[]string{"SERVING_LISTN=:80", "SERVING_LOG_FORMAT=xml", "SERVING_MAX_ROWS=99999999999999999999"}, nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`-max-batch or SERVING_MAX_BATCH: "0" is not between 1 and 1024`, "-bogus", "-listen or SERVING_LISTEN: address nowhere",
		"-log-level or", `model "gpt" is none of digits-large, digits-small`, `"many" is not between`, `"1" is not between 1ms and 1h0m0s`,
		`"-1s" is not between 0s`, `unexpected argument "stray"`, "SERVING_LISTN is not a known variable", `"xml" is neither`, "-max-rows or",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing from:\n%v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 12 {
		t.Errorf("%d mistakes:\n%v", n, err)
	}
	for _, bad := range []string{"127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1"} {
		if isAddress(bad) == nil {
			t.Errorf("%s is taken for an address", bad)
		}
	}
}

func TestHelpExplainsEveryFlag(t *testing.T) {
	var out bytes.Buffer
	if _, err := parseConfig([]string{"-h"}, nil, &out); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	for _, want := range []string{
		"  -listen address  (SERVING_LISTEN, default 127.0.0.1:8080)\n    \taddress to listen on\n",
		"  -linger duration  (SERVING_LINGER, default 0s)\n    \thow long an item waits for company while an instance is idle\n",
		"  -log-level level  (SERVING_LOG_LEVEL, default info)",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
	if n := strings.Count(out.String(), "SERVING_"); n != 17 {
		t.Errorf("%d flags", n)
	}
}
