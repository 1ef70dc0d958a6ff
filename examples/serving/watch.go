package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"
)

// maxFile is as much as is read of a configured file.
const maxFile = 4 << 20

// A file is watched by its content: that works however a mounted secret is
// replaced, by symbolic links, too.
type file struct {
	path  string
	apply func([]byte) error // puts the content in force, or changes nothing

	last    [sha256.Size]byte // of what was tried last
	failing string            // why the last reading failed; "" if it did not
}

// load reads and applies the file for the first time.
func (f *file) load() error {
	content, err := readFile(f.path)
	if err != nil {
		return err
	}
	f.last = sha256.Sum256(content)
	if err := f.apply(content); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	return nil
}

// reload applies the file if it has changed, and logs what came of it, once.
func (f *file) reload(log *slog.Logger) {
	content, err := readFile(f.path)
	if err != nil {
		f.last = [sha256.Size]byte{} // that it is back will be said, and if it goes again
	} else {
		sum := sha256.Sum256(content)
		if sum == f.last {
			return
		}
		f.last = sum
		err = f.apply(content)
	}
	switch {
	case err == nil:
		f.failing = ""
		log.Info("reloaded", "file", f.path)
	case err.Error() != f.failing:
		f.failing = err.Error()
		log.Error("what was before stays in force", "file", f.path, "error", err)
	}
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = errors.New(path + " is too large")
	}
	return content, err
}

// watch reloads files until ctx ends.
func watch(ctx context.Context, every time.Duration, log *slog.Logger, files []*file) {
	again := time.NewTicker(every)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			for _, f := range files {
				f.reload(log)
			}
		}
	}
}
