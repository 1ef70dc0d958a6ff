package concurrency_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
)

const (
	uploads    = 500
	uploadSize = 3_000_000
	budget     = 120_000_000 // 40 of them
)

const memoryChild = "BALLAST_TEST_MEMORY_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(memoryChild) != "" {
		if err := serveUploads(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// 500 requests of 3 MB come at once to a process under GOMEMLIMIT=1GiB. Without
// a budget its heap came to 1511 MB (measured): the limit only makes the
// collector work harder. With one they are all served, and it stays at a multiple
// of the budget that is the collector's affair.
func TestUploadsUnderAMemoryLimit(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "GOMEMLIMIT=1GiB", memoryChild+"=1")
	cmd.Stderr = os.Stderr
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	addr, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + strings.TrimSpace(addr)
	file := filepath.Join(t.TempDir(), "upload") // for sendfile: the race detector looks at each byte that we send
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), uploadSize), 0o600); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	for i := range uploads {
		wg.Go(func() {
			f, err := os.Open(file)
			if err != nil {
				t.Error(err)
				return
			}
			r, _ := http.NewRequestWithContext(t.Context(), "POST", url, f)
			if i%10 != 0 {
				r.ContentLength = uploadSize // the others do not say how long they are
			}
			resp, err := client.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(b) != fmt.Sprint(uploadSize) {
				t.Errorf("%d %s", resp.StatusCode, b)
			}
		})
	}
	wg.Wait()
	stdin.Close()
	var peak, most int64
	if _, err := fmt.Fscan(out, &peak, &most); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("peak heap %d MB, %d MB of bodies at a time", peak/1e6, most/1e6)
	if most > budget || most < budget/2 || peak > 4*budget {
		t.Errorf("peak heap %d MB, %d MB of bodies at a time; the budget is %d MB", peak/1e6, most/1e6, budget/1_000_000)
	}
}

// serveUploads prints its address, serves until its standard input ends, and
// prints the most heap and the most bytes of bodies that it had.
func serveUploads() error {
	l, err := concurrency.New(concurrency.Config{Max: uploads, MaxQueue: uploads, MaxWait: time.Minute, MaxBytes: budget})
	if err != nil {
		return err
	}
	var bodies, mostBodies, mostHeap atomic.Int64
	raise := func(to *atomic.Int64, n int64) {
		for old := to.Load(); n > old && !to.CompareAndSwap(old, n); old = to.Load() {
		}
	}
	var half sync.Once
	halfUsed := make(chan struct{})
	h := func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, uploadSize)
		held := bodies.Add(uploadSize)
		defer bodies.Add(-uploadSize)
		raise(&mostBodies, held)
		if held >= budget/2 {
			half.Do(func() { close(halfUsed) })
		}
		<-halfUsed // or a fast machine never has many at a time
		n, err := io.ReadFull(r.Body, b)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		raise(&mostHeap, heap())
		fmt.Fprint(w, n)
		runtime.KeepAlive(b)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: concurrency.Middleware(l, concurrency.MiddlewareConfig{MaxBodyBytes: 4_000_000})(http.HandlerFunc(h))}
	go srv.Serve(ln)
	defer srv.Close()
	fmt.Println(ln.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	fmt.Println(mostHeap.Load(), mostBodies.Load())
	return nil
}

// heap is what live and dead objects take now.
func heap() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}
