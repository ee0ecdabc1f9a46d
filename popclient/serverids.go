package popclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/internal/certname"
)

var spiffeID = regexp.MustCompile(`^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)+$`) // SPIFFE-ID, section 2

// serverIDs verifies servers by their SPIFFE IDs, and others by their names.
type serverIDs struct {
	ids   map[string]string // by host
	roots func(*http.Request, *x509.Certificate) (*x509.CertPool, error)
	ways  *certname.Ways
}

// newServerIDs is nil without any.
func newServerIDs(o *MutualTLSOptions, problem func(string, ...any)) *serverIDs {
	if len(o.ServerIDs) == 0 {
		if o.ServerRoots != nil {
			problem(".ServerRoots: there are no ServerIDs")
		}
		return nil
	}
	if o.ServerRoots == nil {
		problem(".ServerIDs: nothing says which authorities may issue them; set ServerRoots, such as by clientcert.Bundles")
	}
	for _, host := range slices.Sorted(maps.Keys(o.ServerIDs)) {
		if !isServerName(host) {
			problem(".ServerIDs: %q is no host's name in lower case and ASCII (xn--), without port", host)
		}
		if id := o.ServerIDs[host]; !spiffeID.MatchString(id) {
			problem(".ServerIDs: %q of %q is no SPIFFE ID of a workload", id, host)
		}
	}
	if t := o.Transport; t != nil && t.TLSClientConfig != nil {
		c := t.TLSClientConfig
		if c.VerifyPeerCertificate != nil || c.VerifyConnection != nil || c.ServerName != "" {
			problem(".ServerIDs: Transport verifies servers by means of its own (ServerName, VerifyPeerCertificate or VerifyConnection)")
		}
	}
	return &serverIDs{
		ids: maps.Clone(o.ServerIDs), roots: o.ServerRoots, ways: certname.NewWays([]x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, 0),
	}
}

// serverName is a host's name as handshakes have it. What no handshake carries, such as a pattern or letters beyond ASCII, would
// be asked for by nobody, and its servers be verified by their names.
var serverName = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)

// isServerName leaves out addresses: they have no place in a handshake, so that nothing would say whom to expect.
func isServerName(host string) bool {
	_, err := netip.ParseAddr(host)
	return err != nil && serverName.MatchString(host)
}

// configure has every handshake of config verified here, those of resumed sessions included. It is this package's own
// verification that lets crypto/tls leave out its.
func (s *serverIDs) configure(config *tls.Config) {
	others := config.RootCAs
	config.InsecureSkipVerify = true
	config.VerifyConnection = func(state tls.ConnectionState) error { return s.verify(state, others, config.Time) }
}

func (s *serverIDs) verify(state tls.ConnectionState, others *x509.CertPool, clock func() time.Time) error {
	now := time.Now()
	if clock != nil {
		now = clock()
	}
	if len(state.PeerCertificates) == 0 {
		return errors.New("popclient: the server has sent no certificate")
	}
	if state.ServerName == "" {
		return errors.New("popclient: the server is called by an address: with ServerIDs, call every server by a host's name")
	}
	leaf, sent := state.PeerCertificates[0], state.PeerCertificates[1:]
	want, ok := s.ids[strings.ToLower(state.ServerName)]
	if !ok {
		between := x509.NewCertPool()
		for _, c := range sent {
			between.AddCert(c)
		}
		_, err := leaf.Verify(x509.VerifyOptions{Roots: others, Intermediates: between, DNSName: state.ServerName, CurrentTime: now})
		return err
	}
	if err := s.verifyID(leaf, sent, want, now); err != nil {
		return fmt.Errorf("popclient: server %q, SPIFFE ID %q: %w", state.ServerName, want, err)
	}
	return nil
}

func (s *serverIDs) verifyID(leaf *x509.Certificate, sent []*x509.Certificate, want string, now time.Time) error {
	if uris, ok := certname.URIs(leaf); !ok || len(uris) != 1 || uris[0] != want {
		return fmt.Errorf("got %.200q as the certificate's URIs, want that ID alone", uris)
	}
	roots, err := s.roots(new(http.Request), leaf)
	switch {
	case err != nil:
		return err
	case roots == nil:
		return errors.New("ServerRoots has no roots for it")
	}
	_, err = s.ways.Verify(roots, leaf, sent, now)
	return err
}
