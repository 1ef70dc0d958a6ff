package auth

import (
	"crypto/x509"
	"net/url"
	"slices"
	"strings"
)

// Limits of the SPIFFE-ID standard, §2.1 and §2.3, in bytes.
const (
	maxTrustDomain = 255
	maxSPIFFEID    = 2048
)

// spiffe returns the SPIFFE ID of a certificate that has one, and its trust
// domain, by the rules of the X509-SVID standard for leaves.
func (m *MTLS) spiffe(leaf *x509.Certificate) (id, domain string, err error) {
	const signs = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	switch {
	case len(leaf.URIs) != 1: // §2
		return "", "", invalid("a client certificate with a SPIFFE ID and another URI")
	case leaf.IsCA, leaf.KeyUsage&signs != 0: // §5.2
		return "", "", invalid("a client certificate with a SPIFFE ID that may sign others")
	case leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0: // §4.3
		return "", "", invalid("a client certificate with a SPIFFE ID that is not for digital signatures")
	}
	id, domain, ok := parseSPIFFEID(leaf.URIs[0])
	if !ok {
		return "", "", invalid("a client certificate with a malformed SPIFFE ID")
	}
	if !slices.Contains(m.domains, domain) {
		return "", "", invalid("a client certificate of another trust domain: " + domain)
	}
	return id, domain, nil
}

// parseSPIFFEID returns u as a SPIFFE ID of a workload (SPIFFE-ID §2, and
// X509-SVID §3.1: a leaf has a path). It does not normalize: what could be
// written otherwise is malformed.
func parseSPIFFEID(u *url.URL) (id, domain string, ok bool) {
	path := u.EscapedPath() // with any % that was there
	if u.Scheme != "spiffe" || u.Opaque != "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" ||
		!isTrustDomain(u.Host) || !isSPIFFEPath(path) {
		return "", "", false
	}
	id = "spiffe://" + u.Host + path
	return id, u.Host, len(id) <= maxSPIFFEID
}

// isTrustDomain reports whether s may be a trust domain (SPIFFE-ID §2.1).
func isTrustDomain(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= maxTrustDomain
}

// isSPIFFEPath reports whether s is a path of segments that are neither empty
// nor dots (SPIFFE-ID §2.2).
func isSPIFFEPath(s string) bool {
	if !strings.HasPrefix(s, "/") {
		return false
	}
	for segment := range strings.SplitSeq(s[1:], "/") {
		if segment == "" || segment == "." || segment == ".." {
			return false
		}
		for _, c := range []byte(segment) {
			if !isAlphanumeric(c) && c != '.' && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
