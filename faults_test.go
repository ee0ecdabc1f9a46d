package popauth_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// The faults that a hand-written check of cnf tends to have, each as a request that such a check answers wrongly.

func TestFaultOptionsThatAreNotRead(t *testing.T) {
	l := lab.New(t)
	var asked []string
	g := l.Guard(func(o *popauth.Options) {
		o.Realm = "orders"
		o.Confirmers = []popauth.Confirmer{fakeScheme{fakeConfirmer{"pop", "PoP", nil, &asked}}}
	})
	got := lab.Send(g.Confirm, l.Owner.Request("GET", "/", "")).Challenges
	if want := `Bearer realm="orders"|PoP realm="orders", algs="ES256"`; strings.Join(got, "|") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFaultThumbprintComparedIgnoringCase(t *testing.T) {
	l := lab.New(t)
	for _, change := range []func(string) string{strings.ToLower, strings.ToUpper} {
		token := l.Unbound(lab.Claims{"cnf": lab.Claims{"x5t#S256": change(l.Owner.Thumbprint())}})
		lab.Send(l.Guard().Confirm, l.Owner.Request("GET", "/", token)).Refused(t, 401, lab.InvalidToken)
	}
}

func TestFaultAbsentBindingPassesWhereOneIsRequired(t *testing.T) {
	l := lab.New(t)
	lab.Send(l.Guard().Confirm, l.Owner.Request("GET", "/", l.Unbound())).Refused(t, 401, lab.InvalidToken)
	if _, err := l.Guard().Check(l.Owner.Request("GET", "/", l.Unbound()), popauth.Bound()); err == nil {
		t.Error("Check with Bound let an unbound token pass")
	}
}

func TestFaultOneMemberOfTwoChecked(t *testing.T) {
	l := lab.New(t)
	for _, c := range []lab.Claims{{"jkt": l.Owner.Thumbprint()}, {"x5t#S256": l.Owner.Thumbprint(), "jkt": "x"}} {
		lab.Send(l.Guard().Authenticate, l.Owner.Request("GET", "/", l.Unbound(lab.Claims{"cnf": c}))).Refused(t, 401, lab.InvalidToken)
	}
}

func TestFaultMalformedBindingEndsIn500(t *testing.T) {
	l := lab.New(t)
	for _, c := range []any{"", "{", []any{}, 5, lab.Claims{"x5t#S256": []any{}}, lab.Claims{"x5t#S256": lab.Claims{}}} {
		lab.Send(l.Guard().Authenticate, l.Owner.Request("GET", "/", l.Unbound(lab.Claims{"cnf": c}))).Refused(t, 401, lab.InvalidToken)
	}
}

func TestFaultMissingCertificateEndsIn500Or403(t *testing.T) {
	l := lab.New(t)
	r := (*popauthtest.Client)(nil).Request("GET", "/", l.Bound())
	lab.Send(l.Guard().Confirm, r).Refused(t, 401, lab.InvalidToken)
	r = (*popauthtest.Client)(nil).Request("GET", "/", l.Bound())
	r.TLS = nil // plain HTTP
	lab.Send(l.Guard().Confirm, r).Refused(t, 401, lab.InvalidToken)
}

func TestFaultChallengeOfASchemeThatIsNotInUse(t *testing.T) {
	l := lab.New(t)
	for _, c := range lab.Send(l.Guard().Confirm, l.Thief.Request("GET", "/", l.Bound())).Challenges {
		if !strings.HasPrefix(c, "Bearer ") {
			t.Errorf("got %q", c)
		}
	}
}

func TestFaultChallengeWithoutError(t *testing.T) {
	l := lab.New(t)
	lab.Send(l.Guard().Confirm, l.Thief.Request("GET", "/", l.Bound())).Refused(t, 401, lab.InvalidToken)
}

// A certificate in a header counts only where a source for headers is configured.
func TestFaultHeaderOverridesOrErasesTheCertificate(t *testing.T) {
	l := lab.New(t)
	owners := base64.StdEncoding.EncodeToString(l.Owner.Certificate.Certificate[0])
	for _, name := range []string{"Client-Cert", "X-Client-Cert", "X-SSL-Client-Cert", "X-ARR-ClientCert", "X-Forwarded-Client-Cert",
		"X-Forwarded-Tls-Client-Cert"} {
		for _, value := range []string{owners, ":" + owners + ":", "OOPS" + owners, ""} {
			r := l.Thief.Request("GET", "/", l.Bound())
			r.Header.Set(name, value)
			lab.Send(l.Guard().Confirm, r).Refused(t, 401, lab.InvalidToken)
			r = (*popauthtest.Client)(nil).Request("GET", "/", l.Bound())
			r.Header.Set(name, value)
			lab.Send(l.Guard().Confirm, r).Refused(t, 401, lab.InvalidToken)
			r = l.Owner.Request("GET", "/", l.Bound())
			r.Header.Set(name, value)
			lab.Send(l.Guard().Confirm, r).Passed(t)
		}
	}
}

func TestFaultFirstOfTwoBindingsCounts(t *testing.T) {
	l := lab.New(t)
	owners, thiefs := `{"x5t#S256":"`+l.Owner.Thumbprint()+`"}`, `{"x5t#S256":"`+l.Thief.Thumbprint()+`"}`
	for _, two := range []string{`"cnf":` + owners + `,"cnf":` + thiefs, `"cnf":` + thiefs + `,"cnf":` + owners} {
		for _, c := range []*popauthtest.Client{l.Owner, l.Thief} {
			lab.Send(l.Guard().Authenticate, c.Request("GET", "/", lab.RawPayload(l, two))).Refused(t, 401, lab.InvalidToken)
		}
	}
}

// Another handler's idea of who the caller is, before or after, opens nothing.
func TestFaultConfirmedBeforeAuthenticated(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	someone := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(popauth.NewContext(r.Context(), &popauth.Principal{Subject: "user"})))
		})
	}
	lab.Send(lab.Chain(g.Confirm, someone, g.Authenticate), l.Thief.Request("GET", "/", l.Bound())).Refused(t, 401, lab.InvalidToken)
	lab.Send(lab.Chain(someone, g.Confirm, g.Authenticate), l.Thief.Request("GET", "/", l.Bound())).Refused(t, 401, lab.InvalidToken)
}

// A token that is refused is refused everywhere: there is no mode in which a bad one counts as none.
func TestFaultBadTokenCountsAsAnonymous(t *testing.T) {
	l := lab.New(t)
	for _, token := range []string{"x", l.Bound(popauthtest.Claims{"exp": 1}), l.Bound()} {
		lab.Send(l.Guard().Authenticate, l.Thief.Request("GET", "/", token)).Refused(t, 401, lab.InvalidToken)
	}
}

// The same name in another certificate is another certificate.
func TestFaultNameStandsInForTheThumbprint(t *testing.T) {
	l := lab.New(t)
	imposter := l.CA.Client("owner")
	token := l.Bound(popauthtest.Claims{"client_id": "owner", "sub": "owner"})
	lab.Send(l.Guard().Confirm, imposter.Request("GET", "/", token)).Refused(t, 401, lab.InvalidToken)
	lab.Send(l.Guard().Confirm, l.Owner.Request("GET", "/", token)).Passed(t)
}
