package authjwt

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParseJSON(t *testing.T) {
	for _, ok := range []string{
		`{}`, ` { } `, `{"a":1}`, `{"a":[],"b":{},"c":null,"d":true,"e":false}`,
		`{"a":-0,"b":0.5,"c":1e3,"d":1E-3,"e":12345678901234567890,"f":-1.5e+2,"g":999999999999999}`,
		`{"a":"\u00e9\ud83d\ude00\"\\\/\b\f\n\r\t","é":"é"}`,
		"\t{\n\"a\" : [ 1 , \"b\" , [ { \"c\" : null } ] ]\r\n}",
		`{"a":{"a":{"a":1}},"b":{"a":1}}`,
	} {
		got, err := parseJSON([]byte(ok))
		var want map[string]any
		if jsonErr := json.Unmarshal([]byte(ok), &want); jsonErr != nil {
			t.Fatal(jsonErr)
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v, want %v", ok, got, err, want)
		}
	}
}

func TestParseJSONRefuses(t *testing.T) {
	for _, tt := range []struct {
		document string
		err      error
	}{
		{``, errJSON}, {`null`, errJSON}, {`[]`, errJSON}, {`"a"`, errJSON}, {`1`, errJSON},
		{`{`, errJSON}, {`{"a"`, errJSON}, {`{"a":`, errJSON}, {`{"a":1`, errJSON}, {`{"a":1,`, errJSON}, {`{"a":1,}`, errJSON},
		{`{a:1}`, errJSON}, {`{"a" 1}`, errJSON}, {`{1:1}`, errJSON}, {`{"a":1 "b":2}`, errJSON},
		{`{"a":[1,]}`, errJSON}, {`{"a":[1`, errJSON}, {`{"a":[1 2]}`, errJSON}, {`{"a":[}`, errJSON},
		{`{}{}`, errJSON}, {`{} x`, errJSON}, {"\ufeff{}", errJSON}, {"{}\x00", errJSON},
		{`{"a":01}`, errJSON}, {`{"a":+1}`, errJSON}, {`{"a":1.}`, errJSON}, {`{"a":.5}`, errJSON}, {`{"a":1e}`, errJSON}, {`{"a":1e+}`, errJSON}, {`{"a":-}`, errJSON},
		{`{"a":NaN}`, errJSON}, {`{"a":Infinity}`, errJSON}, {`{"a":0x1}`, errJSON}, {`{"a":tru}`, errJSON}, {`{"a":truex}`, errJSON},
		{`{"a":"`, errJSON}, {`{"a":"\`, errJSON}, {`{"a":"\x"}`, errJSON}, {`{"a":"\u12g4"}`, errJSON}, {`{"a":"\u12`, errJSON}, {`{"a":"\n`, errJSON},
		{"{\"a\":\"\n\"}", errJSON}, {"{\"a\":\"\\n\n\"}", errJSON},
		{`{"a":"\ud800"}`, errJSON}, {`{"a":"\udc00"}`, errJSON}, {`{"a":"\ud800\u0041"}`, errJSON}, {`{"a":"\ud800\ud800"}`, errJSON},
		{`{"a":1e999}`, errNumber}, {`{"a":-1e999}`, errNumber},
		{"{\"a\":\"\xff\"}", errUTF8}, {"{\"a\":\"\xed\xa0\x80\"}", errUTF8}, {"{\"a\":\"\xc0\xaf\"}", errUTF8},
		{`{"a":1,"a":1}`, errDuplicate}, {`{"a":1,"\u0061":1}`, errDuplicate}, {`{"a":{"b":1,"b":2}}`, errDuplicate}, {`{"a":[{"b":1,"b":2}]}`, errDuplicate},
		{`{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, errDepth},
		{strings.Repeat(`{"a":`, 1000) + `1` + strings.Repeat("}", 1000), errDepth},
	} {
		if got, err := parseJSON([]byte(tt.document)); !errors.Is(err, tt.err) {
			t.Errorf("%.40q: %v, %v, want %v", tt.document, got, err, tt.err)
		}
	}
}

// encoding/json is the reference for whatever it and parseJSON both take.
func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,"b",{"c":null}],"d":-1.5e3}`, `{"a":1,"a":2}`, `{"\u00e9":"\ud83d\ude00"}`, "{\"a\":\"\xff\"}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		got, err := parseJSON(document)
		var want map[string]any
		jsonErr := json.Unmarshal(document, &want)
		switch {
		case err == nil && jsonErr != nil:
			t.Errorf("%q is taken, which encoding/json refuses: %v", document, jsonErr)
		case err == nil && !reflect.DeepEqual(got, want):
			t.Errorf("%q is %v, want %v", document, got, want)
		case errors.Is(err, errJSON) && jsonErr == nil && want != nil && !bytes.Contains(document, []byte(`\u`)):
			t.Errorf("%q is refused, which encoding/json reads as %v", document, want)
		}
	})
}

func BenchmarkParseJSON(b *testing.B) {
	claims := []byte(`{"iss":"https://login.example.com/","sub":"user-0123456789abcdef","aud":["https://api.example.com"],"exp":1793500000,"iat":1793499100,"nbf":1793499100,"jti":"9a3f1f0e-6b0e-4a53-a6a9-0d3c2b1a0f9e","scope":"models.read models.predict","roles":["predictor","trainer"],"client_id":"0oa1b2c3d4","email":"someone@example.com"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseJSON(claims); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	s := strings.Repeat("eyJh", 150)
	var buf [512]byte
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decode(buf[:0], s); err != nil {
			b.Fatal(err)
		}
	}
}
