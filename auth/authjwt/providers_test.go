package authjwt

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/ballast-go/ballast/auth"
)

// provider is a kind of issuer that people have: what its tokens and keys are
// like, by its documentation, and how it is trusted.
type provider struct {
	trust  Trust   // but for Keys
	key    string  // of testKeys; empty: RS256
	jwk    members // how its JWK differs from one with kty, n, e, kid, use and alg
	others []members
	header members // besides alg and kid
	claims members
	// who is what the Principal must be like.
	who auth.Principal
	// alike are other tokens that must be accepted, as claims that differ.
	alike map[string]members
	// bad are those that must be refused. "header" holds what differs in the header.
	bad map[string]members
}

const (
	entraTenant = "aaaabbbb-0000-cccc-1111-dddd2222eeee"
	entraOther  = "bbbbcccc-1111-dddd-2222-eeee3333ffff"
	entraAPI    = "00001111-aaaa-2222-bbbb-3333cccc4444"
	entraClient = "11112222-bbbb-3333-cccc-4444dddd5555"
	cognitoPool = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEfGhI"
)

// entraJWK is without alg, and has certificates.
var entraJWK = members{
	"alg": nil, "x5t": "AAAAAAAAAAAAAAAAAAAAAAAAAAA", "x5c": []string{"MIIC"}, "cloud_instance_name": "microsoftonline.com",
	"issuer": "https://login.microsoftonline.com/{tenantid}/v2.0",
}

// lasting are the times of all of them.
func lasting(claims members) members {
	return members{"iat": at.Unix() - 60, "nbf": at.Unix() - 60, "exp": at.Unix() + 3540}.with(claims)
}

var providers = map[string]provider{
	// docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
	"Cognito access": {
		trust: Trust{
			Issuers: []string{cognitoPool}, ClientIDs: []string{"1example23456789"},
			Claims: map[string][]string{"token_use": {"access"}}, RolesClaims: []string{"cognito:groups"},
		},
		claims: members{
			"nbf": nil, "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "device_key": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "cognito:groups": []string{"testers"},
			"iss": cognitoPool, "version": 2, "client_id": "1example23456789", "origin_jti": "aaaaaaaa", "event_id": "bbbbbbbb", "token_use": "access",
			"scope": "phone openid profile", "auth_time": at.Unix() - 60, "jti": "cccccccc", "username": "my-test-user",
		},
		who: auth.Principal{Subject: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", Roles: []string{"testers"}, Scopes: []string{"phone", "openid", "profile"}},
		alike: map[string]members{
			"client credentials": {"sub": "1example23456789", "cognito:groups": nil, "username": nil, "device_key": nil, "scope": "models/predict"},
		},
		bad: map[string]members{
			"other client": {"client_id": "2example23456789"},
			"no client":    {"client_id": nil},
			"other pool":   {"iss": cognitoPool + "J"},
			"ID token":     {"client_id": nil, "aud": "1example23456789", "token_use": "id"},
			"ID as access": {"aud": "1example23456789"},
		},
	},
	// docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-id-token.html
	"Cognito ID": {
		trust: Trust{
			Issuers: []string{cognitoPool}, Audiences: []string{"1example23456789"},
			Claims: map[string][]string{"token_use": {"id"}}, RolesClaims: []string{"cognito:groups"},
		},
		claims: members{
			"nbf": nil, "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "cognito:groups": []string{"testers"}, "email_verified": true, "iss": cognitoPool,
			"cognito:username": "my-test-user", "origin_jti": "aaaaaaaa", "aud": "1example23456789", "event_id": "bbbbbbbb", "token_use": "id",
			"identities": []members{{"userId": "amzn1.account.EXAMPLE", "providerName": "LoginWithAmazon", "primary": "true", "dateCreated": "1642699117273"}},
			"auth_time":  at.Unix() - 60, "email": "my-test-user@example.com",
		},
		who: auth.Principal{Subject: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", Roles: []string{"testers"}},
		bad: map[string]members{
			"other client": {"aud": "2example23456789"},
			"access token": {"aud": nil, "client_id": "1example23456789", "token_use": "access"},
		},
	},
	// learn.microsoft.com/entra/identity-platform/access-token-claims-reference
	"Entra ID v2": {
		trust:  Trust{Issuers: []string{"https://login.microsoftonline.com/" + entraTenant + "/v2.0"}, Audiences: []string{entraAPI}},
		jwk:    entraJWK,
		header: members{"typ": "JWT"},
		claims: members{
			"aud": entraAPI, "iss": "https://login.microsoftonline.com/" + entraTenant + "/v2.0", "aio": "AXQAi/8TAAAA", "azp": entraClient, "azpacr": "1",
			"name": "Alice", "oid": "22223333-cccc-4444-dddd-5555eeee6666", "preferred_username": "alice@example.com", "rh": "0.AAA.", "roles": []string{"Predict"},
			"scp": "models.read models.predict", "sub": "_damUY6wgtVFSfg0BiKhEnWgsPGAjAAC0Zij2", "tid": entraTenant, "uti": "bbbbbbbb", "ver": "2.0",
		},
		who: auth.Principal{Subject: "_damUY6wgtVFSfg0BiKhEnWgsPGAjAAC0Zij2", Roles: []string{"Predict"}, Scopes: []string{"models.read", "models.predict"}},
		alike: map[string]members{
			"application":     {"scp": nil, "name": nil, "preferred_username": nil, "sub": "22223333-cccc-4444-dddd-5555eeee6666", "idtyp": "app"},
			"too many groups": {"_claim_names": members{"groups": "src1"}, "_claim_sources": members{"src1": members{"endpoint": "https://graph.example"}}},
		},
		bad: map[string]members{
			"other API":    {"aud": entraClient},
			"other tenant": {"iss": "https://login.microsoftonline.com/" + entraOther + "/v2.0", "tid": entraOther},
			"v1":           {"iss": "https://sts.windows.net/" + entraTenant + "/"},
			"ID token":     {"aud": entraClient, "scp": nil, "azp": nil, "nonce": "n"},
		},
	},
	// The same service, whose registration asks for tokens of version 1 or 2.
	"Entra ID v1": {
		trust: Trust{
			Issuers:   []string{"https://login.microsoftonline.com/" + entraTenant + "/v2.0", "https://sts.windows.net/" + entraTenant + "/"},
			Audiences: []string{entraAPI, "api://" + entraAPI}, Claims: map[string][]string{"tid": {entraTenant}},
		},
		jwk:    entraJWK,
		header: members{"typ": "JWT", "x5t": "AAAAAAAAAAAAAAAAAAAAAAAAAAA"},
		claims: members{
			"aud": "api://" + entraAPI, "iss": "https://sts.windows.net/" + entraTenant + "/", "acr": "1", "aio": "AXQAi/8IAAAA", "amr": []string{"pwd", "mfa"},
			"appid": entraClient, "appidacr": "1", "ipaddr": "203.0.113.7", "name": "Alice", "oid": "22223333-cccc-4444-dddd-5555eeee6666", "onprem_sid": "S-1-5-21",
			"rh": "I", "scp": "user_impersonation", "sub": "_damUY6wgtVFSfg0BiKhEnWgsPGAjAAC0Zij2", "tid": entraTenant, "unique_name": "alice@example.com",
			"upn": "alice@example.com", "uti": "cccccccc", "ver": "1.0", "wids": []string{"dddddddd"},
		},
		who:   auth.Principal{Subject: "_damUY6wgtVFSfg0BiKhEnWgsPGAjAAC0Zij2", Scopes: []string{"user_impersonation"}},
		alike: map[string]members{"v2": {"aud": entraAPI, "iss": "https://login.microsoftonline.com/" + entraTenant + "/v2.0", "ver": "2.0"}},
		bad: map[string]members{
			"other API":    {"aud": "api://" + entraClient},
			"other tenant": {"iss": "https://sts.windows.net/" + entraOther + "/", "tid": entraOther},
			"no slash":     {"iss": "https://sts.windows.net/" + entraTenant},
		},
	},
	// learn.microsoft.com/entra/identity-platform/access-tokens: {tenantid} in the metadata's issuer is the token's tid.
	"Entra ID, several tenants": {
		trust: Trust{
			Issuers: []string{"https://login.microsoftonline.com/{tid}/v2.0"}, Audiences: []string{entraAPI},
			Claims: map[string][]string{"tid": {entraTenant, entraOther}}, SubjectClaim: "oid",
		},
		jwk:    entraJWK,
		header: members{"typ": "JWT"},
		claims: members{
			"aud": entraAPI, "iss": "https://login.microsoftonline.com/" + entraOther + "/v2.0", "azp": entraClient, "oid": "22223333-cccc-4444-dddd-5555eeee6666",
			"scp": "models.predict", "sub": "_damUY6wgtVFSfg0BiKhEnWgsPGAjAAC0Zij2", "tid": entraOther, "ver": "2.0",
		},
		who:   auth.Principal{Subject: "22223333-cccc-4444-dddd-5555eeee6666", Scopes: []string{"models.predict"}},
		alike: map[string]members{"the first": {"iss": "https://login.microsoftonline.com/" + entraTenant + "/v2.0", "tid": entraTenant}},
		bad: map[string]members{
			"tid of another": {"tid": entraTenant},
			"no tid":         {"tid": nil},
			"third tenant":   {"iss": "https://login.microsoftonline.com/" + entraClient + "/v2.0", "tid": entraClient},
		},
	},
	// developer.okta.com/docs/api/openapi/okta-oauth/guides/overview/
	"Okta": {
		trust: Trust{
			Issuers: []string{"https://dev-133337.okta.com/oauth2/default"}, Audiences: []string{"api://default"},
			Claims: map[string][]string{"cid": {"0oa3nq6ttpX7QzUnO5d7"}},
		},
		claims: members{
			"nbf": nil, "ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE", "iss": "https://dev-133337.okta.com/oauth2/default", "aud": "api://default",
			"cid": "0oa3nq6ttpX7QzUnO5d7", "uid": "00u1p1wnCNMsF9eLz5d7", "scp": []string{"openid", "models.predict"}, "auth_time": at.Unix() - 60, "sub": "alice@example.com",
			"groups": []string{"Everyone", "ML"},
		},
		who: auth.Principal{Subject: "alice@example.com", Roles: []string{"Everyone", "ML"}, Scopes: []string{"openid", "models.predict"}},
		alike: map[string]members{
			"client credentials": {"uid": nil, "auth_time": nil, "groups": nil, "sub": "0oa3nq6ttpX7QzUnO5d7", "scp": []string{"models.predict"}},
		},
		bad: map[string]members{
			"other API":    {"aud": "api://other"},
			"other client": {"cid": "0oa3nq6ttpX7QzUnO5d8"},
			"other server": {"iss": "https://dev-133337.okta.com/oauth2/aus1"},
			"ID token":     {"jti": "ID.0mP4", "aud": "0oa3nq6ttpX7QzUnO5d7", "cid": nil, "uid": nil, "scp": nil, "idp": "00o", "amr": []string{"pwd"}},
		},
	},
	"Okta, of the organization": {
		trust: Trust{
			Issuers: []string{"https://dev-133337.okta.com"}, Audiences: []string{"https://dev-133337.okta.com"}, Types: []string{"okta-internal-at+jwt"},
		},
		header: members{"typ": "application/okta-internal-at+jwt"},
		claims: members{
			"nbf": nil, "ver": 1, "jti": "AT.AAAA", "iss": "https://dev-133337.okta.com", "aud": "https://dev-133337.okta.com", "sub": "alice@example.com",
			"cid": "0oa3nq6ttpX7QzUnO5d7", "uid": "00u1p1wnCNMsF9eLz5d7", "scp": []string{"openid"}, "auth_time": at.Unix() - 60,
		},
		who: auth.Principal{Subject: "alice@example.com", Scopes: []string{"openid"}},
		bad: map[string]members{"ID token": {"header": members{"typ": nil}, "aud": "0oa3nq6ttpX7QzUnO5d7"}, "another's typ": {"header": members{"typ": "JWT"}}},
	},
	// developers.google.com/identity/openid-connect/openid-connect#an-id-tokens-payload
	"Google ID": {
		trust: Trust{
			Issuers: []string{"https://accounts.google.com", "accounts.google.com"}, Audiences: []string{"1234987819200.apps.googleusercontent.com"},
			Claims: map[string][]string{"hd": {"example.com"}, "email_verified": {"true"}},
		},
		header: members{"typ": "JWT"},
		claims: members{
			"nbf": nil, "iss": "https://accounts.google.com", "azp": "1234987819200.apps.googleusercontent.com", "aud": "1234987819200.apps.googleusercontent.com",
			"sub": "10769150350006150715113082367", "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q", "hd": "example.com", "email": "jsmith@example.com", "email_verified": true, "nonce": "0394852-3190485-2490358",
		},
		who:   auth.Principal{Subject: "10769150350006150715113082367"},
		alike: map[string]members{"the other spelling": {"iss": "accounts.google.com"}},
		bad: map[string]members{
			"other client":   {"aud": "4321987819200.apps.googleusercontent.com"},
			"no domain":      {"hd": nil},
			"not verified":   {"email_verified": false},
			"third spelling": {"iss": "http://accounts.google.com"},
		},
	},
	// cloud.google.com/docs/authentication/get-id-token: a service calls a service.
	"Google service account": {
		trust: Trust{
			Issuers: []string{"https://accounts.google.com"}, Audiences: []string{"https://models.example.com"},
			Claims: map[string][]string{"email": {"caller@project.iam.gserviceaccount.com"}}, SubjectClaim: "email",
		},
		header: members{"typ": "JWT"},
		claims: members{
			"nbf": nil, "aud": "https://models.example.com", "azp": "107517467455664443765", "email": "caller@project.iam.gserviceaccount.com", "email_verified": true,
			"iss": "https://accounts.google.com", "sub": "107517467455664443765",
		},
		who: auth.Principal{Subject: "caller@project.iam.gserviceaccount.com"},
		bad: map[string]members{"other service": {"aud": "https://others.example.com"}, "other caller": {"email": "x@project.iam.gserviceaccount.com"}},
	},
	// docs.github.com/actions/security-for-github-actions/security-hardening-your-deployments/about-security-hardening-with-openid-connect
	"GitHub Actions": {
		trust: Trust{
			Issuers: []string{"https://token.actions.githubusercontent.com"}, Audiences: []string{"https://github.com/octo-org"},
			Claims: map[string][]string{"repository": {"octo-org/octo-repo"}, "ref": {"refs/heads/main"}},
		},
		jwk:    members{"x5t": "AAAA", "x5c": []string{"MIIC"}},
		header: members{"typ": "JWT", "x5t": "AAAA"},
		claims: members{
			"jti": "example-id", "sub": "repo:octo-org/octo-repo:environment:prod", "environment": "prod", "aud": "https://github.com/octo-org", "ref": "refs/heads/main",
			"sha": "example-sha", "repository": "octo-org/octo-repo", "repository_owner": "octo-org", "actor_id": "12", "repository_visibility": "private", "repository_id": "74",
			"repository_owner_id": "65", "run_id": "example-run-id", "run_number": "10", "run_attempt": "2", "runner_environment": "github-hosted", "actor": "octocat",
			"workflow": "example-workflow", "head_ref": "", "base_ref": "", "event_name": "workflow_dispatch", "ref_type": "branch",
			"job_workflow_ref": "octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main", "iss": "https://token.actions.githubusercontent.com", "exp": at.Unix() + 300,
		},
		who: auth.Principal{Subject: "repo:octo-org/octo-repo:environment:prod"},
		bad: map[string]members{
			"other audience": {"aud": "https://github.com/octo-other"}, "other repository": {"repository": "octo-org/other"}, "pull request": {"ref": "refs/pull/1/merge"},
		},
	},
	// kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens
	"Kubernetes": {
		trust: Trust{
			Issuers: []string{"https://kubernetes.default.svc.cluster.local"}, Audiences: []string{"models"},
			Claims: map[string][]string{"kubernetes.io.namespace": {"inference"}}, RolesClaims: []string{"kubernetes.io.serviceaccount.name"},
		},
		claims: members{
			"aud": []string{"models"}, "iss": "https://kubernetes.default.svc.cluster.local", "jti": "ea28ed49-2e11-4280-9ec5-bc3d1d84661a",
			"kubernetes.io": members{
				"namespace": "inference", "node": members{"name": "127.0.0.1", "uid": "58456cb0"}, "pod": members{"name": "caller", "uid": "aaaa"},
				"serviceaccount": members{"name": "caller", "uid": "bbbb"}, "warnafter": at.Unix() + 3000,
			},
			"sub": "system:serviceaccount:inference:caller",
		},
		who: auth.Principal{Subject: "system:serviceaccount:inference:caller", Roles: []string{"caller"}},
		bad: map[string]members{
			"API server":      {"aud": []string{"https://kubernetes.default.svc.cluster.local"}},
			"other namespace": {"kubernetes.io": members{"namespace": "default"}},
			"of a secret":     {"iss": "kubernetes/serviceaccount", "aud": nil, "exp": nil, "nbf": nil, "iat": nil, "kubernetes.io/serviceaccount/namespace": "inference"},
		},
	},
	// docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html
	"EKS": {
		trust: Trust{
			Issuers: []string{"https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B716D3041E"}, Audiences: []string{"sts.amazonaws.com"},
			Claims: map[string][]string{"sub": {"system:serviceaccount:inference:caller"}},
		},
		claims: members{
			"aud": []string{"sts.amazonaws.com"}, "iss": "https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B716D3041E", "jti": "aaaa",
			"kubernetes.io": members{"namespace": "inference", "pod": members{"name": "caller", "uid": "aaaa"}, "serviceaccount": members{"name": "caller", "uid": "bbbb"}},
			"sub":           "system:serviceaccount:inference:caller",
		},
		who: auth.Principal{Subject: "system:serviceaccount:inference:caller"},
		bad: map[string]members{
			"other cluster": {"iss": "https://oidc.eks.eu-west-1.amazonaws.com/id/OTHER"}, "other account": {"sub": "system:serviceaccount:inference:other"},
			"API server": {"aud": []string{"https://kubernetes.default.svc"}},
		},
	},
	// auth0.com/docs/secure/tokens/access-tokens/access-token-profiles
	"Auth0": {
		trust: Trust{
			Issuers: []string{"https://my-tenant.auth0.com/"}, Audiences: []string{"https://models.example.com/api"}, RolesClaims: []string{"permissions", "https://example.com/roles"},
		},
		jwk:    members{"x5t": "AAAA", "x5c": []string{"MIIC"}},
		header: members{"typ": "JWT"},
		claims: members{
			"nbf": nil, "iss": "https://my-tenant.auth0.com/", "sub": "auth0|123456", "aud": []string{"https://models.example.com/api", "https://my-tenant.auth0.com/userinfo"},
			"azp": "my_client_id", "scope": "openid profile read:models", "permissions": []string{"read:models"}, "https://example.com/roles": []string{"admin"},
		},
		who: auth.Principal{Subject: "auth0|123456", Roles: []string{"read:models", "admin"}, Scopes: []string{"openid", "profile", "read:models"}},
		alike: map[string]members{
			"RFC 9068":           {"header": members{"typ": "at+jwt"}, "azp": nil, "client_id": "my_client_id", "jti": "aaaa"},
			"client credentials": {"sub": "my_client_id@clients", "aud": "https://models.example.com/api", "gty": "client-credentials", "scope": "read:models"},
		},
		bad: map[string]members{
			"other API": {"aud": "https://others.example.com/api"}, "no slash": {"iss": "https://my-tenant.auth0.com"},
			"ID token": {"aud": "my_client_id", "scope": nil, "permissions": nil}, "logout token": {"header": members{"typ": "logout+jwt"}},
		},
	},
	// www.keycloak.org/docs/latest/server_admin/: with an audience mapper for the service's client.
	"Keycloak": {
		trust: Trust{
			Issuers: []string{"https://sso.example.com/realms/ml"}, Audiences: []string{"models"}, Claims: map[string][]string{"typ": {"Bearer"}},
			RolesClaims: []string{"realm_access.roles", "resource_access.models.example.roles"},
		},
		jwk: members{"x5t": "AAAA", "x5t#S256": "AAAA", "x5c": []string{"MIIC"}},
		others: []members{
			{"kid": "enc", "kty": "RSA", "alg": "RSA-OAEP", "use": "enc", "n": "AQAB", "e": "AQAB"},
		},
		header: members{"typ": "JWT"},
		claims: members{
			"nbf": nil, "auth_time": at.Unix() - 60, "jti": "onrtac:aaaa", "iss": "https://sso.example.com/realms/ml", "aud": []string{"models", "account"}, "sub": "bbbb-cccc",
			"typ": "Bearer", "azp": "web", "sid": "dddd", "acr": "1", "allowed-origins": []string{"https://web.example.com"}, "scope": "openid profile email",
			"realm_access": members{"roles": []string{"default-roles-ml", "offline_access"}},
			"resource_access": members{
				"models.example": members{"roles": []string{"predictor"}}, "account": members{"roles": []string{"manage-account"}},
			},
			"email_verified": true, "preferred_username": "alice",
		},
		who: auth.Principal{
			Subject: "bbbb-cccc", Roles: []string{"default-roles-ml", "offline_access", "predictor"}, Scopes: []string{"openid", "profile", "email"},
		},
		alike: map[string]members{"service account": {"auth_time": nil, "sid": nil, "clientHost": "203.0.113.7", "client_id": "web", "preferred_username": "service-account-web"}},
		bad: map[string]members{
			"no mapper": {"aud": "account"}, "other realm": {"iss": "https://sso.example.com/realms/master"},
			"ID token": {"typ": "ID", "aud": "web", "at_hash": "aaaa"}, "ID token of ours": {"typ": "ID"}, "refresh token": {"typ": "Refresh"},
		},
	},
	// cloud.google.com/iap/docs/signed-headers-howto
	"Google IAP": {
		trust:  Trust{Issuers: []string{"https://cloud.google.com/iap"}, Audiences: []string{"/projects/1/global/backendServices/2"}},
		key:    "ES256",
		header: members{"typ": "JWT"},
		claims: members{
			"nbf": nil, "aud": "/projects/1/global/backendServices/2", "email": "alice@example.com", "google": members{"access_levels": []string{"a"}},
			"hd": "example.com", "iss": "https://cloud.google.com/iap", "sub": "accounts.google.com:112181171804947816141",
		},
		who: auth.Principal{Subject: "accounts.google.com:112181171804947816141"},
		bad: map[string]members{"other service": {"aud": "/projects/1/global/backendServices/3"}},
	},
}

// verifier returns a Verifier that trusts the provider, and what signs for it.
func (p provider) verifier(t *testing.T) (v *Verifier, token func(header, claims members) string) {
	t.Helper()
	key := p.key
	if key == "" {
		key = "RS256"
	}
	jwks := append([]members{jwkOf(t, testKeys()[key].public).with(p.jwk)}, p.others...)
	set, err := ParseKeySet(jwkSet(jwks...))
	if err != nil {
		t.Fatal(err)
	}
	p.trust.Keys = set
	return newVerifier(t, Config{Trust: []Trust{p.trust}}), func(header, claims members) string {
		return sign(t, key, members{"alg": key, "kid": key}.with(header), claims)
	}
}

// The tokens of those that people have are accepted with what one would write
// down anyway, and whatever is like them and not meant for the service is refused.
func TestProviders(t *testing.T) {
	for name, p := range providers {
		t.Run(name, func(t *testing.T) {
			v, token := p.verifier(t)
			got, err := authenticate(t, v, token(p.header, lasting(p.claims)), at)
			if err != nil {
				t.Fatal(err)
			}
			if got.Subject != p.who.Subject || got.Issuer != p.claims["iss"] || !slices.Equal(got.Roles, p.who.Roles) || !slices.Equal(got.Scopes, p.who.Scopes) {
				t.Errorf("subject %q, issuer %q, roles %q, scopes %q", got.Subject, got.Issuer, got.Roles, got.Scopes)
			}
			try := func(with members) error {
				claims := lasting(p.claims).with(with)
				header, _ := with["header"].(members)
				delete(claims, "header")
				_, err := authenticate(t, v, token(p.header.with(header), claims), at)
				return err
			}
			for name, with := range p.alike {
				if err := try(with); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			bad := map[string]members{"expired": {"exp": at.Unix() - 11}, "no exp": {"exp": nil}, "no iss": {"iss": nil}, "aud null": {"aud": []any{nil}}}
			maps.Copy(bad, p.bad)
			for name, with := range bad {
				if err := try(with); !errors.Is(err, auth.ErrInvalid) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// A service that trusts all of them at once still tells whose a token is.
func TestProvidersTogether(t *testing.T) {
	set := testSet(t)
	var trusts []Trust
	for _, p := range providers {
		p.trust.Keys = set
		trusts = append(trusts, p.trust)
	}
	v := newVerifier(t, Config{Trust: trusts})
	for name, p := range providers {
		key := p.key
		if key == "" {
			key = "RS256"
		}
		got, err := authenticate(t, v, sign(t, key, members{"alg": key, "kid": key}.with(p.header), lasting(p.claims)), at)
		if err != nil || got.Issuer != p.claims["iss"] {
			t.Errorf("%s: %v", name, err)
		}
	}
}
