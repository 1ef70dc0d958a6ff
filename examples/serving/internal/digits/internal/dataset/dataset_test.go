package dataset

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	var training, heldOut, committed, validation int
	for i := range 10000 {
		if HeldOut(i) {
			heldOut++
		} else {
			training++
		}
		if Committed(i) {
			committed++
			if !HeldOut(i) {
				t.Fatalf("number %d is committed and trained on", i)
			}
		}
		if Validation(i) {
			validation++
			if HeldOut(i) {
				t.Fatalf("number %d is for validation and held out", i)
			}
		}
	}
	if training != 8000 || heldOut != 2000 || committed != 1000 || validation != 1000 {
		t.Errorf("%d for training, %d held out, %d committed, %d for validation", training, heldOut, committed, validation)
	}
}

func TestValueIsInvertible(t *testing.T) {
	seen := map[float64]bool{}
	for k := range 256 {
		v := Value(uint8(k))
		if seen[v] || v < 0 || v > 1 {
			t.Errorf("Value(%d) = %g", k, v)
		}
		seen[v] = true
	}
}

func sample(n int) []Digit {
	out := make([]Digit, n)
	for i := range out {
		out[i].Label = uint8(i % Classes)
		for j := range out[i].Pixels {
			out[i].Pixels[j] = uint8(i*j + i)
		}
	}
	return out
}

func TestInput(t *testing.T) {
	d := Digit{}
	d.Pixels[1], d.Pixels[2] = 255, 115
	if in := d.Input(); len(in) != Pixels || in[0] != 0 || in[1] != 1 || in[2] != 0.451 {
		t.Errorf("got %v", in[:3])
	}
}

func TestSelect(t *testing.T) {
	all := sample(20)
	got := Select(all, HeldOut)
	if want := []Digit{all[4], all[9], all[14], all[19]}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %d digits", len(got))
	}
}

func TestCheckSplit(t *testing.T) {
	all := sample(20)
	if err := CheckSplit(all); err != nil {
		t.Error(err)
	}
	all[7].Pixels = all[6].Pixels // two training images
	if err := CheckSplit(all); err != nil {
		t.Error(err)
	}
	all[9].Pixels = all[4].Pixels // two held out
	if err := CheckSplit(all); err != nil {
		t.Error(err)
	}
	all[14].Pixels = all[3].Pixels
	if err := CheckSplit(all); !errors.Is(err, ErrOverlap) || !strings.Contains(err.Error(), "14 and 3") {
		t.Errorf("got %v", err)
	}
}

func TestDigitsFile(t *testing.T) {
	for _, n := range []int{0, 1, 33} {
		got, err := DecodeDigits(EncodeDigits(sample(n)))
		if err != nil || len(got) != n || n > 0 && !reflect.DeepEqual(got, sample(n)) {
			t.Errorf("%d digits: got %d, %v", n, len(got), err)
		}
	}
	good := EncodeDigits(sample(3))
	badLabel := sample(1)
	badLabel[0].Label = 10
	for name, file := range map[string][]byte{
		"empty":     nil,
		"no gzip":   []byte("no gzip at all"),
		"truncated": good[:len(good)-9],
		"label":     EncodeDigits(badLabel),
		"partial":   zip(make([]byte, record+1)),
		"bomb":      zip(make([]byte, 50<<20)),
	} {
		if got, err := DecodeDigits(file); !errors.Is(err, ErrFormat) || got != nil {
			t.Errorf("%s: %d digits, %v", name, len(got), err)
		}
	}
}

func zip(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(data)
	_ = z.Close()
	return b.Bytes()
}

func TestManifest(t *testing.T) {
	all := sample(12)
	got, err := ParseManifest(EncodeManifest(all))
	if err != nil || len(got) != len(all) {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	seen := map[[hashSize]byte]bool{}
	for i, e := range got {
		if e != all[i].Entry() || e.Label != all[i].Label || seen[e.Hash] {
			t.Errorf("entry %d: %v", i, e)
		}
		seen[e.Hash] = true
	}
	if _, err := ParseManifest(make([]byte, 11)); !errors.Is(err, ErrFormat) {
		t.Errorf("got %v", err)
	}
}

// source writes a package with the given text in each digit's file.
func source(t *testing.T, text func(label int) string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "src", "digits"), 0o755); err != nil {
		t.Fatal(err)
	}
	for label := range Classes {
		name := filepath.Join(dir, "src", "digits", fmt.Sprintf("%d.json", label))
		if err := os.WriteFile(name, []byte(text(label)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReadSource(t *testing.T) {
	dir := source(t, func(label int) string {
		values := make([]float64, 2*Pixels)
		for i := range values {
			values[i] = Value(uint8(i * (label + 1)))
		}
		text, err := json.Marshal(map[string]any{"data": values})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	})
	all, err := ReadSource(dir)
	if err != nil || len(all) != 2*Classes {
		t.Fatalf("%d digits, %v", len(all), err)
	}
	for n, d := range all {
		for i, k := range d.Pixels {
			if want := uint8((n%2*Pixels + i) * (n/2 + 1)); int(d.Label) != n/2 || k != want {
				t.Fatalf("number %d, label %d: pixel %d is %d, want %d", n, d.Label, i, k, want)
			}
		}
	}
}

func TestReadSourceRefuses(t *testing.T) {
	image := func(first string) string {
		return `{"data":[` + first + strings.Repeat(",0", Pixels-1) + `]}`
	}
	for name, text := range map[string]string{
		"not json": "nothing",
		"empty":    `{"data":[]}`,
		"partial":  `{"data":[0,0]}`,
		"negative": image("-0.004"),
		"above":    image("1.004"),
		"no k/255": image("0.45"),
	} {
		if _, err := ReadSource(source(t, func(int) string { return text })); err == nil || !strings.Contains(err.Error(), "0.json") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadSource(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no files: %v", err)
	}
}
