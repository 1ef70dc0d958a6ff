// Package authrbac says who may do what: roles, written down in one document that can
// be reviewed, tested and replaced while the service runs.
//
//	policy, err := authrbac.New(authrbac.Config{
//		File:   "/etc/service/policy.yaml",
//		ToJSON: yaml.YAMLToJSONStrict, // sigs.k8s.io/yaml
//	})
//	…
//	defer policy.Close(ctx)
//	mux.Handle("POST /v1/models/{model}/predict",
//		auth.Require(policy, "predict", auth.PathValue("model"))(predict))
//
// A [Policy] is an auth.Authorizer. It denies what a rule denies, whatever others
// allow; it allows what a rule allows; it denies all else.
//
//	New                 of a document or a file, which is watched
//	Policy.Authorize    the decision; Decide names the rule, for audits
//	Policy.Explain      every role and rule that was looked at, for people
//	Policy.Replace      another document, all at once; Reload reads the file now
//
// # Place in the chain
//
// Behind auth.Middleware, which knows the caller, and inside the mux, where the route is
// known: auth.Require around a handler, or auth.Check in one that reads the resource from
// the body. auth.Audited around the Policy writes down each decision and its rule.
//
// # The document
//
// It is JSON, or what Config.ToJSON makes JSON of.
//
//	{
//	  "version": 1,
//	  "roles": {
//	    "authenticated": {"allow": [{"actions": ["list"], "resources": ["models"]}]},
//	    "viewer": {"allow": [{"actions": ["read"], "resources": ["**"]}]},
//	    "analyst": {
//	      "inherits": ["viewer"],
//	      "allow": [{"actions": ["predict"], "resources": ["fraud-*", "churn"], "scopes": ["models:predict"]}],
//	      "deny":  [{"actions": ["*"], "resources": ["fraud-internal"]}]
//	    },
//	    "trainer": {"allow": [{"actions": ["predict", "deploy"], "resources": ["**"]}]}
//	  },
//	  "bindings": [
//	    {"roles": ["trainer"], "subjects": ["spiffe://prod.example.org/train/*"], "methods": ["mtls"]},
//	    {"roles": ["trainer"], "subjects": ["repo:acme/models:ref:refs/heads/main"],
//	     "issuers": ["https://token.actions.githubusercontent.com"], "claims": {"event_name": ["push"]}}
//	  ],
//	  "trust": [
//	    {"issuers": ["https://id.example.org"]},
//	    {"methods": ["api-key"]},
//	    {"issuers": ["https://partner.example"], "roles": ["analyst"]}
//	  ]
//	}
//
// A role has rules that allow and rules that deny, and those of the roles that it
// inherits. A rule is about each of its actions on each of its resources. One that
// allows may ask for scopes, all of which the caller's credential must have: a token
// for one purpose is then of no use for another, whatever its owner may do. One that
// denies cannot: a credential with less in it would be good for more.
//
// An action is exact, or * for all. A resource is exact, or has stars: * is any run of
// characters without a slash, none of them, too, and ** is any run at all. So * is all
// models of one segment, ** is everything, and a/** is all below a, without a itself.
// There are no other wildcards, and no escapes. Everything is compared byte by byte:
// case counts and nothing is normalised.
//
// A caller has the role authenticated, if there is one; the roles in Principal.Roles
// of which trust takes their word; and those that bindings give. A name in
// Principal.Roles that is no role of the document means nothing. A binding is for
// subjects, exact or with a star at the end, which takes slashes, too: end what is before
// it with a separator, or "spiffe://prod.example.org*" is good for
// spiffe://prod.example.org.evil.example. All else that it has must hold as well: the
// issuer, the method, and for each claim one of the values, as a string or in a list of
// them. A dot leads into an object ("realm_access.roles"), unless a claim has the whole
// name. Issuers or methods are required, for a subject is one within its issuer only.
//
// What is unknown, there twice, empty, of another type or refers to nothing is an error.
// All of them, up to 100, come at once, each with its place:
// roles.trainer.allow[2].actions: empty.
//
// # Whose word is taken
//
// Without trust, Principal.Roles counts whoever the caller was vouched for by. That is
// right where one issuer's tokens are accepted, and API keys and certificates have the
// roles that this service gives them. Where there is a second issuer, it is not: a
// partner whose tokens happen to have groups called admin would make admins here.
// With trust a role counts if an entry has the caller's issuer and method, and the role,
// if it lists roles. "" is the issuer of those who have none. Bindings are the policy's
// own word and need no trust.
//
// # What is asked
//
// Action and resource are data: a caller who asks for the resource * asks for something
// of that name. A resource is forbidden, whatever the rules, if it is empty, longer than
// 2048 bytes or not valid UTF-8, or has an empty segment, a dot segment or a control
// character: another reader might take it for another one. A decision takes one pass
// over the resource for each pattern, as a pattern is never tried twice at different
// places: there is nothing to make up that is slow. It takes no lock and, if it
// allows, no memory.
//
// # Errors
//
//	*auth.ForbiddenError (auth.ErrForbidden)   403
//	… with Scopes                              403  insufficient_scope
//	auth.ErrNoCredential, for a nil Principal  401
//
// Scopes are told if they are all that is missing, of a role that the caller has. Nothing
// else is: not whether there is such a resource, nor what other roles may do.
//
// # Concurrency and goroutines
//
// Everything is safe for concurrent use. With Config.File there is one goroutine, which
// reads the file every Config.PollInterval, and [Policy.Close] ends it. Content is
// compared rather than times or links, so that it does not matter how a file is
// replaced, and a change counts once it was read twice alike, half a second apart: of a
// YAML file that is just being written, the first half may be a policy, too. A policy
// that is bad or cannot be read changes nothing: Config.OnReload should raise an alarm.
//
// # What it does not do
//
// It has no rules about attributes, such as the time or a request's size, no
// relations between users and objects, and no language. Casbin has models in a language
// of its own, whose matchers are evaluated for each rule, and OPA a compiler and an
// interpreter for Rego: worth it where policies are programs. What most services have is a
// table, and a table can be checked when it is loaded, costs next to nothing to ask
// and explains itself. An external engine goes behind auth.Authorizer, of which a
// Policy is just one. It keeps no users: those are the issuer's.
package authrbac
