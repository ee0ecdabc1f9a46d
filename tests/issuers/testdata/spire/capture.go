// Command capture writes what a spire-server of this module's version writes: its own code, from the certificate authority to the
// bundle's document, with its defaults and without the server around it.
package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/spire/pkg/common/bundleutil"
	"github.com/spiffe/spire/pkg/common/health"
	"github.com/spiffe/spire/pkg/common/telemetry"
	"github.com/spiffe/spire/pkg/common/x509util"
	"github.com/spiffe/spire/pkg/server/ca"
	"github.com/spiffe/spire/pkg/server/credtemplate"
	"github.com/spiffe/spire/pkg/server/credvalidator"
)

const audience = "https://api.example.com"

type unchecked struct{}

func (unchecked) AddCheck(string, health.Checkable) error { return nil }

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) } // ec-p256, the default

func write(dir, name string, text []byte) {
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
		log.Fatal(err)
	}
}

func pems(certificates []*x509.Certificate) (text []byte) {
	for _, c := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}

// domain is a trust domain with its authority and its key for JWT-SVIDs.
type domain struct {
	name      spiffeid.TrustDomain
	authority *ca.X509CA
	key       *ca.JWTKey
}

func newDomain(name string) *domain {
	d := &domain{name: spiffeid.RequireTrustDomainFromString(name)}
	signer := newKey()
	params := credtemplate.SelfSignedX509CAParams{PublicKey: signer.Public()}
	template := must(d.builder("").BuildSelfSignedX509CATemplate(context.Background(), params))
	d.authority = &ca.X509CA{Signer: signer, Certificate: must(x509util.CreateCertificate(template, template, signer.Public(), signer))}
	d.key = &ca.JWTKey{Signer: newKey(), Kid: (rand.Text() + rand.Text())[:32], NotAfter: d.authority.Certificate.NotAfter}
	return d
}

func (d *domain) builder(issuer string) *credtemplate.Builder {
	return must(credtemplate.NewBuilder(credtemplate.Config{TrustDomain: d.name, JWTIssuer: issuer}))
}

// server is the signing part of a server whose jwt_issuer is this one.
func (d *domain) server(issuer string) *ca.CA {
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	s := ca.NewCA(ca.Config{
		Log: quiet, Metrics: telemetry.Blackhole{}, TrustDomain: d.name, CredBuilder: d.builder(issuer), HealthChecker: unchecked{},
		CredValidator: must(credvalidator.New(credvalidator.Config{TrustDomain: d.name})),
	})
	s.SetX509CA(d.authority)
	s.SetJWTKey(d.key)
	return s
}

func (d *domain) jwt(issuer, path, aud string) []byte {
	return []byte(must(d.server(issuer).SignWorkloadJWTSVID(context.Background(), ca.WorkloadJWTSVIDParams{
		SPIFFEID: must(spiffeid.FromPath(d.name, path)), Audience: []string{aud},
	})) + "\n")
}

func (d *domain) write(dir string, paths ...string) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		log.Fatal(err)
	}
	for _, path := range paths {
		key := newKey()
		chain := must(d.server("").SignWorkloadX509SVID(context.Background(), ca.WorkloadX509SVIDParams{
			SPIFFEID: must(spiffeid.FromPath(d.name, path)), PublicKey: key.Public(),
		}))
		private := must(x509.MarshalPKCS8PrivateKey(crypto.PrivateKey(key)))
		write(dir, path[1:]+".pem", append(pems(chain), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...))
		write(dir, path[1:]+".jwt", d.jwt("", path, audience))
	}
	bundle := spiffebundle.New(d.name)
	bundle.AddX509Authority(d.authority.Certificate)
	if err := bundle.AddJWTAuthority(d.key.Kid, d.key.Signer.Public()); err != nil {
		log.Fatal(err)
	}
	write(dir, "bundle.pem", pems(bundle.X509Authorities()))
	// As by spire-server bundle show -format spiffe, and as the discovery provider serves it.
	write(dir, "bundle.json", must(bundleutil.Marshal(bundle)))
	write(dir, "jwks.json", must(bundleutil.Marshal(bundle, bundleutil.NoX509SVIDKeys(), bundleutil.StandardJWKS())))
}

func main() {
	dir := os.Args[1]
	org := newDomain("example.org")
	org.write(filepath.Join(dir, "example.org"), "/batch", "/other")
	write(filepath.Join(dir, "example.org"), "issuer.jwt", org.jwt("https://oidc.example.org", "/batch", audience))
	write(filepath.Join(dir, "example.org"), "elsewhere.jwt", org.jwt("", "/batch", "https://elsewhere.example.com"))
	newDomain("example.net").write(filepath.Join(dir, "example.net"), "/batch")
	write(dir, "time", []byte(time.Now().UTC().Format(time.RFC3339)+"\n"))
}
