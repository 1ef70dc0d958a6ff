package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/ballast-go/ballast/examples/serving/internal/digits"
)

// badRequest is a client's mistake. detail is for the client: it may quote
// numbers and positions, not texts.
type badRequest struct {
	status int
	detail string
}

func (e *badRequest) Error() string { return e.detail }

func malformed(format string, args ...any) error {
	return &badRequest{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func unprocessable(format string, args ...any) error {
	return &badRequest{http.StatusUnprocessableEntity, fmt.Sprintf(format, args...)}
}

// writeProblem answers with a problem document (RFC 9457).
func writeProblem(w http.ResponseWriter, err error) {
	status, detail := http.StatusInternalServerError, ""
	var bad *badRequest
	if errors.As(err, &bad) {
		status, detail = bad.status, bad.detail
	}
	if status == http.StatusUnsupportedMediaType {
		w.Header().Set("Accept", "application/json") // RFC 9110 §15.5.16
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail,omitempty"`
	}{"about:blank", http.StatusText(status), status, detail})
}

type predictRequest struct {
	modelID string
	input   [][]float32 // at least one row of digits.InputSize numbers in [0, 1]
}

// decodeRequest reads a request of at most maxBody bytes and maxRows rows. Its
// errors are of type *badRequest.
func decodeRequest(w http.ResponseWriter, r *http.Request, maxBody, maxRows int) (*predictRequest, error) {
	if err := checkContent(r.Header); err != nil {
		return nil, err
	}
	tooLarge := &badRequest{http.StatusRequestEntityTooLarge, fmt.Sprintf("The body may have %d bytes.", maxBody)}
	if r.ContentLength > int64(maxBody) {
		return nil, tooLarge
	}
	req, err := decode(http.MaxBytesReader(w, r.Body, int64(maxBody)), maxRows)
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge
	}
	if errors.Is(err, os.ErrDeadlineExceeded) { // ReadTimeout's
		return nil, &badRequest{http.StatusRequestTimeout, "The body did not arrive in time."}
	}
	if _, ok := errors.AsType[*badRequest](err); err != nil && !ok {
		return nil, malformed("The body is not JSON or broke off.")
	}
	return req, err
}

// checkContent takes JSON, and what curl -d calls its data unless told
// otherwise.
func checkContent(h http.Header) error {
	if e := h.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return &badRequest{http.StatusUnsupportedMediaType, "Compressed bodies are not taken."}
	}
	text := h.Get("Content-Type")
	if text == "" {
		return nil
	}
	kind, _, err := mime.ParseMediaType(text)
	if err == nil && (kind == "application/json" || kind == "application/x-www-form-urlencoded") {
		return nil
	}
	return &badRequest{http.StatusUnsupportedMediaType, "The body must be application/json."}
}

// decode is stricter than encoding/json: names are matched to the letter, none
// may come twice, null is no number, and nothing follows the object.
func decode(body io.Reader, maxRows int) (*predictRequest, error) {
	dec := json.NewDecoder(body)
	if err := expect(dec, '{', "The body must be an object."); err != nil {
		return nil, err
	}
	req := new(predictRequest)
	seen := make(map[string]bool, 2)
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := key.(string)
		switch {
		case name != "model_id" && name != "input":
			return nil, malformed("The body has an unknown member; model_id and input are known.")
		case seen[name]:
			return nil, malformed("The body has %s twice.", name)
		}
		seen[name] = true
		if name == "input" {
			req.input, err = decodeRows(dec, maxRows)
		} else {
			req.modelID, err = decodeModelID(dec)
		}
		if err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		if err != nil {
			return nil, err
		}
		return nil, malformed("Something follows the body's object.")
	}
	if len(req.input) == 0 {
		return nil, unprocessable("input must have at least one row.")
	}
	return req, nil
}

func expect(dec *json.Decoder, want json.Delim, complaint string) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	if token != want {
		return malformed("%s", complaint)
	}
	return nil
}

func decodeModelID(dec *json.Decoder) (string, error) {
	token, err := dec.Token()
	if err != nil {
		return "", err
	}
	id, ok := token.(string)
	if !ok || id == "" {
		return "", malformed("model_id must be a string that is not empty.")
	}
	return id, nil
}

func decodeRows(dec *json.Decoder, most int) ([][]float32, error) {
	if err := expect(dec, '[', "input must be an array of rows."); err != nil {
		return nil, err
	}
	var rows [][]float32
	for dec.More() {
		if len(rows) == most {
			return nil, unprocessable("input may have %d rows.", most)
		}
		r := row{index: len(rows)}
		if err := dec.Decode(&r); err != nil {
			return nil, err
		}
		rows = append(rows, r.values)
	}
	_, err := dec.Token() // the closing bracket
	return rows, err
}

// row decodes [number, …] by itself: encoding/json would take null for 0, and
// any length.
type row struct {
	index  int
	values []float32
}

// UnmarshalJSON gets one syntactically correct value.
func (r *row) UnmarshalJSON(text []byte) error {
	if len(text) == 0 || text[0] != '[' {
		return malformed("input[%d] must be an array of numbers.", r.index)
	}
	rest := text[1:]
	values := make([]float32, 0, digits.InputSize)
	for {
		rest = bytes.TrimLeft(rest, " \t\r\n,")
		if rest[0] == ']' {
			break
		}
		if len(values) == digits.InputSize {
			return unprocessable("input[%d] has more than %d numbers.", r.index, digits.InputSize)
		}
		n := bytes.IndexAny(rest, " \t\r\n,]")
		if c := rest[0]; c != '-' && (c < '0' || c > '9') {
			return malformed("input[%d][%d] is not a number.", r.index, len(values))
		}
		v, err := strconv.ParseFloat(string(rest[:n]), 32)
		if err != nil || v < 0 || v > 1 {
			return unprocessable("input[%d][%d] is not between 0 and 1.", r.index, len(values))
		}
		values = append(values, float32(v))
		rest = rest[n:]
	}
	if len(values) < digits.InputSize {
		return unprocessable("input[%d] has %d numbers; a row has %d.", r.index, len(values), digits.InputSize)
	}
	r.values = values
	return nil
}
