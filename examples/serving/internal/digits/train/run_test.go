package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ballast-go/ballast/examples/serving/internal/digits"
	"github.com/ballast-go/ballast/examples/serving/internal/digits/internal/dataset"
)

// source writes a package of two images a digit. With same, two images of a digit are equal.
func source(t *testing.T, same bool) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "src", "digits"), 0o755); err != nil {
		t.Fatal(err)
	}
	for label := range dataset.Classes {
		values := make([]float64, 2*dataset.Pixels)
		for i := range values {
			j := i
			if same {
				j %= dataset.Pixels
			}
			values[i] = dataset.Value(uint8(j * (label + 3)))
		}
		text, err := json.Marshal(map[string]any{"data": values})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "src", "digits", strconv.Itoa(label)+".json"), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRunWritesWhatTheServiceEmbeds(t *testing.T) {
	src := source(t, false)
	var files [2][]byte
	for i, workers := range []string{"1", "3"} {
		out := t.TempDir()
		var text bytes.Buffer
		args := []string{"-source", src, "-out", out, "-model", "digits-small", "-epochs", "2", "-workers", workers}
		if err := run(args, &text); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"20 digits: 16 to learn from, 4 held out", "epoch 2 of 2", "of 4 digits held out are right"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%q is missing in:\n%s", want, text.String())
			}
		}
		file, err := os.ReadFile(filepath.Join(out, "digits-small.bin"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := digits.Load("digits-small", file, digits.Config{}); err != nil {
			t.Error(err)
		}
		files[i] = file
		zipped, err := os.ReadFile(filepath.Join(out, "heldout.bin.gz"))
		if err != nil {
			t.Fatal(err)
		}
		if d, err := dataset.DecodeDigits(zipped); err != nil || len(d) != 2 {
			t.Errorf("%d held-out digits, %v", len(d), err)
		}
		manifest, err := os.ReadFile(filepath.Join(out, "testdata", "source.manifest"))
		if err != nil {
			t.Fatal(err)
		}
		if m, err := dataset.ParseManifest(manifest); err != nil || len(m) != 20 {
			t.Errorf("a manifest of %d digits, %v", len(m), err)
		}
		if _, err := os.Stat(filepath.Join(out, "digits-large.bin")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the other model was trained too: %v", err)
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("one worker and three make different bytes")
	}
}

func TestValidateWritesNothing(t *testing.T) {
	out := t.TempDir()
	var text bytes.Buffer
	args := []string{"-source", source(t, false), "-out", out, "-validate", "-model", "digits-small", "-epochs", "1"}
	if err := run(args, &text); err != nil {
		t.Fatal(err)
	}
	if want := "20 digits: 14 to learn from, 2 for validation"; !strings.Contains(text.String(), want) {
		t.Errorf("%q is missing in:\n%s", want, text.String())
	}
	if left, err := os.ReadDir(out); err != nil || len(left) != 0 {
		t.Errorf("%d files were written, %v", len(left), err)
	}
}

func TestHelp(t *testing.T) {
	var text bytes.Buffer
	if err := run([]string{"-h"}, &text); err != nil || !strings.Contains(text.String(), "-validate") {
		t.Errorf("%v\n%s", err, text.String())
	}
}

func TestRunRefuses(t *testing.T) {
	good := source(t, false)
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"all mistakes": {[]string{"-model", "huge", "-epochs", "-1", "-workers", "0", "more"}, []string{"-model", "-epochs", "-workers", "more"}},
		"unknown flag": {[]string{"-colour"}, []string{"-colour"}},
		"no source":    {[]string{"-source", filepath.Join(good, "nowhere")}, []string{"0.json"}},
		"overlap":      {[]string{"-source", source(t, true)}, []string{dataset.ErrOverlap.Error()}},
		"no folder": {[]string{"-source", good, "-model", "digits-small", "-epochs", "1", "-out", filepath.Join(good, "nowhere")},
			[]string{"digits-small.bin"}},
	} {
		err := run(c.args, io.Discard)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is missing in: %v", name, want, err)
			}
		}
	}
}
