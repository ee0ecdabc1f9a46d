package revocation_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/revocation"
)

// authority is one run by openssl ca: a root, and below it an issuing authority, "int", which has a second certificate
// of its key that doesn't allow it to sign lists ("bare"), and one of a new key ("renewed").
type authority struct {
	t   *testing.T
	dir string
}

const authorityConfig = `
[ca]
default_ca = own
[own]
database = index.txt
serial = serial
crlnumber = number
new_certs_dir = .
default_md = sha256
default_days = 3
default_crl_days = 2
policy = any
certificate = int.pem
private_key = int.key
crl_extensions = list
[any]
commonName = supplied
[list]
authorityKeyIdentifier = keyid:always
[int]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[bare]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[client]
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
authorityInfoAccess = ${ENV::RESPONDER}
[responder]
keyUsage = critical,digitalSignature
extendedKeyUsage = OCSPSigning
`

// newKeyArguments are what openssl req makes a key by.
var newKeyArguments = map[string][]string{
	"P-256":   {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"},
	"Ed25519": {"-newkey", "ed25519"},
	"RSA":     {"-newkey", "rsa:2048"},
}

func newAuthority(t *testing.T, key string) *authority {
	t.Helper()
	counterpart.Need(t, "openssl")
	a := &authority{t: t, dir: t.TempDir()}
	for name, content := range map[string]string{"ca.cnf": authorityConfig, "index.txt": "", "serial": "1000", "number": "01"} {
		if err := os.WriteFile(a.path(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a.run("", append(strings.Fields("req -x509 -nodes -keyout root.key -out root.pem -days 3 -subj /CN=Root -addext "+
		"keyUsage=critical,keyCertSign,cRLSign"), newKeyArguments[key]...)...)
	a.request("int", "Issuing", key)
	a.request("renewed", "Issuing", key)
	a.certify("int", "int", "int", "77")
	a.certify("int", "bare", "bare", "78")
	a.certify("renewed", "renewed", "int", "79")
	return a
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) run(responder string, args ...string) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "openssl", args...)
	cmd.Dir, cmd.Env = a.dir, counterpart.Environment(a.dir, "RESPONDER="+responder)
	if out, err := cmd.CombinedOutput(); err != nil {
		a.t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (a *authority) request(name, subject, key string) {
	a.t.Helper()
	a.run("", append(strings.Fields("req -nodes -keyout "+name+".key -out "+name+".csr -subj /CN="+subject), newKeyArguments[key]...)...)
}

// certify has the root certify a request.
func (a *authority) certify(request, name, section, serial string) {
	a.t.Helper()
	a.run("OCSP;URI:http://127.0.0.1:1/", strings.Fields("x509 -req -in "+request+
		".csr -CA root.pem -CAkey root.key -days 3 -extfile ca.cnf -set_serial "+
		serial+" -extensions "+section+" -out "+name+".pem")...)
}

// issue has the issuing authority certify a new key.
func (a *authority) issue(name, section, key, responder string) {
	a.t.Helper()
	a.request(name, name, key)
	a.run("OCSP;URI:"+responder, strings.Fields("ca -batch -notext -config ca.cnf -extensions "+section+" -in "+name+".csr -out "+name+
		".pem")...)
}

func (a *authority) revoke(name, reason string) {
	a.t.Helper()
	a.run("OCSP;URI:http://127.0.0.1:1/", strings.Fields("ca -config ca.cnf -revoke "+name+".pem -crl_reason "+reason)...)
}

// list is what openssl ca signs with the key and certificate of this name.
func (a *authority) list(by string) string {
	a.t.Helper()
	out := a.path("by-" + by + ".crl")
	a.run("OCSP;URI:http://127.0.0.1:1/", strings.Fields("ca -config ca.cnf -gencrl -keyfile "+by+".key -cert "+by+".pem -out "+out)...)
	return out
}

func (a *authority) certificate(name string) *x509.Certificate {
	a.t.Helper()
	data, err := os.ReadFile(a.path(name + ".pem"))
	if err != nil {
		a.t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// responder answers by one openssl ocsp for each request: one that listens itself never answers again once somebody has
// connected and sent nothing.
func (a *authority) responder(args *string) string {
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = os.WriteFile(a.path("question"), body, 0o600)
		}
		ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, "openssl",
			append(strings.Fields("ocsp -index index.txt -CA int.pem -reqin question -respout answer"), strings.Fields(*args)...)...)
		cmd.Dir = a.dir
		out, runErr := cmd.CombinedOutput()
		answer, readErr := os.ReadFile(a.path("answer"))
		if err != nil || runErr != nil || readErr != nil {
			a.t.Errorf("openssl ocsp %s: %v, %v, %v\n%s", *args, err, runErr, readErr, out)
		}
		_, _ = w.Write(answer)
	}))
	a.t.Cleanup(s.Close)
	return s.URL
}

// verdict is what a request is answered with that brings this certificate and these of its authority.
func (a *authority) verdict(o revocation.Options, leaf string, sent ...string) string {
	a.t.Helper()
	c := &popauth.Certificate{Leaf: a.certificate(leaf), Source: popauth.SourceTLS}
	for _, name := range sent {
		c.Intermediates = append(c.Intermediates, a.certificate(name))
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate("root"))
	source, err := clientcert.Verified(brought{c},
		clientcert.Verification{Roots: pool, Revoked: func(ctx context.Context, chain []*x509.Certificate) (bool, error) {
			// The root has no responder and no list: it is asked about what is below the issuing authority.
			return checker(a.t, o).Revoked(ctx, chain[:2])
		}})
	if err != nil {
		a.t.Fatal(err)
	}
	return word(answered(source))
}

func word(code int) string {
	return map[int]string{200: "good", 403: "revoked", 503: "unknown"}[code]
}

func answered(source popauth.CertificateSource) int {
	w := httptest.NewRecorder()
	ran := false
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true })
	clientcert.Require(source)(handler).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if ran != (w.Code == 200) {
		return -1
	}
	return w.Code
}

type brought struct{ certificate *popauth.Certificate }

func (b brought) Certificate(*http.Request) (*popauth.Certificate, error) {
	own := *b.certificate
	return &own, nil
}

func (brought) Headers() ([]string, error) { return nil, nil }
