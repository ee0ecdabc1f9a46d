package popauthtest_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"io"
	"net/http"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestRegistry(t *testing.T) {
	ca := popauthtest.NewCA(t)
	registry := ca.Registry()
	client := ca.Client("batch", registry.OCSP, registry.CRL)
	cert := client.Request("GET", "/", "").TLS.PeerCertificates[0]

	ask := func() *ocsp.Response {
		t.Helper()
		question, err := ocsp.CreateRequest(cert, ca.Certificate, &ocsp.RequestOptions{Hash: crypto.SHA256})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.Post(cert.OCSPServer[0], "application/ocsp-request", bytes.NewReader(question))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		response, err := ocsp.ParseResponseForCert(body, cert, ca.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	list := func() *x509.RevocationList {
		t.Helper()
		answer, err := http.Get(cert.CRLDistributionPoints[0])
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		l, err := x509.ParseRevocationList(body)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.CheckSignatureFrom(ca.Certificate); err != nil {
			t.Fatal(err)
		}
		return l
	}
	equal(t, "status", ask().Status, ocsp.Good)
	equal(t, "entries", len(list().RevokedCertificateEntries), 0)
	registry.Revoke(cert)
	equal(t, "status", ask().Status, ocsp.Revoked)
	equal(t, "entries", len(list().RevokedCertificateEntries), 1)
	registry.Now = func() time.Time { return time.Now().Add(time.Hour) }
	registry.List = func(l *x509.RevocationList) { l.RevokedCertificateEntries = nil }
	registry.Answer = func(r *ocsp.Response) { r.Status = ocsp.Unknown }
	registry.Responder = ca.Client("responder")
	response := ask()
	equal(t, "edited", response.Status, ocsp.Unknown)
	equal(t, "responder", response.Certificate != nil, true)
	equal(t, "edited", len(list().RevokedCertificateEntries), 0)
	if !list().ThisUpdate.After(time.Now().Add(-time.Minute)) {
		t.Error("the clock isn't looked at")
	}
	equal(t, "requests", registry.Requests(), 7)
	answer, err := http.Post(cert.OCSPServer[0], "application/ocsp-request", bytes.NewReader(nil))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	equal(t, "malformed", answer.StatusCode, http.StatusInternalServerError)
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()

	if message := failure(t, func(tb popauthtest.TB) {
		popauthtest.NewCA(tb).CRL(nil, func(l *x509.RevocationList) { l.Number = nil })
	}); message == "" {
		t.Error("a list that can't be signed: no failure")
	}
}
