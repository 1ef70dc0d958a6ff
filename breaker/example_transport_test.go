package breaker_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/ballast-go/ballast/breaker"
)

// A stream that reports an error inside a 200, or breaks off, is a failure of its
// server as much as a 500 is.
func ExampleNewTransport() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"text\": \"Once upon\"}\n\n")
		fmt.Fprint(w, "data: {\"error\": {\"message\": \"out of memory\"}}\n\n")
	}))
	defer server.Close()

	b, err := breaker.New(breaker.Config{Name: "model", ConsecutiveFailures: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: breaker.NewTransport(nil, b, breaker.TransportConfig{})}
	defer client.CloseIdleConnections()
	for range 3 {
		resp, err := client.Get(server.URL)
		if err != nil {
			fmt.Println("not called:", errors.Is(err, breaker.ErrOpen))
			continue
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		fmt.Println(resp.StatusCode, err)
	}
	// Output:
	// 200 <nil>
	// 200 <nil>
	// not called: true
}
