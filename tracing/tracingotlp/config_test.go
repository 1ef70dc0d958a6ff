package tracingotlp

import (
	"crypto/tls"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
)

// with is an environment of these variables.
func with(pairs ...string) environment {
	vars := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		vars[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return vars[name] }
}

func TestDefaults(t *testing.T) {
	s, err := Config{ServiceName: "x"}.complete(with())
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(s.Protocol, s.target, s.Ratio, s.parent, s.disabled, s.QueueSize, s.QueueBytes, s.BatchSize, s.BatchDelay,
		s.ExportTimeout, s.RetryFor, s.CloseTimeout, s.MaxAttributeLength, s.Gzip, s.TLS == nil, len(s.Headers))
	want := "http/protobuf{true localhost:4318 /v1/traces} 0.01 true false 2048 16777216 512 5s 10s 1m0s 5s 4096 false true 0"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestEndpoint(t *testing.T) {
	const general, traces = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	for _, c := range []struct {
		cfg  Config
		env  environment
		want string // scheme://host path
	}{
		{Config{}, with(), "http://localhost:4318 /v1/traces"},
		{Config{Protocol: GRPC}, with(), "http://localhost:4317 /v1/traces"},
		{Config{Endpoint: "c:4318"}, with(), "https://c:4318 /v1/traces"},
		{Config{Endpoint: "c:4318", Insecure: true}, with(), "http://c:4318 /v1/traces"},
		{Config{Endpoint: "c:4318"}, with("OTEL_EXPORTER_OTLP_INSECURE", "true"), "http://c:4318 /v1/traces"},
		{Config{Endpoint: "http://c"}, with(), "http://c:80 /v1/traces"},
		{Config{Endpoint: "https://c/"}, with(), "https://c:443 /v1/traces"},
		{Config{Endpoint: "https://c/in%20gest/"}, with(), "https://c:443 /in%20gest"},
		{Config{Endpoint: "http://[::1]:4318"}, with(), "http://[::1]:4318 /v1/traces"},
		{Config{Endpoint: "http://c"}, with(general, "http://d"), "http://c:80 /v1/traces"},
		{Config{}, with(general, "http://d"), "http://d:80 /v1/traces"},
		{Config{}, with(general, "http://d/otlp"), "http://d:80 /otlp/v1/traces"},
		{Config{}, with(traces, "http://d"), "http://d:80 /"},
		{Config{}, with(traces, "http://d/v1/traces", general, "http://e"), "http://d:80 /v1/traces"},
		{Config{}, with(general, "http://d:4317", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), "http://d:4317 /v1/traces"},
	} {
		c.cfg.ServiceName = "x"
		s, err := c.cfg.complete(c.env)
		if err != nil {
			t.Errorf("%+v: %v", c.cfg, err)
		}
		scheme := map[bool]string{true: "http", false: "https"}[s.target.plaintext]
		if got := scheme + "://" + s.target.host + " " + s.target.path; got != c.want {
			t.Errorf("%q, %q: got %s, want %s", c.cfg.Endpoint, c.env(general)+c.env(traces), got, c.want)
		}
	}
}

// What Config says wins.
func TestEnvironment(t *testing.T) {
	env := with("OTEL_SERVICE_NAME", "env", "OTEL_RESOURCE_ATTRIBUTES", "service.name=worse, region=eu%2Cwest,tier=1,,",
		"OTEL_TRACES_SAMPLER", "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG", "0.25",
		"OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%3Db, x=y", "OTEL_EXPORTER_OTLP_TIMEOUT", "1500", "OTEL_EXPORTER_OTLP_COMPRESSION", "gzip",
		"OTEL_BSP_MAX_QUEUE_SIZE", "100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "200", "OTEL_BSP_SCHEDULE_DELAY", "250", "OTEL_SDK_DISABLED", "TRUE")
	s, err := Config{}.complete(env)
	if err != nil {
		t.Fatal(err)
	}
	set := attribute.NewSet(s.resource...)
	value := func(key attribute.Key) string { v, _ := set.Value(key); return v.AsString() }
	got := fmt.Sprint(value("service.name"), value("region"), value("tier"), s.Ratio, s.parent, s.Headers, s.ExportTimeout, s.Gzip, s.QueueSize, s.BatchSize, s.BatchDelay, s.disabled)
	want := "enveu,west10.25 true map[api-key:a=b x:y] 1.5s true 100 100 250ms true"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if id := value("service.instance.id"); len(id) != 36 || id[14] != '4' {
		t.Errorf("service.instance.id %q", id)
	}
	s, err = Config{ServiceName: "own", ServiceVersion: "1", ResourceAttributes: []attribute.KeyValue{attribute.String("tier", "2"), attribute.String("service.instance.id", "pod")},
		Ratio: -1, Headers: map[string]string{}, ExportTimeout: time.Second, QueueSize: 7, BatchSize: 3, BatchDelay: 1}.complete(env)
	if err != nil {
		t.Fatal(err)
	}
	set = attribute.NewSet(s.resource...)
	got = fmt.Sprint(value("service.name"), value("service.version"), value("tier"), value("service.instance.id"), s.Ratio, len(s.Headers), s.ExportTimeout, s.QueueSize, s.BatchSize, s.BatchDelay)
	want = "own12pod0 0 1s 7 3 1ns"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSamplerFromEnvironment(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "0.01 true",
		"always_on":                "1 false",
		"always_off":               "0 false",
		"traceidratio":             "0.5 false",
		"parentbased_always_on":    "1 true",
		"parentbased_always_off":   "0 true",
		"ParentBased_TraceIDRatio": "0.5 true",
	} {
		s, err := Config{ServiceName: "x"}.complete(with("OTEL_TRACES_SAMPLER", text, "OTEL_TRACES_SAMPLER_ARG", "0.5"))
		if got := fmt.Sprint(s.Ratio, s.parent); err != nil || got != want {
			t.Errorf("%q: got %s, %v, want %s", text, got, err, want)
		}
	}
	s, _ := Config{ServiceName: "x"}.complete(with("OTEL_TRACES_SAMPLER", "traceidratio"))
	if s.Ratio != 1 {
		t.Errorf("without an argument the ratio is %v, want 1", s.Ratio)
	}
}

// Everything that is wrong is said, with its name, and without what may be secret.
func TestConfigErrors(t *testing.T) {
	const secret = "hunter2"
	for _, c := range []struct {
		cfg  Config
		env  environment
		want string
	}{
		{Config{Protocol: "udp"}, with(), "Config.Protocol"},
		{Config{Endpoint: "ftp://c"}, with(), "Config.Endpoint"},
		{Config{Endpoint: "http://"}, with(), "Config.Endpoint"},
		{Config{Endpoint: "http://c?token=" + secret}, with(), "Config.Endpoint"},
		{Config{Endpoint: "http://u:" + secret + "@c"}, with(), "Config.Endpoint"},
		{Config{Endpoint: "http://u:" + secret + "@c:port"}, with(), "Config.Endpoint"},
		{Config{Endpoint: "http://c", TLS: &tls.Config{}}, with(), "Config.TLS"},
		{Config{Endpoint: "http://c/path", Protocol: GRPC}, with(), "Config.Endpoint"},
		{Config{Headers: map[string]string{"a b": secret}}, with(), "Config.Headers"},
		{Config{Headers: map[string]string{"": secret}}, with(), "Config.Headers"},
		{Config{Headers: map[string]string{"grpc-timeout": secret}}, with(), "Config.Headers"},
		{Config{Headers: map[string]string{"X-Bin": "", "x-bin": ""}}, with(), "Config.Headers"},
		{Config{Headers: map[string]string{"a": secret + "\r\nb: c"}}, with(), "Config.Headers"},
		{Config{Ratio: 1.1}, with(), "Config.Ratio"},
		{Config{Ratio: math.NaN()}, with(), "Config.Ratio"},
		{Config{QueueSize: -1}, with(), "Config.QueueSize"},
		{Config{QueueSize: 1 << 21}, with(), "Config.QueueSize"},
		{Config{QueueBytes: -1}, with(), "Config.QueueBytes"},
		{Config{BatchSize: -1}, with(), "Config.BatchSize"},
		{Config{BatchDelay: -1}, with(), "Config.BatchDelay"},
		{Config{ExportTimeout: -1}, with(), "Config.ExportTimeout"},
		{Config{CloseTimeout: -1}, with(), "Config.CloseTimeout"},
		{Config{MaxAttributeLength: -1}, with(), "Config.MaxAttributeLength"},
		{Config{ResourceAttributes: []attribute.KeyValue{{}}}, with(), "Config.ResourceAttributes[0]"},
		{Config{}, with("OTEL_SDK_DISABLED", "yes"), "OTEL_SDK_DISABLED"},
		{Config{}, with("OTEL_RESOURCE_ATTRIBUTES", secret), "OTEL_RESOURCE_ATTRIBUTES"},
		{Config{}, with("OTEL_RESOURCE_ATTRIBUTES", "a=%zz"), "OTEL_RESOURCE_ATTRIBUTES"},
		{Config{}, with("OTEL_TRACES_SAMPLER", "jaeger_remote"), "OTEL_TRACES_SAMPLER"},
		{Config{}, with("OTEL_TRACES_SAMPLER", "parentbased_"), "OTEL_TRACES_SAMPLER"},
		{Config{}, with("OTEL_TRACES_SAMPLER", "traceidratio", "OTEL_TRACES_SAMPLER_ARG", "50%"), "OTEL_TRACES_SAMPLER_ARG"},
		{Config{}, with("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"), "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"},
		{Config{}, with("OTEL_EXPORTER_OTLP_ENDPOINT", "http://%"), "OTEL_EXPORTER_OTLP_ENDPOINT"},
		{Config{}, with("OTEL_EXPORTER_OTLP_HEADERS", "authorization: "+secret), "OTEL_EXPORTER_OTLP_HEADERS"},
		{Config{}, with("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "="+secret), "OTEL_EXPORTER_OTLP_TRACES_HEADERS"},
		{Config{}, with("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"), "OTEL_EXPORTER_OTLP_TIMEOUT"},
		{Config{}, with("OTEL_EXPORTER_OTLP_INSECURE", "1"), "OTEL_EXPORTER_OTLP_INSECURE"},
		{Config{}, with("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"), "OTEL_EXPORTER_OTLP_COMPRESSION"},
		{Config{}, with("OTEL_BSP_MAX_QUEUE_SIZE", "0"), "OTEL_BSP_MAX_QUEUE_SIZE"},
		{Config{Endpoint: "c:1"}, with("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/file"), "OTEL_EXPORTER_OTLP_CERTIFICATE"},
		{Config{Endpoint: "c:1"}, with("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/no/such/file"), "OTEL_EXPORTER_OTLP_CLIENT_KEY"},
	} {
		c.cfg.ServiceName = "x"
		_, err := c.cfg.complete(c.env)
		switch {
		case err == nil:
			t.Errorf("%+v: no error, want one of %s", c.cfg, c.want)
		case !strings.HasPrefix(err.Error(), "tracingotlp: ") || !strings.Contains(err.Error(), c.want):
			t.Errorf("%q does not name %s", err, c.want)
		case strings.Contains(err.Error(), secret):
			t.Errorf("%q holds the secret", err)
		}
	}
	_, err := Config{Ratio: 2, QueueSize: -1}.complete(with())
	for _, want := range []string{"Config.ServiceName", "Config.Ratio", "Config.QueueSize"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

func TestCertificatesOfTheEnvironment(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Config{ServiceName: "x", Endpoint: "c:1"}.complete(with("OTEL_EXPORTER_OTLP_CERTIFICATE", empty))
	if err == nil || !strings.Contains(err.Error(), "holds no certificate") {
		t.Errorf("got %v", err)
	}
	// A plaintext endpoint needs none.
	if _, err := (Config{ServiceName: "x", Endpoint: "http://c"}).complete(with("OTEL_EXPORTER_OTLP_CERTIFICATE", empty)); err != nil {
		t.Error(err)
	}
}

// The lists of the environment come from whoever deploys; none may upset us, and
// what we write we read.
func FuzzParsePairs(f *testing.F) {
	f.Add("a=b,c=d%20e")
	f.Add(",,=")
	f.Fuzz(func(t *testing.T, list string) {
		pairs, err := parsePairs(list)
		if err != nil {
			return
		}
		escape := func(s string) string {
			var b strings.Builder
			for _, c := range []byte(s) {
				fmt.Fprintf(&b, "%%%02x", c)
			}
			return b.String()
		}
		var again []string
		for _, p := range pairs {
			again = append(again, escape(p[0])+"="+escape(p[1]))
		}
		back, err := parsePairs(strings.Join(again, ","))
		if err != nil || fmt.Sprint(back) != fmt.Sprint(pairs) {
			t.Errorf("%q: %q became %q, %v", list, pairs, back, err)
		}
	})
}
