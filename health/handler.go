package health

import (
	"net/http"
	"strconv"
)

// Handler returns the handler for /health, for people, load balancers and
// monitors: 200 {"status":"healthy"} or {"status":"degraded"} when Ready returns
// nil, else 503 with "starting", "unhealthy" or "draining". It is not for a
// liveness probe.
//
// As the other handlers it answers GET and HEAD, refuses anything else with
// 405, forbids caching, and tells no client which check failed or why, but for
// those that Config.Verbose lets see it. It allocates nothing then.
func (h *Health) Handler() http.Handler { return newHandler(h, readyz) }

// ReadyHandler returns the handler for /readyz. It answers as Handler does.
func (h *Health) ReadyHandler() http.Handler { return newHandler(h, readyz) }

// StartupHandler returns the handler for /startupz: 200 {"status":"healthy"}
// when Started returns nil, else 503 {"status":"starting"}.
func (h *Health) StartupHandler() http.Handler { return newHandler(h, startupz) }

// LiveHandler returns the handler for /livez: 200 {"status":"healthy"} when
// Live returns nil, else 503 {"status":"unhealthy"}.
func (h *Health) LiveHandler() http.Handler { return newHandler(h, livez) }

// probe is one of the questions.
type probe string

const (
	readyz   probe = "readyz"
	startupz probe = "startupz"
	livez    probe = "livez"
)

// decide answers the question.
func (p probe) decide(h *Health) State {
	switch {
	case p == readyz:
		return h.view().state
	case p == startupz && h.Started() != nil:
		return StateStarting
	case p == livez && h.Live() != nil:
		return StateUnhealthy
	}
	return StateHealthy
}

// code is the status that a state is answered with.
func (s State) code() int {
	if s == StateHealthy || s == StateDegraded {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}

// index numbers the states, for answers to be found without hashing.
func (s State) index() int {
	switch s {
	case StateHealthy:
		return 0
	case StateDegraded:
		return 1
	case StateStarting:
		return 2
	case StateUnhealthy:
		return 3
	}
	return 4
}

type handler struct {
	health  *Health
	probe   probe
	noStore []string
	answers [5]*answer // by State.index
	drafts  [5]*answer // likewise, in application/health+json
	refusal *answer
}

// answer is a response made in advance. Its header values are slices of their
// own, as http.Header wants them, because Header.Set would allocate them for
// every probe.
type answer struct {
	code                       int
	contentType, contentLength []string
	body                       []byte
}

func newHandler(health *Health, probe probe) *handler {
	h := &handler{
		health:  health,
		probe:   probe,
		noStore: []string{"no-store"},
		refusal: newAnswer(http.StatusMethodNotAllowed, "application/problem+json",
			`{"type":"about:blank","title":"Method Not Allowed","status":405}`),
	}
	for _, s := range []State{StateStarting, StateHealthy, StateDegraded, StateUnhealthy, StateDraining} {
		h.answers[s.index()] = newAnswer(s.code(), "application/json", `{"status":"`+string(s)+`"}`)
		h.drafts[s.index()] = newAnswer(s.code(), healthJSON, `{"status":"`+s.draft()+`"}`)
	}
	return h
}

func newAnswer(code int, contentType, body string) *answer {
	return &answer{
		code:          code,
		contentType:   []string{contentType},
		contentLength: []string{strconv.Itoa(len(body))},
		body:          []byte(body),
	}
}

// ServeHTTP answers with the state of this moment.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var a *answer
	switch draft := wantsDraft(r.Header["Accept"]); {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		a = h.refusal
		w.Header().Set("Allow", "GET, HEAD")
	case (draft || r.URL.RawQuery != "") && h.health.verbose != nil && h.health.verbose(r):
		a = h.details(r, draft)
	case draft:
		a = h.drafts[h.probe.decide(h.health).index()]
	default:
		a = h.answers[h.probe.decide(h.health).index()]
	}
	header := w.Header()
	header["Content-Type"] = a.contentType
	header["Content-Length"] = a.contentLength
	header["Cache-Control"] = h.noStore
	w.WriteHeader(a.code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.body) // a prober that went away needs no answer
	}
}
