package main // beside the program above, as main_test.go

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestOrders(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	owner, thief := popauthtest.SelfSigned(t, "owner"), popauthtest.SelfSigned(t, "thief")
	token := issuer.Token(owner.Bound(), popauthtest.Claims{"scope": "orders.read"})

	guard, err := popauth.New(issuer.Options())
	if err != nil {
		t.Fatal(err)
	}
	for who, want := range map[*popauthtest.Client]int{owner: http.StatusOK, thief: http.StatusUnauthorized} {
		recorder := httptest.NewRecorder()
		routes(guard).ServeHTTP(recorder, who.Request("GET", "/orders", token)) // or who.HTTP(server), over real mutual TLS
		if recorder.Code != want {
			t.Errorf("got %d, want %d", recorder.Code, want)
		}
	}
}
