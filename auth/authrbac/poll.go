package authrbac

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"
)

// settle is how long a change must stay as it is before it is believed: of a file that
// is just being written, YAML's half may be a policy, with the denials still to come.
const settle = 500 * time.Millisecond

// poll starts to look at the file every interval.
func (p *Policy) poll(interval time.Duration) {
	ctx, stop := context.WithCancel(context.Background())
	p.stop, p.done = stop, make(chan struct{})
	go func() {
		defer close(p.done)
		timer := time.NewTimer(interval)
		defer timer.Stop()
		var w watch
		for {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			if p.look(&w) {
				timer.Reset(interval)
			} else {
				timer.Reset(min(interval, settle))
			}
		}
	}()
}

// watch is what polling has seen.
type watch struct {
	pending [sha256.Size]byte // a change that was seen once
	changes bool              // pending is set
	failed  string            // why the file could not be read, as was told already
}

// look reads the file and takes over a change that it has seen twice. It reports
// whether there is nothing to look at again soon.
func (p *Policy) look(w *watch) bool {
	document, err := readFile(p.file)
	if err != nil {
		w.changes = false
		if err.Error() != w.failed {
			w.failed = err.Error()
			p.tell(err)
		}
		return true
	}
	sum := sha256.Sum256(document)
	news, settled := p.judge(w, document, sum)
	if news || settled && w.failed != "" {
		w.failed = ""
		p.mu.Lock()
		result := p.result
		p.mu.Unlock()
		p.tell(result)
	}
	return settled
}

// judge reports whether document was tried now, and whether it is what was tried last.
func (p *Policy) judge(w *watch, document []byte, sum [sha256.Size]byte) (news, settled bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case sum == p.seen:
		w.changes = false
		return false, true
	case !w.changes || sum != w.pending:
		w.pending, w.changes = sum, true
		return false, false
	}
	w.changes = false
	_ = p.try(document, sum) // the result is told
	return true, true
}

func (p *Policy) tell(err error) {
	if p.onReload != nil {
		p.onReload(err)
	}
}

// Close ends the polling of Config.File and waits for it, or for ctx, whose cause is then
// in the error. The policy stays in force. It may be called more than once, and does
// nothing without a goroutine to end.
func (p *Policy) Close(ctx context.Context) error {
	if p.stop == nil {
		return nil
	}
	p.stop()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("authrbac: reading %s, or OnReload, has not ended: %w", p.file, context.Cause(ctx))
	}
}
