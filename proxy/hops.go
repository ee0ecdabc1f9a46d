package proxy

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-171ab058/popauth/internal/certname"
	"github.com/seed-171ab058/popauth/internal/proxyfile"
)

const maxHops = 10

// WithHops names the proxies of your own behind the one where the caller's TLS ends, as each is named to the next: by the URI in its
// certificate, such as a SPIFFE ID, in the order that a request takes. It is for [Envoy], where every hop appends an element
// for the peer whose certificate it has seen. For Istio's default, a gateway and the API's sidecar, that is the gateway alone:
//
//	proxy.Envoy().WithHops("spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway")
//
// Exactly these elements, to the letter and in order, must end each value, and are taken off. One that is left is the
// caller's; if none is, the caller has no certificate. A value that ends otherwise, and a request without any, came past these
// proxies, or they are named wrongly: it is an error of class [ErrHops], which says what was expected and what came. So is
// a caller with one of these URIs: an own proxy is never a caller.
//
// The proxy where the caller's TLS ends has SANITIZE_SET with cert, each one behind it APPEND_FORWARD with uri, as Istio's
// have, and demands certificates of an authority of your own whose URIs have no comma or semicolon, since Envoy doesn't quote
// them. With FORWARD_ONLY on the last hop whoever reaches it writes what he likes, these URIs too. With SANITIZE_SET on the
// last hop no caller has a certificate.
//
// In formats with a single value, such as [RFC9440], a hop behind the first passes on what came to it, and knows by its
// own means from whom: they report a problem.
func (f Format) WithHops(uris ...string) Format {
	switch {
	case f.name != "envoy":
		return f.problem("no hops to name: its header holds one value, which the hops behind the first pass on")
	case f.hops != nil:
		return f.problem("hops named twice: name all in one WithHops, in the order that a request takes")
	case len(uris) == 0 || len(uris) > maxHops:
		return f.problem(fmt.Sprintf("1 to %d hops, not %d", maxHops, len(uris)))
	}
	for _, uri := range uris {
		if !isHop(uri) {
			return f.problem(fmt.Sprintf("hop %q: want an absolute URI of printable ASCII without space, comma, semicolon and quote", uri))
		}
	}
	f.hops = slices.Clone(uris)
	return f
}

func isHop(uri string) bool {
	scheme, rest, ok := strings.Cut(uri, ":")
	return ok && scheme != "" && rest != "" && proxyfile.IsPrintable(uri) && !strings.ContainsAny(uri, ` ,;"\`)
}

// beforeHops takes the elements of the hops off a value, and returns the caller's, or "" if there is none.
func (f Format) beforeHops(value string, sent bool) (string, error) {
	if !sent {
		return "", f.strange("no header")
	}
	all, err := scanElements(value)
	if err != nil {
		return "", err
	}
	left := len(all) - len(f.hops)
	if left < 0 {
		return "", f.strange(came(all))
	}
	for i, e := range all[left:] {
		if len(e.uris) != 1 || e.quoted || e.uris[0] != f.hops[i] || !isHash(e.hash) {
			return "", f.strange(came(all[left:]))
		}
	}
	switch {
	case left == 0:
		return "", nil
	case left > 1:
		return "", f.strange(fmt.Sprintf("%d elements before these, want the caller's alone: the proxy where the caller's TLS "+
			"ends must have SANITIZE_SET, and every hop behind it be named", left))
	case slices.ContainsFunc(all[0].uris, f.isHop):
		return "", f.strange("one of these as the caller: name it as often as a request comes through it")
	}
	return all[0].text, nil
}

func (f Format) isHop(uri string) bool { return slices.Contains(f.hops, uri) }

// notHop looks into the certificate itself: the element has its URIs only if the proxy is told so. One that can't be read is no
// hop's, and no identity.
func (f Format) notHop(der []byte) error {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil //nolint:nilerr // the same bytes are judged by whoever takes them for an identity
	}
	if uris, _ := certname.URIs(leaf); slices.ContainsFunc(uris, f.isHop) {
		return f.strange("the certificate of one of these as the caller's: the caller's TLS ends at another proxy")
	}
	return nil
}

// strange is the refusal of a request that the hops can't have sent.
func (f Format) strange(what string) error {
	return &refusal{class: ErrHops, reason: fmt.Sprintf("want elements of %q at the end, as WithHops names them; got %s", f.hops, what)}
}

// came describes elements by what their writers have seen, in a form that is safe in a log.
func came(all []element) string {
	var names []string
	for _, e := range all[:min(len(all), maxHops)] {
		switch len(e.uris) {
		case 0:
			names = append(names, "one without URI (set uri: true)")
		case 1:
			names = append(names, fmt.Sprintf("%+.100q", e.uris[0]))
		default:
			names = append(names, fmt.Sprintf("one of %d URIs", len(e.uris)))
		}
	}
	return "elements of " + strings.Join(names, ", ")
}

func isHash(text string) bool {
	b, err := hex.DecodeString(text)
	return err == nil && len(b) == 32 && strings.ToLower(text) == text
}
