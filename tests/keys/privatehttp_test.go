package keys_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
)

// http leads to a private address alone, and only where that is allowed: what a name stands for shows when it is dialled.
func TestAllowPrivateHTTP(t *testing.T) {
	for _, v := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(v, "")
	}
	for _, tt := range []struct {
		name string
		o    popauth.RemoteKeysOptions
		want string // in the error of NewRemoteKeys
	}{
		{name: "not allowed", o: popauth.RemoteKeysOptions{Issuer: "http://keycloak:8080/realms/a"}, want: "AllowPrivateHTTP"},
		{name: "loopback alone", o: popauth.RemoteKeysOptions{Issuer: "http://keycloak:8080", AllowLoopbackHTTP: true}, want: "not https"},
		{name: "public address", o: popauth.RemoteKeysOptions{Issuer: "http://8.8.8.8/", AllowPrivateHTTP: true}, want: "not https"},
		{name: "a Transport", o: popauth.RemoteKeysOptions{Issuer: "http://keycloak:8080", AllowPrivateHTTP: true,
			Client: &http.Client{Transport: &http.Transport{}}}, want: "can't be held"},
		{name: "allowed", o: popauth.RemoteKeysOptions{Issuer: "http://keycloak:8080/realms/a", AllowPrivateHTTP: true}},
		{name: "another scheme", o: popauth.RemoteKeysOptions{URL: "ftp://keycloak/keys", AllowPrivateHTTP: true}, want: "not https"},
	} {
		_, err := popauth.NewRemoteKeys(tt.o)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}
