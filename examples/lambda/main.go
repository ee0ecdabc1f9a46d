// Lambda is an API in a function of AWS Lambda, for tokens bound to a client certificate or by DPoP. The certificate is the one that
// API Gateway reports in its event, or that an Application Load Balancer reports in the headers of its event; never one that a header of
// the adapter says. See docs/platforms.md.
//
//	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go build -C examples/lambda -tags lambda.norpc -o bootstrap .
//
// It is configured by its environment: EVENTS is http (payload 2.0), rest (payload 1.0) or alb; ISSUER and BASE_URL, the API's own
// address, are for tokens and proofs; TARGET_GROUP is the load balancer's.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
)

func main() {
	logger := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	handler, err := handler(os.Getenv("EVENTS"), os.Getenv("TARGET_GROUP"), popauth.Options{
		Issuer:   os.Getenv("ISSUER"),
		Audience: []string{os.Getenv("BASE_URL")},
		Logger:   logger,
	}, http.HandlerFunc(orders))
	if err != nil {
		log.Fatal(err)
	}
	lambda.Start(handler)
}

// handler returns what lambda.Start takes: next behind a Guard with these options, and the source for the kind of events.
func handler(kind, targetGroup string, o popauth.Options, next http.Handler) (any, error) {
	source, err := sourceFor(kind, targetGroup)
	if err != nil {
		return nil, err
	}
	if len(o.Audience) == 0 || o.Audience[0] == "" {
		return nil, errors.New("BASE_URL: the API's own address is wanted, such as https://api.example.com")
	}
	proofs, err := dpop.New(dpop.Options{BaseURL: o.Audience[0]}) // the function itself sees no TLS
	if err != nil {
		return nil, err
	}
	o.Certificate, o.Confirmers = source, []popauth.Confirmer{popauth.MutualTLS{}, proofs}
	guard, err := popauth.New(o)
	if err != nil {
		return nil, err
	}
	api := guard.Confirm(next)
	switch kind { // with the context: Proxy would put the event into headers that a client can send, too
	case "http":
		return httpadapter.NewV2(api).ProxyWithContext, nil
	case "rest":
		return httpadapter.New(api).ProxyWithContext, nil
	}
	return httpadapter.NewALB(api).ProxyWithContext, nil
}

func sourceFor(kind, targetGroup string) (popauth.CertificateSource, error) {
	switch kind {
	case "http":
		return httpAPI()
	case "rest":
		return restAPI()
	case "alb":
		if targetGroup == "" {
			return nil, errors.New("TARGET_GROUP: the ARN of the load balancer's target group is wanted")
		}
		return loadBalancer(targetGroup)
	}
	return nil, fmt.Errorf("EVENTS: got %q, want http, rest or alb", kind)
}

func orders(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(map[string]string{"client": client(r.Context())}); err != nil {
		slog.Error("write the answer", "error", err)
	}
}

func client(ctx context.Context) string {
	if p, ok := popauth.FromContext(ctx); ok {
		return p.Subject
	}
	return ""
}
