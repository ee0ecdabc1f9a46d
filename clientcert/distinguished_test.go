package clientcert_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A name is pasted from what a tool shows, and the log's from a refusal: it names the certificate in the form that is asked for.
func TestNamesAreToldAndRead(t *testing.T) {
	ca := popauthtest.NewCA(t)
	client := ca.Client("batch", func(c *x509.Certificate) {
		c.Subject.Organization, c.Subject.Country = []string{"Example, Inc."}, []string{"DE"}
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: "PSDDE-1\n"}}
	})
	r := client.Request("GET", "/", "")
	r.TLS.VerifiedChains = [][]*x509.Certificate{{client.Certificate.Leaf, ca.Certificate}}
	_, err := clientcert.Check(r, nil, clientcert.Subject("CN=other"))
	const name = `organizationIdentifier=PSDDE-1\0a,CN=batch,O=Example\, Inc.,C=DE`
	if err == nil || !strings.Contains(err.Error(), "another subject: "+name) {
		t.Errorf("got %v, want an error that has %s", err, name)
	}
	if _, err := clientcert.Check(r, nil, clientcert.Issuer("CN=other")); err == nil ||
		!strings.Contains(err.Error(), "another issuer: CN=") {
		t.Errorf("got %v, want an error with the issuer", err)
	}
	reversed := `C=DE,O=Example\, Inc.,CN=batch,organizationIdentifier=PSDDE-1\0a`
	if _, err := clientcert.Check(r, nil, clientcert.Subject(reversed)); err == nil || !strings.Contains(err.Error(), "opposite order") {
		t.Errorf("got %v, want an error about the order", err)
	}
	for _, written := range []string{name, `OID.2.5.4.97="PSDDE-1` + "\n" + `", CN=batch, O="Example, Inc.", C=DE`} {
		m, err := clientcert.ParseSubject("CN=other", written)
		if err != nil {
			t.Errorf("%q: %v", written, err)
		} else if _, err := clientcert.Check(r, nil, m); err != nil {
			t.Errorf("%q: %v", written, err)
		}
	}
}

// What can't be read is an error with the name, never a Match that lets anything pass.
func TestParseNames(t *testing.T) {
	for _, names := range [][]string{nil, {""}, {"CN=a", ""}, {"CN=a", "/C=DE/CN=a"}, {"C = DE, CN = a"}, {"batch"}, {"subject=CN=a"}} {
		for function, parse := range map[string]func(...string) (clientcert.Match, error){
			"Subject": clientcert.ParseSubject, "Issuer": clientcert.ParseIssuer,
		} {
			m, err := parse(names...)
			if err == nil || !strings.HasPrefix(err.Error(), "clientcert: "+function+": ") {
				t.Errorf("%s(%q): got %v, want an error of it", function, names, err)
			}
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s(%q): got a Match beside an error", function, names)
					}
				}()
				clientcert.Require(popauth.TLSCertificate(), m)
			}()
		}
	}
}

// No text makes ParseSubject panic, and what it reads fits no certificate without that name.
func FuzzSubject(f *testing.F) {
	for _, s := range []string{
		"CN=batch,O=Example", `O="Example, Inc." + OID.2.5.4.97=x`, "/C=DE/CN=a", "C = DE, CN = a", "subject=CN=a", `CN="a ""b"""`,
		"CN=#130161",
	} {
		f.Add(s)
	}
	ca := popauthtest.NewCA(f)
	client := ca.Client("a name that no text has")
	r := client.Request("GET", "/", "")
	r.TLS.VerifiedChains = [][]*x509.Certificate{{client.Certificate.Leaf, ca.Certificate}}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := clientcert.ParseSubject(s)
		if err != nil || strings.Contains(s, "a name that no") {
			return
		}
		if _, err := clientcert.Check(r, nil, m); err == nil {
			t.Errorf("VULNERABLE: %q fits %v", s, client.Certificate.Leaf.Subject)
		}
	})
}
