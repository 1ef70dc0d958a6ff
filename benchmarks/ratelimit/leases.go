package limitbench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitredis"
)

// Fifty limiters in three processes share the limits of some keys, in leased
// mode. Most of the traffic is for few keys and comes to few limiters, so that
// leases are forever in the wrong place: that is when they let too much through
// or too little.
const (
	leaseProcesses = 3
	leaseLimiters  = 50
	leaseKeys      = 20
	leaseRate      = 1000.0 // a second, of each key; as many at once
	leaseDemand    = 20_000 // calls a second in all: 6 times the limit of the first key, a fifth of the last one's
)

// leaseJob is what one of the processes does.
type leaseJob struct {
	Address string
	Demand  []float64 // calls a second, of each of its limiters
	Seed    uint64
	For     time.Duration
}

// leaseCall is one call of one of the limiters.
type leaseCall struct {
	At  int64 // nanoseconds since 1970: the machine has one clock
	Key int
	OK  bool
}

// leaseRecord is all that limiters did.
type leaseRecord struct {
	Calls  []leaseCall
	Leased uint64 // of them, decided by a lease
}

// leaseVariable says that a process is there to do a leaseJob.
const leaseVariable = "LIMITBENCH_LEASE_JOB"

// Helper does what a process that [Write] started is there for, and reports
// whether this is one. Every program that calls Write calls it first.
func Helper(in io.Reader, out io.Writer) bool {
	text, ok := os.LookupEnv(leaseVariable)
	if !ok {
		return false
	}
	var job leaseJob
	err := json.Unmarshal([]byte(text), &job)
	if err == nil {
		err = job.run(in, out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lease job:", err)
		os.Exit(1)
	}
	return true
}

// run says that it is ready, waits for a line, and writes what happened.
func (j leaseJob) run(in io.Reader, out io.Writer) error {
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: j.Address})
	defer client.Close()
	limiters := make([]*ratelimitredis.Limiter, len(j.Demand))
	for i := range limiters {
		l, err := ratelimitredis.New(client, ratelimitredis.Config{
			Limit: ratelimit.Limit{Rate: leaseRate, Burst: leaseRate},
			Mode:  ratelimitredis.Leased, Timeout: 5 * time.Second, Prefix: "leases:",
		})
		if err != nil {
			return err
		}
		if _, err := l.AllowN(ctx, "connect", 1); err != nil {
			return err
		}
		limiters[i] = l
	}
	fmt.Fprintln(out, "ready")
	if _, err := bufio.NewReader(in).ReadString('\n'); err != nil {
		return err
	}
	calls, errs := make([][]leaseCall, len(limiters)), make([]error, len(limiters))
	var all sync.WaitGroup
	for i, l := range limiters {
		all.Go(func() { calls[i], errs[i] = j.call(ctx, l, i) })
	}
	all.Wait()
	record := leaseRecord{Calls: slices.Concat(calls...)}
	for i, l := range limiters {
		record.Leased += l.Stats().Leased
		if err := errors.Join(errs[i], l.Close(ctx)); err != nil {
			return err
		}
	}
	return json.NewEncoder(out).Encode(record)
}

// call is one limiter's traffic: a Poisson process, of keys by Zipf's law.
func (j leaseJob) call(ctx context.Context, l ratelimit.Limiter, i int) (calls []leaseCall, err error) {
	rng := rand.New(rand.NewPCG(j.Seed, uint64(i)))
	zipf := rand.NewZipf(rng, 1.2, 1, leaseKeys-1)
	begin := time.Now()
	for due := time.Duration(0); due < j.For; {
		time.Sleep(due - time.Since(begin))
		c := leaseCall{At: time.Now().UnixNano(), Key: int(zipf.Uint64())}
		d, err := l.AllowN(ctx, fmt.Sprint("key-", c.Key), 1)
		if err != nil {
			return nil, err
		}
		c.OK = d.OK
		calls = append(calls, c)
		due += time.Duration(rng.ExpFloat64() / j.Demand[i] * 1e9)
	}
	return calls, nil
}

// leaseJobs deals the limiters out to the processes. The i-th has 1/(i+1) of
// the first one's traffic.
func leaseJobs(address string, length time.Duration) []leaseJob {
	sum := 0.0
	for i := range leaseLimiters {
		sum += 1 / float64(i+1)
	}
	jobs := make([]leaseJob, leaseProcesses)
	for i := range jobs {
		jobs[i] = leaseJob{Address: address, Seed: uint64(i), For: length}
	}
	for i := range leaseLimiters {
		j := &jobs[i%leaseProcesses]
		j.Demand = append(j.Demand, leaseDemand/sum/float64(i+1))
	}
	return jobs
}

// leaseErrors is how the calls were decided.
type leaseErrors struct {
	calls, admitted int
	leased          int // decided without asking Redis
	over            int // admitted beyond what their key may have had in all the time
	refused         int // denied, beyond what a limiter denies that sees every call
}

func (e leaseErrors) overShare() float64    { return float64(e.over) / float64(max(e.admitted, 1)) }
func (e leaseErrors) refusedShare() float64 { return float64(e.refused) / float64(max(e.calls, 1)) }

// measureLeases starts this program again, three times.
func measureLeases(address string, length time.Duration) (leaseErrors, error) {
	self, err := os.Executable()
	if err != nil {
		return leaseErrors{}, err
	}
	var processes []*leaseProcess
	defer func() {
		for _, p := range processes {
			p.end()
		}
	}()
	for _, job := range leaseJobs(address, length) {
		p, err := startLeaseProcess(self, job)
		if err != nil {
			return leaseErrors{}, err
		}
		processes = append(processes, p)
	}
	for _, p := range processes {
		if err := p.goAhead(); err != nil {
			return leaseErrors{}, err
		}
	}
	var all leaseRecord
	for _, p := range processes {
		var record leaseRecord
		if err := json.NewDecoder(p.out).Decode(&record); err != nil {
			return leaseErrors{}, err
		}
		all.Calls = append(all.Calls, record.Calls...)
		all.Leased += record.Leased
	}
	e := judgeLeases(all.Calls)
	e.leased = int(all.Leased)
	return e, nil
}

// A leaseProcess does a leaseJob.
type leaseProcess struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startLeaseProcess returns when the process is ready.
func startLeaseProcess(self string, job leaseJob) (*leaseProcess, error) {
	text, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	p := &leaseProcess{cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), leaseVariable+"="+string(text))
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if line, err := p.out.ReadString('\n'); line != "ready\n" {
		p.end()
		return nil, fmt.Errorf("lease process: %q, %w", strings.TrimSpace(line), err)
	}
	return p, nil
}

func (p *leaseProcess) goAhead() error {
	_, err := io.WriteString(p.in, "go\n")
	return err
}

func (p *leaseProcess) end() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// judgeLeases replays the calls, in order, to a limiter that sees all of them.
func judgeLeases(calls []leaseCall) (e leaseErrors) {
	slices.SortFunc(calls, func(a, b leaseCall) int { return int(a.At - b.At) })
	exact := map[int]*rate.Limiter{}
	admitted, denied, within := map[int]int{}, map[int]int{}, map[int]time.Duration{}
	for _, c := range calls {
		if exact[c.Key] == nil {
			exact[c.Key] = rate.NewLimiter(leaseRate, leaseRate)
		}
		if !exact[c.Key].AllowN(time.Unix(0, c.At), 1) {
			denied[c.Key]--
		}
		if c.OK {
			admitted[c.Key]++
		} else {
			denied[c.Key]++
		}
		within[c.Key] = time.Duration(c.At - calls[0].At)
	}
	for key, n := range admitted {
		e.admitted += n
		e.over += max(0, n-int(leaseRate+leaseRate*within[key].Seconds()))
	}
	for _, n := range denied {
		e.refused += max(0, n)
	}
	e.calls = len(calls)
	return e
}

func (r report) writeLeases(w io.Writer, skip string) {
	fmt.Fprintf(w, "\n**Redis, leased: %d limiters in %d processes, %d keys of %s a second each, %s calls a second in all, skewed**\n\n",
		leaseLimiters, leaseProcesses, leaseKeys, number(leaseRate), number(leaseDemand))
	if skip != "" {
		fmt.Fprintf(w, "Skipped: %s.\n", skip)
		return
	}
	e := r.leases
	fmt.Fprintf(w, "%s calls, %s decided by a lease; %s admitted, %d of these beyond their key's burst and rate (%s %%);\n"+
		"%d calls denied beyond what one limiter would that sees them all (%s %%).\n",
		number(float64(e.calls)), number(float64(e.leased)), number(float64(e.admitted)),
		e.over, number(100*e.overShare()), e.refused, number(100*e.refusedShare()))
}
