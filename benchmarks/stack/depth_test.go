package stackbench

import (
	"io"
	"net/http"
	"testing"
	"unsafe"
)

// Beyond this, and what net/http and a handler need, a goroutine's stack of 8 KiB is
// not enough, and each open stream holds 16: see idleBytes.
func TestTheChainTakesLittleStack(t *testing.T) {
	w := world{signer: newSigner(), logs: io.Discard}
	token, err := w.signer.token(tenYears)
	if err != nil {
		t.Fatal(err)
	}
	st, closeIt, err := own(w)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt()
	var inner uintptr
	h := st.chain(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { inner = stackPointer() }))
	for range 2 { // by the second time the stack has grown, and does not move
		outer := stackPointer()
		if h.ServeHTTP(&discard{header: http.Header{}}, request(token)); inner == 0 {
			t.Fatal("the handler was not called")
		}
		if took := outer - inner; took > 1500 && outer > inner {
			t.Errorf("%d bytes", took)
		}
		inner = 0
	}
}

//go:noinline
func stackPointer() uintptr {
	var here byte
	return uintptr(unsafe.Pointer(&here))
}
