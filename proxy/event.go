package proxy

import (
	"context"
	"errors"
	"net/http"

	"github.com/seed-171ab058/popauth"
)

// APIGateway is the source of the certificate that Amazon API Gateway reports to a Lambda function: in the event, not in a header.
// The function given finds its PEM text in a request's context, where the adapter that made the request of the event has put it; an
// empty text is no certificate, and false says that the request came with no event. With github.com/awslabs/aws-lambda-go-api-proxy,
// for an HTTP API (payload 2.0):
//
//	source, err := proxy.APIGateway(func(ctx context.Context) (string, bool) {
//		event, ok := core.GetAPIGatewayV2ContextFromContext(ctx)
//		return event.Authentication.ClientCert.ClientCertPem, ok
//	})
//
// For a REST API (payload 1.0) it is event.Identity.ClientCert, which may be nil, of core.GetAPIGatewayContextFromContext. Hand events
// to ProxyWithContext: Proxy puts them into headers, behind what the client has sent by the same name. A request without an event
// in its context is refused with popauth.ErrPeerUntrusted, whatever its headers are; those of that adapter are removed.
//
// API Gateway validates against the truststore of the custom domain, not for revocation, so the certificate is VerifiedByProxy. There
// is no chain. Whoever may invoke the function writes the event: permit that to API Gateway alone. At the default endpoint,
// execute-api, API Gateway asks for no certificate: disable it.
func APIGateway(find func(context.Context) (clientCertPEM string, ok bool)) (popauth.CertificateSource, error) {
	if find == nil {
		return nil, errors.New("proxy: APIGateway: no function that finds the certificate of an event")
	}
	return popauth.ProxiedCertificate(popauth.ProxiedOptions{
		Proxied: func(r *http.Request) (bool, error) {
			if _, ok := find(r.Context()); !ok {
				return false, noEvent()
			}
			return true, nil
		},
		Certificate: func(r *http.Request) (*popauth.Certificate, error) {
			text, ok := find(r.Context())
			switch {
			case !ok:
				return nil, noEvent()
			case text == "":
				return nil, nil
			}
			return fromEvent(text)
		},
		Marks: adapterHeaders(), // removed, and never read
	})
}

func noEvent() error {
	return &popauth.Error{Reason: popauth.ErrPeerUntrusted, Err: errors.New("no event of API Gateway in the request's context: " +
		"hand events to ProxyWithContext, and requests on with their context; what a header says of an event is never read")}
}

// adapterHeaders are those by which github.com/awslabs/aws-lambda-go-api-proxy hands events on if it is not given a context. It leaves
// a client's own in place.
func adapterHeaders() []string {
	return []string{"X-GoLambdaProxy-ApiGw-Context", "X-GoLambdaProxy-ApiGw-StageVars", "X-GoLambdaProxy-ALB-Context"}
}

func fromEvent(text string) (*popauth.Certificate, error) {
	certs, err := eventPEM(text)
	switch {
	case errors.Is(err, ErrTooLarge):
		return nil, &popauth.Error{Reason: popauth.ErrCertificateTooLarge, Err: err}
	case err != nil:
		return nil, &popauth.Error{Reason: popauth.ErrCertificateMalformed, Err: err}
	}
	c, err := popauth.NewCertificate("aws-api-gateway", certs[0])
	if err != nil {
		return nil, err
	}
	c.Verified = popauth.VerifiedByProxy
	return c, nil
}

// eventPEM reads clientCertPem.
func eventPEM(text string) ([][]byte, error) {
	if len(text) > maxValue {
		return nil, tooLarge("over 16 KiB")
	}
	return scanPEM(text, 1, "\n", "\r\n")
}

// TrustEvent trusts requests that were made of an event from the proxy, for functions that no connection reaches: is tells so by the
// request's context. For an Application Load Balancer before a Lambda function, with github.com/awslabs/aws-lambda-go-api-proxy:
//
//	proxy.Certificate(proxy.AWSALBVerify(), proxy.TrustEvent(func(ctx context.Context) bool {
//		event, ok := core.GetTargetGroupRequetFromContextALB(ctx)
//		return ok && event.ELB.TargetGroupArn == targetGroup
//	}))
//
// Compare who has sent the event, since API Gateway and function URLs pass a client's own X-Amzn-Mtls-Clientcert-Leaf on. Whoever may
// invoke the function writes the event: permit that to this load balancer alone. And give the target group no other listener: one
// without mutual TLS may pass a client's own headers on.
func TrustEvent(is func(context.Context) bool) Trust {
	if is == nil {
		never := func(*http.Request) bool { return false }
		return Trust{peer: never, problem: errors.New("TrustEvent: no function that tells the proxy's events")}
	}
	return Trust{peer: func(r *http.Request) bool { return is(r.Context()) }}
}
