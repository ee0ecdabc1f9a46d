package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/examples/frameworks/internal/caller"
	"github.com/seed-171ab058/popauth/examples/frameworks/shop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A route that is not in the list is shut, for the owner too; one with another method is another route.
func TestStagesRefuseWhatIsNotListed(t *testing.T) {
	w := caller.New(t, "orders.read orders.write")
	ran := 0
	count := func(http.ResponseWriter, *http.Request, map[string]string) { ran++ }
	mux := runtime.NewServeMux(Stages(w.Guard, map[string]func(http.Handler) http.Handler{
		"GET /orders/{id=*}": w.Guard.Confirm,
	}))
	for _, route := range [][2]string{{"GET", "/orders/{id}"}, {"DELETE", "/orders/{id}"}, {"GET", "/new"}} {
		if err := mux.HandlePath(route[0], route[1], count); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		method, path  string
		statuses, ran [3]int
	}{
		{"GET", "/orders/7", [3]int{200, 401, 401}, [3]int{1, 0, 0}},
		{"DELETE", "/orders/7", [3]int{403, 403, 403}, [3]int{}},
		{"GET", "/new", [3]int{403, 403, 403}, [3]int{}},
	} {
		statuses, got := w.Answers(mux, tt.method, tt.path, &ran)
		if statuses != tt.statuses || got != tt.ran {
			t.Errorf("%s %s: got %v, handler ran %v times, want %v and %v", tt.method, tt.path, statuses, got, tt.statuses, tt.ran)
		}
	}
}

// A POSTed form runs the handler for GET where there is none for POST. A policy by method outside of the mux is then the
// wrong one; Stages goes by the route, and without the fallback there is nothing to go wrong.
func TestPathLengthFallback(t *testing.T) {
	w := caller.New(t, "orders.write") // not orders.read
	read, write := w.Guard.Authorize(popauth.Scope("orders.read")), w.Guard.Authorize(popauth.Scope("orders.write"))
	for _, tt := range []struct {
		name    string
		options func() []runtime.ServeMuxOption
		outside bool
		ran     int
	}{
		{"policies outside, by method", func() []runtime.ServeMuxOption { return nil }, true, 1},
		{"policies outside, no fallback", func() []runtime.ServeMuxOption {
			return []runtime.ServeMuxOption{runtime.WithDisablePathLengthFallback()}
		}, true, 0},
		{"Stages", func() []runtime.ServeMuxOption {
			return []runtime.ServeMuxOption{Stages(w.Guard, map[string]func(http.Handler) http.Handler{"GET /orders/{id=*}": read})}
		}, false, 0},
	} {
		ran := 0
		mux := runtime.NewServeMux(tt.options()...)
		if err := mux.HandlePath("GET", "/orders/{id}", func(http.ResponseWriter, *http.Request, map[string]string) { ran++ }); err != nil {
			t.Fatal(err)
		}
		h := http.Handler(mux)
		if tt.outside {
			outer := http.NewServeMux()
			outer.Handle("GET /orders/", read(mux))
			outer.Handle("POST /orders/", write(mux))
			h = outer
		}
		r := w.Owner.Request("POST", "/orders/7", w.Token)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		h.ServeHTTP(httptest.NewRecorder(), r)
		if ran != tt.ran {
			t.Errorf("%s: a token for writing read %d times, want %d", tt.name, ran, tt.ran)
		}
	}

	var s shop.Shop
	answer := httptest.NewRecorder()
	r := w.Owner.Request("POST", "/orders/7", w.Token)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	Routes(w.Guard, popauth.TLSCertificate(), &s).ServeHTTP(answer, r)
	if answer.Code != http.StatusNotImplemented || len(s.Asked()) != 0 {
		t.Errorf("Routes: got %d, shop was asked %v, want 501, as for any method without a route", answer.Code, s.Asked())
	}
}

// What a client of the gateway sees of a refusal: the status, and the code of gRPC that belongs to it.
func TestDeny(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	owner := popauthtest.SelfSigned(t, "owner")
	options := issuer.Options()
	options.Deny = Deny
	guard, err := popauth.New(options)
	if err != nil {
		t.Fatal(err)
	}
	token := issuer.Token(owner.Bound(), popauthtest.Claims{"scope": "orders.read"})
	away := popauthtest.NewIssuer(t)
	away.Handle("/jwks", http.NotFoundHandler())
	unreachable := away.Options()
	unreachable.Deny = Deny
	waiting, err := popauth.New(unreachable)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		guard   *popauth.Guard
		request *http.Request
		status  int
		code    codes.Code
	}{
		{"nobody", guard, (*popauthtest.Client)(nil).Request("GET", "/orders", ""), 401, codes.Unauthenticated},
		{"thief", guard, popauthtest.SelfSigned(t, "thief").Request("GET", "/orders", token), 401, codes.Unauthenticated},
		{"scope", guard, owner.Request("POST", "/orders", token), 403, codes.PermissionDenied},
		{"two readings", guard, owner.Request("GET", "/orders/%37", token), 400, codes.InvalidArgument},
		{"outage", waiting, owner.Request("GET", "/orders", away.Token(owner.Bound())), 503, codes.Unavailable},
	} {
		var spy popauthtest.Spy
		w := httptest.NewRecorder()
		stage := tt.guard.Confirm
		if tt.request.Method == "POST" {
			stage = tt.guard.Authorize(popauth.Scope("orders.write"))
		}
		stage(&spy).ServeHTTP(w, tt.request)
		var got struct {
			Code    codes.Code
			Message string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v: %q", tt.name, err, w.Body)
		}
		if w.Code != tt.status || got.Code != tt.code || got.Message == "" || spy.Ran() != 0 {
			t.Errorf("%s: got %d, %v %q, handler ran %d times, want %d, %v", tt.name, w.Code, got.Code, got.Message, spy.Ran(), tt.status,
				tt.code)
		}
	}
}

// What the service behind is told is what the Guard has found, whatever the client says.
func TestCaller(t *testing.T) {
	w := caller.New(t, "")
	silent := func(_ context.Context, r *http.Request) metadata.MD { // the obvious one
		if caller, ok := popauth.FromContext(r.Context()); ok {
			return metadata.Pairs("x-caller", caller.Subject)
		}
		return nil
	}
	for _, tt := range []struct {
		name   string
		caller func(context.Context, *http.Request) metadata.MD
		match  runtime.HeaderMatcherFunc
		public string
	}{
		{"Caller", Caller, runtime.DefaultHeaderMatcher, ""},
		{"Caller, earlier matcher", Caller, runtime.LegacyHeaderMatcher, ""},
		{"Caller, earlier matcher without metadata", Caller, WithoutMetadata(runtime.LegacyHeaderMatcher), ""},
		{"silent about nobody", silent, runtime.DefaultHeaderMatcher, ""},
		{"silent about nobody, earlier matcher", silent, runtime.LegacyHeaderMatcher, "mallory"},
		{"silent about nobody, earlier matcher without metadata", silent, WithoutMetadata(runtime.LegacyHeaderMatcher), ""},
	} {
		var got []string
		mux := runtime.NewServeMux(runtime.WithMetadata(tt.caller), runtime.WithIncomingHeaderMatcher(tt.match))
		backend := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			ctx, err := runtime.AnnotateContext(r.Context(), mux, r, "/shop.v1.Shop/Orders")
			if err != nil {
				t.Error(err)
			}
			md, _ := metadata.FromOutgoingContext(ctx)
			got = append(got, strings.Join(md.Get("x-caller"), ","))
		})
		r := w.Owner.Request("GET", "/orders", w.Token)
		r.Header.Set("Grpc-Metadata-X-Caller", "mallory")
		w.Guard.Confirm(backend).ServeHTTP(httptest.NewRecorder(), r)
		backend.ServeHTTP(httptest.NewRecorder(), r) // a public route
		if want := []string{"client-1", tt.public}; !slices.Equal(got, want) {
			t.Errorf("%s: got %s, want %s", tt.name, fmt.Sprintf("%q", got), fmt.Sprintf("%q", want))
		}
	}
}
