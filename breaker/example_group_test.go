package breaker_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/ballast-go/ballast/breaker"
)

// A breaker for each endpoint that a client calls: the bad one is left alone, and
// the others are not.
func ExampleGroup() {
	good := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer good.Close()
	bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }))
	defer bad.Close()

	endpoints, err := breaker.NewGroup(breaker.GroupConfig[string]{
		Breaker:       breaker.Config{ConsecutiveFailures: 2},
		OnStateChange: func(_ string, from, to breaker.State) { fmt.Println("the bad one:", from, "→", to) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: breaker.NewTransport(nil, nil, breaker.TransportConfig{
		Pick: func(r *http.Request) *breaker.Breaker { return endpoints.Get(r.URL.Host) },
	})}
	defer client.CloseIdleConnections()
	for range 3 {
		for _, url := range []string{good.URL, bad.URL} {
			resp, err := client.Get(url)
			if err != nil {
				fmt.Println("open:", errors.Is(err, breaker.ErrOpen))
				continue
			}
			resp.Body.Close()
			fmt.Println(resp.StatusCode)
		}
	}
	// Output:
	// 200
	// 502
	// 200
	// the bad one: closed → open
	// 502
	// 200
	// open: true
}
