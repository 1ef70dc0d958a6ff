package metrics

import (
	"net/http"
	"strings"

	"github.com/ballast-go/ballast/internal/promseries"
	"github.com/prometheus/client_golang/prometheus"
)

// other is the label value of what gets no series of its own; otherOTel is what
// OpenTelemetry calls it where it names one.
const (
	other     = "_other"
	otherOTel = "_OTHER"
)

// methods are the label values for methods, of RFC 9110 §9 and RFC 5789.
var methods = [...]string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
	http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace, other,
}

// methodIndex returns where method is in methods.
func methodIndex(method string) uint8 {
	// GET and POST are nearly all there is.
	switch method {
	case http.MethodGet:
		return 0
	case http.MethodPost:
		return 2
	}
	for i, m := range methods[:len(methods)-1] {
		if m == method {
			return uint8(i)
		}
	}
	return uint8(len(methods) - 1)
}

// method returns the label value of methods[i].
func (n Names) method(i uint8) string {
	if n == OTel && methods[i] == other {
		return otherOTel
	}
	return methods[i]
}

// validLabel returns value without what client_golang panics on.
func validLabel(value string) string { return strings.ToValidUTF8(value, "\uFFFD") }

// refused is the reason of the rejections of series beyond the budget.
const refused = "refused"

// tokens numbers a program's constants, so that they make small keys. "" is 0, and 1 is
// "_other", which is what those beyond the first 31 are.
type tokens struct {
	ids      *promseries.Table[string, uint8]
	names    [maxReasons + 1]string
	n        uint8 // of names; guarded by ids
	overflow prometheus.Counter
}

func newTokens(overflow prometheus.Counter) *tokens {
	t := &tokens{ids: promseries.NewTable[string, uint8](maxReasons - 1), n: 2, overflow: overflow}
	t.names[1] = other
	return t
}

func (t *tokens) id(token string) uint8 {
	if token == "" {
		return 0
	}
	if id, ok := t.ids.Get(token); ok {
		return id
	}
	if len(token) <= maxLabelBytes && !t.ids.Full() {
		if id, ok := t.ids.Add(strings.Clone(token), t.number); ok {
			return id
		}
	}
	t.overflow.Inc()
	return 1
}

func (t *tokens) number(token string) uint8 {
	id := t.n
	t.n++
	t.names[id] = validLabel(token)
	return id
}
