package popauthtest

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"
)

// CRL signs a certificate revocation list of this authority, in DER, from an hour ago for a day. Configure may edit
// it before.
func (c *CA) CRL(revoked []*x509.Certificate, configure ...func(*x509.RevocationList)) []byte {
	c.tb.Helper()
	der, err := c.crl(revoked, time.Now(), configure)
	if err != nil {
		c.tb.Fatalf("popauthtest: CRL: %v", err)
	}
	return der
}

func (c *CA) crl(revoked []*x509.Certificate, now time.Time, configure []func(*x509.RevocationList)) ([]byte, error) {
	list := &x509.RevocationList{Number: big.NewInt(now.UnixNano()), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(24 * time.Hour)}
	for _, cert := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: list.ThisUpdate})
	}
	for _, f := range configure {
		f(list)
	}
	return x509.CreateRevocationList(rand.Reader, list, c.Certificate, c.Key)
}

// Registry knows which certificates of a CA have been revoked, and says so as OCSP responder and CRL distribution
// point on loopback. Server is closed when the test ends; closing it before is an outage.
type Registry struct {
	Server *httptest.Server

	Now       func() time.Time                // if nil, the real clock
	Answer    func(*ocsp.Response)            // edits each OCSP response before it is signed; if nil, none is edited
	List      func(*x509.RevocationList)      // the same for each CRL
	Responder *Client                         // signs OCSP responses in place of the CA; if nil, the CA does
	Serve     func(http.Handler) http.Handler // wraps the handler of Server; if nil, it stays as it is

	ca *CA

	mu       sync.Mutex
	revoked  []*x509.Certificate
	requests int
}

// Registry starts one for this authority.
func (c *CA) Registry() *Registry {
	r := &Registry{ca: c}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /crl", r.serveList)
	mux.HandleFunc("POST /ocsp", r.serveAnswer)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		r.requests++
		r.mu.Unlock()
		if r.Serve != nil {
			r.Serve(mux).ServeHTTP(w, request)
			return
		}
		mux.ServeHTTP(w, request)
	}))
	c.tb.Cleanup(r.Server.Close)
	return r
}

// OCSP names the responder in a certificate: ca.Client("batch", registry.OCSP).
func (r *Registry) OCSP(cert *x509.Certificate) { cert.OCSPServer = []string{r.Server.URL + "/ocsp"} }

// CRL names the distribution point in a certificate: ca.Client("batch", registry.CRL).
func (r *Registry) CRL(cert *x509.Certificate) {
	cert.CRLDistributionPoints = []string{r.Server.URL + "/crl"}
}

// Revoke puts the certificates on the list.
func (r *Registry) Revoke(certs ...*x509.Certificate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revoked = append(r.revoked, certs...)
}

// Requests is how often the registry was asked.
func (r *Registry) Requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

func (r *Registry) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

func (r *Registry) serveList(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	revoked := slices.Clone(r.revoked)
	r.mu.Unlock()
	var configure []func(*x509.RevocationList)
	if r.List != nil {
		configure = append(configure, r.List)
	}
	der, err := r.ca.crl(revoked, r.now(), configure)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/pkix-crl")
	_, _ = w.Write(der)
}

func (r *Registry) serveAnswer(w http.ResponseWriter, request *http.Request) {
	der, err := r.answer(http.MaxBytesReader(w, request.Body, 1<<16))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/ocsp-response")
	_, _ = w.Write(der)
}

func (r *Registry) answer(body io.Reader) ([]byte, error) {
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	question, err := ocsp.ParseRequest(data)
	if err != nil {
		return nil, err
	}
	now := r.now()
	response := ocsp.Response{
		Status: ocsp.Good, SerialNumber: question.SerialNumber, IssuerHash: question.HashAlgorithm,
		ThisUpdate: now.Add(-time.Minute).Truncate(time.Second), NextUpdate: now.Add(24 * time.Hour).Truncate(time.Second),
	}
	r.mu.Lock()
	for _, cert := range r.revoked {
		if cert.SerialNumber.Cmp(question.SerialNumber) == 0 {
			response.Status, response.RevokedAt = ocsp.Revoked, now.Add(-time.Hour).Truncate(time.Second)
		}
	}
	r.mu.Unlock()
	cert, key := r.ca.Certificate, r.ca.Key
	if r.Responder != nil {
		signer, ok := r.Responder.Certificate.PrivateKey.(crypto.Signer)
		if !ok {
			return nil, x509.ErrUnsupportedAlgorithm
		}
		cert, key = r.Responder.certificates()[0], signer
		response.Certificate = cert
	}
	if r.Answer != nil {
		r.Answer(&response)
	}
	return ocsp.CreateResponse(r.ca.Certificate, cert, response, key)
}
