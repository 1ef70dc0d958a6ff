package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authjwt"
	"github.com/ballast-go/ballast/auth/authrbac"
	"github.com/ballast-go/ballast/ratelimit"
)

const (
	// realm is named in challenges.
	realm = "serving"
	// audience is whom access tokens are for.
	audience = "ballast-serving"
	// keyPrefix is what API keys begin with, so that they may come as bearer
	// tokens, and are found where they leak.
	keyPrefix = "sk_"

	// sessionTime is how long a login can be refreshed.
	sessionTime = 24 * time.Hour
)

// openPolicy is in force without a policy file: who is known may do everything.
const openPolicy = `{"version": 1, "roles": {"authenticated": {"allow": [{"actions": ["read", "predict"], "resources": ["**"]}]}}}`

// access is who may do what. A nil access lets everybody do everything.
type access struct {
	cfg      *config
	log      *slog.Logger
	audit    auth.Auditor
	clientOf ratelimit.KeyFunc // by address

	who    auth.Authenticator
	policy *authrbac.Policy
	may    auth.Authorizer // policy, audited

	users   atomic.Pointer[users]
	issuer  *authjwt.Issuer    // nil: nobody logs in
	tokens  auth.Authenticator // knows issuer's
	revoked *authjwt.RevocationList
	keys    *auth.APIKeys // nil: there are none
	hashing chan struct{} // has room for those who hash a password

	attempts *ratelimit.Keyed // logins, by user and address
	failures *ratelimit.Keyed // bad credentials, by address

	stop    context.CancelFunc
	watcher sync.WaitGroup
}

// newAccess reads the configured files and watches them. It returns nil if
// there are none: authentication is off.
func newAccess(cfg *config, log *slog.Logger, audit auth.Auditor) (*access, error) {
	if !cfg.authenticates() {
		log.Warn("authentication is off: everybody who can connect may predict; -auth-users and -auth-api-keys turn it on")
		return nil, nil
	}
	ctx, stop := context.WithCancel(context.Background())
	a := &access{
		cfg: cfg, log: log, audit: audit, clientOf: ratelimit.ByClientIP(cfg.trustedProxies),
		hashing: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), stop: stop,
	}
	files, err := a.assemble()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("authentication: %w", err), a.close(ctx))
	}
	a.watcher.Go(func() { watch(ctx, cfg.authReload, log, files) })
	return a, nil
}

// assemble makes the parts, and returns the files to be watched. What it has
// started if it fails, close ends.
func (a *access) assemble() (files []*file, err error) {
	if a.attempts, err = ratelimit.New(ratelimit.Config{Limit: ratelimit.PerMinute(maxAttempts), MaxKeys: maxClients}); err != nil {
		return nil, err
	}
	if a.failures, err = ratelimit.New(ratelimit.Config{Limit: ratelimit.PerMinute(maxFailures), MaxKeys: maxClients}); err != nil {
		return nil, err
	}
	// Each of the files may be wrong, and each is said.
	errs := []error{a.newPolicy()}
	var all []auth.Authenticator
	if a.cfg.authUsers != "" {
		tokens, watched, err := a.newTokens()
		errs, all, files = append(errs, err), append(all, tokens), append(files, watched...)
	}
	if a.cfg.authAPIKeys != "" {
		watched, err := a.newKeys()
		errs, all, files = append(errs, err), append(all, a.keys), append(files, watched)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	a.who = auth.First(all...)
	return files, nil
}

func (a *access) newPolicy() (err error) {
	cfg := authrbac.Config{Document: []byte(openPolicy)}
	if a.cfg.authPolicy != "" {
		cfg = authrbac.Config{File: a.cfg.authPolicy, PollInterval: a.cfg.authReload, OnReload: a.logPolicy}
	} else {
		a.log.Warn("there is no -auth-policy: whoever is authenticated may use every model")
	}
	if a.policy, err = authrbac.New(cfg); err != nil {
		return fmt.Errorf("-auth-policy: %w", err)
	}
	a.may = auth.Audited(a.policy, a.audit)
	return nil
}

func (a *access) logPolicy(err error) {
	if err != nil {
		a.log.Error("what was before stays in force", "file", a.cfg.authPolicy, "error", err)
		return
	}
	a.log.Info("reloaded", "file", a.cfg.authPolicy)
}

func (a *access) newKeys() (watched *file, err error) {
	if a.keys, err = auth.NewAPIKeys(auth.APIKeysConfig{Prefix: keyPrefix}); err != nil {
		return nil, err
	}
	watched = &file{path: a.cfg.authAPIKeys, apply: a.replaceKeys}
	return watched, watched.load()
}

// newTokens makes what logs users in, and returns what knows their tokens.
func (a *access) newTokens() (auth.Authenticator, []*file, error) {
	userFile := &file{path: a.cfg.authUsers, apply: a.replaceUsers}
	errUsers := userFile.load()
	var err error
	if a.revoked, err = authjwt.NewRevocationList(authjwt.RevocationListConfig{}); err != nil {
		return nil, nil, err
	}
	files := []*file{userFile}
	cfg := authjwt.IssuerConfig{
		Issuer: a.cfg.authIssuer, Audience: []string{audience}, TTL: a.cfg.authTokenTTL, RefreshTTL: sessionTime,
		Reload: a.reloadUser, Revocations: a.revoked,
	}
	if a.cfg.authSigningKey == "" {
		a.log.Warn("there is no -auth-signing-key: tokens are good until this process ends, and for no other replica")
		cfg.Keys, err = newSigningKey()
	} else {
		keyFile := &file{path: a.cfg.authSigningKey, apply: func(content []byte) (err error) {
			cfg.Keys, err = parseSigningKeys(content)
			return err
		}}
		err = keyFile.load()
		keyFile.apply = a.replaceSigningKeys
		files = append(files, keyFile)
	}
	if err := errors.Join(errUsers, err); err != nil {
		return nil, nil, err
	}
	if a.issuer, err = authjwt.NewIssuer(cfg); err != nil {
		return nil, nil, err
	}
	verifier, err := authjwt.New(authjwt.Config{
		Trust:       []authjwt.Trust{{Issuers: []string{a.cfg.authIssuer}, Audiences: []string{audience}, Keys: a.issuer.Keys()}},
		Revocations: a.revoked,
	})
	a.tokens = current{verifier, &a.users}
	return a.tokens, files, err
}

func (a *access) replaceSigningKeys(content []byte) error {
	keys, err := parseSigningKeys(content)
	if err != nil {
		return err
	}
	return a.issuer.Rotate(keys)
}

func (a *access) replaceKeys(content []byte) error {
	keys, err := auth.ParseAPIKeys(content)
	if err != nil {
		return err
	}
	return a.keys.Replace(keys)
}

// replaceUsers also ends the sessions and tokens of users who are gone, or have
// another password: whoever changes one may have a reason. See current, which
// does so in the other replicas, too; this is for users who come back with the
// password that they had. Other roles come with the next refresh.
func (a *access) replaceUsers(content []byte) error {
	next, err := parseUsers(content)
	if err != nil {
		return err
	}
	before := a.users.Swap(next)
	if before == nil {
		return nil
	}
	now := time.Now()
	for name, was := range before.byName {
		if next.byName[name].text != was.text {
			err = errors.Join(err, a.revoked.RevokeSubject(a.cfg.authIssuer, name, now, now.Add(sessionTime)))
		}
	}
	return err
}

// reloadUser is asked at each refresh who a user is by now.
func (a *access) reloadUser(_ context.Context, name string) (roles, scopes []string, err error) {
	u, ok := a.users.Load().byName[name]
	if !ok {
		return nil, nil, &auth.Error{Cause: auth.ErrInvalid, Reason: "the user is gone"}
	}
	return u.roles, u.scopes, nil
}

// require lets through requests with a good credential.
func (a *access) require(next http.Handler) http.Handler {
	if a == nil {
		return next
	}
	return auth.Middleware(a.who, auth.MiddlewareConfig{
		Realm:  realm,
		Admit:  a.admit,
		Failed: a.failed,
		Audit:  a.audit,
	})(next)
}

// reads lets through those who may read the model that the route names.
func (a *access) reads(next http.HandlerFunc) http.HandlerFunc {
	if a == nil {
		return next
	}
	return auth.Require(a.may, "read", auth.PathValue("id"))(next).ServeHTTP
}

// administers lets through those who may administer what is named, or, while
// authentication is off, who is on this machine.
func (a *access) administers(what string, next http.Handler) http.HandlerFunc {
	if a != nil {
		return auth.Require(a.may, "administer", func(*http.Request) string { return what })(next).ServeHTTP
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if !isLocal(r) {
			writeProblem(w, &badRequest{status: http.StatusForbidden})
			return
		}
		next.ServeHTTP(w, r)
	}
}

// check is whether r's caller may do action to the model with the given id.
func (a *access) check(r *http.Request, action, id string) error {
	if a == nil {
		return nil
	}
	return auth.Check(r.Context(), a.may, action, id)
}

// shows is whether a model is listed to r's caller. Nobody is told of it: to
// look at a list is no attempt at anything.
func (a *access) shows(r *http.Request, id string) bool {
	if a == nil {
		return true
	}
	return auth.Check(r.Context(), a.policy, "read", id) == nil
}

// byCaller is whom a limit is for: who is authenticated, or an address.
func byCaller(byAddress ratelimit.KeyFunc) ratelimit.KeyFunc {
	return func(r *http.Request) string {
		if p, ok := auth.PrincipalFromContext(r.Context()); ok {
			return p.Method + " " + p.Subject // one issuer for each method; no address has a space
		}
		return byAddress(r)
	}
}

// close ends what watches files.
func (a *access) close(ctx context.Context) error {
	if a == nil {
		return nil
	}
	a.stop()
	a.watcher.Wait()
	if a.policy == nil {
		return nil
	}
	return a.policy.Close(ctx)
}
