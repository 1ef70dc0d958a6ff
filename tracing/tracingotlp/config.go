package tracingotlp

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
)

// A Protocol is how spans are sent. Its text is that of OTEL_EXPORTER_OTLP_PROTOCOL.
type Protocol string

const (
	HTTP Protocol = "http/protobuf" // POST /v1/traces, usually port 4318
	GRPC Protocol = "grpc"          // usually port 4317
)

// Config configures a [Provider]. What a field does not say is taken from the
// environment variable that it names, and from its default if that is not set
// either; the package comment has a list.
type Config struct {
	// ServiceName is the resource's service.name. Required, here or in
	// OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES: traces of an unknown
	// service are of no use.
	ServiceName string

	// ServiceVersion is the resource's service.version, if not "".
	ServiceVersion string

	// ResourceAttributes say more about where all spans come from, such as
	// k8s.pod.name or the region. They win over OTEL_RESOURCE_ATTRIBUTES. Unless
	// service.instance.id is among them, it is a random UUID.
	ResourceAttributes []attribute.KeyValue

	// Endpoint is where the collector is: a URL, or host:port, which means
	// https://host:port unless Insecure is set. A URL without a path gets
	// /v1/traces with HTTP; with GRPC it must have none. "" means
	// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT, or
	// http://localhost:4318, with GRPC 4317.
	Endpoint string

	// Protocol is HTTP, if neither set nor in OTEL_EXPORTER_OTLP_PROTOCOL.
	Protocol Protocol

	// Headers go with every request; they may be credentials, and appear in no
	// error. nil means OTEL_EXPORTER_OTLP_HEADERS.
	Headers map[string]string

	// TLS is how to talk to an https endpoint. nil means the system's roots, or
	// what OTEL_EXPORTER_OTLP_CERTIFICATE, _CLIENT_CERTIFICATE and _CLIENT_KEY
	// name. It must not be changed afterwards.
	TLS *tls.Config

	// Insecure says that an Endpoint without a scheme is plaintext: whoever is
	// on the way can read spans and Headers. Or OTEL_EXPORTER_OTLP_INSECURE=true.
	Insecure bool

	// Gzip compresses requests: less traffic for more CPU. Or
	// OTEL_EXPORTER_OTLP_COMPRESSION=gzip.
	Gzip bool

	// Ratio is the share of the traces that begin here that is sampled, up to 1.
	// All others are decided by whoever began them. 0 means what
	// OTEL_TRACES_SAMPLER says, or 0.01. Negative means none.
	Ratio float64

	// QueueSize is how many ended spans are kept until the collector has
	// them, those under way included. What does not fit is dropped and counted.
	// 0 means OTEL_BSP_MAX_QUEUE_SIZE, or 2048.
	QueueSize int

	// QueueBytes is how much memory these may take, in bytes. It is reckoned
	// from a span's content, generously. 0 means 16 MiB.
	QueueBytes int

	// BatchSize is how many spans a request has at most; it has fewer if they
	// are large. 0 means OTEL_BSP_MAX_EXPORT_BATCH_SIZE, or 512, but at most
	// QueueSize.
	BatchSize int

	// BatchDelay is how long a span waits for BatchSize others at most, while
	// the collector keeps up. 0 means OTEL_BSP_SCHEDULE_DELAY, or 5 s.
	BatchDelay time.Duration

	// ExportTimeout is how long a request may take. 0 means
	// OTEL_EXPORTER_OTLP_TIMEOUT, or 10 s.
	ExportTimeout time.Duration

	// RetryFor is how long a batch that the collector could not take is offered
	// again before its spans are given up, from the first request on. Others
	// wait for it in the queue. 0 means 1 min, negative never again.
	RetryFor time.Duration

	// CloseTimeout is how long Close waits at most. 0 means 5 s.
	CloseTimeout time.Duration

	// MaxAttributeLength is how many characters of a span's attribute's value are
	// kept; those of events and links the SDK does not cut. 0 means 4096.
	MaxAttributeLength int

	// OnError is told why spans were not delivered: once for a batch that is
	// given up or that the collector rejected a part of. It is called on the
	// exporting goroutine, which it must not keep for long, and not at all
	// after Close has returned. nil means nobody is; the numbers are in Stats.
	OnError func(error)

	_ struct{}
}

// settings is a Config that is complete and valid.
type settings struct {
	Config
	target   target
	resource []attribute.KeyValue
	parent   bool // a parent's decision counts
	disabled bool
	fromEnv  environment
	wrong    []error
}

// A target is a parsed endpoint.
type target struct {
	plaintext bool
	host      string // with the port
	path      string
}

func (s *settings) bad(format string, args ...any) {
	s.wrong = append(s.wrong, fmt.Errorf("tracingotlp: "+format, args...))
}

// complete fills cfg in from the environment and the defaults, and returns
// everything that is wrong with either.
func (cfg Config) complete(env environment) (settings, error) {
	s := settings{Config: cfg, fromEnv: env, parent: true}
	s.disabled = s.flag("OTEL_SDK_DISABLED")
	s.describe()
	s.sample()
	s.reach()
	s.bound()
	return s, errors.Join(s.wrong...)
}

// reach settles where spans go, and how.
func (s *settings) reach() {
	name := "Config.Protocol"
	if s.Protocol == "" {
		var text string
		text, name = s.fromEnv.otlp("PROTOCOL")
		s.Protocol = Protocol(text)
	}
	switch s.Protocol {
	case "":
		s.Protocol = HTTP
	case HTTP, GRPC:
	default:
		s.bad("%s is %q, neither %q nor %q", name, s.Protocol, HTTP, GRPC)
	}
	if text, name := s.fromEnv.otlp("COMPRESSION"); text == "gzip" {
		s.Gzip = true
	} else if text != "" && text != "none" {
		s.bad("%s is %q, neither gzip nor none", name, text)
	}
	s.Insecure = s.Insecure || s.otlpFlag("INSECURE")
	s.target = s.endpoint()
	if s.TLS == nil && !s.target.plaintext {
		s.TLS = s.certificates()
	}
	name = "Config.Headers"
	if s.Headers == nil {
		s.Headers, name = s.headers()
	}
	s.Headers = maps.Clone(s.Headers)
	for key, value := range s.Headers {
		if err := checkHeader(key, value); err != nil {
			s.bad("%s: %w", name, err)
		}
	}
}

// endpoint parses where the collector is.
func (s *settings) endpoint() target {
	text, name := s.Endpoint, "Config.Endpoint"
	if text == "" {
		text, name = s.fromEnv.otlp("ENDPOINT")
	}
	switch {
	case text == "" && s.Protocol == GRPC:
		text = "http://localhost:4317"
	case text == "":
		text = "http://localhost:4318"
	case !strings.Contains(text, "://") && s.Insecure:
		text = "http://" + text
	case !strings.Contains(text, "://"):
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		// The text may hold a password, and url.Parse quotes it.
		s.bad("%s is neither a URL nor host:port", name)
		return target{}
	}
	t := target{plaintext: u.Scheme == "http", host: u.Host, path: strings.TrimSuffix(u.EscapedPath(), "/")}
	switch {
	case u.User != nil:
		s.bad("%s has a user in it, which belongs into Headers", name)
	case u.Scheme != "http" && u.Scheme != "https":
		s.bad("%s %q is neither http nor https", name, text)
	case u.Hostname() == "":
		s.bad("%s %q has no host", name, text)
	case u.RawQuery != "" || u.Fragment != "":
		s.bad("%s has a query or a fragment", name)
	case t.plaintext && s.TLS != nil:
		s.bad("Config.TLS is set, but %s %q is plaintext", name, text)
	case s.Protocol == GRPC && t.path != "":
		s.bad("%s %q has a path, which gRPC knows not", name, text)
	}
	switch {
	case u.Port() != "":
	case t.plaintext:
		t.host += ":80"
	default:
		t.host += ":443"
	}
	return t.withPath(name)
}

// withPath settles the path of a target that came from what has this name: the
// specification appends to the endpoint of all signals, and takes that of
// traces as it is.
func (t target) withPath(name string) target {
	switch name {
	case "OTEL_EXPORTER_OTLP_ENDPOINT":
		t.path += "/v1/traces"
	case "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT":
		t.path = cmp.Or(t.path, "/")
	default:
		t.path = cmp.Or(t.path, "/v1/traces")
	}
	return t
}

// bound settles how much there may be of everything.
func (s *settings) bound() {
	s.QueueSize = s.count("QueueSize", s.QueueSize, "OTEL_BSP_MAX_QUEUE_SIZE", 2048, 1<<20)
	s.QueueBytes = s.count("QueueBytes", s.QueueBytes, "", 16<<20, 1<<40)
	s.BatchSize = s.count("BatchSize", s.BatchSize, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, 1<<20)
	s.BatchSize = min(s.BatchSize, s.QueueSize)
	s.MaxAttributeLength = s.count("MaxAttributeLength", s.MaxAttributeLength, "", 4096, 1<<20)
	s.BatchDelay = s.span("BatchDelay", s.BatchDelay, 5*time.Second, "OTEL_BSP_SCHEDULE_DELAY")
	s.ExportTimeout = s.span("ExportTimeout", s.ExportTimeout, 10*time.Second,
		"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
	s.CloseTimeout = s.span("CloseTimeout", s.CloseTimeout, 5*time.Second)
	if s.RetryFor == 0 {
		s.RetryFor = time.Minute
	}
}

// checkHeader keeps out what no request can carry, without quoting the value.
func checkHeader(key, value string) error {
	const special = "!#$%&'*+-.^_`|~"
	valid := key != ""
	for _, c := range []byte(key) {
		valid = valid && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(special, c) >= 0)
	}
	if lower := strings.ToLower(key); !valid || strings.HasPrefix(lower, "grpc-") || strings.HasSuffix(lower, "-bin") {
		return fmt.Errorf("%q is not a header's name, or one of gRPC's own", key)
	}
	for _, c := range []byte(value) {
		if c < ' ' || c > '~' {
			return fmt.Errorf("the value of %q has characters that are not printable ASCII", key)
		}
	}
	return nil
}
