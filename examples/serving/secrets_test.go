package main

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ballast-go/ballast/auth"
)

// Passwords, tokens and keys are in no log and in no answer but the login's,
// wherever a client puts them, and at every level; but what a known caller names as
// the model is audited as it came.
func TestSecretsStayOut(t *testing.T) {
	dir := &secured{t: t, dir: t.TempDir()}
	const password = "password of alice"
	key := auth.GenerateAPIKey(keyPrefix)
	r := start(t, "-drain-delay=0", "-log-level=debug", "-rate-limit=0",
		"-auth-users", dir.write("users.json", usersFile("alice:operator")), "-auth-api-keys", dir.write("keys.json", keysFile(key)))
	if strings.Contains(r.stderr.String(), "/predict") {
		t.Errorf("it is said to try what is refused: %s", r.stderr)
	}
	var answers strings.Builder
	send := func(method, path, body string, header ...string) (int, string) {
		req, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Add(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	status, text := send("POST", "/auth/login", `{"username": "alice", "password": "`+password+`"}`)
	var got tokens
	if err := json.Unmarshal([]byte(text), &got); err != nil || status != 200 {
		t.Fatal(status, text, err)
	}
	basic := base64.StdEncoding.EncodeToString([]byte("alice:" + password))
	inPath := strings.NewReplacer(" ", "%20")
	for _, secret := range []string{password, got.Access, got.Refresh, key} {
		quoted, _ := json.Marshal(secret)
		s := string(quoted)
		for _, body := range []string{
			`{"username": ` + s + `, "password": "x"}`, `{"username": "alice", "password": ` + s + `, "x": 1}`, `{"username": "alice", "password": ` + s,
			`{` + s + `: 1}`, `{"refresh_token": ` + s + `0"}`, `{"model_id": 1, "input": ` + s + `}`, s,
		} {
			for _, path := range []string{"/auth/login", "/auth/refresh", "/predict"} {
				_, text := send("POST", path, body, bearer(got.Access)...)
				answers.WriteString(text)
			}
		}
		for _, path := range []string{"/nowhere/", "/", "/models?token=", "/predict?api_key=", "/metrics?x="} {
			_, text := send("GET", path+inPath.Replace(secret), "", "X-API-Key", key)
			answers.WriteString(text)
		}
		for _, header := range [][]string{
			{"Authorization", secret}, {"Authorization", "Basic " + basic}, bearer(secret + "x"), {"X-API-Key", secret + "x"},
			{"Cookie", "token=" + inPath.Replace(secret)}, append(bearer(secret), bearer(secret)...), {"Authorization", "Bearer " + secret, "X-API-Key", secret},
		} {
			_, text := send("GET", "/models", "", header...)
			answers.WriteString(text)
		}
	}
	_, text = send("GET", "/metrics", "")
	answers.WriteString(text)
	r.stop()
	if code := <-r.code; code != 0 {
		t.Errorf("exit code %d", code)
	}
	log := r.stdout.String() + r.stderr.String()
	for _, secret := range []string{password, basic, got.Access, got.Refresh, key, key[len(keyPrefix):], signature(got.Access), signature(got.Refresh), inPath.Replace(password)} {
		if i := strings.Index(log, secret); i >= 0 {
			t.Errorf("%.8s… is in the log: %s", secret, log[max(0, i-300):i])
		}
		if strings.Contains(answers.String(), secret) {
			t.Errorf("%.8s… is in an answer", secret)
		}
	}
	if !strings.Contains(log, `"logger":"audit"`) {
		t.Error("nothing was audited")
	}
}

func signature(token string) string { return token[strings.LastIndexByte(token, '.')+1:] }
