package problem

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ballast-go/ballast/internal/reason"
)

type told struct {
	http.ResponseWriter
	why string
}

func (t *told) SetReason(why string) { t.why = why }

type wraps struct{ http.ResponseWriter }

func (w wraps) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// The state of the context is told of the reason, else the one behind the writer;
// where there is none, nothing is.
func TestNote(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	for name, tt := range map[string]func(in *told) (http.ResponseWriter, *http.Request){
		"context": func(in *told) (http.ResponseWriter, *http.Request) {
			return httptest.NewRecorder(), r.WithContext(context.WithValue(r.Context(), reason.Key{}, in))
		},
		"writer":         func(in *told) (http.ResponseWriter, *http.Request) { return in, r },
		"wrapped writer": func(in *told) (http.ResponseWriter, *http.Request) { return wraps{wraps{in}}, r },
	} {
		in := &told{ResponseWriter: httptest.NewRecorder()}
		w, r := tt(in)
		Write(w, r, 503, "", "queue-full", 0)
		if in.why != "queue-full" {
			t.Errorf("%s: told %q", name, in.why)
		}
	}
	Write(wraps{httptest.NewRecorder()}, r, 503, "", "queue-full", 0)
}
