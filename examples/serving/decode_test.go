package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ballast-go/ballast/examples/serving/internal/digits"
)

// rowOf is a row of n numbers as JSON, the last of which is last.
func rowOf(n int, last string) string {
	if n == 0 {
		return "[]"
	}
	return "[" + strings.Repeat("0,", n-1) + last + "]"
}

var good = `{"input":[` + rowOf(digits.InputSize, "1") + `]}`

func with(row string) string { return `{"input":[` + row + `]}` }

// What clients do wrong, and what they are told.
var badBodies = []struct {
	name, body string
	status     int
	detail     string
}{
	{"nothing", "", 400, "not JSON"},
	{"not JSON", "seven", 400, "not JSON"},
	{"broken off", good[:100], 400, "broke off"},
	{"two bodies", good + good, 400, "follows"},
	{"garbage behind", good + "x", 400, "not JSON"},
	{"an array", "[]", 400, "must be an object"},
	{"null", "null", 400, "must be an object"},
	{"a number", "7", 400, "must be an object"},
	{"unknown field", `{"input":[],"inptu":1}`, 400, "unknown member"},
	{"other case", `{"Input":[]}`, 400, "unknown member"},
	{"input twice", `{"input":[` + rowOf(784, "0") + `],"input":[]}`, 400, "input twice"},
	{"model twice", `{"model_id":"a","model_id":"a"}`, 400, "model_id twice"},
	{"no input", `{}`, 422, "at least one row"},
	{"no rows", `{"input":[]}`, 422, "at least one row"},
	{"input null", `{"input":null}`, 400, "array of rows"},
	{"input a row", `{"input":[1,2]}`, 400, "input[0] must be an array"},
	{"input a string", `{"input":"7"}`, 400, "array of rows"},
	{"row null", with("null"), 400, "input[0] must be an array"},
	{"row empty", with("[]"), 422, "input[0] has 0 numbers"},
	{"row short", with(rowOf(783, "0")), 422, "input[0] has 783 numbers; a row has 784"},
	{"row long", with(rowOf(785, "0")), 422, "input[0] has more than 784"},
	{"row endless", with(rowOf(100_000, "0")), 422, "input[0] has more than 784"},
	{"second row short", with(rowOf(784, "0") + "," + rowOf(3, "0")), 422, "input[1] has 3 numbers"},
	{"null for a number", with(rowOf(784, "null")), 400, "input[0][783] is not a number"},
	{"a string for a number", with(rowOf(784, `"0,0"`)), 400, "input[0][783] is not a number"},
	{"a row for a number", with(rowOf(784, "[0]")), 400, "input[0][783] is not a number"},
	{"true", with(rowOf(784, "true")), 400, "input[0][783] is not a number"},
	{"NaN", with(rowOf(784, "NaN")), 400, "not JSON"},
	{"Infinity", with(rowOf(784, "-Infinity")), 400, "not JSON"},
	{"infinite by overflow", with(rowOf(784, "1e999")), 422, "input[0][783] is not between 0 and 1"},
	{"too great", with(rowOf(784, "1.001")), 422, "input[0][783] is not between 0 and 1"},
	{"negative", with(rowOf(784, "-0.001")), 422, "input[0][783] is not between 0 and 1"},
	{"bytes for pixels", with(rowOf(784, "255")), 422, "not between 0 and 1"},
	{"too many rows", with(rowOf(784, "0") + strings.Repeat(","+rowOf(784, "0"), 4)), 422, "4 rows"},
	{"model null", `{"model_id":null}`, 400, "model_id must be a string"},
	{"model empty", `{"model_id":""}`, 400, "model_id must be a string"},
	{"model a number", `{"model_id":7}`, 400, "model_id must be a string"},
	{"model an object", `{"model_id":{}}`, 400, "model_id must be a string"},
	{"deep", strings.Repeat("[", 5000), 400, "must be an object"},
	{"deep inside", `{"input":[` + strings.Repeat("[", 20_000), 400, "not JSON"},
	{"an invalid name", "{\"\xff\":1}", 400, "unknown member"},
	{"trailing comma", `{"input":[` + rowOf(784, "0") + `,]}`, 400, "not JSON"},
}

func TestDecodeRefuses(t *testing.T) {
	for _, tt := range badBodies {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/predict", strings.NewReader(tt.body))
			_, err := decodeRequest(httptest.NewRecorder(), r, 1<<20, 4)
			var bad *badRequest
			if !errors.As(err, &bad) || bad.status != tt.status || !strings.Contains(bad.detail, tt.detail) {
				t.Errorf("got %+v, want %d with %q", err, tt.status, tt.detail)
			}
		})
	}
}

func TestDecodeAccepts(t *testing.T) {
	body := " {\n \"model_id\" : \"m\" , \"input\":[ [0 , 1e-3,\t0.5,-0" + strings.Repeat(",0.25", digits.InputSize-4) + " ] ] } \n"
	r := httptest.NewRequest("POST", "/predict", strings.NewReader(body))
	req, err := decodeRequest(httptest.NewRecorder(), r, 1<<20, 1)
	if err != nil {
		t.Fatal(err)
	}
	if row := req.input[0]; req.modelID != "m" || len(req.input) != 1 || len(row) != digits.InputSize || row[0] != 0 || row[1] != 1e-3 || row[2] != 0.5 || row[3] != 0 || row[783] != 0.25 {
		t.Errorf("%s %v", req.modelID, req.input)
	}
}

func TestContent(t *testing.T) {
	for _, tt := range []struct {
		kind, encoding string
		status         int
	}{
		{"", "", 0}, {"application/json", "", 0}, {"Application/JSON; charset=utf-8", "identity", 0}, {"application/x-www-form-urlencoded", "", 0},
		{"text/plain", "", 415}, {"application/jsonx", "", 415}, {"multipart/form-data; boundary=x", "", 415}, {"application/json;;;", "", 415},
		{"application/json", "gzip", 415},
	} {
		r := httptest.NewRequest("POST", "/predict", strings.NewReader(good))
		r.Header.Set("Content-Type", tt.kind)
		r.Header.Set("Content-Encoding", tt.encoding)
		_, err := decodeRequest(httptest.NewRecorder(), r, 1<<20, 4)
		status := 0
		var bad *badRequest
		if errors.As(err, &bad) {
			status = bad.status
		}
		if status != tt.status || (err == nil) != (tt.status == 0) {
			t.Errorf("%q %q: %v", tt.kind, tt.encoding, err)
		}
	}
}

// untouched fails the test if a body is read that should be refused unread.
type untouched struct{ t *testing.T }

func (u untouched) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, errors.New("read")
}

// endless counts what is read of it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}

func TestTooLarge(t *testing.T) {
	check := func(r *http.Request) {
		t.Helper()
		_, err := decodeRequest(httptest.NewRecorder(), r, 1<<16, 4)
		var bad *badRequest
		if !errors.As(err, &bad) || bad.status != 413 || !strings.Contains(bad.detail, "65536") {
			t.Errorf("got %v", err)
		}
	}
	declared := httptest.NewRequest("POST", "/predict", untouched{t})
	declared.ContentLength = 1<<16 + 1
	check(declared)
	body := new(endless)
	chunked := httptest.NewRequest("POST", "/predict", body)
	chunked.ContentLength = -1
	check(chunked)
	if body.read > 1<<18 {
		t.Errorf("%d bytes were read", body.read)
	}
}

// FuzzDecode: whatever comes, there is a request of the promised shape, which
// encoding/json reads the same numbers from, or a *badRequest.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(good))
	for _, tt := range badBodies {
		f.Add([]byte(tt.body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest("POST", "/predict", bytes.NewReader(body))
		req, err := decodeRequest(httptest.NewRecorder(), r, 1<<16, 2)
		if err != nil {
			var bad *badRequest
			if !errors.As(err, &bad) || bad.status < 400 || bad.status > 499 {
				t.Fatalf("%v", err)
			}
			return
		}
		var reference struct {
			ModelID string      `json:"model_id"`
			Input   [][]float32 `json:"input"`
		}
		if err := json.Unmarshal(body, &reference); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if n := len(req.input); n < 1 || n > 2 || req.modelID != reference.ModelID || fmt.Sprint(req.input) != fmt.Sprint(reference.Input) {
			t.Fatalf("decoded %d rows for %q", n, req.modelID)
		}
		for _, row := range req.input {
			for _, v := range row {
				if len(row) != digits.InputSize || !(v >= 0 && v <= 1) || math.IsNaN(float64(v)) {
					t.Fatalf("%d numbers, %v", len(row), v)
				}
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	held, err := digits.HeldOut()
	if err != nil {
		b.Fatal(err)
	}
	body := requestBody("", held[700].Input())
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decode(bytes.NewReader(body), 64); err != nil {
			b.Fatal(err)
		}
	}
}
