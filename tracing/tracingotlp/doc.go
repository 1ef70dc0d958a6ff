// Package tracingotlp makes a trace.TracerProvider that samples, and exports by
// OTLP to an OpenTelemetry Collector or whatever else speaks it, without ever
// making a request wait.
//
//	p, err := tracingotlp.New(ctx, tracingotlp.Config{
//		ServiceName: "model",
//		Endpoint:    "http://otel-collector:4318",
//		Ratio:       0.01,
//	})
//	…
//	handler = tracing.Middleware(p.TracerProvider(), tracing.MiddlewareConfig{})(handler)
//	…
//	defer p.Close(ctx) // after the servers: spans end with their requests
//
// It stands on OpenTelemetry's SDK, and replaces what of it loses spans without
// a word: its batch processor and its clients. It does not make the provider the
// process's global one; call otel.SetTracerProvider for libraries that know no
// other.
//
// # What is sampled
//
// A trace that begins here is, for the share Config.Ratio of them, decided by its
// id; a span with a parent is if the parent is (OpenTelemetry's
// ParentBased(TraceIDRatioBased)). Whose word counts as a parent's, and how many
// samples it may force a second, is package tracing's to say. Spans that are not
// sampled have ids, for logs and for whom is called, and cost nothing else.
//
// # What becomes of a span
//
//	Stats          a span that ended
//	Exported       the collector has it
//	Rejected       the collector accepted a request but for this one: a partial success
//	Failed         the collector did not accept it within Config.RetryFor, or will never
//	DroppedFull    it found Config.QueueSize spans, or Config.QueueBytes of them, waiting
//	DroppedLarge   it was larger than 1 MiB
//	DroppedClosed  it ended after Close, or Close could not wait for it
//	Queued         none of these yet
//
// Each is in exactly one. Nothing is lost but what is counted there, if the
// collector keeps what it accepts; spans of requests whose answer was lost arrive
// twice. Package tracingotlpprom shows the numbers to Prometheus, Config.OnError
// is told the reasons.
//
// What ends waits for BatchSize others or BatchDelay. A request that was not
// accepted for now (429, 502, 503, 504, no connection, no answer within
// ExportTimeout; the codes that OTLP names) is made again after 125 ms to 5 s,
// longer each time, or when the collector says, for RetryFor at most. So an
// outage shorter than that loses nothing, as long as the queue is not full. What
// will never be accepted is given up at once. One request is under way at a time.
//
// # What is bounded
//
// Ended spans take up to QueueBytes, and those of one request three times their
// size while it is encoded. A span has up to 128 attributes of
// MaxAttributeLength characters each, 128 events and 128 links, with up to 32
// attributes each, whose length has no bound but that of a span's 1 MiB, when it
// ends; the oldest events and links go first. Of an answer up to
// 64 KiB are read. Text that is not UTF-8 is mended.
//
// # Environment
//
// Fields of Config that are not set are taken from these variables, if they are;
// with OTEL_EXPORTER_OTLP_TRACES_ in place of OTEL_EXPORTER_OTLP_ first. One that
// cannot be read is an error of New.
//
//	OTEL_SDK_DISABLED                  true: nothing is sampled, whatever Config says
//	OTEL_SERVICE_NAME                  ServiceName
//	OTEL_RESOURCE_ATTRIBUTES           are added to the resource
//	OTEL_TRACES_SAMPLER, _SAMPLER_ARG  Ratio: always_on, always_off, traceidratio; with
//	                                   parentbased_ before, or a parent is not asked
//	OTEL_EXPORTER_OTLP_ENDPOINT        Endpoint; /v1/traces is appended, but not to _TRACES_ENDPOINT
//	OTEL_EXPORTER_OTLP_PROTOCOL        Protocol
//	OTEL_EXPORTER_OTLP_HEADERS         Headers: key=value, separated by commas, percent-encoded
//	OTEL_EXPORTER_OTLP_TIMEOUT         ExportTimeout, in milliseconds
//	OTEL_EXPORTER_OTLP_INSECURE        Insecure
//	OTEL_EXPORTER_OTLP_COMPRESSION     Gzip: gzip, none
//	OTEL_EXPORTER_OTLP_CERTIFICATE, _CLIENT_CERTIFICATE, _CLIENT_KEY
//	                                   TLS: files in PEM
//	OTEL_BSP_MAX_QUEUE_SIZE, _MAX_EXPORT_BATCH_SIZE, _SCHEDULE_DELAY
//	                                   QueueSize, BatchSize, BatchDelay in milliseconds
//
// HTTPS_PROXY and its like count, too, as everywhere. No others are read.
//
// # Concurrency and goroutines
//
// A Provider is safe for concurrent use. New starts a goroutine, which exports,
// and which [Provider.Close] ends; whoever called New calls Close. It sleeps
// while no sampled span has ended.
//
// # What it does not do
//
// It exports no metrics or logs, and neither to files nor to the console. It
// does not decide at the end of a trace whether that was worth keeping: that is
// for a collector, which sees all of it. It finds out nothing about the host, the
// process or its arguments, which may hold secrets. It does not log.
package tracingotlp
