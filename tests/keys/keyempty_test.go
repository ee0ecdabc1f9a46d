package keys_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// An issuer that can be read and has no usable key has withdrawn those from before.
func TestEmptySetWithdraws(t *testing.T) {

	for _, tt := range []struct {
		name, body string
		withdraws  bool
	}{
		{name: "no key", body: `{"keys":[]}`, withdraws: true},
		{name: "no key that is usable", body: `{"keys":[{"kty":"EC","crv":"secp256k1","kid":"new","x":"AA","y":"AA"}]}`, withdraws: true},
		{name: "no member keys", body: `{}`},
		{name: "keys null", body: `{"keys":null}`},
		{name: "keys an object", body: `{"keys":{}}`},
		{name: "cut off", body: `{"keys":[`},
		{name: "HTML", body: `<html>`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			issuer := lab.NewMemoryIssuer(t)
			synctest.Test(t, func(t *testing.T) {
				keys := issuer.KeySet(t, popauth.RemoteKeysOptions{})
				api := lab.NewKeyedAPI(t, issuer.URL, keys, nil)
				token := issuer.Lasting()
				api.Want(t, token, 200)
				api.Want(t, token, 200) // remembered
				issuer.Handle("/jwks", staticBody([]byte(tt.body)))
				time.Sleep(time.Hour)
				api.Want(t, token, 200) // begins the refresh
				synctest.Wait()
				api.Want(t, token, map[bool]int{true: 503, false: 200}[tt.withdraws])
				err := keys.Preload(t.Context())
				if !errors.Is(err, popauth.ErrUnavailable) || strings.Contains(err.Error(), "has withdrawn") != tt.withdraws {
					t.Errorf("Preload: got %v", err)
				}
				if keys.Ready() == tt.withdraws {
					t.Errorf("ready: got %t", keys.Ready())
				}
				issuer.Handle("/jwks", staticBody(issuer.JWKS()))
				time.Sleep(10 * time.Second)
				api.Want(t, token, 200)
			})
		})
	}
}

// The log has it as an error, with what to change.
func TestEmptySetIsLogged(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	issuer.Handle("/jwks", staticBody([]byte(`{"keys":[]}`)))
	var log bytes.Buffer
	guard, err := popauth.New(popauth.Options{Issuer: issuer.URL, Audience: []string{popauthtest.Audience},
		Keys:   issuer.KeySet(t, popauth.RemoteKeysOptions{}),
		Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	lab.Send(guard.Authenticate, bearing(issuer.Lasting())).Refused(t, 503, "")
	for _, want := range []string{"level=ERROR", "no usable key", "have it publish"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log: got %s, want %q", log.String(), want)
		}
	}
}
