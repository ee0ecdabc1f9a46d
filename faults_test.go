package popauth_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// The faults that a hand-written check of cnf tends to have, each as a request that such a check answers wrongly.

func TestFaultOptionsThatAreNotRead(t *testing.T) {
	l := newLab(t)
	var asked []string
	g := l.guard(func(o *popauth.Options) {
		o.Realm = "orders"
		o.Confirmers = []popauth.Confirmer{fakeScheme{fakeConfirmer{"pop", "PoP", nil, &asked}}}
	})
	got := send(g.Confirm, l.owner.Request("GET", "/", "")).challenges
	if want := `Bearer realm="orders"|PoP realm="orders", algs="ES256"`; strings.Join(got, "|") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFaultThumbprintComparedIgnoringCase(t *testing.T) {
	l := newLab(t)
	for _, change := range []func(string) string{strings.ToLower, strings.ToUpper} {
		token := l.unbound(cnf{"cnf": cnf{"x5t#S256": change(l.owner.Thumbprint())}})
		send(l.guard().Confirm, l.owner.Request("GET", "/", token)).refused(t, 401, invalidToken)
	}
}

func TestFaultAbsentBindingPassesWhereOneIsRequired(t *testing.T) {
	l := newLab(t)
	send(l.guard().Confirm, l.owner.Request("GET", "/", l.unbound())).refused(t, 401, invalidToken)
	if _, err := l.guard().Check(l.owner.Request("GET", "/", l.unbound()), popauth.Bound()); err == nil {
		t.Error("Check with Bound let an unbound token pass")
	}
}

func TestFaultOneMemberOfTwoChecked(t *testing.T) {
	l := newLab(t)
	for _, c := range []cnf{{"jkt": l.owner.Thumbprint()}, {"x5t#S256": l.owner.Thumbprint(), "jkt": "x"}} {
		send(l.guard().Authenticate, l.owner.Request("GET", "/", l.unbound(cnf{"cnf": c}))).refused(t, 401, invalidToken)
	}
}

func TestFaultMalformedBindingEndsIn500(t *testing.T) {
	l := newLab(t)
	for _, c := range []any{"", "{", []any{}, 5, cnf{"x5t#S256": []any{}}, cnf{"x5t#S256": cnf{}}} {
		send(l.guard().Authenticate, l.owner.Request("GET", "/", l.unbound(cnf{"cnf": c}))).refused(t, 401, invalidToken)
	}
}

func TestFaultMissingCertificateEndsIn500Or403(t *testing.T) {
	l := newLab(t)
	r := (*popauthtest.Client)(nil).Request("GET", "/", l.bound())
	send(l.guard().Confirm, r).refused(t, 401, invalidToken)
	r = (*popauthtest.Client)(nil).Request("GET", "/", l.bound())
	r.TLS = nil // plain HTTP
	send(l.guard().Confirm, r).refused(t, 401, invalidToken)
}

func TestFaultChallengeOfASchemeThatIsNotInUse(t *testing.T) {
	l := newLab(t)
	for _, c := range send(l.guard().Confirm, l.thief.Request("GET", "/", l.bound())).challenges {
		if !strings.HasPrefix(c, "Bearer ") {
			t.Errorf("got %q", c)
		}
	}
}

func TestFaultChallengeWithoutError(t *testing.T) {
	l := newLab(t)
	send(l.guard().Confirm, l.thief.Request("GET", "/", l.bound())).refused(t, 401, invalidToken)
}

// A certificate in a header counts only where a source for headers is configured.
func TestFaultHeaderOverridesOrErasesTheCertificate(t *testing.T) {
	l := newLab(t)
	owners := base64.StdEncoding.EncodeToString(l.owner.Certificate.Certificate[0])
	for _, name := range []string{"Client-Cert", "X-Client-Cert", "X-SSL-Client-Cert", "X-ARR-ClientCert", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert"} {
		for _, value := range []string{owners, ":" + owners + ":", "OOPS" + owners, ""} {
			r := l.thief.Request("GET", "/", l.bound())
			r.Header.Set(name, value)
			send(l.guard().Confirm, r).refused(t, 401, invalidToken)
			r = (*popauthtest.Client)(nil).Request("GET", "/", l.bound())
			r.Header.Set(name, value)
			send(l.guard().Confirm, r).refused(t, 401, invalidToken)
			r = l.owner.Request("GET", "/", l.bound())
			r.Header.Set(name, value)
			send(l.guard().Confirm, r).passed(t)
		}
	}
}

func TestFaultFirstOfTwoBindingsCounts(t *testing.T) {
	l := newLab(t)
	owners, thiefs := `{"x5t#S256":"`+l.owner.Thumbprint()+`"}`, `{"x5t#S256":"`+l.thief.Thumbprint()+`"}`
	for _, two := range []string{`"cnf":` + owners + `,"cnf":` + thiefs, `"cnf":` + thiefs + `,"cnf":` + owners} {
		for _, c := range []*popauthtest.Client{l.owner, l.thief} {
			send(l.guard().Authenticate, c.Request("GET", "/", rawPayload(l, two))).refused(t, 401, invalidToken)
		}
	}
}

// Another handler's idea of who the caller is, before or after, opens nothing.
func TestFaultConfirmedBeforeAuthenticated(t *testing.T) {
	l := newLab(t)
	g := l.guard()
	someone := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(popauth.NewContext(r.Context(), &popauth.Principal{Subject: "user"})))
		})
	}
	send(chain(g.Confirm, someone, g.Authenticate), l.thief.Request("GET", "/", l.bound())).refused(t, 401, invalidToken)
	send(chain(someone, g.Confirm, g.Authenticate), l.thief.Request("GET", "/", l.bound())).refused(t, 401, invalidToken)
}

// A token that is refused is refused everywhere: there is no mode in which a bad one counts as none.
func TestFaultBadTokenCountsAsAnonymous(t *testing.T) {
	l := newLab(t)
	for _, token := range []string{"x", l.bound(popauthtest.Claims{"exp": 1}), l.bound()} {
		send(l.guard().Authenticate, l.thief.Request("GET", "/", token)).refused(t, 401, invalidToken)
	}
}

// The same name in another certificate is another certificate.
func TestFaultNameStandsInForTheThumbprint(t *testing.T) {
	l := newLab(t)
	imposter := l.ca.Client("owner")
	token := l.bound(popauthtest.Claims{"client_id": "owner", "sub": "owner"})
	send(l.guard().Confirm, imposter.Request("GET", "/", token)).refused(t, 401, invalidToken)
	send(l.guard().Confirm, l.owner.Request("GET", "/", token)).passed(t)
}
