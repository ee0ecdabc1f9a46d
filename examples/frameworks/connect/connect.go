// Package connect is an API of Connect procedures, which gRPC and gRPC-Web clients call as well.
package connect

import (
	"context"
	"errors"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/examples/frameworks/shop"
)

type (
	empty      = emptypb.Empty
	text       = wrapperspb.StringValue
	ask[T any] = connect.Request[T]
	answer     = connect.Response[text]
)

// Routes has a policy for each procedure. A generated handler is mounted the same way: its procedures are the paths.
func Routes(guard *popauth.Guard, devices popauth.CertificateSource, s *shop.Shop) http.Handler {
	return routes(guard, devices, s, 30*time.Second)
}

func routes(guard *popauth.Guard, devices popauth.CertificateSource, s *shop.Shop, recheck time.Duration) http.Handler {
	read := guard.Authorize(popauth.Bound(), popauth.Scope("orders.read"))
	write := guard.Authorize(popauth.Bound(), popauth.Scope("orders.write"))
	sameOrigin := http.NewCrossOriginProtection().Handler

	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {}) // public
	mux.Handle("/shop.v1.Shop/Catalog", guard.Authorize(popauth.Scope("catalog.read"))(
		connect.NewUnaryHandler("/shop.v1.Shop/Catalog", func(ctx context.Context, _ *ask[empty]) (*answer, error) {
			caller, _ := popauth.FromContext(ctx)
			return says(s.Catalog(caller.Subject))
		})))
	mux.Handle("/shop.v1.Shop/Orders", read(
		connect.NewUnaryHandler("/shop.v1.Shop/Orders", func(ctx context.Context, _ *ask[empty]) (*answer, error) {
			caller, _ := popauth.FromContext(ctx)
			return says(s.Orders(caller.Subject))
		})))
	mux.Handle("/shop.v1.Shop/Order", read(
		connect.NewUnaryHandler("/shop.v1.Shop/Order", func(ctx context.Context, r *ask[text]) (*answer, error) {
			caller, _ := popauth.FromContext(ctx)
			return says(s.Order(caller.Subject, r.Msg.GetValue()))
		})))
	mux.Handle("/shop.v1.Shop/Buy", write(
		connect.NewUnaryHandler("/shop.v1.Shop/Buy", func(ctx context.Context, _ *ask[empty]) (*answer, error) {
			caller, _ := popauth.FromContext(ctx)
			return says(s.Buy(caller.Subject))
		})))
	mux.Handle("/shop.v1.Shop/Read", sameOrigin(clientcert.Require(devices)(
		connect.NewUnaryHandler("/shop.v1.Shop/Read", func(ctx context.Context, _ *ask[empty]) (*answer, error) {
			device, _ := popauth.CertificateFromContext(ctx)
			return says(s.Read(device.Leaf.Subject.CommonName))
		}))))
	mux.Handle("/shop.v1.Shop/News", read(withRequest(
		connect.NewServerStreamHandler("/shop.v1.Shop/News", news(guard, s, recheck)))))
	return popauth.RequestLine{}.Handler(mux)
}

func says(s string) (*answer, error) {
	return connect.NewResponse(wrapperspb.String(s)), nil
}

type requestKey struct{}

// withRequest keeps the request, as the stage has handed it on, for Recheck: Connect's handlers see its context only.
func withRequest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, r)))
	})
}

// news streams the caller's orders until the client goes, or until its token no longer holds.
func news(guard *popauth.Guard, s *shop.Shop, every time.Duration) func(context.Context, *ask[empty], *connect.ServerStream[text]) error {
	return func(ctx context.Context, _ *ask[empty], stream *connect.ServerStream[text]) error {
		r, _ := ctx.Value(requestKey{}).(*http.Request)
		check := time.NewTicker(every)
		defer check.Stop()
		for {
			caller, err := guard.Recheck(r, popauth.Scope("orders.read"))
			if errors.Is(err, popauth.ErrUnavailable) {
				return connect.NewError(connect.CodeUnavailable, errors.New("ask again later"))
			}
			if err != nil { // it has been logged, and is nothing for the client
				return connect.NewError(connect.CodeUnauthenticated, errors.New("the token no longer holds"))
			}
			if err := stream.Send(wrapperspb.String(s.Orders(caller.Subject))); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-check.C:
			}
		}
	}
}
