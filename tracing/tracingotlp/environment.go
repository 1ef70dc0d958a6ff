package tracingotlp

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
)

// An environment is os.Getenv, or a test's. As everywhere in OpenTelemetry, an
// empty variable is one that is not set.
type environment func(name string) string

// otlp returns the exporter's variable, that for traces if it is set, and its name.
func (env environment) otlp(suffix string) (text, name string) {
	name = "OTEL_EXPORTER_OTLP_TRACES_" + suffix
	if text = strings.TrimSpace(env(name)); text != "" {
		return text, name
	}
	name = "OTEL_EXPORTER_OTLP_" + suffix
	return strings.TrimSpace(env(name)), name
}

func (s *settings) flag(name string) bool { return s.isTrue(name, s.fromEnv(name)) }

func (s *settings) otlpFlag(suffix string) bool {
	text, name := s.fromEnv.otlp(suffix)
	return s.isTrue(name, text)
}

func (s *settings) isTrue(name, text string) bool {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true":
		return true
	case "", "false":
	default:
		s.bad("%s is %q, neither true nor false", name, text)
	}
	return false
}

// count settles a number that must be positive.
func (s *settings) count(field string, n int, variable string, otherwise, most int) int {
	name := "Config." + field
	if n == 0 && variable != "" {
		if text := strings.TrimSpace(s.fromEnv(variable)); text != "" {
			name = variable
			var err error
			if n, err = strconv.Atoi(text); err != nil {
				n = -1
			}
			if n <= 0 {
				s.bad("%s is %q, not a positive number", name, text)
				return otherwise
			}
		}
	}
	switch {
	case n == 0:
		return otherwise
	case n < 0 || n > most:
		s.bad("%s is %d, not 1 to %d", name, n, most)
	}
	return n
}

// span settles a time that must be positive. Variables are in milliseconds.
func (s *settings) span(field string, d, otherwise time.Duration, variables ...string) time.Duration {
	if d < 0 {
		s.bad("Config.%s is %v", field, d)
	}
	if d != 0 {
		return d
	}
	for _, name := range variables {
		text := strings.TrimSpace(s.fromEnv(name))
		if text == "" {
			continue
		}
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil || ms <= 0 || ms > int64(math.MaxInt64/time.Millisecond) {
			s.bad("%s is %q, not a positive number of milliseconds", name, text)
			continue
		}
		return time.Duration(ms) * time.Millisecond
	}
	return otherwise
}

// sample settles which traces are sampled.
func (s *settings) sample() {
	if math.IsNaN(s.Ratio) || s.Ratio > 1 {
		s.bad("Config.Ratio is %v, more than 1", s.Ratio)
	}
	if s.Ratio != 0 {
		s.Ratio = max(s.Ratio, 0)
		return
	}
	s.Ratio = 0.01
	const name = "OTEL_TRACES_SAMPLER"
	sampler := strings.ToLower(strings.TrimSpace(s.fromEnv(name)))
	kind, based := strings.CutPrefix(sampler, "parentbased_")
	switch kind {
	case "":
		if based {
			s.bad("%s is %q, which says nothing", name, sampler)
		}
		return
	case "always_on":
		s.Ratio = 1
	case "always_off":
		s.Ratio = 0
	case "traceidratio":
		s.Ratio = s.samplerArgument()
	default:
		s.bad("%s is %q, not one of always_on, always_off, traceidratio, or these with parentbased_ before", name, sampler)
	}
	s.parent = based
}

// samplerArgument is the ratio in the environment, 1 if there is none.
func (s *settings) samplerArgument() float64 {
	const name = "OTEL_TRACES_SAMPLER_ARG"
	text := strings.TrimSpace(s.fromEnv(name))
	if text == "" {
		return 1
	}
	ratio, err := strconv.ParseFloat(text, 64)
	if err != nil || !(ratio >= 0 && ratio <= 1) {
		s.bad("%s is %q, not a number from 0 to 1", name, text)
	}
	return ratio
}

// describe settles the resource. Who runs the process may add to what the
// program says of itself, and not change it.
func (s *settings) describe() {
	attrs := []attribute.KeyValue{attribute.String("service.instance.id", newUUID())}
	pairs, err := parsePairs(s.fromEnv("OTEL_RESOURCE_ATTRIBUTES"))
	if err != nil {
		s.bad("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	for _, p := range pairs {
		attrs = append(attrs, attribute.String(p[0], p[1]))
	}
	if name := s.fromEnv("OTEL_SERVICE_NAME"); name != "" {
		attrs = append(attrs, attribute.String("service.name", name))
	}
	for i, kv := range s.ResourceAttributes {
		if !kv.Valid() {
			s.bad("Config.ResourceAttributes[%d] has no key, or no value", i)
		}
	}
	attrs = append(attrs, s.ResourceAttributes...)
	if s.ServiceName != "" {
		attrs = append(attrs, attribute.String("service.name", s.ServiceName))
	}
	if s.ServiceVersion != "" {
		attrs = append(attrs, attribute.String("service.version", s.ServiceVersion))
	}
	set := attribute.NewSet(attrs...) // the last of a key wins
	if name, _ := set.Value("service.name"); name.AsString() == "" {
		s.bad("Config.ServiceName is empty, and neither OTEL_SERVICE_NAME nor OTEL_RESOURCE_ATTRIBUTES says it")
	}
	s.resource = set.ToSlice()
}

// headers are those in the environment.
func (s *settings) headers() (map[string]string, string) {
	text, name := s.fromEnv.otlp("HEADERS")
	pairs, err := parsePairs(text)
	if err != nil {
		s.bad("%s: %w", name, err)
	}
	headers := make(map[string]string, len(pairs))
	for _, p := range pairs {
		headers[p[0]] = p[1]
	}
	return headers, name
}

// certificates reads what the environment says of TLS, nil if nothing.
func (s *settings) certificates() *tls.Config {
	roots, rootsName := s.fromEnv.otlp("CERTIFICATE")
	cert, certName := s.fromEnv.otlp("CLIENT_CERTIFICATE")
	key, keyName := s.fromEnv.otlp("CLIENT_KEY")
	if roots == "" && cert == "" && key == "" {
		return nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if roots != "" {
		cfg.RootCAs = x509.NewCertPool()
		if pem, err := os.ReadFile(roots); err != nil {
			s.bad("%s: %w", rootsName, err)
		} else if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			s.bad("%s: %s holds no certificate", rootsName, roots)
		}
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			s.bad("%s, %s: %w", certName, keyName, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg
}

// errPair quotes nothing: headers are secrets.
var errPair = errors.New("it is not a list of key=value, separated by commas and percent-encoded")

// parsePairs parses the lists of the OpenTelemetry specification: keys and
// percent-encoded values, in their order.
func parsePairs(list string) ([][2]string, error) {
	var pairs [][2]string
	for item := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(item) == "" {
			continue
		}
		key, value, ok := strings.Cut(item, "=")
		if !ok {
			return nil, errPair
		}
		key, err := url.PathUnescape(strings.TrimSpace(key))
		if err != nil || key == "" {
			return nil, errPair
		}
		value, err = url.PathUnescape(strings.TrimSpace(value))
		if err != nil {
			return nil, errPair
		}
		pairs = append(pairs, [2]string{key, value})
	}
	return pairs, nil
}

// newUUID returns a random UUID (RFC 9562 §5.4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
