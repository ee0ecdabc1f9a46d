package main

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// greedy is a cache of nginx for everything, by a key without the caller.
const greedy = "proxy_cache_path ${CERTS}/cache keys_zone=answers:1m;\nproxy_cache answers;\nproxy_cache_valid any 1m;\n\n"

// answering is an API that says what its caller may see, and counts.
type answering struct {
	cacheControl string
	header       http.Header // and what else it says
	mu           sync.Mutex
	ran          int
	methods      []string
}

func (a *answering) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ran++
	a.methods = append(a.methods, r.Method)
	maps.Copy(w.Header(), a.header)
	if a.cacheControl != "" {
		w.Header().Set("Cache-Control", a.cacheControl)
	}
	w.Header().Set("Last-Modified", "Fri, 02 Jan 2026 00:00:00 GMT")
	_, _ = io.WriteString(w, "for "+r.Header.Get("X-Auth-Subject"))
}

func (a *answering) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ran
}

// kept turns the cache in the guarded location on, as the comment there has it.
func kept(s string) string {
	const off = "\t\tproxy_cache off;\n"
	var lines strings.Builder
	for line := range strings.Lines(nginxConf) {
		if line, ok := strings.CutPrefix(line, "\t\t#\tproxy_cache_"); ok {
			lines.WriteString("\t\tproxy_cache_" + line)
		}
	}
	return greedy + strings.Replace(s, off, lines.String(), 1)
}

// A cache for each caller asks the API for what its caller has asked for, be it HEAD.
func TestCachesHead(t *testing.T) {
	need(t, "nginx")
	api := &answering{}
	w := &world{api: api, configure: kept}
	defer w.close()
	if err := w.open("nginx"); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{http.MethodHead, http.MethodGet, http.MethodHead, http.MethodGet} {
		answer, body := w.get(t, request{method: method})
		if want := map[string]string{http.MethodGet: "for alice"}[method]; answer.StatusCode != http.StatusOK || body != want {
			t.Errorf("%s: got %d %q, want 200 %q", method, answer.StatusCode, body, want)
		}
	}
	api.mu.Lock()
	defer api.mu.Unlock()
	if want := []string{http.MethodHead, http.MethodGet}; !slices.Equal(api.methods, want) {
		t.Errorf("the API saw %q, want %q", api.methods, want)
	}
}

// A cache of nginx's gives nobody what the API has answered to somebody else, and none of the service's answers twice.
func TestCaches(t *testing.T) {
	need(t, "nginx")
	for _, tt := range []struct {
		name      string
		configure func(string) string
		says      string
		ran       int // how often the API, for two requests of each of two owners
	}{
		{"a cache further out", func(s string) string { return greedy + s }, "public, max-age=60", 4},
		{"a cache further out, the API says nothing", func(s string) string { return greedy + s }, "", 4},
		{"a cache for each caller", kept, "public, max-age=60", 2},
		{"a cache of the service's answers, too", func(s string) string {
			return kept(strings.Replace(s, "proxy_cache off; #", "proxy_cache_key $request_uri$http_authorization; #", 1))
		}, "public, max-age=60", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			api := &answering{cacheControl: tt.says}
			w := &world{api: api, configure: tt.configure}
			defer w.close()
			if err := w.open("nginx"); err != nil {
				t.Fatal(err)
			}
			bob := w.authority.Client("bob")
			ofBob := w.issuer.Token(claims(bob.Bound(), popauthtest.Claims{"sub": "bob"}))
			strangers := map[string]request{
				"nobody":                     {as: &popauthtest.Client{}, token: "none"},
				"no token":                   {token: "none"},
				"thief with the token":       {as: &popauthtest.Client{}},
				"bob with the token":         {as: bob},
				"thief, nothing has changed": {as: w.thief, header: http.Header{"If-Modified-Since": {"Fri, 01 Jan 2100 00:00:00 GMT"}}},
				"too weak":                   {token: w.issuer.Token(claims(w.owner.Bound(), popauthtest.Claims{"scope": "other"}))},
				"an outage": {token: w.issuer.Token(claims(w.owner.Bound(),
					popauthtest.Claims{"sub": "nobody can tell"}))},
				"nobody, a refusal of nginx's": {target: "/orders/..%2f", token: "none"},
			}
			refused := func() {
				t.Helper()
				for name, r := range strangers {
					answer, body := w.get(t, r)
					if answer.StatusCode < 400 || strings.Contains(body, "for ") {
						t.Errorf("%s: got %d %s, want a refusal", name, answer.StatusCode, body)
					}
					if cc := answer.Header["Cache-Control"]; answer.StatusCode != 400 && (len(cc) != 1 || cc[0] != "no-store") {
						t.Errorf("%s: got %d, Cache-Control %q, want no-store", name, answer.StatusCode, cc)
					}
				}
			}
			refused()
			for _, r := range []struct {
				request
				want string
			}{{request{}, "for alice"}, {request{as: bob, token: ofBob}, "for bob"}, {request{}, "for alice"},
				{request{as: bob, token: ofBob}, "for bob"}} {
				answer, body := w.get(t, r.request)
				if answer.StatusCode != http.StatusOK || body != r.want {
					t.Errorf("got %d %s, want %s", answer.StatusCode, body, r.want)
				}
				if cc := answer.Header["Cache-Control"]; len(cc) != 1 || cc[0] != "private" {
					t.Errorf("got Cache-Control %q, want private", cc)
				}
			}
			if api.count() != tt.ran {
				t.Errorf("the API ran %d times, want %d", api.count(), tt.ran)
			}
			refused()
			if api.count() != tt.ran {
				t.Errorf("after strangers: the API ran %d times, want %d", api.count(), tt.ran)
			}
		})
	}
}

// What the shipped file says to caches in front of nginx.
func TestCacheControl(t *testing.T) {
	need(t, "nginx")
	forOne := []string{"CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "Vercel-CDN-Cache-Control", "Netlify-CDN-Cache-Control",
		"Akamai-Cache-Control",
		"Surrogate-Control", "Edge-Control", "X-Accel-Expires", "Expires"}
	api := &answering{header: http.Header{"Vary": {"Accept-Language"}}}
	for _, name := range forOne {
		api.header.Set(name, "max-age=60")
	}
	w := &world{api: api}
	defer w.close()
	if err := w.open("nginx"); err != nil {
		t.Fatal(err)
	}
	for says, want := range map[string]string{
		"": "private", "max-age=60": "private", "public, s-maxage=60": "private", "x-private": "private", `private="a"`: "private",
		"private, max-age=60": "private, max-age=60", "No-Store": "No-Store", "max-age=0,no-store": "max-age=0,no-store",
	} {
		api.mu.Lock()
		api.cacheControl = says
		api.mu.Unlock()
		answer, _ := w.get(t, request{})
		if cc := answer.Header["Cache-Control"]; answer.StatusCode != http.StatusOK || len(cc) != 1 || cc[0] != want {
			t.Errorf("%s: got %d %q, want %q", says, answer.StatusCode, cc, want)
		}
		for _, name := range forOne {
			if got := answer.Header[http.CanonicalHeaderKey(name)]; got != nil {
				t.Errorf("%s: got %s: %q, want none", says, name, got)
			}
		}
		if got := answer.Header["Vary"]; !slices.Contains(got, "Authorization, DPoP") || !slices.Contains(got, "Accept-Language") {
			t.Errorf("%s: got Vary %q, want Authorization, DPoP beside the API's own", says, got)
		}
	}
}

func (w *world) get(t *testing.T, r request) (*http.Response, string) {
	t.Helper()
	if r.method == "" {
		r.method = http.MethodGet
	}
	answer, err := w.send(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}
