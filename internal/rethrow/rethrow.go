// Package rethrow lets a panic, or a runtime.Goexit, of one goroutine go on in
// another, which waits for the first.
package rethrow

import "runtime"

// Stack is where the panic that is being recovered came from, 16 KiB of it.
func Stack() string {
	buf := make([]byte, 16<<10)
	return string(buf[:runtime.Stack(buf, false)])
}

// Panic panics with value, or calls Goexit if that is nil, as there was no panic
// then. It is the same value that is recovered, http.ErrAbortHandler for one; if
// nobody does, the runtime prints both panics, and so text and the stack of the first.
func Panic(value any, text, stack string) {
	if value == nil {
		runtime.Goexit()
	}
	defer panic(value)
	panic(text + "\n\n" + stack)
}
