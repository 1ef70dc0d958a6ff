package authrbac

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

const (
	maxDocument     = 4 << 20 // bytes of a document, before and after ToJSON
	defaultInterval = 10 * time.Second
	minInterval     = 100 * time.Millisecond
)

// Config configures [New]. One of Document and File is required.
type Config struct {
	// Document is the policy, of at most 4 MiB. The package comment has its format.
	Document []byte
	// File holds the policy. It is read by New, and again every PollInterval.
	File string
	// ToJSON makes JSON of a document that is not JSON, strictly: it must refuse what
	// is there twice. For YAML that is sigs.k8s.io/yaml's YAMLToJSONStrict. It is
	// called by one goroutine at a time. nil: documents are JSON.
	ToJSON func([]byte) ([]byte, error)
	// PollInterval is how often File is read, to see whether its content is another:
	// that works whoever replaces it and however, by the symbolic links of a
	// Kubernetes ConfigMap, too. 0 means 10 s, and 100 ms is the least; below 0 File is
	// read by New and Reload only, and no goroutine is started.
	PollInterval time.Duration
	// OnReload is told of each change of File that was found: nil if it is in force
	// now, an error if what was before stays in force, for it cannot be read or is no
	// policy. It is told once, until something changes again. It is called by the
	// goroutine that polls, which waits for it. nil: nobody is told.
	OnReload func(error)

	_ struct{}
}

func (c *Config) check() error {
	var errs []error
	if len(c.Document) == 0 && c.File == "" {
		errs = append(errs, errors.New("authrbac: Config.Document and Config.File are both empty"))
	}
	if len(c.Document) > 0 && c.File != "" {
		errs = append(errs, errors.New("authrbac: Config.Document and Config.File are both set"))
	}
	if c.File == "" && c.PollInterval != 0 {
		errs = append(errs, errors.New("authrbac: Config.PollInterval is set without Config.File"))
	}
	if c.PollInterval > 0 && c.PollInterval < minInterval {
		errs = append(errs, fmt.Errorf("authrbac: Config.PollInterval is %v, less than %v", c.PollInterval, minInterval))
	}
	if c.File == "" && c.OnReload != nil {
		errs = append(errs, errors.New("authrbac: Config.OnReload is set without Config.File"))
	}
	return errors.Join(errs...)
}

// New returns the policy of cfg. If it has a File, the policy is read again as the file
// changes, and [Policy.Close] ends that.
func New(cfg Config) (*Policy, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	p := &Policy{file: cfg.File, toJSON: cfg.ToJSON, onReload: cfg.OnReload}
	if cfg.File == "" {
		if err := p.Replace(cfg.Document); err != nil {
			return nil, err
		}
		return p, nil
	}
	if err := p.Reload(); err != nil {
		return nil, err
	}
	if cfg.PollInterval >= 0 {
		p.poll(cmp.Or(cfg.PollInterval, defaultInterval))
	}
	return p, nil
}
