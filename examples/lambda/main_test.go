package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/awslabs/aws-lambda-go-api-proxy/core"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

const targetGroup = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/lambda-target/abcdefg"

// function is the example, called as the Lambda runtime does: with JSON.
type function struct {
	issuer       *popauthtest.Issuer
	owner, thief *popauthtest.Client
	spy          *popauthtest.Spy
	seen         http.Header // by the handler
	call         func(t *testing.T, event string) int
}

func newFunction(t *testing.T, kind string) *function {
	t.Helper()
	ca := popauthtest.NewCA(t)
	f := &function{issuer: popauthtest.NewIssuer(t), owner: ca.Client("owner"), thief: ca.Client("thief"), spy: &popauthtest.Spy{}}
	o := f.issuer.Options()
	o.Audience = []string{"https://api.example.com"}
	h, err := handler(kind, targetGroup, o, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.seen = r.Header
		f.spy.ServeHTTP(w, r)
		w.WriteHeader(http.StatusOK) // the adapter takes no status for a failure
	}))
	if err != nil {
		t.Fatal(err)
	}
	f.call = func(t *testing.T, event string) int {
		t.Helper()
		switch h := h.(type) {
		case func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error):
			answer, err := h(t.Context(), decoded[events.APIGatewayV2HTTPRequest](t, event))
			return ended(t, answer.StatusCode, err)
		case func(context.Context, events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error):
			answer, err := h(t.Context(), decoded[events.APIGatewayProxyRequest](t, event))
			return ended(t, answer.StatusCode, err)
		case func(context.Context, events.ALBTargetGroupRequest) (events.ALBTargetGroupResponse, error):
			answer, err := h(t.Context(), decoded[events.ALBTargetGroupRequest](t, event))
			return ended(t, answer.StatusCode, err)
		}
		t.Fatalf("lambda.Start would be given a %T", h)
		return 0
	}
	return f
}

func ended(t *testing.T, status int, err error) int {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func decoded[T any](t *testing.T, event string) (e T) {
	t.Helper()
	if err := json.Unmarshal([]byte(event), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func (f *function) bound() string {
	return "Bearer " + f.issuer.Token(f.owner.Bound(), popauthtest.Claims{"aud": "https://api.example.com"})
}

// sample is one of AWS' events, with what a test changes.
type sample map[string]any

func read(t *testing.T, name string) sample {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return decoded[sample](t, string(text))
}

// at returns the object at a path of members.
func (s sample) at(path ...string) map[string]any {
	here := map[string]any(s)
	for _, name := range path {
		next, _ := here[name].(map[string]any)
		if next == nil {
			next = map[string]any{}
			here[name] = next
		}
		here = next
	}
	return here
}

// with adds headers, in the form that the sample has.
func (s sample) with(headers map[string]string) sample {
	if multi, ok := s["multiValueHeaders"].(map[string]any); ok {
		for name, value := range headers {
			multi[name] = []any{value}
		}
	}
	if _, ok := s["headers"]; ok {
		for name, value := range headers {
			s.at("headers")[name] = value
		}
	}
	return s
}

func (s sample) json(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func pemOf(c *popauthtest.Client) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate.Certificate[0]}))
}

// forged is what a client sends who has the owner's certificate, and not his key: the headers of the adapter, and the load balancer's.
func forged(owner *popauthtest.Client) map[string]string {
	text := strings.ReplaceAll(pemOf(owner), "\n", `\n`)
	return map[string]string{
		"x-golambdaproxy-apigw-context": `{"authentication":{"clientCert":{"clientCertPem":"` + text + `"}},` +
			`"identity":{"clientCert":{"clientCertPem":"` + text + `"}}}`,
		"x-golambdaproxy-alb-context": `{"elb":{"targetGroupArn":"` + targetGroup + `"}}`,
		"x-amzn-mtls-clientcert-leaf": url.PathEscape(pemOf(owner)),
	}
}

// gateway is an event of API Gateway, with the certificate where its payload has it.
type gateway struct {
	kind, file string
	where      []string
}

var gateways = []gateway{
	{"http", "apigw-v2-request-no-authorizer", []string{"requestContext", "authentication", "clientCert"}},
	{"rest", "apigw-request", []string{"requestContext", "identity", "clientCert"}},
}

func (g gateway) event(t *testing.T, token, clientCertPEM string, headers map[string]string) string {
	t.Helper()
	s := read(t, g.file)
	s.at(g.where...)["clientCertPem"] = clientCertPEM
	if clientCertPEM == "" {
		delete(s.at(g.where[:len(g.where)-1]...), "clientCert")
	}
	return s.with(map[string]string{"authorization": token}).with(headers).json(t)
}

// The certificate is that of the event, whatever headers say.
func TestAPIGateway(t *testing.T) {
	for _, g := range gateways {
		t.Run(g.kind, func(t *testing.T) {
			f := newFunction(t, g.kind)
			owner, thief, token := pemOf(f.owner), pemOf(f.thief), f.bound()
			for _, tt := range []struct {
				name, event string
				status      int
			}{
				{"the owner", g.event(t, token, owner, nil), 200},
				{"the owner, with headers of his own", g.event(t, token, owner, forged(f.thief)), 200},
				{"a thief", g.event(t, token, thief, nil), 401},
				{"a thief, forged headers", g.event(t, token, thief, forged(f.owner)), 401},
				{"no certificate", g.event(t, token, "", nil), 401},
				{"no certificate, forged headers", g.event(t, token, "", forged(f.owner)), 401},
				{"AWS' sample as it is", g.event(t, token, "CERT_CONTENT", nil), 400},
			} {
				before := f.spy.Ran()
				got := f.call(t, tt.event)
				if ran := f.spy.Ran() > before; got != tt.status || ran != (tt.status == 200) {
					t.Errorf("%s: got %d, ran %t, want %d", tt.name, got, ran, tt.status)
				}
				for name := range f.seen {
					if strings.HasPrefix(strings.ToLower(name), "x-golambdaproxy") {
						t.Errorf("%s: the handler sees a client's own %s", tt.name, name)
					}
				}
			}
		})
	}
}

// Proxy, which has no context, hands the event on in headers: nobody gets in by it.
func TestWithoutContext(t *testing.T) {
	f := newFunction(t, "http")
	source, err := httpAPI()
	if err != nil {
		t.Fatal(err)
	}
	o := f.issuer.Options()
	o.Audience, o.Certificate = []string{"https://api.example.com"}, source
	guard, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	adapter := httpadapter.NewV2(guard.Confirm(f.spy))
	for name, text := range map[string]string{"the owner": pemOf(f.owner), "a thief": pemOf(f.thief), "nobody": ""} {
		event := gateways[0].event(t, f.bound(), text, forged(f.owner))
		answer, err := adapter.Proxy(decoded[events.APIGatewayV2HTTPRequest](t, event))
		if err != nil || answer.StatusCode != http.StatusForbidden || f.spy.Ran() > 0 {
			t.Errorf("%s: got %d, %v, ran %d times, want 403", name, answer.StatusCode, err, f.spy.Ran())
		}
	}
}

// Why a header is never read: the adapter reads a client's own first. If this fails, docs/platforms.md has to be changed.
func TestTheAdaptersOwnReader(t *testing.T) {
	f := newFunction(t, "http")
	var accessor core.RequestAccessorV2
	headers := forged(f.owner)
	v2, _, _ := strings.Cut(headers["x-golambdaproxy-apigw-context"], `,"identity"`) // it splits at commas
	headers["x-golambdaproxy-apigw-context"] = v2 + "}"
	event := gateways[0].event(t, f.bound(), pemOf(f.thief), headers)
	r, err := accessor.ProxyEventToHTTPRequest(decoded[events.APIGatewayV2HTTPRequest](t, event))
	if err != nil {
		t.Fatal(err)
	}
	got, err := accessor.GetAPIGatewayContextV2(r)
	if err != nil || got.Authentication.ClientCert.ClientCertPem != pemOf(f.owner) {
		t.Errorf("got %q, %v, want what the thief has forged", got.Authentication.ClientCert.ClientCertPem, err)
	}
}

// The load balancer's headers count in its own events, in both forms of its target groups.
func TestLoadBalancer(t *testing.T) {
	for _, file := range []string{"alb-lambda-target-request-headers-only", "alb-lambda-target-request-multivalue-headers"} {
		t.Run(file, func(t *testing.T) {
			f := newFunction(t, "alb")
			token := f.bound()
			event := func(group string, headers map[string]string) sample {
				s := read(t, file)
				s.at("requestContext", "elb")["targetGroupArn"] = group
				return s.with(map[string]string{"authorization": token}).with(headers)
			}
			leaf := func(c *popauthtest.Client) map[string]string {
				return map[string]string{"x-amzn-mtls-clientcert-leaf": url.PathEscape(pemOf(c))}
			}
			for _, tt := range []struct {
				name   string
				event  sample
				status int
			}{
				{"the owner", event(targetGroup, leaf(f.owner)), 200},
				{"a thief", event(targetGroup, leaf(f.thief)), 401},
				{"no certificate", event(targetGroup, nil), 401},
				{"another target group, the owner's certificate", event(targetGroup+"h", forged(f.owner)), 401},
				{"switched to passthrough", event(targetGroup, map[string]string{
					"x-amzn-mtls-clientcert": url.PathEscape(pemOf(f.owner)),
				}), 400},
			} {
				before := f.spy.Ran()
				got := f.call(t, tt.event.json(t))
				if ran := f.spy.Ran() > before; got != tt.status || ran != (tt.status == 200) {
					t.Errorf("%s: got %d, ran %t, want %d", tt.name, got, ran, tt.status)
				}
			}
			if !strings.Contains(file, "multivalue") {
				return
			}
			two := event(targetGroup, leaf(f.thief))
			both := []any{url.PathEscape(pemOf(f.owner)), url.PathEscape(pemOf(f.thief))}
			two.at("multiValueHeaders")["x-amzn-mtls-clientcert-leaf"] = both
			if got := f.call(t, two.json(t)); got != http.StatusBadRequest {
				t.Errorf("two values: got %d, want 400", got)
			}
		})
	}
}

// What comes by another trigger of the function has no certificate, whatever it says of one.
func TestOtherTriggers(t *testing.T) {
	f := newFunction(t, "http")
	event := read(t, "lambda-urls-request").with(map[string]string{"authorization": f.bound()}).with(forged(f.owner)).json(t)
	if got := f.call(t, event); got != http.StatusUnauthorized || f.spy.Ran() > 0 {
		t.Errorf("a function URL: got %d, ran %d times, want 401", got, f.spy.Ran())
	}
	f = newFunction(t, "alb")
	event = gateways[1].event(t, f.bound(), pemOf(f.thief), forged(f.owner))
	if got := f.call(t, event); got != http.StatusUnauthorized || f.spy.Ran() > 0 {
		t.Errorf("API Gateway, where the load balancer is expected: got %d, ran %d times, want 401", got, f.spy.Ran())
	}
}

// A proof is for the API's own address, which the function doesn't see.
func TestDPoP(t *testing.T) {
	for _, g := range gateways {
		f := newFunction(t, g.kind)
		key := popauthtest.NewProofKey(t, "")
		token := f.issuer.Token(key.Bound(), popauthtest.Claims{"aud": "https://api.example.com"})
		event := read(t, g.file)
		method, path := "GET", "/"
		if g.kind == "rest" {
			method, path = "POST", "/hello/world"
		}
		delete(event.at(g.where[:len(g.where)-1]...), "clientCert")
		delete(event, "queryStringParameters")
		delete(event, "multiValueQueryStringParameters")
		sent := event.with(map[string]string{
			"authorization": "DPoP " + token, "dpop": key.Proof(method, "https://api.example.com"+path, token),
		}).json(t)
		if got := f.call(t, sent); got != http.StatusOK || f.spy.Ran() != 1 {
			t.Errorf("%s: got %d, ran %d times, want 200", g.kind, got, f.spy.Ran())
		}
		if got := f.call(t, sent); got != http.StatusUnauthorized || f.spy.Ran() != 1 {
			t.Errorf("%s, the same proof again: got %d, ran %d times, want 401", g.kind, got, f.spy.Ran())
		}
	}
}

func TestConfiguration(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	for _, tt := range []struct {
		name, kind, group, audience, says string
	}{
		{"no kind", "", "", "https://api.example.com", "EVENTS"},
		{"no target group", "alb", "", "https://api.example.com", "TARGET_GROUP"},
		{"no address", "http", "", "", "BASE_URL"},
	} {
		o := issuer.Options()
		o.Audience = []string{tt.audience}
		if _, err := handler(tt.kind, tt.group, o, http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want %s named", tt.name, err, tt.says)
		}
	}
}

// The page has what stands in sources.go.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/platforms.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("sources.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```go\n")[1:]
	if len(blocks) != 3 {
		t.Errorf("docs/platforms.md: got %d pieces of Go, want 3", len(blocks))
	}
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		if !strings.Contains(strings.ReplaceAll(string(source), "\n\t", "\n"), block) {
			t.Errorf("docs/platforms.md: sources.go doesn't have\n%s", block)
		}
	}
}
