package dpop_test

import (
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A careful client's exp and nbf count (RFC 7519, sections 4.1.4 and 4.1.5), with the Leeway of both clocks, and can only
// make the time shorter.
func TestProofBounds(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	now := a.Clock.Now()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for _, tt := range []struct {
		name   string
		claims popauthtest.Claims
		want   popauth.Reason // "": accepted
	}{
		{name: "neither", claims: popauthtest.Claims{}},
		{name: "both", claims: popauthtest.Claims{"exp": at(time.Minute), "nbf": at(0)}},
		{name: "over within the leeway", claims: popauthtest.Claims{"exp": at(-9 * time.Second)}},
		{name: "over", claims: popauthtest.Claims{"exp": at(-10 * time.Second)}, want: popauth.ErrProofTime},
		{name: "over long ago", claims: popauthtest.Claims{"exp": 0}, want: popauth.ErrProofTime},
		{name: "ahead within the leeway", claims: popauthtest.Claims{"nbf": at(10 * time.Second)}},
		{name: "ahead", claims: popauthtest.Claims{"nbf": at(11 * time.Second)}, want: popauth.ErrProofTime},
		{name: "far ahead", claims: popauthtest.Claims{"nbf": at(300 * time.Second)}, want: popauth.ErrProofTime},
		{name: "an old proof with a late end", claims: popauthtest.Claims{"iat": at(-time.Hour), "exp": at(time.Hour)},
			want: popauth.ErrProofTime},
		{name: "exp a text", claims: popauthtest.Claims{"exp": "soon"}, want: popauth.ErrProofMalformed},
		{name: "exp null", claims: popauthtest.Claims{"exp": nil}, want: popauth.ErrProofMalformed},
		{name: "EXP", claims: popauthtest.Claims{"EXP": at(time.Minute)}, want: popauth.ErrProofMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.want == "" {
				a.Accept(t, a.Request(tt.claims))
				return
			}
			a.RefuseProof(t, a.Request(tt.claims), tt.want)
		})
	}
}
