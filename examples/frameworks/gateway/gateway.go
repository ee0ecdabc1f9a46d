// Package gateway is an API behind the mux of grpc-gateway.
package gateway

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/examples/frameworks/shop"
)

// Stages runs, for each route of the mux, the stage that is under its method and pattern, written as the mux has it:
// "GET /orders/{id=*}". A route without one is refused, so that one that is added to a proto file stays shut.
func Stages(guard *popauth.Guard, stages map[string]func(http.Handler) http.Handler) runtime.ServeMuxOption {
	return runtime.WithMiddlewares(func(next runtime.HandlerFunc) runtime.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
			pattern, _ := runtime.HTTPPattern(r.Context())
			stage, ok := stages[r.Method+" "+pattern.String()]
			if !ok {
				guard.Refuse(w, r, popauth.ErrForbidden)
				return
			}
			stage(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next(w, r, params)
			})).ServeHTTP(w, r)
		}
	})
}

// Deny is for Options.Deny: the answer is the JSON of a google.rpc.Status, as from the gateway itself.
func Deny(w http.ResponseWriter, _ *http.Request, e *popauth.Error) {
	code := codes.PermissionDenied
	switch e.Status() {
	case http.StatusBadRequest:
		code = codes.InvalidArgument
	case http.StatusUnauthorized:
		code = codes.Unauthenticated
	case http.StatusTooManyRequests:
		code = codes.ResourceExhausted
	case http.StatusServiceUnavailable:
		code = codes.Unavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status())
	_ = json.NewEncoder(w).Encode(map[string]any{"code": code, "message": string(e.Reason), "details": []any{}})
}

// Routes stands for the generated RegisterShopHandlerServer. In its handlers, as in the service behind it, the context
// is that of the request, so that the principal is in it.
func Routes(guard *popauth.Guard, devices popauth.CertificateSource, s *shop.Shop) http.Handler {
	read := guard.Authorize(popauth.Bound(), popauth.Scope("orders.read"))
	sameOrigin, device := http.NewCrossOriginProtection().Handler, clientcert.Require(devices)
	mux := runtime.NewServeMux(
		runtime.WithDisablePathLengthFallback(), // or a POSTed form runs the handler for GET
		Stages(guard, map[string]func(http.Handler) http.Handler{
			"GET /health":        func(next http.Handler) http.Handler { return next }, // public
			"GET /catalog":       guard.Authorize(popauth.Scope("catalog.read")),
			"GET /orders":        read,
			"GET /orders/{id=*}": read,
			"POST /orders":       guard.Authorize(popauth.Bound(), popauth.Scope("orders.write")),
			"POST /readings":     func(next http.Handler) http.Handler { return sameOrigin(device(next)) },
		}))
	for pattern, h := range handlers(s) {
		if err := mux.HandlePath(pattern[0], pattern[1], h); err != nil {
			panic(err)
		}
	}
	return popauth.RequestLine{}.Handler(mux)
}

func handlers(s *shop.Shop) map[[2]string]runtime.HandlerFunc {
	of := func(answer func(caller string, params map[string]string) string) runtime.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
			caller, _ := popauth.FromContext(r.Context())
			w.Header().Set("Content-Type", "text/plain; charset=utf-8") // or the client's id could make it a page
			_, _ = io.WriteString(w, answer(caller.Subject, params))
		}
	}
	return map[[2]string]runtime.HandlerFunc{
		{"GET", "/health"}:      func(http.ResponseWriter, *http.Request, map[string]string) {},
		{"GET", "/catalog"}:     of(func(caller string, _ map[string]string) string { return s.Catalog(caller) }),
		{"GET", "/orders"}:      of(func(caller string, _ map[string]string) string { return s.Orders(caller) }),
		{"GET", "/orders/{id}"}: of(func(caller string, params map[string]string) string { return s.Order(caller, params["id"]) }),
		{"POST", "/orders"}:     of(func(caller string, _ map[string]string) string { return s.Buy(caller) }),
		{"POST", "/readings"}: func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
			device, _ := popauth.CertificateFromContext(r.Context())
			_, _ = io.WriteString(w, s.Read(device.Leaf.Subject.CommonName))
		},
	}
}

// WithoutMetadata is for runtime.WithIncomingHeaderMatcher: no client sets metadata by a Grpc-Metadata-… header. Before v2.33
// of grpc-gateway Caller isn't safe without it: the mux appends an annotator's value to the client's.
func WithoutMetadata(match runtime.HeaderMatcherFunc) runtime.HeaderMatcherFunc {
	return func(name string) (string, bool) {
		if strings.HasPrefix(http.CanonicalHeaderKey(name), runtime.MetadataHeaderPrefix) {
			return "", false
		}
		return match(name)
	}
}

// Caller is for runtime.WithMetadata: it tells the service behind the caller's name, in x-caller. It needs v2.33 of
// grpc-gateway, or WithoutMetadata. It sets x-caller for anonymous requests too: with the LegacyHeaderMatcher, a client
// could set a missing one itself, by Grpc-Metadata-X-Caller.
func Caller(_ context.Context, r *http.Request) metadata.MD {
	caller, ok := popauth.FromContext(r.Context())
	if !ok {
		return metadata.Pairs("x-caller", "")
	}
	return metadata.Pairs("x-caller", caller.Subject)
}
