package auth

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// MTLSConfig configures [NewMTLS]. TrustDomains or DN must be set.
type MTLSConfig struct {
	// TrustDomains are the SPIFFE trust domains whose IDs are accepted, such as
	// "prod.example.org".
	TrustDomains []string
	// DN accepts certificates without a SPIFFE ID by their subject's distinguished
	// name (RFC 4514, as x509's pkix.Name.String writes it). It names somebody
	// within the CA that signed the certificate, which is the Principal's Issuer:
	// if ClientCAs are several, mind both.
	DN bool
	// Roles says which roles a client has. nil: none.
	Roles func(subject string, cert *x509.Certificate) []string

	_ struct{}
}

// MTLS is an [Authenticator] for TLS client certificates. It trusts what the
// TLS handshake has verified: the server needs tls.Config.ClientCAs and
// ClientAuth VerifyClientCertIfGiven or RequireAndVerifyClientCert. What verifies in
// tls.Config.VerifyPeerCertificate alone, as go-spiffe's configurations do, leaves no
// verified chain, and everyone is refused. Its methods are safe for concurrent use.
type MTLS struct {
	domains []string
	dn      bool
	roles   func(subject string, cert *x509.Certificate) []string
}

// NewMTLS returns an Authenticator for client certificates, or everything that
// is wrong with cfg.
func NewMTLS(cfg MTLSConfig) (*MTLS, error) {
	var errs []error
	if len(cfg.TrustDomains) == 0 && !cfg.DN {
		errs = append(errs, errors.New("auth: MTLSConfig.TrustDomains or DN must be set"))
	}
	for i, domain := range cfg.TrustDomains {
		if !isTrustDomain(domain) {
			errs = append(errs, fmt.Errorf("auth: MTLSConfig.TrustDomains[%d]: %.64q is no trust domain: a-z, 0-9, ., - and _, without spiffe://", i, domain))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &MTLS{domains: slices.Clone(cfg.TrustDomains), dn: cfg.DN, roles: cfg.Roles}, nil
}

// Authenticate returns whom c's client certificate names: its SPIFFE ID, with
// the trust domain for an Issuer, or its subject, with the issuing CA's name.
// A certificate that the handshake did not verify is an [ErrInvalid], and so is
// one that names nobody who is accepted; one that has expired since the
// handshake, as on a connection that lasts, is an [ErrExpired].
//
// If clients have a certificate and a token, let [First] ask for the token
// first, or the certificate alone counts.
func (m *MTLS) Authenticate(_ context.Context, c Credentials) (*Principal, error) {
	if c.TLS == nil || len(c.TLS.PeerCertificates) == 0 {
		return nil, ErrNoCredential
	}
	if len(c.TLS.VerifiedChains) == 0 || len(c.TLS.VerifiedChains[0]) == 0 {
		return nil, invalid("the TLS handshake did not verify the client's certificate: see tls.Config.ClientAuth")
	}
	leaf := c.TLS.VerifiedChains[0][0]
	if c.at().After(leaf.NotAfter) { // NotAfter is its last moment (RFC 5280 §4.1.2.5)
		return nil, &Error{Cause: ErrExpired, Reason: "client certificate"}
	}
	p := &Principal{Method: MethodMTLS, ExpiresAt: leaf.NotAfter}
	var err error
	if slices.ContainsFunc(leaf.URIs, isSPIFFE) {
		p.Subject, p.Issuer, err = m.spiffe(leaf)
	} else {
		p.Subject, p.Issuer, err = m.distinguished(leaf)
	}
	if err != nil {
		return nil, err
	}
	if m.roles != nil {
		p.Roles = m.roles(p.Subject, leaf)
	}
	return p, nil
}

// distinguished returns the names of a certificate's subject and issuer.
func (m *MTLS) distinguished(leaf *x509.Certificate) (subject, issuer string, err error) {
	if !m.dn {
		return "", "", invalid("a client certificate without a SPIFFE ID")
	}
	if repeats(leaf.Subject.Names) {
		return "", "", invalid("a client certificate with two common names or serial numbers")
	}
	subject = leaf.Subject.String()
	if subject == "" || strings.ContainsFunc(subject, unicode.IsControl) {
		return "", "", invalid("a client certificate without a subject that can be written down")
	}
	return subject, leaf.Issuer.String(), nil
}

// repeats reports whether a name has two of an attribute of which
// pkix.Name.String writes the last only: two subjects would be one.
func repeats(names []pkix.AttributeTypeAndValue) bool {
	seen := 0
	for _, n := range names {
		for i, once := range [...]asn1.ObjectIdentifier{{2, 5, 4, 3}, {2, 5, 4, 5}} {
			if n.Type.Equal(once) {
				if seen&(1<<i) != 0 {
					return true
				}
				seen |= 1 << i
			}
		}
	}
	return false
}

func isSPIFFE(u *url.URL) bool { return u.Scheme == "spiffe" }
