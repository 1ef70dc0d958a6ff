package limitbench

import (
	"os"
	"testing"
	"time"
)

// TestMain makes the test binary another process, if it was started as one.
func TestMain(m *testing.M) {
	if Helper(os.Stdin, os.Stdout) {
		return
	}
	os.Exit(m.Run())
}

func TestLeases(t *testing.T) {
	address, stop, skip, err := startRedis()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if skip != "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("not measured: ", skip)
		}
		t.Skip(skip)
	}
	e, err := measureLeases(address, 300*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	// How well they are decided depends on the machine; that they are many does
	// less so.
	if e.calls < 100 || e.admitted < 50 || e.admitted > e.calls {
		t.Errorf("%+v", e)
	}
}

func TestJudgeLeases(t *testing.T) {
	at := func(i int) int64 { return int64(i) * 100 }
	calls := func(n int, ok func(i int) bool) (all []leaseCall) {
		for i := range n {
			all = append(all, leaseCall{At: at(i), OK: ok(i)})
		}
		return all
	}
	const burst = int(leaseRate)
	for name, test := range map[string]struct {
		calls         []leaseCall
		over, refused int
	}{
		"exact":       {calls(2*burst, func(i int) bool { return i < burst }), 0, 0},
		"too much":    {calls(2*burst, func(i int) bool { return i < burst+10 }), 10, 0},
		"too little":  {calls(2*burst, func(i int) bool { return i < burst-10 }), 0, 10},
		"other calls": {calls(2*burst, func(i int) bool { return i >= burst }), 0, 0},
	} {
		e := judgeLeases(test.calls)
		if e.over != test.over || e.refused != test.refused || e.calls != len(test.calls) {
			t.Errorf("%s: %+v, want %d over, %d refused", name, e, test.over, test.refused)
		}
	}
}

func TestLeaseJobs(t *testing.T) {
	limiters, demand := 0, 0.0
	for _, j := range leaseJobs("", 0) {
		limiters += len(j.Demand)
		for _, d := range j.Demand {
			demand += d
		}
	}
	if limiters != leaseLimiters || demand < leaseDemand*0.999 || demand > leaseDemand*1.001 {
		t.Errorf("%d limiters with %v calls a second", limiters, demand)
	}
}
