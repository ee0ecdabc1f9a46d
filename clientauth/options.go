package clientauth

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/certname"
)

// Method is a way to authenticate by certificate, by its name in metadata (RFC 8705, sections 2.1.1 and 2.2.1).
type Method string

// The methods.
const (
	TLSClientAuth           Method = "tls_client_auth"             // a registered name, in a certificate that somebody vouches for
	SelfSignedTLSClientAuth Method = "self_signed_tls_client_auth" // a registered certificate, whoever issued it
)

// Options configures New.
type Options struct {
	_ [0]func()

	// Clients says which certificates a client is registered with. It is required, but for a server that has no Endpoints
	// and DPoP alone.
	Clients Clients

	// Endpoints are where a certificate is demanded, and where alone it counts: PathPrefix, Subdomain or Domain. The zero
	// value is nowhere: mutual TLS is off, and nobody is authenticated.
	Endpoints Endpoints

	// Certificate is where a caller's certificate comes from. If nil, popauth.CallerCertificate: what an outer
	// popauth.ClientCertificate handler found, and without one the TLS connection.
	Certificate popauth.CertificateSource

	// Roots are the authorities whose certificates may authenticate by name; the chain is verified as by clientcert.Verified,
	// for client authentication, and what is found out is remembered as there. Keys and usages that it refuses are refused
	// here too. If nil, a certificate counts whose chain the TLS stack, a trusted proxy or popauth has verified
	// (popauth.Certificate.Verified), and no other: those must accept certificates for client authentication from
	// authorities alone that may name clients.
	Roots *x509.CertPool

	// Methods are what clients may use, in the order in which metadata lists them. If nil, both.
	Methods []Method

	// AlwaysBind lets clients that authenticate in another way, or are public, use the certificate endpoints too, for
	// tokens bound to their certificate (RFC 8705, sections 3 and 4): see Confirmation. If false, a certificate along with
	// another method is refused as two methods at once.
	AlwaysBind bool

	// DPoP lets clients bind tokens to keys by proofs of possession: see Proof. A *dpop.Confirmer verifies them; its BaseURL is
	// this server's own, that of its token endpoint. If nil, proofs are ignored, as servers do that don't know of them.
	// Processes that share its Replay should not share it with an API: see dpop.Confirmer.ProveKey.
	DPoP Prover

	// Deny answers what Handler refuses. It can't turn a refusal into anything else: see popauth.Options.Deny. If nil,
	// WriteError.
	Deny func(http.ResponseWriter, *http.Request, *Error)

	// Now is the clock. If nil, time.Now.
	Now func() time.Time
}

// Prover verifies the DPoP proofs of requests that present no access token. A *dpop.Confirmer is one.
type Prover interface {
	// ProveKey verifies the proof of a request, by the time now, and uses it up. It returns the thumbprint of the proof's key
	// (RFC 7638), and puts into h what the answer is to have. Its errors wrap a popauth.Reason: ErrProofMissing without a
	// proof, ErrNonceRequired for one without a nonce in force, ErrProofLimit, ErrUnavailable, ErrRequestEnded; any other
	// refuses the proof.
	ProveKey(h http.Header, r *http.Request, now time.Time) (thumbprint string, err error)

	// Algorithms are the signature algorithms that it accepts, for the server's metadata.
	Algorithms() []string
}

// Authenticator authenticates clients by certificate. It may be used concurrently. The zero Authenticator and the nil
// one refuse every request.
type Authenticator struct {
	options Options
	ways    *certname.Ways // to Roots; nil without
}

// New returns an Authenticator, or an error that lists everything that is wrong with the options.
func New(o Options) (*Authenticator, error) {
	var wrong []error
	problem := func(field string, err error) {
		wrong = append(wrong, fmt.Errorf("clientauth: Options.%s: %w", field, err))
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.DPoP != nil {
		if len(o.DPoP.Algorithms()) == 0 {
			problem("DPoP", errors.New("accepts no signature algorithm: it was not made by its constructor"))
		}
		if o.Clients == nil && o.Endpoints.nowhere() {
			o.Clients = Static{}
		}
	}
	if o.Clients == nil {
		problem("Clients", errors.New("nil"))
	}
	if s, ok := o.Clients.(Static); ok {
		if err := s.invalid(); err != nil {
			problem("Clients", err)
		}
	}
	if o.Endpoints.wrong != nil {
		problem("Endpoints", o.Endpoints.wrong)
	}
	if o.Certificate == nil {
		o.Certificate = popauth.CallerCertificate()
	}
	if err := invalidSource(o.Certificate); err != nil {
		problem("Certificate", err)
	}
	if o.Roots != nil {
		if o.Roots.Equal(x509.NewCertPool()) {
			problem("Roots", errors.New("no certificate in the pool"))
		}
		o.Roots = o.Roots.Clone()
	}
	if o.Methods == nil {
		o.Methods = []Method{TLSClientAuth, SelfSignedTLSClientAuth}
	}
	if err := invalidMethods(o.Methods); err != nil {
		problem("Methods", err)
	}
	o.Methods = slices.Clone(o.Methods)
	if o.Deny == nil {
		o.Deny = func(w http.ResponseWriter, _ *http.Request, e *Error) { WriteError(w, e) }
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	a := &Authenticator{options: o}
	if o.Roots == nil {
		return a, nil
	}
	a.ways = certname.NewWays([]x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, rememberWays)
	return a, nil
}

// rememberWays is how long the way from a certificate to Roots is remembered.
const rememberWays = 2 * time.Minute

func (a *Authenticator) unconfigured() bool { return a == nil || a.options.Clients == nil }

// invalidSource makes an error of the panic with which popauth.ClientCertificate, meant for wiring, refuses a source.
func invalidSource(s popauth.CertificateSource) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	popauth.ClientCertificate(s)
	return nil
}

func invalidMethods(methods []Method) error {
	if len(methods) == 0 {
		return errors.New("an empty list allows nothing; leave it nil for both")
	}
	for i, m := range methods {
		if m != TLSClientAuth && m != SelfSignedTLSClientAuth {
			return fmt.Errorf("%q is none", m)
		}
		if slices.Contains(methods[:i], m) {
			return fmt.Errorf("%q twice", m)
		}
	}
	return nil
}
