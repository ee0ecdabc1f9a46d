package popauth_test

import (
	"net/http"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestSmoke(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	owner := popauthtest.NewCA(t).Client("orders-batch")
	thief := popauthtest.SelfSigned(t, "thief")
	token := issuer.Token(owner.Bound(), popauthtest.Claims{"scope": "orders.read"})
	guard, err := popauth.New(issuer.Options())
	if err != nil {
		t.Fatal(err)
	}
	h := guard.Confirm(guard.Authorize(popauth.Scope("orders.read"))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := popauth.FromContext(r.Context())
		w.Write([]byte(p.Subject))
	})))
	server := popauthtest.NewServer(t, h)
	for _, c := range []*popauthtest.Client{owner, thief, nil} {
		r, _ := http.NewRequest("GET", server.URL, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := c.HTTP(server).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(resp.StatusCode, resp.Header["Www-Authenticate"], resp.Proto)
	}
}
