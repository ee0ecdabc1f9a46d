package proxy

import (
	"cmp"
	"net/http"
)

// GoogleCloudHeaders names the custom request headers of a backend service. An empty field stands for the name in
// its comment.
type GoogleCloudHeaders struct {
	Leaf     string // X-Client-Cert-Leaf: {client_cert_leaf}
	Chain    string // X-Client-Cert-Chain: {client_cert_chain}; need not be configured
	Present  string // X-Client-Cert-Present: {client_cert_present}
	Verified string // X-Client-Cert-Chain-Verified: {client_cert_chain_verified}
	Error    string // X-Client-Cert-Error: {client_cert_error}
}

// GoogleCloud reads what an Application Load Balancer of Google Cloud sends: the leaf and the chain in the form of
// RFC 9440, and a verdict in three headers. The zero value of names is complete.
//
// A certificate counts only with present and verified true and without an error, and Verified is then set; any
// other combination with a certificate, and one that says a certificate is there when none was sent (it was too
// large), is an error. In mode ALLOW_INVALID_OR_MISSING_CLIENT_CERT the load balancer also passes on certificates
// that it could not check, under a dozen error codes that do not tell what else was left undone. To accept them
// because binding needs possession alone, say [Format.WithoutVerdict].
func GoogleCloud(names GoogleCloudHeaders) Format {
	n := GoogleCloudHeaders{
		Leaf:     cmp.Or(names.Leaf, "X-Client-Cert-Leaf"),
		Chain:    cmp.Or(names.Chain, "X-Client-Cert-Chain"),
		Present:  http.CanonicalHeaderKey(cmp.Or(names.Present, "X-Client-Cert-Present")),
		Verified: http.CanonicalHeaderKey(cmp.Or(names.Verified, "X-Client-Cert-Chain-Verified")),
		Error:    http.CanonicalHeaderKey(cmp.Or(names.Error, "X-Client-Cert-Error")),
	}
	return newFormat(Format{
		name:       "google-cloud",
		cert:       n.Leaf,
		encoding:   ByteSequence,
		none:       []string{"", "::"},
		chain:      []string{n.Chain},
		chains:     ByteSequenceList,
		chainNone:  []string{""},
		chainLines: true,
		verdicts:   []string{n.Present, n.Verified, n.Error},
		judge:      n.judge,
	})
}

func (n GoogleCloudHeaders) judge(read func(string) (string, bool)) Verdict {
	present, hasPresent := read(n.Present)
	verified, hasVerified := read(n.Verified)
	problem, hasProblem := read(n.Error) // empty without an error, so its absence says no more
	switch {
	case !hasPresent && !hasVerified && !hasProblem:
		return unsent
	case present == "true" && verified == "true" && problem == "":
		return Validated
	case present == "false" && verified == "false" && (problem == "" || problem == "client_cert_not_provided"):
		return NoCertificate
	}
	return Unknown
}
