package connect

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/examples/frameworks/shop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

type lab struct {
	issuer       *popauthtest.Issuer
	owner, thief *popauthtest.Client
	revoked      atomic.Bool
	shop         shop.Shop
	server       *httptest.Server
}

func newLab(t *testing.T) *lab {
	l := &lab{issuer: popauthtest.NewIssuer(t), owner: popauthtest.SelfSigned(t, "owner"), thief: popauthtest.SelfSigned(t, "thief")}
	options := l.issuer.Options()
	options.Revoked = func(context.Context, *popauth.Token) (bool, error) { return l.revoked.Load(), nil }
	guard, err := popauth.New(options)
	if err != nil {
		t.Fatal(err)
	}
	devices, err := clientcert.Verified(popauth.TLSCertificate(), clientcert.Verification{Roots: popauthtest.NewCA(t).Pool()})
	if err != nil {
		t.Fatal(err)
	}
	l.server = popauthtest.NewServer(t, routes(guard, devices, &l.shop, 10*time.Millisecond), func(c *tls.Config) {})
	return l
}

// bearer sends a token, and header lines, with every call.
func bearer(token string, header map[string]string) connect.Option {
	return connect.WithInterceptors(&lines{token: token, header: header})
}

type lines struct {
	token  string
	header map[string]string
}

func (l *lines) add(h http.Header) {
	if l.token != "" {
		h.Set("Authorization", "Bearer "+l.token)
	}
	for name, line := range l.header {
		h.Set(name, line)
	}
}

func (l *lines) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
		l.add(r.Header())
		return next(ctx, r)
	}
}

func (l *lines) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		c := next(ctx, spec)
		l.add(c.RequestHeader())
		return c
	}
}

func (l *lines) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

var protocols = map[string][]connect.ClientOption{
	"Connect": nil, "Connect, JSON": {connect.WithProtoJSON()},
	"gRPC": {connect.WithGRPC()}, "gRPC-Web": {connect.WithGRPCWeb()},
}

// A refusal reaches Connect's own client under the code that its status stands for, in each protocol.
func TestClientCodes(t *testing.T) {
	l := newLab(t)
	token := l.issuer.Token(l.owner.Bound(), popauthtest.Claims{"scope": "orders.read", "sub": "alice"})
	stranger := popauthtest.NewIssuer(t).Token(l.owner.Bound())
	for _, tt := range []struct {
		name, procedure string
		client          *popauthtest.Client
		token           string
		header          map[string]string
		want            connect.Code // 0: let in
	}{
		{"owner", "Orders", l.owner, token, nil, 0},
		{"nobody", "Orders", nil, "", nil, connect.CodeUnauthenticated},
		{"thief", "Orders", l.thief, token, nil, connect.CodeUnauthenticated},
		{"another issuer's", "Orders", l.owner, stranger, nil, connect.CodeUnauthenticated},
		{"wrong scope", "Buy", l.owner, token, nil, connect.CodePermissionDenied},
		{"device of no authority", "Read", l.owner, "", nil, connect.CodePermissionDenied},
		{"method override", "Orders", l.owner, token, map[string]string{"X-HTTP-Method-Override": "GET"}, connect.CodeInternal},
	} {
		for protocol, options := range protocols {
			client := connect.NewClient[empty, text](tt.client.HTTP(l.server), l.server.URL+"/shop.v1.Shop/"+tt.procedure,
				append([]connect.ClientOption{bearer(tt.token, tt.header)}, options...)...)
			ran := l.shop.Asked()["orders of alice"]
			answer, err := client.CallUnary(t.Context(), connect.NewRequest(&emptypb.Empty{}))
			ran = l.shop.Asked()["orders of alice"] - ran
			switch {
			case tt.want == 0 && (err != nil || answer.Msg.GetValue() != "orders of alice" || ran != 1):
				t.Errorf("%s, %s: got %v, handler ran %d times, want an answer", tt.name, protocol, err, ran)
			case tt.want != 0 && (connect.CodeOf(err) != tt.want || ran != 0):
				t.Errorf("%s, %s: got %v, handler ran %d times, want %v", tt.name, protocol, err, ran, tt.want)
			}
		}
	}
	if got := l.shop.Asked(); len(got) != 1 {
		t.Errorf("got %v, want the owner's orders alone", got)
	}
}

// An outage is not the caller's fault, and clients may try again.
func TestClientOutage(t *testing.T) {
	l := newLab(t)
	l.issuer.Handle("/jwks", http.NotFoundHandler())
	client := connect.NewClient[empty, text](l.owner.HTTP(l.server), l.server.URL+"/shop.v1.Shop/Orders",
		bearer(l.issuer.Token(l.owner.Bound()), nil))
	_, err := client.CallUnary(t.Context(), connect.NewRequest(&emptypb.Empty{}))
	if connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("got %v, want %v", err, connect.CodeUnavailable)
	}
}

// A stream that nobody let in has no message; one that was let in ends once its token is revoked.
func TestClientStream(t *testing.T) {
	for protocol, options := range protocols {
		l := newLab(t)
		token := l.issuer.Token(l.owner.Bound(), popauthtest.Claims{"scope": "orders.read", "sub": "alice"})
		open := func(c *popauthtest.Client) *connect.ServerStreamForClient[text] {
			client := connect.NewClient[empty, text](c.HTTP(l.server), l.server.URL+"/shop.v1.Shop/News",
				append([]connect.ClientOption{bearer(token, nil)}, options...)...)
			ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
			t.Cleanup(stop)
			stream, err := client.CallServerStream(ctx, connect.NewRequest(&emptypb.Empty{}))
			if err != nil {
				t.Fatalf("%s: %v", protocol, err)
			}
			t.Cleanup(func() { _ = stream.Close() })
			return stream
		}
		if stream := open(l.thief); stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeUnauthenticated ||
			len(l.shop.Asked()) != 0 {
			t.Errorf("%s: thief: got %v, shop was asked %v, want %v", protocol, stream.Err(), l.shop.Asked(), connect.CodeUnauthenticated)
		}
		stream := open(l.owner)
		for range 3 {
			if !stream.Receive() || stream.Msg().GetValue() != "orders of alice" {
				t.Fatalf("%s: owner: got %v, want orders", protocol, stream.Err())
			}
		}
		l.revoked.Store(true)
		for stream.Receive() { // what was sent before
		}
		if connect.CodeOf(stream.Err()) != connect.CodeUnauthenticated || errors.Is(stream.Err(), context.DeadlineExceeded) {
			t.Errorf("%s: revoked: got %v, want %v", protocol, stream.Err(), connect.CodeUnauthenticated)
		}
	}
}
