package refusals_test

import (
	"net/http"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A token's typ is a media type: it compares in any case, and application/ may be left out (RFC 7515, section 4.1.9).
func TestTokenTypeIsAMediaType(t *testing.T) {
	l := lab.New(t)
	for _, tt := range []struct {
		allowed []string
		typ     any
		want    bool
	}{
		{[]string{"at+jwt"}, "at+jwt", true},
		{[]string{"at+jwt"}, "AT+JWT", true},
		{[]string{"at+jwt"}, "application/at+jwt", true},
		{[]string{"application/at+jwt"}, "at+jwt", true},
		{[]string{"application/at+jwt"}, "Application/AT+jwt", true},
		{[]string{"at+jwt"}, "text/at+jwt", false},
		{[]string{"at+jwt"}, "application/x/at+jwt", false},
		{[]string{"at+jwt"}, "application/application/at+jwt", false},
		{[]string{"at+jwt"}, "JWT", false},
		{[]string{"at+jwt"}, popauthtest.Omit, false},
		{[]string{""}, popauthtest.Omit, true},
		{[]string{""}, "application/", false},
	} {
		g := l.Guard(func(o *popauth.Options) { o.TokenTypes = tt.allowed })
		got := lab.Send(g.Confirm, l.Owner.Request(http.MethodGet, "/",
			l.Issuer.TokenWith(popauthtest.Claims{"typ": tt.typ}, l.Owner.Bound())))
		if got.Ran != tt.want {
			t.Errorf("%v, allowed %q: got ran %t (%d), want %t", tt.typ, tt.allowed, got.Ran, got.Status, tt.want)
		}
	}
}
