package revocation_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/revocation"
)

// sentAlong is an answer that says good, with such certificates, and with a signature of an algorithm's.
type sentAlong struct {
	Data         asn1.RawValue
	Algorithm    pkix.AlgorithmIdentifier
	Signature    asn1.BitString
	Certificates []asn1.RawValue `asn1:"explicit,tag:0,optional"`
}

var rsaSHA256 = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue}

func answerWith(tb testing.TB, issuer *popauthtest.CA, cert *x509.Certificate, edit func(*sentAlong)) []byte {
	tb.Helper()
	now := time.Now()
	der, err := ocsp.CreateResponse(issuer.Certificate, issuer.Certificate,
		ocsp.Response{SerialNumber: cert.SerialNumber, IssuerHash: certIDHash(), ThisUpdate: now, NextUpdate: now.Add(time.Hour)},
		issuer.Key)
	if err != nil {
		tb.Fatal(err)
	}
	var e struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type     asn1.ObjectIdentifier
			Response []byte
		} `asn1:"explicit,tag:0"`
	}
	var r sentAlong
	if _, err := asn1.Unmarshal(der, &e); err != nil {
		tb.Fatal(err)
	}
	if _, err := asn1.Unmarshal(e.Bytes.Response, &r); err != nil {
		tb.Fatal(err)
	}
	edit(&r)
	if e.Bytes.Response, err = asn1.Marshal(r); err != nil {
		tb.Fatal(err)
	}
	if der, err = asn1.Marshal(e); err != nil {
		tb.Fatal(err)
	}
	return der
}

func hugeKey(tb testing.TB, bits int) *rsa.PublicKey {
	tb.Helper()
	n := make([]byte, bits/8)
	_, _ = rand.Read(n)
	n[0] |= 0x80
	n[len(n)-1] |= 1
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 1<<31 - 1}
}

// withKey is a responder's certificate of any key, by any authority.
func withKey(tb testing.TB, by *popauthtest.CA, key *rsa.PublicKey) asn1.RawValue {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(5), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
	}, by.Certificate, key, by.Key)
	if err != nil {
		tb.Fatal(err)
	}
	return asn1.RawValue{FullBytes: der}
}

// What anybody can send along costs next to nothing: keys of any size, any number of certificates, and large ones.
func TestUnsignedAnswersCostLittle(t *testing.T) {
	root, stranger := popauthtest.NewCA(t), popauthtest.NewCA(t)
	cert := certificate(t, root.Client("c"))
	huge, large := hugeKey(t, 192<<10), hugeKey(t, 8192)
	byRSA := func(key *rsa.PublicKey, sent ...asn1.RawValue) func(*sentAlong) {
		return func(r *sentAlong) {
			size := key.N.BitLen() / 8
			r.Algorithm = rsaSHA256
			r.Signature = asn1.BitString{Bytes: make([]byte, size), BitLength: 8 * size}
			r.Signature.Bytes[size-1] = 2
			r.Certificates = sent
		}
	}
	padded := func(r *sentAlong) {
		byRSA(large, asn1.RawValue{FullBytes: append([]byte{0x30, 0x82, 0x60, 0}, make([]byte, 0x6000)...)})(r)
	}
	for _, tt := range []struct {
		name, want string
		edit       func(*sentAlong)
	}{
		{"a huge key", "bytes, at most", byRSA(huge, withKey(t, stranger, huge))},
		{"a key above the bound", "16384 bits", byRSA(hugeKey(t, 16384), withKey(t, root, hugeKey(t, 16384)))},
		{"four strangers' large keys", "has not signed", byRSA(large, slices.Repeat([]asn1.RawValue{withKey(t, stranger, large)}, 4)...)},
		{"thousands of certificates", "can't be read",
			byRSA(large, slices.Repeat([]asn1.RawValue{{FullBytes: []byte{0x30, 0}}}, 20_000)...)},
		{"a certificate of 24 KiB", "bytes, at most", padded},
	} {
		body := answerWith(t, root, cert, tt.edit)
		// The fastest of three: others use the machine, too.
		fastest, grown := time.Hour, 0
		for range 3 {
			start := time.Now()
			_, err := revocation.ReadAnswer(body, revoked(cert, root.Certificate), start)
			fastest = min(fastest, time.Since(start))
			if !contains(err, tt.want) {
				t.Fatalf("%s: got %v, want %q", tt.name, err, tt.want)
			}
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = revocation.ReadAnswer(body, revoked(cert, root.Certificate), time.Now())
		runtime.ReadMemStats(&after)
		grown = int(after.TotalAlloc - before.TotalAlloc)
		if fastest > 10*time.Millisecond || grown > 512<<10 {
			t.Errorf("%s, %d bytes: took %v and %d KiB", tt.name, len(body), fastest, grown>>10)
		}
	}
	// An issuer or signer whose own key is above the bound says nothing either.
	big := *root.Certificate
	big.PublicKey = hugeKey(t, 16384)
	fine := answerWith(t, root, cert, func(*sentAlong) {})
	if _, err := revocation.ReadAnswer(fine, revoked(cert, &big), time.Now()); !contains(err, "16384 bits") {
		t.Errorf("an issuer's key of 16384 bits: got %v", err)
	}
	c := checker(t, revocation.Options{Files: []string{listFile(t, root.CRL(nil))}})
	if _, err := c.Revoked(t.Context(), revoked(cert, &big)); !contains(err, "16384 bits") {
		t.Errorf("a list by a key of 16384 bits: got %v", err)
	}
}

// A responder that the issuer has certified counts, whatever is sent along before it.
func TestResponderAmongOthers(t *testing.T) {
	root, stranger := popauthtest.NewCA(t), popauthtest.NewCA(t)
	cert := certificate(t, root.Client("c"))
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	own := withKey(t, root, &key.PublicKey)
	responder, err := x509.ParseCertificate(own.FullBytes)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	der, err := ocsp.CreateResponse(root.Certificate, responder, ocsp.Response{
		SerialNumber: cert.SerialNumber, IssuerHash: certIDHash(), ThisUpdate: now, NextUpdate: now.Add(time.Hour)}, key)
	if err != nil {
		t.Fatal(err)
	}
	read, err := ocsp.ParseResponse(der, nil)
	if err != nil {
		t.Fatal(err)
	}
	body := answerWith(t, root, cert, func(r *sentAlong) {
		r.Data = asn1.RawValue{FullBytes: read.TBSResponseData}
		r.Algorithm = rsaSHA256
		r.Signature = asn1.BitString{Bytes: read.Signature, BitLength: 8 * len(read.Signature)}
		r.Certificates = []asn1.RawValue{withKey(t, stranger, &key.PublicKey), withKey(t, root, &old.PublicKey), own}
	})
	if revoked, err := revocation.ReadAnswer(body, revoked(cert, root.Certificate), now); revoked || err != nil {
		t.Errorf("got %t, %v, want good", revoked, err)
	}
}

// What the responder's certificate is like takes no memory that isn't counted.
func TestAnswersAreCounted(t *testing.T) {
	root := popauthtest.NewCA(t)
	registry := root.Registry()
	inner := make([]byte, 0, 12_000)
	for range 6000 {
		inner = append(inner, 0x86, 0)
	}
	value := wrapped(t, 0, 16, wrapped(t, 0, 16, wrapped(t, 2, 0, wrapped(t, 2, 0, inner))))
	registry.Responder = root.Client("responder", func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
		c.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 31}, Value: value}} // thousands of distribution points
	})
	c := checker(t, revocation.Options{OCSP: true, MaxMemory: 4 << 20, Client: registry.Server.Client()})
	cert := *certificate(t, root.Client("c", registry.OCSP))
	ask := func(n int) {
		cert.SerialNumber = big.NewInt(int64(n + 1))
		if got := verdict(t, c, &cert, root.Certificate); got != "good" {
			t.Fatalf("got %s, want good", got)
		}
	}
	ask(0)
	before := heap()
	first, _, _ := c.Remembered()
	for n := range 600 {
		ask(n + 1)
	}
	registry.Server.Client().CloseIdleConnections()
	held := heap() - before
	counted, _, answers := c.Remembered()
	if counted -= first; answers != 601 || held > 2*counted || counted > 3*held {
		t.Errorf("%d answers: counted %d bytes, want about the %d that are held", answers, counted, held)
	}
	runtime.KeepAlive(c)
}

// A cache on the way is asked for what is newest: an old list is signed as well as a new one.
func TestCachesAreAskedForTheNewest(t *testing.T) {
	root := popauthtest.NewCA(t)
	registry := root.Registry()
	asked := 0
	registry.Serve = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			if got := r.Header.Get("Cache-Control"); got != "no-cache" {
				t.Errorf("%s: got Cache-Control %q, want no-cache", r.Method, got)
			}
			next.ServeHTTP(w, r)
		})
	}
	is(t, "OCSP", try(t, checker(t, revocation.Options{OCSP: true}), root, root.Client("a", registry.OCSP)), http.StatusOK)
	is(t, "a list", try(t, checker(t, revocation.Options{DistributionPoints: true}), root, root.Client("b", registry.CRL)), http.StatusOK)
	is(t, "requests", asked, 2)
}
