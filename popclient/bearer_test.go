package popclient_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// What a server hasn't bound goes on as what it is, where the client has said so: without a proof, and under no other scheme.
func TestAllowBearer(t *testing.T) {
	key := newKey(t, "ES256")
	server := popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s, %d proofs", strings.Join(r.Header.Values("Authorization"), ","), len(r.Header.Values("DPoP")))
	}))
	for _, test := range []struct {
		typ         string
		allowed     bool
		want, error string
	}{
		{typ: "Bearer", allowed: true, want: "200 Bearer token, 0 proofs"},
		{typ: "bearer", allowed: true, want: "200 Bearer token, 0 proofs"},
		{typ: "DPoP", allowed: true, want: "200 DPoP token, 1 proofs"},
		{typ: "N_A", allowed: true, error: `type is not DPoP: it is "N_A"`},
		{typ: "", allowed: true, error: "type is not DPoP: it is \"\""}, // nobody knows what it is
		{typ: "bearer", error: `it is "bearer": the server has not bound it. Get it through Proofs`},
		{typ: "DPoP", want: "200 DPoP token, 1 proofs"},
	} {
		client := &http.Client{Transport: &popclient.DPoP{
			Key: key, Source: static("token", test.typ), Base: server.Client().Transport, AllowBearer: test.allowed,
			Origins: []string{server.URL},
		}}
		r := request(t, "GET", server.URL, nil)
		r.Header.Set("DPoP", "the caller's own")
		r.Header.Set("Authorization", "Basic own")
		resp, err := client.Do(r)
		if err != nil {
			if test.error == "" || !strings.Contains(err.Error(), test.error) {
				t.Errorf("%q, %t: got %v, want %q", test.typ, test.allowed, err, test.error)
			}
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got := fmt.Sprint(resp.StatusCode, " ", string(body)); err != nil || got != test.want || test.error != "" {
			t.Errorf("%q, %t: got %q, %v, want %q", test.typ, test.allowed, got, err, test.want+test.error)
		}
	}
	client := &http.Client{Transport: &popclient.DPoP{Key: key, Source: static("token", "Bearer"), AllowBearer: true}}
	if resp, err := client.Get("http://api.example.com/"); err == nil || !strings.Contains(err.Error(), "http without TLS") {
		if err == nil {
			resp.Body.Close()
		}
		t.Errorf("VULNERABLE: got %v, want no bearer token in plain text", err)
	}
}

// The error of a token of another type says what came, and what to change.
func TestTypeOfTheToken(t *testing.T) {
	key := newKey(t, "ES256")
	for _, test := range []struct {
		typ  string
		key  *popclient.Key
		want string
	}{
		{"Bearer", key, `type is not DPoP: it is "Bearer": the server has not bound it to Key`},
		{"DPoP", nil, `type is not Bearer: it is "DPoP": set Key`},
		{"N_A", nil, `type is not Bearer: it is "N_A"`},
		{"N_A", key, `type is not DPoP: it is "N_A"`},
	} {
		s := newRealm(t)
		s.refuse(200, fmt.Sprintf(`{"access_token":"secret","token_type":%q}`, test.typ))
		fails(t, s, s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) { o.Key = test.key }), test.want)
	}
}
