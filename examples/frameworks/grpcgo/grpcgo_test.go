package grpcgo

import (
	"context"
	"net/http"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/examples/frameworks/shop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

type stage = func(http.Handler) http.Handler

// newServer is what generated code registers: methods that answer for the caller whom they find in their context.
func newServer(s *shop.Shop) *grpc.Server {
	method := func(name string, answer func(caller string) string) grpc.MethodDesc {
		return grpc.MethodDesc{MethodName: name, Handler: func(_ any, ctx context.Context, _ func(any) error,
			_ grpc.UnaryServerInterceptor,
		) (any, error) {
			caller, _ := popauth.FromContext(ctx)
			return wrapperspb.String(answer(caller.Subject)), nil
		}}
	}
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "shop.v1.Shop", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{
		method("Orders", s.Orders), method("Buy", s.Buy), method("Added", s.Catalog),
	}}, s)
	return server
}

// Clients of grpc-go, each with its certificate, see refusals as gRPC's codes, and no method runs for whoever is refused.
func TestHandler(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	guard, err := popauth.New(issuer.Options())
	if err != nil {
		t.Fatal(err)
	}
	var s shop.Shop
	h, err := Handler(newServer(&s), map[string]stage{
		"/shop.v1.Shop/Orders": guard.Authorize(popauth.Bound(), popauth.Scope("orders.read")),
		"/shop.v1.Shop/Buy":    guard.Authorize(popauth.Bound(), popauth.Scope("orders.write")),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := popauthtest.NewServer(t, h)
	owner, thief := popauthtest.SelfSigned(t, "owner"), popauthtest.SelfSigned(t, "thief")
	token := issuer.Token(owner.Bound(), popauthtest.Claims{"scope": "orders.read"})
	for _, tt := range []struct {
		name, method, token string
		by                  *popauthtest.Client
		want                codes.Code
	}{
		{name: "owner", method: "Orders", token: token, by: owner, want: codes.OK},
		{name: "thief", method: "Orders", token: token, by: thief, want: codes.Unauthenticated},
		{name: "unbound", method: "Orders", token: issuer.Token(), by: owner, want: codes.Unauthenticated},
		{name: "anonymous", method: "Orders", by: owner, want: codes.Unauthenticated},
		{name: "another scope", method: "Buy", token: token, by: owner, want: codes.PermissionDenied},
		{name: "without a stage", method: "Added", token: token, by: owner, want: codes.Unimplemented},
	} {
		before := len(s.Asked())
		config := tt.by.HTTP(server).Transport.(*http.Transport).TLSClientConfig.Clone()
		conn, err := grpc.NewClient(server.Listener.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(config)))
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		if tt.token != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+tt.token)
		}
		var got wrapperspb.StringValue
		err = conn.Invoke(ctx, "/shop.v1.Shop/"+tt.method, &emptypb.Empty{}, &got)
		if ran := len(s.Asked()) > before; status.Code(err) != tt.want || ran != (tt.want == codes.OK) {
			t.Errorf("%s: got %v, ran %t, want %v", tt.name, err, ran, tt.want)
		}
		if tt.want == codes.OK && got.GetValue() != "orders of client-1" {
			t.Errorf("%s: got %q", tt.name, got.GetValue())
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What could open more than a method is no name of one.
func TestHandlerNames(t *testing.T) {
	for _, name := range []string{"/shop.v1.Shop/", "/", "/shop.v1.Shop/{method}", "/shop.v1.Shop/Gone", "Orders", ""} {
		if _, err := Handler(newServer(&shop.Shop{}), map[string]stage{name: func(h http.Handler) http.Handler { return h }}); err == nil {
			t.Errorf("%q: got no error", name)
		}
	}
}
