// Package healthgrpc answers gRPC health checking (grpc.health.v1) from the
// [health.Health] that answers HTTP probes, so that the two never disagree.
//
//	server := grpc.NewServer(grpc.ChainStreamInterceptor(healthgrpc.StreamServerInterceptor(h)))
//	err := healthgrpc.Register(server, h, healthgrpc.Config{Services: []string{"inference.v1.Predictor"}})
//	...
//	err = health.Serve(ctx, h, health.ServeConfig{Servers: []health.Server{{Listener: l, GRPC: server}}})
//
// # Services
//
//	service            SERVING when               as HTTP's
//	""                 healthy, or degraded       /readyz
//	Config.Services    healthy, or degraded       /readyz
//	"readiness"        healthy, or degraded       /readyz
//	"startup"          started                    /startupz
//	"liveness"         live                       /livez
//
// Else they are NOT_SERVING. Others are unknown: Check ends with NOT_FOUND, Watch
// says SERVICE_UNKNOWN and stays, as health.proto demands; List leaves them out.
// In Kubernetes:
//
//	startupProbe:   {grpc: {port: 9090, service: startup}, periodSeconds: 2, failureThreshold: 150}
//	livenessProbe:  {grpc: {port: 9090, service: liveness}}
//	readinessProbe: {grpc: {port: 9090, service: readiness}, periodSeconds: 5}
//
// A livenessProbe without a service kills a process that drains, or starts.
//
// # Shutting down
//
// On Drain each Watch sends what holds then, NOT_SERVING for readiness, and ends
// with UNAVAILABLE. So no watcher keeps grpc.Server.GracefulStop waiting, as those
// of google.golang.org/grpc/health do for ever (grpc-go#8776). One whose client has
// stopped reading altogether may, until [health.Serve] calls Stop.
//
// Streams of the service's own end when they like. [health.Serve] cuts them at
// its deadline; [StreamServerInterceptor] ends their contexts shortly before, so
// that they can send a last message.
//
// # List
//
// List is in health.proto since grpc-go v1.72. With an older one its messages are
// made from descriptors at run time, and what is sent is the same. Server
// reflection describes List only if the service is built with one that has it.
//
// # Concurrency
//
// Nothing here starts a goroutine. A Watch is served by the goroutine that gRPC
// gives to its stream. One whose client does not read has that goroutine wait,
// and gets the newest status when it reads again: nothing is queued for it. How
// many there may be at a time is [Config] MaxWatchers.
//
// # What it does not do
//
// Health is asked by infrastructure that has no credentials: leave the service
// out of authentication and limits, by its name, and firewall it. It tells
// nobody which check failed, or why.
package healthgrpc
