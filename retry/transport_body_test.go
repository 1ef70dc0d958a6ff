package retry_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ballast-go/ballast/retry"
)

// Every attempt sends the same body, and each is closed.
func TestTransportSendsBodiesAgain(t *testing.T) {
	for name, maxBody := range map[string]int64{"default": 0, "exactly": 5, "all": math.MaxInt64} {
		for _, length := range []int64{5, -1, 0} {
			b := &backend{statuses: []int{503, 0, 200}}
			own := newBody("hello")
			r := request(t, t.Context(), "PUT", own)
			r.ContentLength = length
			resp, err := retry.NewTransport(b, quick(t, 3), retry.TransportConfig{MaxBody: maxBody}).RoundTrip(r)
			if err != nil || resp.StatusCode != 200 || !slices.Equal(b.bodies, []string{"hello", "hello", "hello"}) {
				t.Errorf("%s, Content-Length %d: %v, %v, bodies %q", name, length, resp, err, b.bodies)
			}
			if own.closed.Load() == 0 || r.Body != io.ReadCloser(own) || r.GetBody != nil {
				t.Errorf("%s: the caller's body is not closed, or his request has changed", name)
			}
		}
	}
}

func TestTransportUsesGetBody(t *testing.T) {
	b := &backend{statuses: []int{503, 0, 200}}
	first, more := newBody(strings.Repeat("x", 1<<20)), []*body{}
	r := request(t, t.Context(), "PUT", first)
	r.GetBody = func() (io.ReadCloser, error) {
		more = append(more, newBody("again"))
		return more[len(more)-1], nil
	}
	if _, err := retry.NewTransport(b, quick(t, 3), retry.TransportConfig{MaxBody: 1}).RoundTrip(r); err != nil {
		t.Fatal(err)
	}
	if len(b.bodies) != 3 || len(b.bodies[0]) != 1<<20 || b.bodies[1] != "again" || b.bodies[2] != "again" {
		t.Errorf("%d bodies", len(b.bodies))
	}
	for i, own := range append(more, first) {
		if own.closed.Load() == 0 {
			t.Errorf("body %d is not closed", i)
		}
	}
}

func TestTransportGetBodyFails(t *testing.T) {
	b := &backend{statuses: []int{503}}
	r := request(t, t.Context(), "PUT", newBody("hello"))
	r.GetBody = func() (io.ReadCloser, error) { return nil, io.ErrUnexpectedEOF }
	_, err := retry.NewTransport(b, quick(t, 3), retry.TransportConfig{}).RoundTrip(r)
	if !errors.Is(err, io.ErrUnexpectedEOF) || b.calls() != 1 {
		t.Errorf("%v after %d calls", err, b.calls())
	}
}

// zeros is a body without an end but for its length, which counts what is read.
type zeros struct{ left, most int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	z.most = max(z.most, int64(len(p)))
	n := min(int64(len(p)), z.left)
	z.left -= n
	return int(n), nil
}

func (z *zeros) Close() error { return nil }

// A gibibyte is sent once, in pieces, and none of it is kept but the beginning.
func TestTransportBodyOfAGibibyte(t *testing.T) {
	const size = 1 << 30
	for name, length := range map[string]int64{"known": size, "unknown": -1} {
		for _, status := range []int{0, 503, 200} {
			var sent, calls, early int64
			own := &zeros{left: size}
			rt := retry.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
				calls++
				early = size - own.left
				n, err := io.Copy(io.Discard, r.Body)
				sent += n
				if err != nil || status == 0 {
					return nil, errors.Join(errRefused, err)
				}
				return &http.Response{StatusCode: status, Body: newBody("answer")}, nil
			}), quick(t, 3), retry.TransportConfig{MaxBody: 1 << 10})
			r := request(t, t.Context(), "PUT", own)
			r.ContentLength = length
			resp, err := rt.RoundTrip(r)
			if calls != 1 || sent != size || early > 1<<10+1 || length > 0 && early > 0 || own.most > 1<<20 {
				t.Errorf("%s: %d calls, %d bytes sent, %d read before, in pieces of %d", name, calls, sent, early, own.most)
			}
			if status == 0 {
				givenUp(t, err, retry.ErrBodyTooLarge)
			} else if err != nil || resp.StatusCode != status {
				t.Errorf("%s: %v, %v", name, resp, err)
			}
		}
	}
}

// A POST's body is not read before it is sent, whatever its size.
func TestTransportDoesNotKeepWhatItWillNotSendAgain(t *testing.T) {
	own := newBody("hello")
	var got io.ReadCloser
	rt := retry.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
		got = r.Body
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	}), quick(t, 3), retry.TransportConfig{})
	if _, err := rt.RoundTrip(request(t, t.Context(), "POST", own)); err != nil || got != io.ReadCloser(own) {
		t.Errorf("base got %v, %v", got, err)
	}
}

type brokenBody struct{ body }

func (*brokenBody) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A body that cannot be read is the caller's fault: nothing is sent.
func TestTransportBodyBreaks(t *testing.T) {
	b := &backend{statuses: []int{200}}
	own := new(brokenBody)
	_, err := retry.NewTransport(b, quick(t, 3), retry.TransportConfig{}).RoundTrip(request(t, t.Context(), "PUT", own))
	if !errors.Is(err, io.ErrUnexpectedEOF) || b.calls() != 0 || own.closed.Load() == 0 {
		t.Errorf("%v after %d calls; closed %d times", err, b.calls(), own.closed.Load())
	}
}

// A body that never comes holds nobody longer than the request's context.
func TestTransportBodyHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1e9)
		defer cancel()
		b := &backend{statuses: []int{200}}
		pr, pw := io.Pipe()
		_, err := retry.NewTransport(b, quick(t, 3), retry.TransportConfig{}).RoundTrip(request(t, ctx, "PUT", pr))
		if !errors.Is(err, context.DeadlineExceeded) || b.calls() != 0 {
			t.Errorf("%v after %d calls", err, b.calls())
		}
		if _, err := pw.Write([]byte("x")); err != io.ErrClosedPipe {
			t.Errorf("the body is not closed: %v", err)
		}
	})
}

// The request's body is closed where nothing is sent at all, too.
func TestTransportContextHasEnded(t *testing.T) {
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	for _, method := range []string{"GET", "PUT", "POST"} {
		b := &backend{statuses: []int{200}}
		own := newBody("hello")
		_, err := retry.NewTransport(b, quick(t, 3), retry.TransportConfig{}).RoundTrip(request(t, ctx, method, own))
		if !errors.Is(err, context.Canceled) || !errors.Is(err, why) || b.calls() != 0 || own.closed.Load() == 0 {
			t.Errorf("%s: %v after %d calls; closed %d times", method, err, b.calls(), own.closed.Load())
		}
	}
}
