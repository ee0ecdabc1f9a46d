// Package extauthz is a Guard as the service that Envoy's filter ext_authz asks by gRPC about each request, in front of an API in
// any language.
package extauthz

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	envoy "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpc "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/proxy"
)

// Route decides about the requests of one route of Envoy's, which names it in its context extension "route".
type Route func(*http.Request) (*Allowed, error)

// Allowed is a request that may pass. A public one has no Principal.
type Allowed struct {
	*popauth.Decision
	Device string // whose certificate alone has opened the route
}

// Service answers Envoy.
type Service struct {
	auth.UnimplementedAuthorizationServer
	Guard    *popauth.Guard            // finds certificates by proxy.Certificate(proxy.Envoy(), …)
	Trusted  func(*http.Request) error // refuses whoever isn't Envoy: the Check of proxy.Trusted(…)
	Identity *forwardauth.Identity
	Routes   map[string]Route
}

// Check implements auth.AuthorizationServer. A panic, such as one of a policy of your own, would end the process: grpc-go recovers
// none. Envoy refuses the request by status_on_error.
func (s *Service) Check(ctx context.Context, in *auth.CheckRequest) (answer *auth.CheckResponse, err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.ErrorContext(ctx, "panic", "panic", p, "stack", string(debug.Stack()))
			answer, err = nil, status.Error(codes.Internal, "panic")
		}
	}()
	r, err := request(ctx, in.GetAttributes().GetRequest().GetHttp())
	if err == nil {
		err = s.Trusted(r)
	}
	if err == nil {
		err = s.Identity.Check(r.Header)
	}
	if err != nil {
		return denied(s.Guard.Refusal(r, err)), nil
	}
	route, ok := s.Routes[in.GetAttributes().GetContextExtensions()["route"]]
	if !ok { // one that is added to Envoy's configuration stays shut
		return denied(s.Guard.Refusal(r, popauth.ErrForbidden)), nil
	}
	a, err := route(r)
	if err != nil {
		return denied(s.Guard.Refusal(r, err)), nil
	}
	caller, err := s.Identity.Header(a.Principal)
	if err != nil {
		return denied(s.Guard.Refusal(r, err)), nil
	}
	caller.Set("X-Auth-Device", url.QueryEscape(a.Device))
	return allowed(a.Decision, r, caller), nil
}

// request makes a request of what Envoy says about it. One that can't be made is empty, for the refusal.
func request(ctx context.Context, q *auth.AttributeContext_HttpRequest) (*http.Request, error) {
	r := (&http.Request{URL: &url.URL{}, Header: http.Header{}, Body: http.NoBody}).WithContext(ctx)
	if p, ok := peer.FromContext(ctx); ok {
		r = r.WithContext(proxy.WithPeer(ctx, from{p.Addr}))
	}
	if q.GetHeaderMap() == nil { // Envoy has joined lines then, so that two look like one
		return r, &popauth.Error{Reason: popauth.ErrForwardedRequest, Err: errors.New("no header_map; set encode_raw_headers: true")}
	}
	for _, h := range q.GetHeaderMap().GetHeaders() {
		if !strings.HasPrefix(h.GetKey(), ":") {
			r.Header.Add(h.GetKey(), string(h.GetRawValue()))
		}
	}
	target, err := url.ParseRequestURI(q.GetPath())
	if err != nil || !strings.HasPrefix(q.GetPath(), "/") {
		return r, popauth.ErrRequestLine
	}
	r.Method, r.URL, r.RequestURI, r.Host = q.GetMethod(), target, q.GetPath(), q.GetHost()
	return r, nil
}

// from is Envoy's end of the connection.
type from struct{ address net.Addr }

func (f from) RemoteAddr() net.Addr { return f.address }

// denied has each line of the answer as one: clients may read the first of two challenges that are joined. Envoy leaves the body
// out for HEAD.
func denied(no popauth.Refusal) *auth.CheckResponse {
	h := no.Header()
	h.Set("Content-Type", "application/problem+json")
	code := envoy.StatusCode(no.Status) //nolint:gosec // G115: of three digits
	return &auth.CheckResponse{
		Status: &rpc.Status{Code: int32(codes.PermissionDenied)},
		HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: &auth.DeniedHttpResponse{
			Status: &envoy.HttpStatus{Code: code}, Headers: lines(h), Body: string(no.Problem()),
		}},
	}
}

// allowed has for the API who is calling, and nothing that the decision has taken from the request or was made on; for the client
// what the decision puts on the answer, and to caches that the answer is its own.
func allowed(d *popauth.Decision, r *http.Request, caller http.Header) *auth.CheckResponse {
	remove := []string{"authorization", "dpop"}
	for name := range r.Header {
		if _, kept := d.Request.Header[name]; !kept {
			remove = append(remove, name)
		}
	}
	answer := http.Header{}
	maps.Copy(answer, d.Header)
	popauth.Private(answer)
	return &auth.CheckResponse{
		Status: &rpc.Status{Code: int32(codes.OK)},
		HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{
			Headers: lines(caller), HeadersToRemove: remove, ResponseHeadersToAdd: lines(answer),
		}},
	}
}

func lines(h http.Header) []*core.HeaderValueOption {
	var all []*core.HeaderValueOption
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for i, value := range h[name] {
			action := core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
			if i > 0 || name == "Cache-Control" || name == "Vary" { // beside what the API says, of which caches keep to the strictest
				action = core.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
			}
			all = append(all, &core.HeaderValueOption{
				Header: &core.HeaderValue{Key: name, Value: value}, AppendAction: action, KeepEmptyValue: true,
			})
		}
	}
	return all
}

// Routes are those of envoy.yaml.
func Routes(guard *popauth.Guard, devices popauth.CertificateSource) map[string]Route {
	authorize := func(policies ...popauth.Policy) Route {
		return func(r *http.Request) (*Allowed, error) {
			d, err := guard.Decide(r, policies...)
			return &Allowed{Decision: d}, err
		}
	}
	sameOrigin := http.NewCrossOriginProtection()
	return map[string]Route{
		"health": func(r *http.Request) (*Allowed, error) { // public
			return &Allowed{Decision: &popauth.Decision{Request: popauth.WithoutHeaders(r, devices)}}, popauth.CheckRequest(r)
		},
		"catalog":      authorize(popauth.Scope("catalog.read")),
		"orders read":  authorize(popauth.Bound(), popauth.Scope("orders.read")),
		"orders write": authorize(popauth.Bound(), popauth.Scope("orders.write")),
		"readings": func(r *http.Request) (*Allowed, error) {
			if err := sameOrigin.Check(r); err != nil {
				return nil, err // ErrForbidden
			}
			device, err := clientcert.Check(r, devices)
			if err != nil {
				return nil, err
			}
			return &Allowed{&popauth.Decision{Request: popauth.WithoutHeaders(r, devices)}, device.Leaf.Subject.CommonName}, nil
		},
	}
}
