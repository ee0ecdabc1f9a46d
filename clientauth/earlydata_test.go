package clientauth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Until the handshake is complete nobody has proven to hold a key.
func TestEarlyData(t *testing.T) {
	client := popauthtest.SelfSigned(t, "till")
	a := newAuth(t, clientauth.Options{Clients: clientauth.Static{"till": {thumbprint(t, client)}}})
	unfinished := func(r *http.Request) { own := *r.TLS; own.HandshakeComplete = false; r.TLS = &own }
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		ran    bool
	}{
		{"a complete handshake", func(*http.Request) {}, true},
		{"marked", header("Early-Data", "1"), false},
		{"unfinished", unfinished, false},
	} {
		ran := false
		w := httptest.NewRecorder()
		a.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true })).ServeHTTP(w, post(client, form, tt.change))
		if ran != tt.ran || !ran && w.Code != http.StatusTooEarly {
			t.Errorf("%s: got %d, ran %t, want %t", tt.name, w.Code, ran, tt.ran)
		}
	}
}
