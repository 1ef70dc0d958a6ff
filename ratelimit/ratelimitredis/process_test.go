package ratelimitredis_test

import (
	"bufio"
	"context"
	"encoding/gob"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitredis"
)

// A job is what another process of this test does.
type job struct {
	Addr     string
	Mode     ratelimitredis.Mode
	Limit    ratelimit.Limit
	Skew     time.Duration // of the process's clock
	Limiters int
	Keys     int
	Calls    int // by each limiter at most, of keys by Zipf's law
	For      time.Duration
	Seed     uint64
	Hang     bool // with what was leased, and with it
}

// A report is what came of it.
type report struct {
	Calls  []record
	Leased uint64 // of them, decided by a lease
}

// A record is one call.
type record struct {
	At  int64 // nanoseconds since 1970, by the machine's one clock
	Key int
	OK  bool
}

// TestMain makes the test binary another process, if the environment says so.
func TestMain(m *testing.M) {
	if os.Getenv("RATELIMITREDIS_JOB") == "" {
		os.Exit(m.Run())
	}
	var j job
	in := bufio.NewReader(os.Stdin)
	if err := gob.NewDecoder(in).Decode(&j); err != nil {
		panic(err)
	}
	j.run(in)
}

func (j job) run(in io.Reader) {
	limiters := make([]*ratelimitredis.Limiter, j.Limiters)
	for i := range limiters {
		client := redis.NewClient(&redis.Options{Addr: j.Addr, PoolSize: 2})
		l, err := ratelimitredis.New(client, ratelimitredis.Config{Limit: j.Limit, Mode: j.Mode, Timeout: patient})
		if err != nil {
			panic(err)
		}
		l.Skew(j.Skew)
		if _, err := l.AllowN(context.Background(), "connect", 0); err != nil {
			panic(err)
		}
		limiters[i] = l
	}
	fmt.Println("ready")
	if _, err := in.Read(make([]byte, 1)); err != nil {
		panic(err)
	}
	records := make([][]record, len(limiters))
	var wg sync.WaitGroup
	for i, l := range limiters {
		wg.Go(func() {
			zipf := rand.NewZipf(rand.New(rand.NewPCG(j.Seed, uint64(i))), 1.2, 1, uint64(j.Keys-1))
			for end := time.Now().Add(j.For); len(records[i]) < j.Calls && time.Now().Before(end); {
				r := record{At: time.Now().UnixNano(), Key: int(zipf.Uint64())}
				d, err := l.AllowN(context.Background(), fmt.Sprint(r.Key), 1)
				if err != nil {
					panic(err)
				}
				r.OK = d.OK
				records[i] = append(records[i], r)
			}
		})
	}
	wg.Wait()
	rep := report{Calls: slices.Concat(records...)}
	for _, l := range limiters {
		rep.Leased += l.Stats().Leased
		if !j.Hang {
			if err := l.Close(context.Background()); err != nil {
				panic(err)
			}
		}
	}
	if err := gob.NewEncoder(os.Stdout).Encode(rep); err != nil {
		panic(err)
	}
	if j.Hang {
		select {}
	}
}

// A process is one that does a job.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startProcess(t *testing.T, j job) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), "RATELIMITREDIS_JOB=1")
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	if err := gob.NewEncoder(p.in).Encode(j); err != nil {
		t.Fatal(err)
	}
	return p
}

// kill ends it as the kernel does when memory is short.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// ready waits until it may be told to go.
func (p *process) ready(t *testing.T) {
	t.Helper()
	if line, err := p.out.ReadString('\n'); line != "ready\n" {
		t.Fatalf("another process: %q, %v", line, err)
	}
}

func (p *process) goAhead(t *testing.T) {
	t.Helper()
	if _, err := p.in.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
}

func (p *process) report(t *testing.T) (rep report) {
	t.Helper()
	if err := gob.NewDecoder(p.out).Decode(&rep); err != nil {
		t.Fatal(err)
	}
	return rep
}

// together has three processes do j, two minutes of clock apart, and returns
// all their calls in order.
func together(t *testing.T, j job) (all report) {
	t.Helper()
	processes := make([]*process, 3)
	for i := range processes {
		j := j
		j.Skew = time.Duration(i-1) * 2 * time.Minute
		j.Seed = uint64(i)
		j.Limiters = (j.Limiters + i) / 3
		processes[i] = startProcess(t, j)
	}
	for _, p := range processes {
		p.ready(t)
	}
	for _, p := range processes {
		p.goAhead(t)
	}
	for _, p := range processes {
		rep := p.report(t)
		all.Calls = append(all.Calls, rep.Calls...)
		all.Leased += rep.Leased
	}
	slices.SortFunc(all.Calls, func(a, b record) int { return int(a.At - b.At) })
	return all
}

// Three processes whose clocks are two minutes apart share a limit of a
// hundred a minute: a clock of theirs would make that three hundred.
func TestClockSkew(t *testing.T) {
	for name, mode := range map[string]ratelimitredis.Mode{"exact": ratelimitredis.Exact, "leased": ratelimitredis.Leased} {
		s := ratelimitredis.StartServer(t)
		start := time.Now()
		all := together(t, job{Addr: s.Addr, Mode: mode, Limit: ratelimit.PerMinute(100), Limiters: 3, Keys: 2, Calls: 300, For: patient})
		var admitted [2]int
		for _, r := range all.Calls {
			if r.OK {
				admitted[r.Key]++
			}
		}
		most := 100 + int(time.Since(start).Minutes()*100) + 1
		for key, n := range admitted {
			if n > most || n < 100 && key == 0 {
				t.Errorf("%s: key %d: %d were let through, not 100 to %d", name, key, n, most)
			}
		}
	}
}

// Fifty limiters in three processes, with Zipf's traffic, against what an exact
// limiter lets through of the same calls. Three keys are asked for more than they
// may have, by a fifth at least, and the others for less, by a tenth: a key that
// comes to its limit in the last moment leaves what is leased of it unused.
func TestLeasedAccuracy(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	limit := ratelimit.Limit{Rate: 20, Burst: 2200}
	all := together(t, job{Addr: s.Addr, Mode: ratelimitredis.Leased, Limit: limit, Limiters: 50, Keys: 300, Calls: 800, For: patient})
	oracle, err := ratelimit.New(ratelimit.Config{Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	epoch := time.Now()
	exact, ours := make(map[int]int), make(map[int]int)
	calls := all.Calls
	for _, r := range calls {
		if oracle.AllowAt(epoch.Add(time.Duration(r.At-calls[0].At)), fmt.Sprint(r.Key), 1).OK {
			exact[r.Key]++
		}
		if r.OK {
			ours[r.Key]++
		}
	}
	total, over, under, limited := 0, 0, 0, 0
	for key, n := range exact {
		total += n
		over += max(0, ours[key]-n)
		under += max(0, n-ours[key])
		if n >= limit.Burst {
			limited++
		}
	}
	t.Logf("%d calls, %d decided by leases; %d keys of %d limited; an exact limiter lets %d through; %d too many (%.3f %%), %d too few (%.3f %%)",
		len(calls), all.Leased, limited, len(exact), total, over, 100*float64(over)/float64(total), under, 100*float64(under)/float64(total))
	if over*100 > total || under*100 > total {
		t.Errorf("more than 1 %%: %d too many and %d too few of %d", over, under, total)
	}
	if all.Leased < uint64(len(calls)/20) {
		t.Errorf("of %d calls leases decided only %d", len(calls), all.Leased)
	}
	if limited == 0 || limited == len(exact) {
		t.Errorf("%d of %d keys came to their limit: that tests one half only", limited, len(exact))
	}
}

// A process that is killed takes its lease with it, and no more. Redis forgets
// it soon.
func TestCrash(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	const burst = 1000
	j := job{Addr: s.Addr, Mode: ratelimitredis.Leased, Limit: ratelimit.PerDay(burst), Limiters: 1, Keys: 1, Calls: 200, For: patient, Hang: true}
	p := startProcess(t, j)
	p.ready(t)
	p.goAhead(t)
	admitted := 0
	for _, r := range p.report(t).Calls {
		if r.OK {
			admitted++
		}
	}
	p.kill()
	if admitted != 200 {
		t.Errorf("%d of 200 were let through", admitted)
	}
	l := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: j.Limit, Mode: ratelimitredis.Leased, Timeout: patient})
	rest := 0
	for range burst {
		if d, err := l.AllowN(t.Context(), "0", 1); err != nil {
			t.Fatal(err)
		} else if d.OK {
			rest++
		}
	}
	if admitted+rest > burst || admitted+rest < burst-burst/4 {
		t.Errorf("%d and %d were let through of %d, of which a quarter may be lost", admitted, rest, burst)
	}
	if st := l.Stats(); st.Holders != 2 {
		t.Errorf("the dead one is remembered for a while: %+v", st)
	}
	i := 0
	until(t, "it is forgotten", func() bool {
		i++
		for range 3 { // such that it wants a lease
			if _, err := l.AllowN(t.Context(), fmt.Sprint("key", i%50), 1); err != nil {
				t.Fatal(err)
			}
		}
		return l.Stats().Holders == 1
	})
}
