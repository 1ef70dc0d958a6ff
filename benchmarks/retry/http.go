package retrybench

import (
	"context"
	"io"
	"net/http"
)

const (
	tableTransport = "http, transport"
	tableClient    = "http, client"
)

// backend answers requests without a network.
type backend func(*http.Request) *http.Response

// RoundTrip implements http.RoundTripper.
func (b backend) RoundTrip(r *http.Request) (*http.Response, error) { return b(r), nil }

// answer is a response with an empty body that is not the one that libraries
// may know to be empty.
func answer(r *http.Request, status int, header http.Header) *http.Response {
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: nothing{}, Request: r,
	}
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }
func (nothing) Close() error             { return nil }

func httpTables() []Table {
	return []Table{
		httpTable(tableTransport, "HTTP: GET, the first try succeeds, no network; the transport alone", func(t http.RoundTripper) sender {
			return t.RoundTrip
		}),
		httpTable(tableClient, "HTTP: the same, through an http.Client", func(t http.RoundTripper) sender {
			return (&http.Client{Transport: t}).Do
		}),
	}
}

// A sender sends a request.
type sender func(*http.Request) (*http.Response, error)

func httpTable(name, title string, through func(http.RoundTripper) sender) Table {
	t := Table{Name: name, Title: title, Workers: 1, Batch: 64}
	bare := httpPeer{name: none, note: "part of every line", new: func(base http.RoundTripper, _ settings) (http.RoundTripper, error) {
		return base, nil
	}}
	for _, p := range append([]httpPeer{bare}, httpPeers()...) {
		t.Contenders = append(t.Contenders, Contender{Name: p.name, Note: p.note, Open: func() (Op, func(), error) {
			return send(p, through)
		}})
	}
	return t
}

// send sends the same request again and again, and reads what comes.
func send(p httpPeer, through func(http.RoundTripper) sender) (Op, func(), error) {
	served, header := 0, http.Header{}
	transport, err := p.new(backend(func(r *http.Request) *http.Response {
		served++
		return answer(r, http.StatusOK, header)
	}), usual())
	if err != nil {
		return nil, nil, err
	}
	do := through(transport)
	ctx, cancel := context.WithCancel(context.Background())
	r := request(ctx, http.MethodGet, nil)
	buffer := make([]byte, 512)
	return func(_, n int) error {
		before := served
		for range n {
			resp, err := do(r)
			if err != nil {
				return err
			}
			if _, err := resp.Body.Read(buffer); err != io.EOF {
				return err
			}
			if err := resp.Body.Close(); err != nil {
				return err
			}
		}
		if served != before+n {
			return errWrong
		}
		return nil
	}, cancel, nil
}

// request is what every client sends.
func request(ctx context.Context, method string, body io.Reader) *http.Request {
	r, err := http.NewRequestWithContext(ctx, method, "http://models.example/v1/models", body)
	if err != nil {
		panic(err) // of constants
	}
	return r
}
