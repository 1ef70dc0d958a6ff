package stackbench

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A stack that left something out would not do the same work.
func TestEveryCallStackDoesEverything(t *testing.T) {
	for _, p := range callPeers() {
		var logs bytes.Buffer
		w := world{signer: newSigner(), logs: &logs, probe: &probe{}}
		token, err := w.signer.token(tenYears)
		if err != nil {
			t.Fatal(err)
		}
		s, closeStack, err := p.new(w)
		if err != nil {
			t.Fatal(err)
		}
		_, closeOp, err := calling(s, token) // one call
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		both(closeOp, closeStack)() // the record is complete then
		if n := strings.Count(logs.String(), "\n"); n != 1 {
			t.Errorf("%s: %d records: %s", p.name, n, &logs)
		}
		for _, want := range []string{"grpc.health.v1.Health", "Check", "127.0.0.1", "OK"} {
			if !strings.Contains(logs.String(), want) && (want != "OK" || !strings.Contains(logs.String(), `"code":0`)) {
				t.Errorf("%s: %s is not in %s", p.name, want, &logs)
			}
		}
		series, err := w.probe.series()
		if err != nil || !strings.Contains(string(series), "grpc_server_handled_total{") || !strings.Contains(string(series), "grpc_server_handling_seconds_count{") {
			t.Errorf("%s: %v, %s", p.name, err, series)
		}
	}
}

func TestOwnCallsRefuse(t *testing.T) {
	s, closeIt, err := ownCalls(world{signer: newSigner(), logs: new(bytes.Buffer)}, true)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt()
	foreign, err := newSigner().token(tenYears)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := intercepting(s, foreign); status.Code(err) != codes.Unauthenticated {
		t.Errorf("error %v", err)
	}
}
