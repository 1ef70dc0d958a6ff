package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/logging"
)

// without are the settings without a default: authentication and traces are off.
var without = []string{
	"authUsers", "authSigningKey", "authAPIKeys", "authPolicy", "traceEndpoint", "nativeHistograms",
	"linger", "logLevel", "logFormat", "trustedProxies", "redis",
}

func TestConfigDefaults(t *testing.T) {
	c, err := parseConfig(nil, []string{"PATH=/bin", "HOME="}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.listen != "127.0.0.1:8080" || c.defaultModel != "digits-large" || c.maxBatch != 32 || c.maxQueue != 1024 || c.logLevel != slog.LevelInfo || c.drainDelay != time.Second || c.rateLimit != 100 {
		t.Errorf("%+v", c)
	}
	for i, v := 0, reflect.ValueOf(*c); i < v.NumField(); i++ {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && !slices.Contains(without, name) {
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
	_, err := parseConfig([]string{"-max-batch", "0", "stray", "-bogus", "-listen=nowhere", "7", "-log-level=loud", "-default-model", "gpt", "-max-queue=many", "-request-timeout=1", "-drain-delay=-1s", "--", "-linger=1h"},
		[]string{"SERVING_LOG_FORMAT=xml", "SERVING_MAX_ROWS=99999999999999999999"}, nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`-max-batch or SERVING_MAX_BATCH: "0" is not between 1 and 1024`, "-bogus", "-listen or SERVING_LISTEN: address nowhere",
		"-log-level or", `model "gpt" is none of digits-large, digits-small`, `"many" is not between`, `"1" is not between 1ms and 1h0m0s`,
		`"-1s" is not between 0s`, `unexpected argument "stray"`, `unexpected argument "7"`, `unexpected argument "-linger=1h"`, `"xml" is neither`, "-max-rows or",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing from:\n%v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 13 {
		t.Errorf("%d mistakes:\n%v", n, err)
	}
	for _, bad := range []string{"127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1"} {
		if isAddress(bad) == nil {
			t.Errorf("%s is taken for an address", bad)
		}
	}
}

// What would be killed before it has ended, or sends its traces nowhere, does not
// start.
func TestSettingsThatDoNotFit(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string // "": nothing is wrong
	}{
		{[]string{"-grace-period=28s"}, "-grace-period or SERVING_GRACE_PERIOD: 28s is not above -drain-delay 1s + -shutdown-timeout 25s + 2s = 28s"},
		{[]string{"-grace-period=28001ms"}, ""},
		{[]string{"-drain-delay=1h", "-grace-period=0"}, ""},
		{[]string{"-trace-endpoint=http://localhost:4317/v1/traces"}, "-trace-endpoint or SERVING_TRACE_ENDPOINT: it has a path"},
		{[]string{"-trace-endpoint=http://localhost:4318/v1/traces", "-trace-protocol=http/protobuf"}, ""},
		{[]string{"-trace-endpoint=http://localhost:4317/"}, ""},
		{[]string{"-trace-endpoint=http://localhost:99999"}, `port "99999" is not a number`},
		{[]string{"-trace-endpoint=https://localhost"}, ""},
		{[]string{"-trace-endpoint=localhost:4317"}, "it is no URL"},
	} {
		_, err := parseConfig(tt.args, nil, io.Discard)
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%q: %v", tt.args, err)
		}
	}
}

func TestBatchFlagsReachTheBatcher(t *testing.T) {
	c, err := parseConfig([]string{"-max-batch=3", "-max-queue=70", "-linger=5ms", "-instances=2", "-target-latency=80ms", "-batch-timeout=2s"}, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	got := c.batching("m")
	if got.Priority(item{level: interactive}) != 0 || got.Priority(item{level: background}) != 1 {
		t.Error("an item's level is not its priority")
	}
	got.Priority = nil // functions cannot be compared
	want := batching.Config[item]{
		Name: "m", MaxBatchSize: 3, MaxQueue: 70, Linger: 5 * time.Millisecond, Instances: 2,
		TargetLatency: 80 * time.Millisecond, BatchTimeout: 2 * time.Second, Priorities: 2,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

// Beside a Service named "serving" Kubernetes sets these.
func TestForeignVariables(t *testing.T) {
	var stderr bytes.Buffer
	c, err := parseConfig(nil, []string{"SERVING_SERVICE_HOST=10.0.0.1", "SERVING_MAX_BATCH=8", "SERVING_PORT=tcp://10.0.0.1:80", "SERVINGS=1", "SERVING_A\nB=1"}, &stderr)
	if err != nil || c.maxBatch != 8 {
		t.Fatalf("%+v %v", c, err)
	}
	want := `serving: warning: "SERVING_SERVICE_HOST" is not a known variable and is ignored
serving: warning: "SERVING_PORT" is not a known variable and is ignored
serving: warning: "SERVING_A\nB" is not a known variable and is ignored
`
	if stderr.String() != want {
		t.Errorf("%s", &stderr)
	}
}

// A request of max-rows rows fits into an idle queue.
func TestQueueTakesTheLargestRequest(t *testing.T) {
	for _, tt := range []struct {
		args  []string
		wrong int
	}{
		{[]string{"-max-queue=64"}, 0},
		{[]string{"-max-queue=63"}, 1},
		{[]string{"-max-rows=7", "-max-queue=6", "-max-batch=0"}, 2},
		{[]string{"-max-queue=none"}, 1}, // not what zero would be less than, too
		{[]string{"-max-rows=9999"}, 1},
	} {
		_, err := parseConfig(tt.args, nil, io.Discard)
		n := 0
		if err != nil {
			n = strings.Count(err.Error(), "\n") + 1
		}
		if n != tt.wrong {
			t.Errorf("%v: %v", tt.args, err)
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
		"  -target-latency duration  (SERVING_TARGET_LATENCY, default 1s)\n",
		"  -batch-timeout duration  (SERVING_BATCH_TIMEOUT, default 5s)\n",
		"  -log-level level  (SERVING_LOG_LEVEL, default info)",
		"  -rate-limit number  (SERVING_RATE_LIMIT, default 100)\n",
		"  -redis-url URL  (SERVING_REDIS_URL, default none)\n",
		"begin with SERVING_ are ignored with a warning",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
	if n := strings.Count(out.String(), "(SERVING_"); n != 36 {
		t.Errorf("%d flags", n)
	}
}

func TestTrustedProxies(t *testing.T) {
	c, err := parseConfig([]string{"-trusted-proxies=10.0.0.0/8, 192.0.2.7,2001:db8::/64,,2001:db8::1"}, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.trustedProxies); got != "[10.0.0.0/8 192.0.2.7/32 2001:db8::/64 2001:db8::1/128]" {
		t.Errorf("%s", got)
	}
	for _, bad := range []string{"0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96", "::ffff:192.0.2.7", "proxy", "fe80::1%eth0", "10.0.0.0/33"} {
		if _, err := parseConfig([]string{"-trusted-proxies", "192.0.2.7," + bad}, nil, io.Discard); err == nil || !strings.Contains(err.Error(), "-trusted-proxies or SERVING_TRUSTED_PROXIES: ") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestRedisURL(t *testing.T) {
	c, err := parseConfig([]string{"--redis-url", "redis://u:p@localhost:6380/2"}, nil, io.Discard)
	if err != nil || c.redis.Addr != "localhost:6380" || c.redis.DB != 2 || c.redis.Password != "p" {
		t.Errorf("%+v %v", c, err)
	}
	if c, err := parseConfig([]string{"-redis-url="}, []string{"SERVING_REDIS_URL=redis://localhost"}, io.Discard); err != nil || c.redis != nil {
		t.Errorf("%+v %v", c, err)
	}
	for _, bad := range []string{"localhost:6379", "http://u:hunter2@localhost", "redis://u:hunter2@local host", "redis://u:hunter2@localhost/x"} {
		if _, err := parseConfig(nil, []string{"SERVING_REDIS_URL=" + bad}, io.Discard); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
