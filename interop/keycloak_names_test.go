//go:build unix

package interop_test

import (
	"crypto/x509"
	"net/http"
	"net/url"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// keycloakName is how Keycloak recognizes a client's certificate by its subject.
type keycloakName struct {
	id      string
	subject string // x509.subjectdn
	issuer  string // x509.casubjectdn; "" to leave it out
	regex   string // x509.allow.regex.pattern.comparison; "" to leave it out

	passes, refused []string // among namedCertificates
}

// namedCertificates are all of the one authority that Keycloak trusts.
var namedCertificates = map[string]func(*x509.Certificate){
	"owner": ofOrders,
	"thief": func(c *x509.Certificate) { c.Subject.CommonName, c.Subject.Organization = "thief", []string{"Thieves"} },
	"longer name": func(c *x509.Certificate) {
		c.Subject.CommonName, c.Subject.Organization = "by-dn2", []string{"Orders"}
	},
	"further attribute": func(c *x509.Certificate) {
		c.Subject.Organization, c.Subject.OrganizationalUnit = []string{"Orders"}, []string{"Thieves"}
	},
	"the name as text": func(c *x509.Certificate) {
		c.Subject.CommonName, c.Subject.Organization = "thief", []string{"CN=by-dn,O=Orders"}
	},
	"comma": func(c *x509.Certificate) { c.Subject.Organization = []string{"Orders, Inc."} },
}

var keycloakNames = []keycloakName{
	{
		id: "name-exact", subject: "CN=by-dn,O=Orders", regex: "false",
		passes: []string{"owner"}, refused: []string{"thief", "longer name", "further attribute", "the name as text", "comma"},
	},
	{
		id: "name-issuer", subject: "CN=by-dn,O=Orders", issuer: "CN=popauthtest CA", regex: "false",
		passes: []string{"owner"}, refused: []string{"thief"},
	},
	{
		id: "name-other-issuer", subject: "CN=by-dn,O=Orders", issuer: "CN=Another CA", regex: "false",
		refused: []string{"owner", "thief"},
	},
	{
		id: "name-unsaid", subject: "CN=by-dn,O=Orders", // a pattern, of a name as Java prints it, with a space
		refused: []string{"owner", "thief", "longer name", "further attribute", "the name as text", "comma"},
	},
	{
		id: "name-pattern", subject: "CN=by-dn, O=Orders", regex: "true", // it has to match the whole name
		passes: []string{"owner"}, refused: []string{"thief", "longer name", "further attribute", "the name as text", "comma"},
	},
	{
		id: "name-part", subject: "CN=by-dn", regex: "true",
		refused: []string{"owner", "thief", "longer name", "further attribute", "the name as text", "comma"},
	},
	{
		id: "name-open", subject: "(.*?)CN=by-dn(.*?)", regex: "true", // VULNERABLE, as docs/issuers.md says
		passes: []string{"owner", "longer name", "further attribute", "the name as text", "comma"}, refused: []string{"thief"},
	},
	{
		id: "name-any", subject: "(.*?)(?:$)", regex: "true", // as Keycloak's own help has it; VULNERABLE
		passes: []string{"owner", "thief", "longer name", "further attribute", "the name as text", "comma"},
	},
	{
		id: "name-comma", subject: `CN=by-dn,O=Orders\, Inc.`, regex: "false",
		passes: []string{"comma"}, refused: []string{"owner", "thief"},
	},
	{
		id: "name-comma-pattern", subject: `CN=by-dn, O="Orders, Inc\."`, regex: "true",
		passes: []string{"comma"}, refused: []string{"owner", "thief"},
	},
}

// Among owners of certificates that Keycloak trusts, whoever fits the client's name or pattern gets its tokens, bound to the
// certificate that came. So where a pattern fits a thief's certificate, no API can tell the thief from the client.
func testKeycloakNames(t *testing.T, k *keycloak) {
	certificates := map[string]*popauthtest.Client{}
	for name, configure := range namedCertificates {
		certificates[name] = k.ca.Client("by-dn", configure)
	}
	for _, test := range keycloakNames {
		client := keycloakClient{id: test.id, bound: "x5t#S256", attributes: map[string]string{"x509.subjectdn": test.subject}}
		if test.regex != "" {
			client.attributes["x509.allow.regex.pattern.comparison"] = test.regex
		}
		if test.issuer != "" {
			client.attributes["x509.casubjectdn"] = test.issuer
		}
		registration := client.registration()
		registration["clientAuthenticatorType"] = byCertificate
		k.admin(http.MethodPost, "/clients", registration)
		api := k.api(popauth.Options{Issuer: k.issuer, Audience: []string{structured}, Keys: k.keys(), ClientClaim: "azp"},
			popauth.Client(test.id))
		for name, want := range test.outcomes() {
			a := k.send(k.transport(certificates[name]), k.request(http.MethodPost, k.endpoint(shop, "token"), url.Values{
				"grant_type": {"client_credentials"}, "client_id": {test.id},
			}))
			if token, got := a.members["access_token"].(string); got != want {
				t.Errorf("%s, %s: got %d %s, want a token: %t", test.id, name, a.status, a.text, want)
			} else if want {
				api.want(t, certificates[name], token, test.id+", "+name, "")
			} else if a.members["error"] != "invalid_client" {
				t.Errorf("%s, %s: got %d %s, want invalid_client", test.id, name, a.status, a.text)
			}
		}
	}
}

// outcomes says of each certificate whether its owner gets a token.
func (n keycloakName) outcomes() map[string]bool {
	all := map[string]bool{}
	for _, name := range n.passes {
		all[name] = true
	}
	for _, name := range n.refused {
		all[name] = false
	}
	return all
}
