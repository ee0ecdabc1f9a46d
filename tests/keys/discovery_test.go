package keys_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
)

const (
	somewhere = "https://id.example.com"
	theKeys   = somewhere + "/jwks"
	oneKey    = `{"keys":[{"kid":"k",` + goodP256 + `}]}`
)

// site answers by URL, with 404 where it has nothing, and remembers what it was asked.
type site struct {
	pages map[string]string
	asked []string
}

func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.asked = append(s.asked, r.URL.String()); len(s.asked) > 100 {
		return nil, errors.New("asked for ever")
	}
	page, ok := s.pages[r.URL.String()]
	if to, redirect := strings.CutPrefix(page, "-> "); redirect {
		w := lab.Answer(302, nil)
		w.Request = r
		w.Header.Set("Location", to)
		return w, nil
	}
	if !ok {
		return lab.Answer(404, nil), nil
	}
	w := lab.Answer(200, []byte(page))
	w.Request = r
	return w, nil
}

func (s *site) preload(t *testing.T, o popauth.RemoteKeysOptions) error {
	t.Helper()
	if o.Client == nil {
		o.Client = &http.Client{}
	}
	o.Client.Transport = s
	keys, err := popauth.NewRemoteKeys(o)
	if err != nil {
		t.Fatal(err)
	}
	err = keys.Preload(t.Context())
	if keys.Ready() != (err == nil) {
		t.Errorf("ready: got %v after %v", keys.Ready(), err)
	}
	return err
}

func clientOf(s *site) *http.Client { return &http.Client{Transport: s} }

func TestRemoteKeysOptions(t *testing.T) {
	for _, test := range []struct {
		o    popauth.RemoteKeysOptions
		want []string
	}{
		{popauth.RemoteKeysOptions{}, []string{"either Issuer or URL"}},
		{popauth.RemoteKeysOptions{Issuer: somewhere, URL: somewhere}, []string{"either Issuer or URL"}},
		{popauth.RemoteKeysOptions{Issuer: "http://id.example.com"}, []string{".Issuer: not https"}},
		{popauth.RemoteKeysOptions{Issuer: "http://id.example.com", AllowLoopbackHTTP: true}, []string{".Issuer: not https"}},
		{popauth.RemoteKeysOptions{Issuer: "http://127.0.0.1"}, []string{".Issuer: not https"}},
		{popauth.RemoteKeysOptions{Issuer: "https://id.example.com?tenant=1"}, []string{".Issuer: has a query"}},
		{popauth.RemoteKeysOptions{Issuer: "https://id.example.com?"}, []string{".Issuer: has a query"}},
		{popauth.RemoteKeysOptions{Issuer: "id.example.com"}, []string{"no URL"}},
		{popauth.RemoteKeysOptions{Issuer: "https:id.example.com"}, []string{"no URL"}},
		{popauth.RemoteKeysOptions{URL: "https://"}, []string{".URL: no URL"}},
		{popauth.RemoteKeysOptions{URL: "https://:443/jwks"}, []string{".URL: no URL"}},
		{popauth.RemoteKeysOptions{URL: "https://u:p@id.example.com"}, []string{".URL: no URL"}},
		{popauth.RemoteKeysOptions{URL: "https://id.example.com/#keys"}, []string{".URL: no URL"}},
		{popauth.RemoteKeysOptions{URL: "ftp://id.example.com"}, []string{".URL: not https"}},
		{popauth.RemoteKeysOptions{URL: "/jwks"}, []string{".URL: no URL"}},
		{popauth.RemoteKeysOptions{URL: "https://%zz"}, []string{".URL: no URL"}},
		{popauth.RemoteKeysOptions{Timeout: -1, Wait: -1, Refresh: -1, MaxAge: -1, Cooldown: -1},
			[]string{"either", "Timeout: negative", "Wait: negative", "Refresh: negative", "MaxAge: negative", "Cooldown: negative"}},
		{popauth.RemoteKeysOptions{Issuer: somewhere}, nil},
		{popauth.RemoteKeysOptions{URL: somewhere + "/jwks?p=1"}, nil},
		{popauth.RemoteKeysOptions{URL: "http://LOCALHOST:1/jwks", AllowLoopbackHTTP: true}, nil},
		{popauth.RemoteKeysOptions{URL: "http://[::1]/jwks", AllowLoopbackHTTP: true}, nil},
	} {
		keys, err := popauth.NewRemoteKeys(test.o)
		if (keys == nil) != (err != nil) || (err == nil) != (test.want == nil) {
			t.Errorf("%+v: got %v, %v", test.o, keys, err)
		}
		for _, want := range test.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: got %v, want %q in it", test.o, err, want)
			}
		}
	}
}

func TestGuardKeepsToTheIssuersKeys(t *testing.T) {
	others, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: "https://other.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range []*popauth.RemoteKeys{others, nil, {}} {
		g, err := popauth.New(popauth.Options{Issuer: somewhere, Audience: []string{"a"}, Keys: keys})
		if g != nil || err == nil || !strings.Contains(err.Error(), "Options.Keys: ") {
			t.Errorf("got %v, %v, want Options.Keys refused", g, err)
		}
	}
}

var discoveries = []struct {
	name, issuer string
	pages        map[string]string
	want         string // in the error
}{
	{"OpenID Connect", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": lab.Metadata(somewhere, theKeys)}, ""},
	{"OpenID Connect with path", somewhere + "/t/1", map[string]string{
		somewhere + "/t/1/.well-known/openid-configuration": lab.Metadata(somewhere+"/t/1", theKeys)}, ""},
	{"trailing slash", somewhere + "/t/", map[string]string{
		somewhere + "/t/.well-known/openid-configuration": lab.Metadata(somewhere+"/t/", theKeys)}, ""},
	{"RFC 8414", somewhere, map[string]string{
		somewhere + "/.well-known/oauth-authorization-server": lab.Metadata(somewhere, theKeys)}, ""},
	{"RFC 8414 with path", somewhere + "/t%2F1", map[string]string{
		somewhere + "/.well-known/oauth-authorization-server/t%2F1": lab.Metadata(somewhere+"/t%2F1", theKeys)}, ""},
	{"OpenID Connect, path behind", somewhere + "/t", map[string]string{
		somewhere + "/.well-known/openid-configuration/t": lab.Metadata(somewhere+"/t", theKeys)}, ""},
	{"RFC 8414, path before", somewhere + "/t", map[string]string{
		somewhere + "/t/.well-known/oauth-authorization-server": lab.Metadata(somewhere+"/t", theKeys)}, ""},
	{"byte order mark", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": "\ufeff" + lab.Metadata(somewhere, theKeys)}, ""},
	{"odd members", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": "{\"op_name\":\"caf\xe9\",\"x\":1,\"x\":2," +
			lab.Metadata(somewhere, theKeys)[1:]}, ""},
	{"jwks_uri twice", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": `{"jwks_uri":"https://evil.example.com/",` +
			lab.Metadata(somewhere, theKeys)[1:]}, "there twice"},
	{"issuer twice", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": `{"issuer":"https://evil.example.com",` + lab.Metadata(somewhere, theKeys)[1:]},
		"there twice"},
	{"another host", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": lab.Metadata(somewhere, "https://keys.example.net/jwks")}, ""},
	{"private issuer, private host", "https://10.0.0.1", map[string]string{
		"https://10.0.0.1/.well-known/openid-configuration": lab.Metadata("https://10.0.0.1", "https://10.0.0.2/jwks")}, ""},
	{"nothing", somewhere, nil, "status 404"},
	{"no path that is a host", somewhere + "//evil.example.com", nil, "status 404"},
	{"issuer with slash", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": lab.Metadata(somewhere+"/", theKeys)}, "of another issuer"},
	{"another issuer", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": lab.Metadata("https://evil.example.com", theKeys)}, "of another issuer"},
	{"no issuer", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": `{"jwks_uri":"https://id.example.com/jwks"}`}, "of another issuer"},
	{"issuer in capitals", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": `{"ISSUER":"https://id.example.com","jwks_uri":"https://id.example.com/jwks"}`},
		"metadata: "},
	{"issuer a list", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": `{"issuer":["https://id.example.com"]}`}, "metadata: "},
	{"no jwks_uri", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": `{"issuer":"https://id.example.com"}`}, "jwks_uri: no URL"},
	{"http", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": lab.Metadata(somewhere, "http://id.example.com/jwks")}, "jwks_uri: not https"},
	{"loopback http", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": lab.Metadata(somewhere, "http://localhost/jwks")}, "less protected"},
	{"loopback", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": lab.Metadata(somewhere, "https://[::ffff:127.0.0.1]/jwks")}, "inside"},
	{"private", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": lab.Metadata(somewhere, "https://10.0.0.1/jwks")}, "inside"},
	{"link-local", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": lab.Metadata(somewhere, "https://169.254.169.254/jwks")}, "inside"},
	{"loopback, http after https", "https://127.0.0.1", map[string]string{
		"https://127.0.0.1/.well-known/openid-configuration": lab.Metadata("https://127.0.0.1", "http://127.0.0.1/jwks")},
		"less protected"},
	{"names what came", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": lab.Metadata("https://id.example.com/", theKeys)},
		`its issuer is "https://id.example.com/", and "https://id.example.com" is wanted`},
	{"a page behind a redirect", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": "-> /login", somewhere + "/login": "<html>"},
		"after a redirect to https://id.example.com/login"},
	{"HTML", somewhere, map[string]string{somewhere + "/.well-known/openid-configuration": "<html>"}, "metadata: "},
	{"too large", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": lab.Metadata(somewhere, theKeys) + strings.Repeat(" ", 1<<20)}, "more than"},
	{"redirect elsewhere", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration":       "-> https://evil.example.com/",
		somewhere + "/.well-known/oauth-authorization-server": "-> http://id.example.com/",
		"https://evil.example.com/":                           lab.Metadata(somewhere, theKeys),
		"http://id.example.com/":                              lab.Metadata(somewhere, theKeys)}, "redirect"},
	{"redirect to another port", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": "-> https://id.example.com:8443/",
		"https://id.example.com:8443/":                  lab.Metadata(somewhere, theKeys)}, "redirect"},
	{"redirect within", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": "-> /other", somewhere + "/other": lab.Metadata(somewhere, theKeys)}, ""},
	{"redirect for ever", somewhere, map[string]string{
		somewhere + "/.well-known/openid-configuration": "-> /.well-known/openid-configuration"}, "too many"},
}

func TestRemoteKeysDiscovery(t *testing.T) {
	for _, test := range discoveries {
		t.Run(test.name, func(t *testing.T) {
			s := &site{pages: map[string]string{theKeys: oneKey, "https://keys.example.net/jwks": oneKey, "https://10.0.0.2/jwks": oneKey}}
			for u, page := range test.pages {
				s.pages[u] = page
			}
			err := s.preload(t, popauth.RemoteKeysOptions{Issuer: test.issuer, AllowLoopbackHTTP: true})
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			for _, u := range s.asked {
				if strings.Contains(u, "evil") && !strings.HasPrefix(u, somewhere) || strings.HasPrefix(u, "http:") {
					t.Errorf("asked %s", u)
				}
			}
		})
	}
}

func TestRemoteKeysSet(t *testing.T) {
	u := somewhere + "/jwks"
	padded := oneKey + strings.Repeat(" ", 1<<20-len(oneKey))
	for name, test := range map[string]struct {
		pages map[string]string
		want  string
	}{
		"good":               {map[string]string{u: oneKey}, ""},
		"as large as may be": {map[string]string{u: padded}, ""},
		"too large":          {map[string]string{u: padded + " "}, "more than"},
		"no key":             {map[string]string{u: `{"keys":[]}`}, "no usable key"},
		"an error":           {map[string]string{u: `{"error":"unavailable"}`}, "no usable key"},
		"half":               {map[string]string{u: oneKey[:len(oneKey)-2]}, "JWK Set: "},
		"missing":            {nil, "status 404"},
		"redirect elsewhere": {map[string]string{u: "-> https://evil.example.com/", "https://evil.example.com/": oneKey}, "redirect"},
		"redirect within":    {map[string]string{u: "-> /keys", somewhere + "/keys": oneKey}, ""},
	} {
		err := (&site{pages: test.pages}).preload(t, popauth.RemoteKeysOptions{URL: u})
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	stays := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	err := (&site{pages: map[string]string{u: "-> /keys", somewhere + "/keys": oneKey}}).preload(t,
		popauth.RemoteKeysOptions{URL: u, Client: stays})
	if err == nil || !strings.Contains(err.Error(), "status 302") {
		t.Errorf("a Client that follows no redirect: got %v, want status 302", err)
	}
	for _, status := range []int{201, 204, 206, 304, 401, 429, 500, 503} {
		keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{URL: u, Client: &http.Client{
			Transport: lab.RoundTrip(func(*http.Request) (*http.Response, error) { return lab.Answer(status, []byte(oneKey)), nil })}})
		if err != nil {
			t.Fatal(err)
		}
		if err := keys.Preload(t.Context()); err == nil || !strings.Contains(err.Error(), fmt.Sprint("status ", status)) {
			t.Errorf("status %d: got %v", status, err)
		}
	}
}
