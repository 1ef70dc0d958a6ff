package digits

import (
	"errors"
	"testing"
)

// FuzzLoad: whatever the bytes, either an error that says so or a model that predicts.
func FuzzLoad(f *testing.F) {
	good := encode(f, 784, 3, 10)
	f.Add(good)
	f.Add(good[:100])
	f.Add([]byte("BALLAST1\x02\x00\x00\x00\xff\xff\x00\x00\xff\xff\x00\x00\xff\xff\x00\x00"))
	f.Fuzz(func(t *testing.T, file []byte) {
		m, err := Load("fuzz", file, Config{})
		if err != nil {
			if !errors.Is(err, ErrWeights) {
				t.Fatal(err)
			}
			return
		}
		if err := m.Predict([][]float32{make([]float32, InputSize)}, make([]Probabilities, 1)); err != nil {
			t.Fatal(err)
		}
	})
}
