package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// preflight is what a browser asks before a request of another origin (https://fetch.spec.whatwg.org/#cors-preflight-fetch).
func preflight() request {
	return request{method: http.MethodOptions, token: "none", as: &popauthtest.Client{}, header: http.Header{
		"Origin": {"https://app.example.com"}, "Access-Control-Request-Method": {"GET"},
		"Access-Control-Request-Headers": {"authorization,dpop"},
	}}
}

// A preflight has no token, and is refused like any other request without: the API never gets it unasked.
func TestPreflightRefused(t *testing.T) {
	for _, l := range lanes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			w := opened(t, l, nil)
			if got, err := w.outcome(preflight()); err != nil || got != "401, 2 challenges" {
				t.Errorf("got %s, %v, want 401, 2 challenges", got, err)
			}
			r := preflight()
			r.header.Set("Access-Control-Request-Method", "DELETE")
			r.target = "/admin"
			if got, err := w.outcome(r); err != nil || got != "404" {
				t.Errorf("a path that isn't named: got %s, %v, want 404", got, err)
			}
		})
	}
}

// cors are the lines by which each proxy answers preflights itself, before it asks, as docs/forwardauth.md has them.
var cors = map[string][]string{ // old, new, old, new …
	"nginx": {"	location ~ ^/orders(/|$) {\n", `	location ~ ^/orders(/|$) {
		set $preflight $request_method:$http_origin;
		if ($preflight = "OPTIONS:https://app.example.com") {
			add_header Access-Control-Allow-Origin "https://app.example.com";
			add_header Access-Control-Allow-Methods "GET, POST";
			add_header Access-Control-Allow-Headers "Authorization, DPoP";
			return 204;
		}
`},
	"caddy": {"		@orders path /orders /orders/*\n", `		@preflight {
			method OPTIONS
			path /orders /orders/*
			header Origin https://app.example.com
		}
		handle @preflight {
			header Access-Control-Allow-Origin https://app.example.com
			header Access-Control-Allow-Methods "GET, POST"
			header Access-Control-Allow-Headers "Authorization, DPoP"
			respond 204
		}
		@orders path /orders /orders/*
`},
	"traefik": {"[clean, certificate,", "[clean, cors, certificate,", "  middlewares:\n", `  middlewares:
    cors:
      headers:
        accessControlAllowOriginList: ["https://app.example.com"]
        accessControlAllowMethods: [GET, POST]
        accessControlAllowHeaders: [Authorization, DPoP]
        accessControlExposeHeaders: [WWW-Authenticate, DPoP-Nonce]
`},
	"envoy": {"          - name: ext_authz\n", `          - name: cors
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors }
          - name: ext_authz
`, "                route: { cluster: api }\n", `                route: { cluster: api }
                typed_per_filter_config:
                  cors:
                    "@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy
                    allow_origin_string_match: [ { exact: "https://app.example.com" } ]
                    allow_methods: "GET, POST"
                    allow_headers: "Authorization, DPoP"
                    expose_headers: "WWW-Authenticate, DPoP-Nonce"
`},
}

// With these lines the proxy answers a preflight of that origin, and of no other; and nothing but a preflight.
func TestPreflightAnswered(t *testing.T) {
	for _, l := range lanes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			w := opened(t, l, func(w *world) {
				lines := cors[l.proxy]
				for i := 0; i < len(lines); i += 2 {
					if strings.Count(w.setup.configuration, lines[i]) != 1 {
						t.Fatalf("%q isn't there once", lines[i])
					}
				}
				w.setup.configuration = strings.NewReplacer(lines...).Replace(w.setup.configuration)
			})
			answer, err := w.send(preflight())
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode/100 != 2 || answer.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" ||
				!strings.Contains(strings.ToLower(answer.Header.Get("Access-Control-Allow-Headers")), "dpop") {
				t.Errorf("got %d %v", answer.StatusCode, answer.Header)
			}
			other := preflight()
			other.header.Set("Origin", "https://evil.example")
			if answer, err = w.send(other); err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("another origin: got %d %v", answer.StatusCode, answer.Header)
			}
			for _, method := range []string{"GET", "POST", "PUT"} {
				r := preflight()
				r.method = method
				if got, err := w.outcome(r); err != nil || got != "401, 2 challenges" {
					t.Errorf("%s with a preflight's headers: got %s, %v, want 401", method, got, err)
				}
			}
			if n := len(w.upstream.seen); n > 0 {
				t.Errorf("%d requests reached the API", n)
			}
			got, err := w.outcome(request{header: http.Header{"Origin": {"https://app.example.com"}}})
			if err != nil || !strings.HasPrefix(got, "200 issuer") {
				t.Errorf("the owner: got %s, %v", got, err)
			}
		})
	}
}
