package main

import (
	"cmp"
	"encoding"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/examples/serving/internal/digits"
	"github.com/ballast-go/ballast/logging"
	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/tracing/tracingotlp"
)

// config is what flags and the environment say. A flag beats its variable.
type config struct {
	listen       string
	defaultModel string

	maxBatch, maxQueue, instances int
	linger                        time.Duration
	targetLatency, batchTimeout   time.Duration

	maxBody, maxRows                          int
	requestTimeout, readTimeout               time.Duration
	readHeaderTimeout, idleTimeout            time.Duration
	writeTimeout, drainDelay, shutdownTimeout time.Duration
	gracePeriod                               time.Duration

	rateLimit      int // requests a minute of each client; 0 is no limit
	trustedProxies ratelimit.TrustedProxies
	redis          *redis.Options // nil: each process for itself
	redisReplicas  int

	// Files; those that are not set are "".
	authUsers, authSigningKey, authAPIKeys, authPolicy string
	authIssuer                                         string
	authTokenTTL, authReload                           time.Duration

	logLevel  slog.Level
	logFormat logging.Format
	logSample float64 // of the access records that nobody misses

	traceEndpoint    string // "": no traces
	traceProtocol    tracingotlp.Protocol
	traceRatio       float64
	nativeHistograms bool
}

// env is what every variable's name begins with.
const env = "SERVING_"

// parseConfig reads flags and environment, and returns everything that is
// wrong at once. Warnings go to stderr; so does the help for -h, which ends in
// flag.ErrHelp.
func parseConfig(args, environ []string, stderr io.Writer) (*config, error) {
	c := new(config)
	fs := flag.NewFlagSet("serving", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	p := &parser{fs: fs}
	c.define(p)

	p.environment(environ, stderr)
	for {
		err := fs.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			help(fs, stderr)
			return nil, err
		}
		// Go on behind an unknown flag, and behind what is none.
		args = fs.Args()
		if err == nil {
			if len(args) == 0 {
				break
			}
			err, args = fmt.Errorf("unexpected argument %q", args[0]), args[1:]
		}
		p.errs = append(p.errs, err)
	}
	for _, f := range p.order {
		if err := p.values[f].err; err != nil {
			p.errs = append(p.errs, fmt.Errorf("-%s or %s: %w", f, variable(f), err))
		}
	}
	if p.values["max-queue"].err == nil && p.values["max-rows"].err == nil && c.maxQueue < c.maxRows {
		p.errs = append(p.errs, fmt.Errorf("-max-queue or %s: %d is less than the %d of -max-rows: a request of so many rows would never fit", variable("max-queue"), c.maxQueue, c.maxRows))
	}
	p.errs = append(p.errs, c.checkAuth()...)
	if end := c.drainDelay + c.shutdownTimeout + closeTimeout; c.gracePeriod > 0 && end >= c.gracePeriod {
		p.errs = append(p.errs, fmt.Errorf("-grace-period or %s: %v is not above -drain-delay %v + -shutdown-timeout %v + %v = %v", variable("grace-period"), c.gracePeriod, c.drainDelay, c.shutdownTimeout, closeTimeout, end))
	}
	if u, err := url.Parse(c.traceEndpoint); err == nil && c.traceProtocol == tracingotlp.GRPC && strings.Trim(u.Path, "/") != "" {
		p.errs = append(p.errs, fmt.Errorf("-trace-endpoint or %s: it has a path, which -trace-protocol grpc does not know", variable("trace-endpoint")))
	}
	return c, errors.Join(p.errs...)
}

// authenticates is whether requests need a credential.
func (c *config) authenticates() bool { return c.authUsers != "" || c.authAPIKeys != "" }

// checkAuth finds settings that would do nothing without others: whoever made
// them believes that somebody is kept out.
func (c *config) checkAuth() (errs []error) {
	if c.authPolicy != "" && !c.authenticates() {
		errs = append(errs, fmt.Errorf("-auth-policy or %s: it needs -auth-users or -auth-api-keys", variable("auth-policy")))
	}
	if c.authTokenTTL%time.Second != 0 {
		errs = append(errs, fmt.Errorf("-auth-token-ttl or %s: %v is not in whole seconds", variable("auth-token-ttl"), c.authTokenTTL))
	}
	if c.authSigningKey != "" && c.authUsers == "" {
		errs = append(errs, fmt.Errorf("-auth-signing-key or %s: it needs -auth-users", variable("auth-signing-key")))
	}
	return errs
}

func (c *config) define(p *parser) {
	ms, s, hour := time.Millisecond, time.Second, time.Hour
	p.text(&c.listen, "listen", "127.0.0.1:8080", "`address` to listen on", isAddress)
	p.text(&c.defaultModel, "default-model", digits.Large, "`model` for requests that name none: "+strings.Join(digits.IDs(), " or "), isModel)
	p.number(&c.maxBatch, "max-batch", 32, "most items in a batch", 1, 1024)
	p.number(&c.maxQueue, "max-queue", 1024, "most items that wait for a batch; more get 503", 1, 1<<20)
	p.number(&c.instances, "instances", max(1, runtime.GOMAXPROCS(0)/2), "batches that run at the same time, for each model", 1, 1024)
	p.duration(&c.linger, "linger", 0, "how long an item waits for company while an instance is idle", 0, s)
	p.duration(&c.targetLatency, "target-latency", s, "how long an answer should take; what cannot make it gets 503 at once; 0 turns nothing away", 0, hour)
	p.duration(&c.batchTimeout, "batch-timeout", 5*s, "how long a batch may compute; longer gets 504, and when too many hang the process asks to be restarted; 0 waits for ever", 0, hour)
	p.number(&c.maxBody, "max-body", 1<<20, "most bytes of a request's body; more get 413", 1<<10, 1<<30)
	p.number(&c.maxRows, "max-rows", 64, "most rows in a request's input", 1, 1024)
	p.duration(&c.requestTimeout, "request-timeout", 10*s, "how long a prediction may take; longer gets 504", ms, hour)
	p.duration(&c.readTimeout, "read-timeout", 10*s, "how long a client may take to send a request", ms, hour)
	p.duration(&c.readHeaderTimeout, "read-header-timeout", 5*s, "how long it may take for the header", ms, hour)
	p.duration(&c.idleTimeout, "idle-timeout", 2*time.Minute, "how long a connection may wait for its next request", ms, hour)
	p.duration(&c.writeTimeout, "write-timeout", 10*s, "how long each write to a client may take", ms, hour)
	p.duration(&c.drainDelay, "drain-delay", s, "how long to serve on after a signal, so that load balancers notice", 0, hour)
	p.duration(&c.shutdownTimeout, "shutdown-timeout", 25*s, "how long to wait for what is in flight after that", ms, hour)
	p.duration(&c.gracePeriod, "grace-period", 30*s, "how long after a signal the process is killed (terminationGracePeriodSeconds): -drain-delay, -shutdown-timeout and 2 s must be less; 0 is never", 0, 24*hour)
	p.number(&c.rateLimit, "rate-limit", 100, "most requests a minute of each client; more get 429; 0 is no limit", 0, 1_000_000)
	p.add("trusted-proxies", "", "`addresses` or networks, with commas between, of the proxies that say in X-Forwarded-For who the client is", c.setTrustedProxies)
	p.add("redis-url", "", "`URL` of a Redis in which all replicas share the limit, such as redis://localhost:6379", c.setRedis)
	p.number(&c.redisReplicas, "redis-replicas", 1, "among how many replicas the limit is divided while Redis does not answer", 1, 10_000)
	p.path(&c.authUsers, "auth-users", "`file` of the users who may log in at /auth/login, with their passwords' hashes and roles; turns authentication on")
	p.path(&c.authAPIKeys, "auth-api-keys", "`file` of the hashes of API keys that are accepted; turns authentication on")
	p.path(&c.authPolicy, "auth-policy", "`file` that says which roles may use which models; without, all who are authenticated may use all")
	p.path(&c.authSigningKey, "auth-signing-key", "`file` of the PEM keys that sign tokens; without, one that lasts as long as the process")
	p.text(&c.authIssuer, "auth-issuer", "urn:ballast:serving", "`name` of this service in its tokens (iss), of all replicas the same", isIssuer)
	p.duration(&c.authTokenTTL, "auth-token-ttl", 15*time.Minute, "how long a token is good: whole seconds", s, hour)
	p.duration(&c.authReload, "auth-reload", 10*s, "how often these files are looked at for changes", 100*ms, hour)
	c.logLevel, c.logFormat = slog.LevelInfo, logging.JSON
	p.parsed(&c.logLevel, "log-level", "lowest `level` to log: debug, info, warn or error")
	p.parsed(&c.logFormat, "log-format", "`format` of the log: json or console")
	p.ratio(&c.logSample, "log-sample", 1, "how many requests are logged of those that neither failed (5xx, or cut off) nor took -target-latency; all others are")
	p.text(&c.traceEndpoint, "trace-endpoint", "", "`URL` of an OpenTelemetry collector, such as http://localhost:4317; without, there are no traces", isEndpoint)
	c.traceProtocol = tracingotlp.GRPC
	p.add("trace-protocol", string(c.traceProtocol), "`protocol` that it speaks: grpc or http/protobuf", c.setTraceProtocol)
	p.ratio(&c.traceRatio, "trace-ratio", 0.01, "how many of the requests are traced, unless a trusted proxy has decided")
	p.boolean(&c.nativeHistograms, "native-histograms", "durations in native histograms, too, with buckets of 10 %")
}

// batching is the batcher's part, for the model with the given name.
func (c *config) batching(name string) batching.Config[item] {
	return batching.Config[item]{
		Name: name, MaxBatchSize: c.maxBatch, MaxQueue: c.maxQueue, Linger: c.linger, Instances: c.instances,
		TargetLatency: c.targetLatency, BatchTimeout: c.batchTimeout,
		Priority: func(i item) int { return i.level }, Priorities: levels,
	}
}

func (c *config) setTrustedProxies(s string) error {
	c.trustedProxies = nil
	for entry := range strings.SplitSeq(s, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(entry)
		if err != nil {
			addr, errAddr := netip.ParseAddr(entry)
			if errAddr != nil || addr.Zone() != "" {
				return fmt.Errorf("%q is no address and no network", entry)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		if prefix.Bits() == 0 || prefix.Addr().Is4In6() {
			return fmt.Errorf("%q is everybody, or IPv4 written as IPv6", entry)
		}
		c.trustedProxies = append(c.trustedProxies, prefix)
	}
	return nil
}

// setRedis does not say what is wrong with a URL, which may have a password.
func (c *config) setRedis(s string) (err error) {
	c.redis = nil
	if s == "" {
		return nil
	}
	if c.redis, err = redis.ParseURL(s); err != nil {
		c.redis = nil
		return errors.New("it is no URL of the kind redis://user:password@host:port/database, or rediss:// with TLS")
	}
	c.redis.ContextTimeoutEnabled = true // or a shutdown waits for a round trip that hangs
	return nil
}

func isAddress(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return err
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > math.MaxUint16 {
		return fmt.Errorf("port %q is not a number from 0 to 65535", port)
	}
	return nil
}

func isIssuer(s string) error {
	if u, err := url.Parse(s); err != nil || !u.IsAbs() {
		return fmt.Errorf("%q is no URI", s)
	}
	return nil
}

func isEndpoint(s string) error {
	if u, err := url.Parse(s); s != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil) {
		return errors.New("it is no URL of the kind http://host:port or https://host:port")
	} else if port := u.Port(); port != "" {
		return isAddress("host:" + port)
	}
	return nil
}

func (c *config) setTraceProtocol(s string) error {
	c.traceProtocol = tracingotlp.Protocol(s)
	if c.traceProtocol != tracingotlp.GRPC && c.traceProtocol != tracingotlp.HTTP {
		return fmt.Errorf("%q is neither %s nor %s", s, tracingotlp.GRPC, tracingotlp.HTTP)
	}
	return nil
}

func isModel(s string) error {
	if !slices.Contains(digits.IDs(), s) {
		return fmt.Errorf("model %q is none of %s", s, strings.Join(digits.IDs(), ", "))
	}
	return nil
}

// A parser collects mistakes instead of stopping at the first.
type parser struct {
	fs     *flag.FlagSet
	order  []string
	values map[string]*value
	errs   []error
}

// value is a flag.Value that keeps its mistake to itself. The last setting
// wins: a good flag heals a bad variable.
type value struct {
	text    string
	set     func(string) error
	err     error
	boolean bool // -name alone is true
}

func (v *value) String() string { return v.text }

func (v *value) IsBoolFlag() bool { return v.boolean }

func (v *value) Set(s string) error {
	v.text, v.err = s, v.set(s)
	return nil
}

func (p *parser) add(name, byDefault, usage string, set func(string) error) {
	if p.values == nil {
		p.values = make(map[string]*value)
	}
	v := &value{text: byDefault, set: set}
	p.values[name] = v
	p.order = append(p.order, name)
	p.fs.Var(v, name, usage)
}

func (p *parser) text(to *string, name, byDefault, usage string, check func(string) error) {
	*to = byDefault
	p.add(name, byDefault, usage, func(s string) error {
		*to = s
		return check(s)
	})
}

func (p *parser) path(to *string, name, usage string) {
	p.text(to, name, "", usage, func(string) error { return nil })
}

func (p *parser) parsed(to encoding.TextUnmarshaler, name, usage string) {
	p.add(name, strings.ToLower(fmt.Sprint(to)), usage, func(s string) error { return to.UnmarshalText([]byte(s)) })
}

func (p *parser) number(to *int, name string, byDefault int, usage string, least, most int) {
	*to = byDefault
	p.add(name, strconv.Itoa(byDefault), "`number`: "+usage, func(s string) (err error) {
		*to, err = strconv.Atoi(s)
		return check(s, *to, err, least, most)
	})
}

func (p *parser) duration(to *time.Duration, name string, byDefault time.Duration, usage string, least, most time.Duration) {
	*to = byDefault
	p.add(name, byDefault.String(), "`duration`: "+usage, func(s string) (err error) {
		*to, err = time.ParseDuration(s)
		return check(s, *to, err, least, most)
	})
}

func (p *parser) ratio(to *float64, name string, byDefault float64, usage string) {
	*to = byDefault
	p.add(name, strconv.FormatFloat(byDefault, 'g', -1, 64), "`ratio`: "+usage, func(s string) (err error) {
		*to, err = strconv.ParseFloat(s, 64)
		return check(s, *to, err, 0, 1)
	})
}

func (p *parser) boolean(to *bool, name, usage string) {
	p.add(name, "false", "`boolean`: "+usage, func(s string) (err error) {
		if *to, err = strconv.ParseBool(s); err != nil {
			return fmt.Errorf("%q is neither true nor false", s)
		}
		return nil
	})
	p.values[name].boolean = true
}

func check[T cmp.Ordered](s string, v T, err error, least, most T) error {
	if err != nil || !(v >= least && v <= most) { // so that NaN is out, too
		return fmt.Errorf("%q is not between %v and %v", s, least, most)
	}
	return nil
}

// variable is the environment's name for a flag.
func variable(name string) string { return env + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }

// environment sets what variables say. One that is unknown is no mistake:
// Kubernetes gives SERVING_PORT and others to pods beside a Service "serving".
func (p *parser) environment(environ []string, warnings io.Writer) {
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, env) {
			continue
		}
		i := slices.IndexFunc(p.order, func(f string) bool { return variable(f) == name })
		if i < 0 {
			fmt.Fprintf(warnings, "serving: warning: %q is not a known variable and is ignored\n", name)
			continue
		}
		_ = p.values[p.order[i]].Set(text) // keeps its own error
	}
}

func help(fs *flag.FlagSet, w io.Writer) {
	fmt.Fprintln(w, "serving serves two networks that read handwritten digits.\n\n"+
		"Flags, each with the environment variable that it beats (others that begin with "+env+" are ignored with a warning):")
	fs.VisitAll(func(f *flag.Flag) {
		kind, usage := flag.UnquoteUsage(f)
		fmt.Fprintf(w, "  -%s %s  (%s, default %s)\n    \t%s\n", f.Name, kind, variable(f.Name), cmp.Or(f.DefValue, "none"), strings.TrimPrefix(usage, kind+": "))
	})
}
