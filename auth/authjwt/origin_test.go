package authjwt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func writeFile(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A file is read again on schedule and for unknown keys, however it is changed:
// written over, renamed over, or swapped as Kubernetes swaps what it mounts.
func TestJWKSFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "jwks.json")
	synctest.Test(t, func(t *testing.T) {
		told := new(errorLog)
		j := newTestJWKS(t, nil, JWKSConfig{File: path, OnError: told.add})
		synctest.Wait()
		if errs := told.take(); len(errs) != 1 || errs[0].Error() != `authjwt: keys from file "`+path+`": no such file or directory` {
			t.Errorf("OnError: %v", errs)
		}
		writeFile(t, path, jwksDocument("a"))
		if err := j.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, jwksDocument("b"))
		jwksPass(10 * time.Second)
		synctest.Wait()
		if set := j.KeySet(); jwksHas(set, "a") || !jwksHas(set, "b") {
			t.Error("the file was not read again after 10 s")
		}
		writeFile(t, path+".new", jwksDocument("c"))
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		if ok, err := jwksAsk(t.Context(), j, "c"); !ok || err != nil {
			t.Errorf("a key of a file that was renamed over it: %v, %v", ok, err)
		}
		told.take()
		writeFile(t, path, []byte(`{"keys":`))
		jwksPass(time.Minute)
		if !jwksHas(j.KeySet(), "c") || len(told.take()) == 0 {
			t.Error("half a document took the keys' place, or nobody was told")
		}
	})
}

func TestJWKSFileOfKubernetes(t *testing.T) {
	dir := t.TempDir()
	swap := func(version, kid string) {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, version, "jwks.json"), jwksDocument(kid))
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	swap("..2026_11_26", "a")
	path := filepath.Join(dir, "jwks.json")
	if err := os.Symlink(filepath.Join("..data", "jwks.json"), path); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		j := readyJWKS(t, nil, JWKSConfig{File: path})
		swap("..2026_11_27", "b")
		if err := os.RemoveAll(filepath.Join(dir, "..2026_11_26")); err != nil {
			t.Fatal(err)
		}
		jwksPass(10 * time.Second)
		synctest.Wait()
		if set := j.KeySet(); jwksHas(set, "a") || !jwksHas(set, "b") {
			t.Error("the swapped file is not in use")
		}
	})
}

func TestReadFileRefuses(t *testing.T) {
	dir := t.TempDir()
	long := filepath.Join(dir, "long")
	writeFile(t, long, make([]byte, maxDocument+1))
	for path, want := range map[string]string{
		dir:                        "not a regular file",
		"/dev/zero":                "not a regular file",
		filepath.Join(dir, "none"): "no such file",
		long:                       "more than 1 MiB",
	} {
		if _, err := readFile(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	writeFile(t, long, make([]byte, maxDocument))
	if document, err := readFile(long); err != nil || len(document) != maxDocument {
		t.Errorf("1 MiB: %d bytes, %v", len(document), err)
	}
}
