package reqstate

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// A slow observer's Begin ends while the owner, which has left, tells the others.
type slowJoin struct {
	entered, leave chan struct{}
	finished       sync.WaitGroup
}

func (o *slowJoin) Begin(*State, http.ResponseWriter, *http.Request) {
	close(o.entered)
	<-o.leave
}

func (o *slowJoin) Finish(*Record) { o.finished.Done() }

// releases lets the slow one go on when the owner is in the middle of its hooks.
type releases struct{ *slowJoin }

func (releases) Begin(*State, http.ResponseWriter, *http.Request) {}
func (o releases) Finish(*Record)                                 { close(o.leave) }

// An outliving handler whose observer joins at the very end finishes once, and
// without a race with the owner (this is for the race detector).
func TestJoinAtTheEnd(t *testing.T) {
	for range 100 {
		o := &slowJoin{entered: make(chan struct{}), leave: make(chan struct{})}
		o.finished.Add(1)
		last := observedFunc(releases{o}, func(http.ResponseWriter, *http.Request) {})
		handler := observedFunc(newRecorder(), func(w http.ResponseWriter, r *http.Request) {
			go Serve(w, r, http.NotFoundHandler(), o)
			<-o.entered
			last.ServeHTTP(w, r) // which is told before the slow one is looked at
		})
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		o.finished.Wait()
	}
}
