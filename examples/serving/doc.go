// Command serving is a complete model server assembled from Ballast's packages:
// it serves two real networks that read handwritten digits.
//
//	go run ./examples/serving
//	curl -s localhost:8080/predict -d @examples/serving/testdata/seven.json
//
// A request passes
//
//	write deadlines → logging.Recover → tracing → logging → metrics
//		→ mux → auth → ratelimit → predict → batching → digits
//
// and the probes and /metrics pass the first two only. Read the files in this
// order: main.go (start and shutdown), service.go (what it is made of), access.go,
// login.go and local.go (who may use it), limit.go (how much of it a client may
// have), predict.go, decode.go and priority.go (one request), trace.go (what is told
// of it), config.go (flags and environment).
//
// # Authentication
//
// It is off, of which the log warns, until there is a file of users or of API keys:
//
//	cd examples/serving
//	go run . -auth-users testdata/users.json -auth-api-keys testdata/api-keys.json \
//		-auth-policy testdata/policy.json
//
// and in another terminal, in the same folder:
//
//	TOKEN=$(curl -s localhost:8080/auth/login \
//		-d '{"username": "test@example.com", "password": "password123"}' |
//		sed 's/.*"access_token":"\([^"]*\)".*/\1/')
//	curl -s localhost:8080/predict -H "Authorization: Bearer $TOKEN" -d @testdata/seven.json
//	curl -s localhost:8080/predict -H 'X-API-Key: sk_example-not-a-secret' -d @testdata/seven.json
//
// Then /predict, /models, /models/{id} and /debug/log-level need a token or a key,
// and the rest stays open: probes and /metrics are for the cluster, which a
// NetworkPolicy keeps to itself. Without a credential, or with a bad one, the answer is 401, and 403 to who
// may not use the model that the route or the body names; a model that a caller may
// not use is not told from one that there is not.
//
//	-auth-users        {"name": {"password": "$argon2id$…", "roles": ["analyst"], "scopes": []}}
//	                   by: echo -n "$PASSWORD" | argon2 "$(openssl rand -hex 8)" -id -m 14 -t 2 -p 1 -e
//	                   or: htpasswd -nbB -C 12 name "$PASSWORD", which gives name:$2y$…
//	-auth-api-keys     [{"sha256": "…", "id": "ci-2026", "owner": "ci",
//	                     "roles": ["operator"], "expires_at": "2027-01-01T00:00:00Z"}]
//	                   by: KEY=sk_$(openssl rand -hex 32); printf %s "$KEY" | sha256sum
//	                   They begin with sk_, and come in X-API-Key or as a bearer token.
//	-auth-policy       package authrbac's; the actions are predict and read, the resources
//	                   models, and administer, the resource log-level
//	-auth-signing-key  PEM, the first signs: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256
//
// This service speaks plain HTTP: passwords, tokens and keys need TLS in front of
// it, an ingress's or a mesh's.
//
// All are files, for secrets that are mounted; no secret is in a flag or a variable.
// They are read again every -auth-reload, and one that is broken changes nothing but
// the log. Without a signing key there is one that lasts as long as the process, of
// which the log warns: replicas need the same, and the public keys of those before
// behind it until their tokens have expired.
//
// A login gives an access token for -auth-token-ttl and a refresh token that is
// good once, at /auth/refresh, for a day in all. /auth/logout ends both, and so
// does another password, or none, in the users' file, in every replica that has
// read it; another role comes with the next refresh. Who has logged out is in this
// process's memory: of several replicas, the others take an access token until it
// expires, and each takes a refresh token once.
//
// A user has 10 wrong passwords a minute from one address, and an address 60 bad
// credentials of any kind but those that have expired; more get 429, whoever asks
// from there. Who guesses from many addresses has as many times that. As many
// passwords as half of the cores are hashed at a time, each in the memory that its
// hash says, and a login that would wait for longer than 2 s gets 503. A user that
// there is not costs as much time as one that there is. Each login, each refusal and
// each decision of the policy is an audit record in the log, "logger": "audit".
//
// This is enough for a small service. One with more than a few users has an identity
// provider: its tokens need a Trust in access.go, and no file of users.
//
// # Rate limit
//
// A client has -rate-limit requests a minute, 100 unless told otherwise, all at
// once if need be; 0 is no limit. More get 429 with Retry-After, before their
// body is read, and every answer says in RateLimit what is left. Probes, scrapes
// and what no route takes are not counted.
//
// A client is who has said who they are, from whatever address, or else an
// address: IPv4, or the /64 of an IPv6 address. Behind proxies or a load balancer
// -trusted-proxies must name their addresses. Otherwise all clients are one, the
// proxy, and share its limit.
//
// Each replica counts for itself, unless -redis-url names a Redis in which they
// share. While that does not answer within 50 ms, each replica enforces the
// -redis-replicas-th part of the limit by itself; so a Redis that is down makes
// no replica unready, and none waits for it. A URL with a password belongs in
// SERVING_REDIS_URL, for others can see flags.
//
// There is no concurrency limit besides (package concurrency): all that a request
// costs is its rows in a batch, and the batchers bound those, shed them by their
// measured speed and let what is interactive go first. A limit in front of them
// could only know less.
//
// # Priority
//
// A request says with the Priority field of RFC 9218 that nobody waits for it:
//
//	curl -s localhost:8080/predict -H 'Priority: u=7' -d @examples/serving/testdata/seven.json
//
// An urgency of 5 to 7 is background. Everything else is interactive: 0 to 4, no
// field (that is 3), and one that is wrong. What is interactive is computed
// first, and takes the place of background items in a full queue. Background
// items that have waited for half of -target-latency, or half a second without
// one, get one place in eight, so that they do not starve.
//
// RFC 9218 §13 warns of comparing what different clients ask for. Here a client
// can only step back, and not get ahead of one that says nothing.
//
// # Overload, and a model that hangs
//
// An answer that would come later than -target-latency, by the measured speed
// of the model and what waits, is refused at once: 503, reason "shed", with
// Retry-After. So is one for which there is no room in a queue of -max-queue
// rows: reason "queue-full". Being overloaded does not make the service unready.
//
// A batch that computes for longer than -batch-timeout is given up: 504. As many
// of a model's batches may hang as it has -instances; if one more does, nothing
// but a restart helps: /livez and /readyz say 503 from then on. So it goes
// without traffic, too, because the readiness checks ask for a prediction each.
//
// A row is an item of its own and may share a batch with other requests' rows. A
// request has one outcome, though: its first row that failed, in the order of
// the request, decides what the client is told, when all rows have an outcome. A
// request of more than -max-rows rows is refused before any is queued: 422.
//
// # Failed predictions
//
// They are counted as prediction_errors_total{model_id,error_type}, once for a
// request, and logged with error_type:
//
//	queue_full     503  no room in the queue
//	shed           503  could not be answered in time
//	draining       503  shutting down
//	timeout        504  longer than -request-timeout
//	batch_timeout  504  its batch took longer than -batch-timeout
//	too_large      413  costs more than a batch may; not with this service's batchers
//	panic          500  the model panicked
//	backend        500  the model failed otherwise
//
// What a client did wrong, and a client that left, are not among them: see
// http_requests_total of package metrics. The batchers' own series count rows
// instead of requests: see package batchingprom.
//
// # Logs
//
// Standard output has a JSON object a line, or text with -log-format=console. Each
// request but probes and scrapes is a record "request", by package logging: with its
// route, status, outcome, duration and ids, and never its body, query or
// credentials. -log-sample=0.01 keeps one in a hundred, and all that failed (5xx, or
// cut off) or took -target-latency; a flood of 429s is sampled as what went well.
//
// The audit stream, "logger": "audit", is in the same output and is never sampled. It
// has a record "usage" for each request that was computed, with its tenant, model and
// device_seconds, which are its rows' shares of their batches: who bills by these
// counts a usage_id once. Rows whose request has ended before their batch, by a
// timeout or because its client left, are in none.
//
// The level can be changed without a restart, for a while or for good:
//
//	curl -s localhost:8080/debug/log-level
//	curl -s -X PUT 'localhost:8080/debug/log-level?for=10m' -d '{"level": "DEBUG"}'
//
// Without authentication only who is on this machine or in this pod may do that: a
// peer with a loopback address, whom no proxy has forwarded, and who asks localhost or
// a loopback address by name. With authentication it is whom -auth-policy lets
// administer log-level, from anywhere; without a policy nobody. -rate-limit does not
// count it. A change is an audit record.
//
// # Metrics
//
// /metrics has, besides Go's and the process's own, the series of packages metrics
// (http_…, model_…, prediction_errors_total), batchingprom, healthprom, ratelimitprom
// or ratelimitredisprom, and tracingotlpprom. -native-histograms adds buckets of
// 10 % to durations; exemplars lead to the traces of requests that were sampled.
//
// deploy/prometheus has what goes with them, and the tests run it:
//
//	prometheus.yml    scrapes this service, reads the rules
//	alerts.yml        the production guide's alerts, mended
//	slo.yml           what the service promises: 99.9 % of its answers are no
//	                  failures, 99 % come within 500 ms; by metrics.Rules, which alerts
//	                  when the budget for a month burns too fast
//	alertmanager.yml  who is told
//
// 401, 403, 429 and 499, shedding and draining are no failures, and page nobody.
//
// # Traces
//
// -trace-endpoint names an OpenTelemetry collector. A trace has the spans
//
//	POST /predict
//		preprocess     reads and checks the body
//		inference      from the queue to the last row's answer
//			batch.queue, batch.run   waiting, and the share of the batch
//		postprocess    writes the answer
//	batch              linked to each inference that has rows in it
//
// The batch is in the trace of the first that has rows in it. -trace-ratio of the
// requests are traced. A client's traceparent is believed only from -trusted-proxies;
// anybody else's is linked, and decides nothing. No request waits for the collector:
// what it does not take is kept up to 2048 spans, then dropped, counted as
// tracingotlp_spans_total, and no failure when the process ends.
//
// # Health and the end
//
// The process has started (/startupz) once each network has had a forward pass of
// 1, 2, 4 … -max-batch rows, so that no request pays for the first, and has read 98 %
// of the held-out digits rightly. It is ready (/readyz, /health) while each batcher
// answers a canary every 10 s. It is alive (/livez) until batches hang beyond cure,
// as above. A Redis that is down makes it "degraded", which is ready. Who is on this
// machine, in the sense above, sees why:
//
//	curl -s 'localhost:8080/readyz?verbose'
//
// SIGTERM and SIGINT begin the end, by health.Serve: not ready, and serving on for
// -drain-delay, then up to -shutdown-timeout for what is in flight, then 2 s for the
// batchers, the checks and the last spans. -grace-period is when Kubernetes kills the
// process: a configuration in which it is not above all of these is wrong. A preStop
// hook's time must be taken off it. The exit code is 0 if no request was cut and all
// has ended, 1 otherwise, and 2 for a wrong configuration. A second signal ends the
// process at once.
package main
