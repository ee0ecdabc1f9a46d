package forwardauth_test

import (
	"regexp"
	"testing"

	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/proxy"
)

// A name that YAML takes for a boolean, a number or null is in quotes wherever it stands as a word.
func TestSiteYAMLNames(t *testing.T) {
	bare := regexp.MustCompile(`(?im)(?:^\s*|[:{,\[]\s*)(?:null|no|1e3|on|yes)(?:\s*[:,}\]]|$)`)
	notes := regexp.MustCompile(`(?m)^ *#.*$|^ *nginx\.ingress\S*/auth-response-headers: .*$`) // that is a list within a word
	if !bare.MatchString("  No: \"\"") || !bare.MatchString("{ exact: null }") || !bare.MatchString("secretName: 1e3") {
		t.Fatal("the pattern finds nothing")
	}
	for _, wr := range writers {
		if wr.name == "nginx" || wr.name == "caddy" {
			continue
		}
		s := wr.site(t, func(o *forwardauth.Options) {
			o.Claims = map[string]string{"Null": "a", "No": "b", "1e3": "c", "On": "d"}
			trust := []proxy.Trust{proxyPeer[0], proxy.TrustSecret("Yes", secret)}
			o.Proxy, o.Guard.Certificate = trusted(trust...), byProxy(wr.format, trust...)
		})
		text, err := wr.write(s)
		if wr.name == "ingress-nginx" {
			text, err = s.IngressNginx(forwardauth.Ingress{
				Namespace: "null", Name: "no", Host: "on", Certificate: "1e3", Clients: "yes", API: "on", Port: 80,
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		text = notes.ReplaceAllString(text, "")
		for _, found := range bare.FindAllString(text, -1) {
			t.Errorf("%s: %q", wr.name, found)
		}
	}
}
