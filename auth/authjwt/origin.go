package authjwt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxDocument is the most bytes that a document may have. The largest that a
// provider has published is about 20 KB.
const maxDocument = 1 << 20

var errTooLong = errors.New("a document of more than 1 MiB")

// An origin is where documents come from. load and close are called by one
// goroutine at a time.
type origin struct {
	name  string // for logs: no password, no query
	load  func(context.Context) ([]byte, error)
	close func()
}

// fileOrigin reads the file at path.
func fileOrigin(path string) origin {
	return origin{name: fmt.Sprintf("file %q", path), close: func() {}, load: func(context.Context) ([]byte, error) {
		document, err := readFile(path)
		// The name is the origin's.
		if cause, ok := errors.AsType[*fs.PathError](err); ok {
			err = cause.Err
		}
		return document, err
	}}
}

// readFile reads a whole file, but no pipe or terminal, from which nothing may come
// for ever.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return readAll(f)
}

// readAll reads a document to its end.
func readAll(r io.Reader) ([]byte, error) {
	document, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(document) > maxDocument {
		return nil, errTooLong
	}
	return document, nil
}
