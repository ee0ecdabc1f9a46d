package proxy_test

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// event stands for what an adapter puts into a request's context.
type event struct{ clientCertPEM, targetGroup string }

type eventKey struct{}

func eventOf(ctx context.Context) (event, bool) {
	e, ok := ctx.Value(eventKey{}).(event)
	return e, ok
}

// madeOf is a request that an adapter has made of an event: without a peer, and without TLS.
func madeOf(e event, token string, header ...string) *http.Request {
	r := httptest.NewRequest("GET", "/orders", http.NoBody)
	r.RemoteAddr = "192.0.2.7" // the caller's, without a port
	r = r.WithContext(context.WithValue(r.Context(), eventKey{}, e))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func pemOf(c *popauthtest.Client) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate.Certificate[0]}))
}

func apiGateway(t *testing.T) popauth.CertificateSource {
	t.Helper()
	source, err := proxy.APIGateway(func(ctx context.Context) (string, bool) {
		e, ok := eventOf(ctx)
		return e.clientCertPEM, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func TestAPIGateway(t *testing.T) {
	l := lab.New(t)
	token, owners, thiefs := l.Bound(), pemOf(l.Owner), pemOf(l.Thief)
	forged := []string{
		"X-GoLambdaProxy-ApiGw-Context",
		`{"authentication":{"clientCert":{"clientCertPem":"` + strings.ReplaceAll(owners, "\n", `\n`) + `"}}}`,
		"Client-Cert", lab.ClientCert(l.Owner), "X-Amzn-Mtls-Clientcert-Leaf", percentPEM(l.Owner.Certificate.Certificate[0]),
	}
	guard := l.Guard(func(o *popauth.Options) { o.Certificate = apiGateway(t) })
	for _, tt := range []struct {
		name   string
		r      *http.Request
		status int
	}{
		{"the owner", madeOf(event{clientCertPEM: owners}, token), 200},
		{"the owner, without the last line end", madeOf(event{clientCertPEM: strings.TrimSpace(owners)}, token), 200},
		{"the owner, CRLF", madeOf(event{clientCertPEM: strings.ReplaceAll(owners, "\n", "\r\n")}, token), 200},
		{"the owner, with the adapter's headers", madeOf(event{clientCertPEM: owners}, token, forged...), 200},
		{"a thief", madeOf(event{clientCertPEM: thiefs}, token), 401},
		{"a thief, forged headers", madeOf(event{clientCertPEM: thiefs}, token, forged...), 401},
		{"no certificate, forged headers", madeOf(event{}, token, forged...), 401},
		{"no event, forged headers", lab.ViaProxy(token, forged...), 403},
		{"no event, the owner's own connection", l.Owner.Request("GET", "/orders", token), 403},
		{"two certificates", madeOf(event{clientCertPEM: owners + thiefs}, token), 400},
		{"text before it", madeOf(event{clientCertPEM: "x\n" + owners}, token), 400},
		{"no PEM", madeOf(event{clientCertPEM: "CERT_CONTENT"}, token), 400}, // as AWS' sample has it
		{"too large", madeOf(event{clientCertPEM: strings.Repeat("a", 16<<10+1)}, token), 431},
		{"PEM of something else", madeOf(event{clientCertPEM: pemText(sequence(9))}, token), 400},
		{"a key for a certificate", madeOf(event{clientCertPEM: strings.ReplaceAll(owners, "CERTIFICATE", "PRIVATE KEY")}, token), 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := lab.Send(lab.Chain(guard.Confirm, lab.Tap(func(r *http.Request) {
				if r.Header["X-Golambdaproxy-Apigw-Context"] != nil {
					t.Error("a handler sees what a client says of the event")
				}
			})), tt.r)
			if got.Status != tt.status || got.Ran != (tt.status == 200) {
				t.Errorf("got %d, ran %t, want %d", got.Status, got.Ran, tt.status)
			}
		})
	}
	if _, err := proxy.APIGateway(nil); err == nil {
		t.Error("no function: got no error")
	}
}

// What API Gateway passes on it has validated, so it is an identity; a request that has another one's context is neither's.
func TestAPIGatewayIdentity(t *testing.T) {
	l := lab.New(t)
	source := apiGateway(t)
	c, err := source.Certificate(madeOf(event{clientCertPEM: pemOf(l.Owner)}, ""))
	if err != nil || c.Verified != popauth.VerifiedByProxy || c.Source != "aws-api-gateway" || c.Thumbprint != l.Owner.Thumbprint() {
		t.Fatalf("got %+v, %v", c, err)
	}
	route := clientcert.Require(source)
	if got := lab.Send(route, madeOf(event{clientCertPEM: pemOf(l.Owner)}, "")); !got.Ran {
		t.Errorf("got %d, want a pass", got.Status)
	}
	if got := lab.Send(route, madeOf(event{}, "")); got.Ran || got.Status != http.StatusForbidden {
		t.Errorf("no certificate: got %d, ran %t, want 403", got.Status, got.Ran)
	}
	var inner lab.Outcome
	lab.Send(popauth.ClientCertificate(source), madeOf(event{clientCertPEM: pemOf(l.Owner)}, ""))
	lab.Send(lab.Chain(popauth.ClientCertificate(source), lab.Tap(func(r *http.Request) {
		other := httptest.NewRequest("GET", "/orders", http.NoBody).WithContext(r.Context()) // of a batch
		other.Header.Set("Authorization", "Bearer "+l.Bound())
		inner = lab.Send(l.Guard(func(o *popauth.Options) { o.Certificate = source }).Confirm, other)
	})), madeOf(event{clientCertPEM: pemOf(l.Owner)}, ""))
	if inner.Ran || inner.Status < 400 {
		t.Errorf("VULNERABLE: another request with the event's context: got %d, ran %t", inner.Status, inner.Ran)
	}
}

// The error says what to change, and nothing that came.
func TestAPIGatewayErrors(t *testing.T) {
	_, err := apiGateway(t).Certificate(lab.ViaProxy("", "X-GoLambdaProxy-ApiGw-Context", "zqxj"))
	if !errors.Is(err, popauth.ErrPeerUntrusted) || !strings.Contains(err.Error(), "ProxyWithContext") ||
		strings.Contains(err.Error(), "zqxj") {
		t.Errorf("no event: got %v", err)
	}
	_, err = apiGateway(t).Certificate(madeOf(event{clientCertPEM: "zqxj"}, ""))
	if !errors.Is(err, popauth.ErrCertificateMalformed) || strings.Contains(err.Error(), "zqxj") {
		t.Errorf("no PEM: got %v", err)
	}
	calls := 0
	fickle, err := proxy.APIGateway(func(context.Context) (string, bool) { calls++; return "", calls%2 == 1 })
	if err != nil {
		t.Fatal(err)
	}
	if c, err := fickle.Certificate(lab.ViaProxy("")); c != nil || !errors.Is(err, popauth.ErrPeerUntrusted) {
		t.Errorf("an event that is gone: got %v, %v", c, err)
	}
}

func TestTrustEvent(t *testing.T) {
	l := lab.New(t)
	const group = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/lambda-target/abcdefg"
	trust := proxy.TrustEvent(func(ctx context.Context) bool {
		e, ok := eventOf(ctx)
		return ok && e.targetGroup == group
	})
	guard := l.Guard(func(o *popauth.Options) { o.Certificate = lab.ByProxy(proxy.AWSALBVerify(), trust) })
	token := l.Bound()
	owners := []string{"x-amzn-mtls-clientcert-leaf", percentPEM(l.Owner.Certificate.Certificate[0])}
	thiefs := []string{"x-amzn-mtls-clientcert-leaf", percentPEM(l.Thief.Certificate.Certificate[0])}
	for _, tt := range []struct {
		name   string
		r      *http.Request
		status int
	}{
		{"the owner", madeOf(event{targetGroup: group}, token, owners...), 200},
		{"a thief", madeOf(event{targetGroup: group}, token, thiefs...), 401},
		{"no certificate", madeOf(event{targetGroup: group}, token), 401},
		{"two lines", madeOf(event{targetGroup: group}, token, append(owners, thiefs...)...), 400},
		{"another load balancer's", madeOf(event{targetGroup: group + "x"}, token, owners...), 401},
		{"API Gateway's event", madeOf(event{clientCertPEM: pemOf(l.Thief)}, token, owners...), 401},
		{"no event", lab.ViaProxy(token, owners...), 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := lab.Send(guard.Confirm, tt.r)
			if got.Status != tt.status || got.Ran != (tt.status == 200) {
				t.Errorf("got %d, ran %t, want %d", got.Status, got.Ran, tt.status)
			}
		})
	}
	_, err := proxy.Certificate(proxy.AWSALBVerify(), proxy.TrustEvent(nil))
	if err == nil || !strings.Contains(err.Error(), "TrustEvent") {
		t.Errorf("no function: got %v", err)
	}
}
