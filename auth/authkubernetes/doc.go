// Package authkubernetes asks a Kubernetes API server who a token belongs to, and
// what its owner may do: an [auth.Authenticator] by TokenReview and an
// [auth.Authorizer] by SubjectAccessReview.
//
//	tokens, err := authkubernetes.New(authkubernetes.Config{Audiences: []string{"models.example.org"}})
//	…
//	rbac, err := authkubernetes.NewAuthorizer(authkubernetes.AuthorizerConfig{
//		Group: "serving.example.org", Resource: "models", Namespace: "serving",
//	})
//	…
//	mux.Handle("POST /v1/models/{model}/predict", auth.Require(rbac, "predict", auth.PathValue("model"))(predict))
//	handler := auth.Middleware(tokens, auth.MiddlewareConfig{})(mux)
//
// # What is asked about
//
// An [Authenticator] looks at tokens with two dots, which those of service accounts
// and of OIDC users are, up to 16 KiB. It asks whether they are good for one of
// Config.Audiences, and the answer must name one: a token that a pod sends to
// somebody else is of no use here, nor is its token for the API server. Static and
// bootstrap tokens, without two dots, are left to the next Authenticator. What is not
// in base64url, has no JSON object in the middle or says itself that it is over is
// refused without asking. In auth.First together with an Authenticator for other
// issuers' JWTs, set Config.Issuers and come first: only tokens that say that they are
// of the cluster go to the API server.
//
//	Principal   Subject    the user name, system:serviceaccount:<namespace>:<name>
//	            Issuer     Config.Cluster
//	            Method     auth.MethodKubernetes
//	            Roles      the groups
//	            Claims     uid, and extra as it is: lists of strings by name
//	            ExpiresAt  the token's exp
//
// An [Authorizer] asks about things of one kind, which need not exist in the cluster,
// or by AuthorizerConfig.Attributes about any. It asks only about Principals that an
// Authenticator of the same Cluster found. To all others the answer is no: the subject
// of another issuer's token is not the cluster's user of that name. The rule that
// [Authorizer.Decide] returns, and so auth.Audited writes down, is the API server's reason.
//
// # How often
//
// An answer is good for 10 s. The API server itself remembers good tokens for 10 s, too, and
// so a token may be used for up to 20 s after its service account was deleted. A new
// RoleBinding shows within 10 s of a no, and one that is gone within 10 s of a yes. A
// refused token is refused for a second without asking, since the API server also refuses a
// good one when it fails to look it up. A token's exp ends it to the second.
//
// What is remembered is bounded by CacheEntries. Bad tokens and denials have room of their
// own, so that they do not displace good ones. Tokens are not kept: their SHA-256 is.
//
// Requests that ask the same at the same time share a review. QPS and Burst bound how many
// are made, and MaxInFlight how many are under way or wait for QPS: at 64 and 50 a second
// none waits longer than 1.28 s, and those beyond are turned away at once. (client-go's own
// default is 5 a second without a bound on the wait. That was 82 s elsewhere:
// https://github.com/open-cluster-management-io/cluster-proxy/pull/282.) Whoever sends
// made-up tokens thus keeps out those that are new, but none that are remembered: limit
// failed attempts by caller with auth.MiddlewareConfig's Admit and Failed.
//
// # When the API server does not answer
//
// Nobody gets in by an outage. What is remembered is good until its 10 s are over, and not
// longer: a revoked token must not live on because the API server is down. Then each
// request fails with an auth.ErrUnavailable, after Timeout at most.
//
//	no connection, no answer within Timeout       auth.ErrUnavailable  503
//	any status but 200 and 201, redirects too     auth.ErrUnavailable  503
//	an answer that is no review                   auth.ErrUnavailable  503
//	more than MaxInFlight, or QPS used up         auth.ErrUnavailable  503
//	not authenticated, no audience of ours        auth.ErrInvalid      401
//	over by its exp                               auth.ErrExpired      401
//	not allowed, or no user of the cluster        auth.ErrForbidden    403
//	the request's own deadline, its caller left   ctx.Err()            504, 499
//
// Retry-After is what the API server said, up to a minute, or as long as QPS takes for
// what is waiting, and else a second. Reviews are not repeated. An evaluation error of
// RBAC with a no is a no, as it is to the API server itself: each binding to a role that
// is gone makes one.
//
// # In the cluster
//
// The service asks as its own service account, which must be allowed to:
//
//	apiVersion: rbac.authorization.k8s.io/v1
//	kind: ClusterRoleBinding
//	metadata:
//	  name: model-server-auth-delegator
//	roleRef:
//	  apiGroup: rbac.authorization.k8s.io
//	  kind: ClusterRole
//	  name: system:auth-delegator
//	subjects:
//	- kind: ServiceAccount
//	  name: model-server
//	  namespace: serving
//
// Its callers' pods have a token for it, which [auth.FileTokenSource] reads and the kubelet
// renews:
//
//	apiVersion: v1
//	kind: Pod
//	metadata:
//	  name: client
//	  namespace: serving
//	spec:
//	  serviceAccountName: client
//	  containers:
//	  - name: client
//	    image: registry.example.org/client:1
//	    volumeMounts:
//	    - name: models-token
//	      mountPath: /var/run/secrets/models.example.org
//	      readOnly: true
//	  volumes:
//	  - name: models-token
//	    projected:
//	      sources:
//	      - serviceAccountToken:
//	          audience: models.example.org
//	          expirationSeconds: 3600
//	          path: token
//
// And this lets them use one model:
//
//	apiVersion: rbac.authorization.k8s.io/v1
//	kind: Role
//	metadata:
//	  name: digits-client
//	  namespace: serving
//	rules:
//	- apiGroups: [serving.example.org]
//	  resources: [models]
//	  resourceNames: [digits]
//	  verbs: [predict]
//
// With a RoleBinding to it:
//
//	apiVersion: rbac.authorization.k8s.io/v1
//	kind: RoleBinding
//	metadata:
//	  name: digits-client
//	  namespace: serving
//	roleRef:
//	  apiGroup: rbac.authorization.k8s.io
//	  kind: Role
//	  name: digits-client
//	subjects:
//	- kind: ServiceAccount
//	  name: client
//	  namespace: serving
//
// # Concurrency
//
// Both are safe for concurrent use. They start no goroutine, and there is nothing to close;
// connections are client-go's, which shares them between clients of the same TLS
// configuration. Nothing is logged.
//
// # What it does not do
//
// It does not verify tokens itself: package authjwt does, by the keys that the cluster
// publishes, without a review and without noticing that a service account was deleted
// before its token is over. It does not watch RBAC objects, and does not repeat what
// failed: its callers know how long they have.
package authkubernetes
