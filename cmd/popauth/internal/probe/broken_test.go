package probe

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// The API without a hole has no finding, on a server that is strict and on one that takes what it gets.
func TestRightAPI(t *testing.T) {
	for _, by := range bearers {
		for _, server := range []string{"", "lenient"} {
			t.Run(by+" "+server, func(t *testing.T) {
				t.Parallel()
				l := newLab(t)
				o := l.options(by, l.openAPI(server).url+"/orders", l.ca.Pool())
				o.Origin = "https://app.example"
				o.IssuerKeys = issuerKeys(l)
				o.MustRefuse = map[string]string{"expired": l.token(by, popauthtest.Claims{"exp": time.Now().Unix() - 600})}
				l.wantRight(o, 115)
			})
		}
	}
}

func issuerKeys(l *lab) []any {
	a := l.openAPI("")
	var all []any
	for _, k := range a.keys.Keys {
		all = append(all, k.Key)
	}
	return all
}

// Each hole is found by the check that has its name, and the API without it has no finding there.
func TestBroken(t *testing.T) {
	n := 0
	for _, c := range Checks() {
		n++
		by := "certificate"
		if c.needs&needsKey != 0 || strings.HasPrefix(c.Name, "cors-nonce") {
			by = "key"
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			for _, hole := range []string{c.Name, ""} {
				r, err := Run(context.Background(), l.against(by, c.Name, hole))
				if err != nil {
					t.Fatal(err)
				}
				want := []string{}
				if hole != "" {
					want = append(want, c.Name)
				}
				if got := findings(r, Found); !slices.Equal(got, want) && (len(got) > 0 || len(want) > 0) {
					t.Errorf("hole %q: got findings %q, want %q\n%s%v", hole, got, want, details(r, Skipped, Unclear), r.Remarks)
				}
				if text := details(r, Unclear); text != "" {
					t.Errorf("hole %q: %s", hole, text)
				}
			}
		})
	}
	if n < 30 {
		t.Errorf("got %d broken APIs, want 30", n)
	}
	t.Logf("%d broken APIs", n)
}

// against are the options that one check needs to find its hole.
func (l *lab) against(by, check, hole string) Options {
	l.Helper()
	a := l.openAPI(hole)
	o := l.options(by, a.url+"/orders", l.ca.Pool())
	o.Checks, o.Origin = []string{check}, "https://app.example"
	o.IssuerKeys = issuerKeys(l)
	o.Addresses = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	switch check {
	case "replay-address":
		o.Addresses = append(o.Addresses, netip.MustParseAddr("127.0.0.2"))
	case "other-methods":
		o.Methods = []string{http.MethodPost}
	case "token-must-refuse":
		o.MustRefuse = map[string]string{"ours": "refuse-me"}
	case "token-expired":
		if hole != "" {
			o.Token = l.token(by, popauthtest.Claims{"exp": time.Now().Unix() - 3600})
		}
	case "token-not-bound":
		if hole != "" {
			o.Token = l.token(by, popauthtest.Claims{"cnf": popauthtest.Omit})
		}
	case "token-cnf-unknown":
		if hole != "" {
			o.Token = l.token(by, popauthtest.Claims{"cnf": map[string]any{"x5t#S256": l.owner.Thumbprint(), "kid": "another"}})
		}
	}
	return o
}
