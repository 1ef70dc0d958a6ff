package authrbac

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ballast-go/ballast/auth"
)

// Policy is an [auth.Authorizer] by roles. It is safe for concurrent use.
type Policy struct {
	file     string
	toJSON   func([]byte) ([]byte, error)
	onReload func(error)

	now atomic.Pointer[compiled]

	mu     sync.Mutex        // of those who change it
	seen   [sha256.Size]byte // of the file's content, when it was last tried
	result error             // of that

	stop context.CancelFunc // ends polling; nil: there is none
	done chan struct{}      // closed when it has ended
}

// Authorize returns nil if p may do action to resource, and an *[auth.ForbiddenError]
// if it may not. Both are taken as they are, byte by byte: case counts, and a star is
// a star.
func (p *Policy) Authorize(_ context.Context, who *auth.Principal, action, resource string) error {
	_, err := p.now.Load().decide(who, action, resource)
	return err
}

// Decide is [Policy.Authorize] with the rule that decides, by its place in the document
// ("roles.trainer.allow[0]"). It is empty if none does, which forbids.
func (p *Policy) Decide(_ context.Context, who *auth.Principal, action, resource string) (rule string, err error) {
	return p.now.Load().decide(who, action, resource)
}

// Replace puts the policy of document in the place of the one before, all at once:
// each decision is by one of them, and those that begin after Replace has returned are
// by the new one. On an error nothing changes. If there is a Config.File, it is in
// force again when its content changes, or by [Policy.Reload].
func (p *Policy) Replace(document []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.replace(document)
}

func (p *Policy) replace(document []byte) error {
	text, err := convert(document, p.toJSON)
	if err != nil {
		return err
	}
	c, err := compile(text)
	if err != nil {
		return err
	}
	p.now.Store(c)
	return nil
}

// Reload reads Config.File now, without waiting for the next poll, and puts its policy
// in force. On an error nothing changes. OnReload is not called.
func (p *Policy) Reload() error {
	if p.file == "" {
		return errors.New("authrbac: there is no Config.File to reload")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	document, err := readFile(p.file)
	if err != nil {
		return err
	}
	return p.try(document, sha256.Sum256(document))
}

// try puts the file's content in force, if it can be.
func (p *Policy) try(document []byte, sum [sha256.Size]byte) error {
	p.seen, p.result = sum, p.replace(document)
	return p.result
}

// readFile refuses what is not a regular file: reading a pipe may never end.
func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", name)
	}
	if err != nil {
		return nil, fmt.Errorf("authrbac: Config.File: %w", err)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("authrbac: Config.File: %w", err)
	}
	defer f.Close()
	document, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("authrbac: Config.File: %w", err)
	}
	return document, nil
}

// convert returns document as JSON. What is JSON already is taken as it is.
func convert(document []byte, toJSON func([]byte) ([]byte, error)) ([]byte, error) {
	if len(document) > maxDocument {
		return nil, fmt.Errorf("authrbac: the document is longer than %d bytes", maxDocument)
	}
	isJSON := bytes.HasPrefix(bytes.TrimSpace(document), []byte("{"))
	switch {
	case len(bytes.TrimSpace(document)) == 0:
		return nil, errors.New("authrbac: the document is empty")
	case toJSON == nil && !isJSON:
		return nil, errors.New("authrbac: the document does not begin with {, and Config.ToJSON is nil: for YAML, set it to YAMLToJSONStrict of sigs.k8s.io/yaml")
	case toJSON == nil || isJSON && json.Valid(document):
		return document, nil
	case moreYAML(document):
		return nil, errors.New("authrbac: the document goes on behind a line of --- or ..., where YAML readers stop reading")
	}
	text, err := toJSON(document)
	if err != nil {
		return nil, fmt.Errorf("authrbac: Config.ToJSON: %w", err)
	}
	if len(text) > maxDocument {
		return nil, fmt.Errorf("authrbac: the document as JSON is longer than %d bytes", maxDocument)
	}
	return text, nil
}

// moreYAML reports whether something follows a line that ends a YAML document, --- or
// ...: the rules down there, which may be those that deny, would be dropped without a
// word. YAML has more line ends than one (YAML 1.1 §4.2).
func moreYAML(document []byte) bool {
	ends := strings.NewReplacer("\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")
	begun, over := false, false
	for line := range strings.Lines(ends.Replace(string(document))) {
		switch line = strings.TrimRight(line, " \t\n"); {
		case strings.HasPrefix(line, "---") && begun:
			return true
		case strings.HasPrefix(line, "..."):
			over = begun
		case line != "" && line[0] != '#' && line[0] != '%':
			if over {
				return true
			}
			begun = true
		}
	}
	return false
}
