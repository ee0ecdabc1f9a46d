package otelpopauth_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/otelpopauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// lab is a guarded handler with instruments in memory.
type lab struct {
	*testing.T
	issuer  *popauthtest.Issuer
	owner   *popauthtest.Client
	handler http.Handler
	reader  *sdkmetric.ManualReader
	spans   *tracetest.InMemoryExporter
	tracer  trace.Tracer
}

func newLab(t *testing.T) *lab {
	l := &lab{T: t, issuer: popauthtest.NewIssuer(t), owner: popauthtest.SelfSigned(t, "owner"),
		reader: sdkmetric.NewManualReader(), spans: tracetest.NewInMemoryExporter()}
	traces := sdktrace.NewTracerProvider(sdktrace.WithSyncer(l.spans))
	l.tracer = traces.Tracer("server")
	observe, err := otelpopauth.New(otelpopauth.Options{
		MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(l.reader)), TracerProvider: traces,
	})
	if err != nil {
		t.Fatal(err)
	}
	o := l.issuer.Options()
	o.Observe = observe
	proofs, err := dpop.New(dpop.Options{URL: dpop.RequestURL})
	if err != nil {
		t.Fatal(err)
	}
	o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, proofs}
	o.Revoked = func(_ context.Context, t *popauth.Token) (bool, error) {
		if t.Subject() == "unknown" {
			return false, errors.New("down")
		}
		return false, nil
	}
	guard, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	l.handler = guard.Confirm(guard.Authorize(popauth.Scope("orders.read"))(&popauthtest.Spy{}))
	return l
}

func (l *lab) token(claims ...popauthtest.Claims) string {
	return l.issuer.Token(append([]popauthtest.Claims{l.owner.Bound(), {"scope": "orders.read"}}, claims...)...)
}

func (l *lab) send(r *http.Request) { l.handler.ServeHTTP(httptest.NewRecorder(), r) }

// series returns what the reader has, a line for each series.
func (l *lab) series() []string {
	var all metricdata.ResourceMetrics
	if err := l.reader.Collect(l.Context(), &all); err != nil {
		l.Fatal(err)
	}
	var lines []string
	for _, s := range all.ScopeMetrics {
		for _, m := range s.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					lines = append(lines, fmt.Sprintf("%s %s %s %d", m.Name, m.Unit, text(p.Attributes), p.Value))
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					if p.Sum <= 0 || p.Sum > 60 || len(p.Bounds) != 17 {
						l.Errorf("%s: sum %v, bounds %v", m.Name, p.Sum, p.Bounds)
					}
					lines = append(lines, fmt.Sprintf("%s %s %s %d", m.Name, m.Unit, text(p.Attributes), p.Count))
				}
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func text(s attribute.Set) string { return s.Encoded(attribute.DefaultEncoder()) }

func (l *lab) want(what string, got []string, want ...string) {
	l.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		l.Errorf("%s: got\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestMetrics(t *testing.T) {
	l := newLab(t)
	l.send(l.owner.Request("GET", "/", l.token()))
	l.send(l.owner.Request("GET", "/", l.token()))
	l.send((&popauthtest.Client{}).Request("GET", "/", l.token()))
	l.send(httptest.NewRequest("GET", "/", nil))
	iss := strings.ReplaceAll(strings.ReplaceAll(l.issuer.URL, `\`, `\\`), "=", `\=`)
	const none, missing = "error.type=no credentials,", "error.type=token bound to a certificate\\, none presented,"
	bound := "popauth.binding=x5t#S256,popauth.issuer=" + iss + ",popauth.remembered=false,popauth.scheme=Bearer,popauth.stage="
	l.want("metrics", l.series(),
		"popauth.decisions {decision} "+bound+"authenticate 2",
		"popauth.decisions {decision} "+bound+"confirm 2",
		"popauth.decisions {decision} "+bound+"authorize 2",
		"popauth.decisions {decision} "+missing+bound+"authenticate 1",
		"popauth.decisions {decision} "+none+"popauth.remembered=false,popauth.stage=authenticate 1",
		"popauth.decision.duration s popauth.remembered=false,popauth.stage=authenticate 2",
		"popauth.decision.duration s popauth.remembered=false,popauth.stage=confirm 2",
		"popauth.decision.duration s popauth.remembered=false,popauth.stage=authorize 2",
		"popauth.decision.duration s "+missing+"popauth.remembered=false,popauth.stage=authenticate 1",
		"popauth.decision.duration s "+none+"popauth.remembered=false,popauth.stage=authenticate 1",
	)
}

// A refusal from outside is counted; nobody has measured it.
func TestOutside(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	observe, err := otelpopauth.New(otelpopauth.Options{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})
	if err != nil {
		t.Fatal(err)
	}
	observe(t.Context(), popauth.Observation{Stage: popauth.StageOutside, Reason: popauth.ErrPeerUntrusted, Status: http.StatusForbidden})
	l := &lab{T: t, reader: reader}
	l.want("metrics", l.series(),
		"popauth.decisions {decision} error.type=not a connection of the proxy,popauth.remembered=false,popauth.stage=outside 1")
}

func TestWithoutIssuer(t *testing.T) {
	reader, spans := sdkmetric.NewManualReader(), tracetest.NewInMemoryExporter()
	traces := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	observe, err := otelpopauth.New(otelpopauth.Options{
		MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), TracerProvider: traces, WithoutIssuer: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, server := traces.Tracer("server").Start(t.Context(), "server")
	for range 3 {
		observe(ctx, popauth.Observation{Stage: popauth.StageAuthenticate, Issuer: "https://" + rand.Text(), Scheme: "DPoP", Duration: 1})
	}
	server.End()
	l := &lab{T: t, reader: reader}
	l.want("metrics", l.series(),
		"popauth.decisions {decision} popauth.remembered=false,popauth.scheme=DPoP,popauth.stage=authenticate 3",
		"popauth.decision.duration s popauth.remembered=false,popauth.stage=authenticate 3")
	for _, s := range spans.GetSpans()[:3] {
		if value(s.Attributes, "popauth.issuer") == "" {
			t.Errorf("got %v", s.Attributes)
		}
	}
}

func TestTraces(t *testing.T) {
	l := newLab(t)
	for _, tt := range []struct {
		name    string
		r       *http.Request
		reason  string // on the server's span
		stage   string
		refused string // on the span of the authentication
		code    codes.Code
	}{
		{"passed", l.owner.Request("GET", "/", l.token()), "", "", "", codes.Unset},
		{"thief", (&popauthtest.Client{}).Request("GET", "/", l.token()), string(popauth.ErrCertificateMissing), "authenticate",
			string(popauth.ErrCertificateMissing), codes.Unset},
		{"scope", l.owner.Request("GET", "/", l.token(popauthtest.Claims{"scope": "x"})), string(popauth.ErrScope), "authorize", "",
			codes.Unset},
		{"down", l.owner.Request("GET", "/", l.token(popauthtest.Claims{"sub": "unknown"})), string(popauth.ErrUnavailable),
			"authenticate", string(popauth.ErrUnavailable), codes.Error},
	} {
		l.spans.Reset()
		ctx, server := l.tracer.Start(t.Context(), "server")
		l.send(tt.r.WithContext(ctx))
		server.End()
		all := l.spans.GetSpans()
		if len(all) != 2 {
			t.Fatalf("%s: got %d spans, want 2", tt.name, len(all))
		}
		own, outer := all[0], all[1]
		if own.Name != "popauth authenticate" || own.Parent.SpanID() != outer.SpanContext.SpanID() ||
			own.SpanKind != trace.SpanKindInternal ||
			own.StartTime.Before(outer.StartTime) || !own.EndTime.After(own.StartTime) || own.EndTime.After(outer.EndTime) {
			t.Errorf("%s: got %+v in %+v", tt.name, own, outer)
		}
		if got := value(own.Attributes, "error.type"); got != tt.refused || own.Status.Code != tt.code ||
			value(own.Attributes, "popauth.scheme") != "Bearer" {
			t.Errorf("%s: got %q, %v, %v", tt.name, got, own.Status, own.Attributes)
		}
		if value(outer.Attributes, "popauth.reason") != tt.reason || value(outer.Attributes, "popauth.stage") != tt.stage ||
			outer.Status.Code != codes.Unset {
			t.Errorf("%s: got %v, %v on the server's span", tt.name, outer.Attributes, outer.Status)
		}
	}
	// Without a span of the request there would be one without a parent.
	l.spans.Reset()
	l.send(l.owner.Request("GET", "/", l.token()))
	if got := l.spans.GetSpans(); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func value(all []attribute.KeyValue, key string) string {
	for _, a := range all {
		if string(a.Key) == key {
			return a.Value.AsString()
		}
	}
	return ""
}

// Whatever is sent, there are no more series.
func TestMetricsFlood(t *testing.T) {
	l := newLab(t)
	thief, key := popauthtest.NewIssuer(t), popauthtest.NewProofKey(t, "ES256")
	flood := func(n int) int {
		for range n {
			for _, r := range hostile(l, thief, key) {
				l.send(r)
			}
		}
		return len(l.series())
	}
	first := flood(1)
	if then := flood(50); then != first {
		t.Errorf("got %d series after 51 rounds, %d after one:\n%s", then, first, strings.Join(l.series(), "\n"))
	}
	t.Logf("%d series", first)
}

// hostile is one round of requests, of which each has something that no other has had.
func hostile(l *lab, thief *popauthtest.Issuer, key *popauthtest.ProofKey) []*http.Request {
	x := rand.Text()
	mine := popauthtest.Claims{"sub": x, "client_id": x, "jti": x, "acr": x}
	var all []*http.Request
	for _, a := range []struct{ scheme, token, proof string }{
		{"Bearer", l.token(mine), ""},
		{"Bearer", l.issuer.Token(mine), x},
		{"Bearer", l.token(popauthtest.Claims{"scope": x}), ""},
		{x, x, ""},
		{"Bearer", x, ""},
		{"Bearer", thief.Token(popauthtest.Claims{"iss": "https://" + x + ".example"}), ""},
		{"Bearer", thief.Token(popauthtest.Claims{"iss": l.issuer.URL}, mine), ""},
		{"Bearer", l.issuer.TokenWith(popauthtest.Claims{"kid": x}), ""},
		{"Bearer", l.issuer.TokenWith(popauthtest.Claims{"typ": x}), ""},
		{"Bearer", l.issuer.Token(popauthtest.Claims{"cnf": popauthtest.Claims{x: x}}), ""},
		{"DPoP", l.issuer.Token(key.Bound()), x},
		{"DPoP", l.issuer.Token(key.Bound(), mine), key.Proof(x, "https://"+x, x)},
	} {
		r := l.owner.Request(x, "/"+x, "")
		r.Header.Set("Authorization", a.scheme+" "+a.token)
		r.Header.Set("User-Agent", x)
		if a.proof != "" {
			r.Header.Set("DPoP", a.proof)
		}
		all = append(all, r)
	}
	return all
}

// The global providers are the default; until they are set they do nothing.
func TestDefaults(t *testing.T) {
	for _, o := range []otelpopauth.Options{{}, {MeterProvider: noop.NewMeterProvider()}} {
		observe, err := otelpopauth.New(o)
		if err != nil {
			t.Fatal(err)
		}
		observe(t.Context(), popauth.Observation{Stage: popauth.StageOutside, Reason: popauth.ErrForbidden})
	}
}

func ExampleNew() {
	observe, err := otelpopauth.New(otelpopauth.Options{}) // the global providers
	if err != nil {
		fmt.Println(err)
		return
	}
	guard, err := popauth.New(popauth.Options{
		Issuer:   "https://id.example.com",
		Audience: []string{"https://api.example.com"},
		Observe:  observe,
	})
	fmt.Println(guard != nil, err)
	// Output: true <nil>
}

// A client that goes away has a label of its own, and its span is no error.
func TestRequestThatEnds(t *testing.T) {
	l := newLab(t)
	gone, leave := context.WithCancel(t.Context())
	leave()
	ctx, server := l.tracer.Start(gone, "server")
	l.send(l.owner.Request("GET", "/", l.token(popauthtest.Claims{"sub": "unknown"})).WithContext(ctx))
	server.End()
	if lines := strings.Join(l.series(), "\n"); !strings.Contains(lines, "error.type="+string(popauth.ErrRequestEnded)) ||
		strings.Contains(lines, string(popauth.ErrUnavailable)) {
		t.Errorf("got\n%s", lines)
	}
	if own := l.spans.GetSpans()[0]; own.Status.Code != codes.Unset {
		t.Errorf("got %v", own.Status)
	}
}
