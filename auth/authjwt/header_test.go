package authjwt

import (
	"encoding/base64"
	"strings"
	"testing"
	"unsafe"
)

// What is remembered of a good token is its header, in memory of its own: a part of the
// token's string would keep all of it, with CacheHashed as well.
func TestHeadersKeepNoToken(t *testing.T) {
	token := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"1"}`)) + ".payload.signature"
	raw, _, _ := strings.Cut(token, ".")
	var hs headers
	h, err := hs.get(raw)
	if err != nil {
		t.Fatal(err)
	}
	hs.keep(h)
	kept, err := hs.get(raw)
	if err != nil || kept == h || kept.raw != raw || kept.alg != "ES256" || kept.kid != "1" {
		t.Fatalf("%+v, %v", kept, err)
	}
	if again, _ := hs.get(strings.Clone(raw)); again != kept {
		t.Error("not remembered")
	}
	start, end := uintptr(unsafe.Pointer(unsafe.StringData(token))), uintptr(len(token))
	for _, part := range []string{kept.raw, kept.alg, kept.kid} {
		if at := uintptr(unsafe.Pointer(unsafe.StringData(part))); at-start < end {
			t.Errorf("%q is a part of the token", part)
		}
	}
}
