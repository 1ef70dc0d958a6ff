package digits

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/ballast-go/ballast/examples/serving/internal/digits/internal/dataset"
)

// sevenPath is the request that the example service's documentation sends.
const sevenPath = "../../testdata/seven.json"

// TestSevenJSON keeps the documented request true: it is a committed held-out seven, and the default model is sure of
// it. With BALLAST_UPDATE=1 in the environment it is written anew.
func TestSevenJSON(t *testing.T) {
	m := open(t, Large, Config{})
	if os.Getenv("BALLAST_UPDATE") != "" {
		writeSeven(t, m)
	}
	text, err := os.ReadFile(sevenPath)
	if err != nil {
		t.Fatal(err)
	}
	var request struct {
		ModelID string      `json:"model_id"`
		Input   [][]float32 `json:"input"`
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		t.Fatal(err)
	}
	if request.ModelID != Large || len(request.Input) != 1 {
		t.Fatalf("model %q, %d rows", request.ModelID, len(request.Input))
	}
	out := make([]Probabilities, 1)
	if err := m.Predict(request.Input, out); err != nil {
		t.Fatal(err)
	}
	if out[0].Class() != 7 || out[0][7] < 0.99 {
		t.Errorf("the model reads a %d: %v", out[0].Class(), out[0])
	}
	for _, d := range heldOut(t) {
		if same(d.Input(), request.Input[0]) {
			if d.Label != 7 {
				t.Errorf("the digit is a %d", d.Label)
			}
			return
		}
	}
	t.Error("the digit is not among the held-out ones")
}

func same(a, b []float32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// writeSeven writes the first committed seven that the model is sure of, with the source's numbers.
func writeSeven(t *testing.T, m *Model) {
	t.Helper()
	for _, d := range heldOut(t) {
		out := make([]Probabilities, 1)
		if err := m.Predict([][]float32{d.Input()}, out); err != nil {
			t.Fatal(err)
		}
		if d.Label != 7 || out[0][7] < 0.999 {
			continue
		}
		row := make([]float64, InputSize)
		for i, k := range d.image.Pixels {
			row[i] = dataset.Value(k)
		}
		text, err := json.Marshal(struct {
			ModelID string      `json:"model_id"`
			Input   [][]float64 `json:"input"`
		}{Large, [][]float64{row}})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(sevenPath, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("the model is sure of no seven")
}
