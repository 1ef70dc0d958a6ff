package healthgrpc

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unicode/utf8"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/ballast-go/ballast/health"
)

// Services that are known without Config.
const (
	Readiness = "readiness" // as /readyz
	Startup   = "startup"   // as /startupz
	Liveness  = "liveness"  // as /livez
)

const (
	defaultMaxWatchers = 10_000
	limitMaxWatchers   = 1_000_000
	maxServices        = 96 // List of grpc-go's own has at most 100, and four are there
	maxServiceName     = 256
)

// Config says what is known besides "". The zero value is useful.
type Config struct {
	// Services are names that are as ready as the process is: those of the gRPC
	// services that it has, for clients that ask for what they are about to call.
	// At most 96, each of 1 to 256 bytes.
	Services []string

	// MaxWatchers is how many calls of Watch may be open. Those beyond end with
	// RESOURCE_EXHAUSTED, and a client that checks health does not use a
	// connection then. Zero means 10,000; else 1 to 1,000,000.
	MaxWatchers int

	_ struct{}
}

// Register registers the service grpc.health.v1.Health with r, before r serves.
// The error joins all that is wrong with c, each naming its field; nothing is
// registered then. As with any service, r, a *grpc.Server, ends the process if it
// has that one already.
func Register(r grpc.ServiceRegistrar, h *health.Health, c Config) error {
	s, err := newService(h, c)
	if err != nil {
		return err
	}
	list, err := newListMessages()
	if err != nil {
		return err
	}
	r.RegisterService(s.desc(list), s)
	return nil
}

// service answers from a Health.
type service struct {
	health   *health.Health
	known    map[string]question
	watchers atomic.Int64
	most     int64
}

// question is what a service's status says.
type question func(*health.Health) error

func newService(h *health.Health, c Config) (*service, error) {
	s := &service{health: h, known: map[string]question{
		"":        (*health.Health).Ready,
		Readiness: (*health.Health).Ready,
		Startup:   (*health.Health).Started,
		Liveness:  (*health.Health).Live,
	}}
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("healthgrpc: Config."+format, args...))
	}
	if n := len(c.Services); n > maxServices {
		bad("Services: %d names, above %d", n, maxServices)
	}
	for i, name := range c.Services {
		switch _, taken := s.known[name]; {
		case name == "":
			bad("Services[%d]: is empty", i)
		case len(name) > maxServiceName:
			bad("Services[%d]: has %d bytes, above %d", i, len(name), maxServiceName)
		case !utf8.ValidString(name):
			bad("Services[%d]: %q is not UTF-8", i, name)
		case taken:
			bad("Services[%d]: %q is there already", i, name)
		default:
			s.known[name] = (*health.Health).Ready
		}
	}
	switch n := c.MaxWatchers; {
	case n == 0:
		s.most = defaultMaxWatchers
	case n < 1 || n > limitMaxWatchers:
		bad("MaxWatchers: %d is not between 1 and %d", n, limitMaxWatchers)
	default:
		s.most = int64(n)
	}
	return s, errors.Join(errs...)
}

// status is what a question is answered with.
func (s *service) status(ask question) healthpb.HealthCheckResponse_ServingStatus {
	if ask(s.health) == nil {
		return healthpb.HealthCheckResponse_SERVING
	}
	return healthpb.HealthCheckResponse_NOT_SERVING
}
