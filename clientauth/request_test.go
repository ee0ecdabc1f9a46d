package clientauth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func basic(id, secret string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(id), secret) }
}

func TestRequests(t *testing.T) {
	owner := popauthtest.SelfSigned(t, "batch")
	a := newAuth(t, clientauth.Options{Clients: clientauth.Static{
		"batch": {thumbprint(t, owner)}, "urn:x y": {thumbprint(t, owner)},
	}})
	malformed, two := clientauth.ErrRequestMalformed, clientauth.ErrTwoMethods
	change := func(f func(*http.Request)) func(*http.Request) { return f }
	for _, tt := range []struct {
		name, form string
		change     func(*http.Request)
		reason     clientauth.Reason // "": accepted
	}{
		{"form", form, nil, ""},
		{"charset", form, header("Content-Type", "Application/x-www-form-urlencoded; charset=UTF-8"), ""},
		{"resource twice", form + "&resource=a&resource=b", nil, ""},
		{"Basic without secret", "", basic("batch", ""), ""},
		{"Basic without secret, and the form", form, basic("batch", ""), ""},
		{"scheme in another case", "", header("Authorization", "bAsIc YmF0Y2g6"), ""},
		{"parameters without value", form + "&client_secret=&client_assertion=&client_assertion_type=", nil, ""},
		{"Basic with a secret", "", basic("batch", "s"), two},
		{"Basic with a secret, and the form", form, basic("batch", "s"), two},
		{"secret", form + "&client_secret=s", nil, two},
		{"assertion", form + "&client_assertion=s", nil, two},
		{"assertion type", form + "&client_assertion_type=urn:x", nil, two},
		{"Bearer", form, header("Authorization", "Bearer x"), two},
		{"DPoP", form, header("Authorization", "DPoP x"), two},
		{"another scheme", form, header("Authorization", "Negotiate x"), two},
		{"secret of a stranger", "client_id=stranger&client_secret=s", nil, two},
		{"no client_id", "grant_type=client_credentials", nil, malformed},
		{"empty client_id", "client_id=", nil, malformed},
		{"client_id twice", form + "&client_id=batch", nil, malformed},
		{"client_id twice, differing", form + "&client_id=stranger", nil, malformed},
		{"client_id twice, once empty", form + "&client_id=", nil, malformed},
		{"secret twice", form + "&client_secret=&client_secret=", nil, malformed},
		{"two identifiers", form, basic("stranger", ""), malformed},
		{"Authorization twice", form, header("Authorization", "Basic YmF0Y2g6", "Basic YmF0Y2g6"), malformed},
		{"Authorization empty", form, header("Authorization", ""), two},
		{"Basic alone", form, header("Authorization", "Basic"), malformed},
		{"Basic no base64", form, header("Authorization", "Basic ?"), malformed},
		{"Basic without colon", form, header("Authorization", "Basic YmF0Y2g="), malformed},
		{"Basic badly encoded", form, change(func(r *http.Request) { r.SetBasicAuth("batch%zz", "") }), malformed},
		{"client_id in the URL", form, change(func(r *http.Request) { r.URL.RawQuery = "client_id=batch" }), malformed},
		{"secret in the URL", form, change(func(r *http.Request) { r.URL.RawQuery = "client_secret=" }), malformed},
		{"URL malformed", form, change(func(r *http.Request) { r.URL.RawQuery = "a=%zz" }), malformed},
		{"form malformed", form + "&a=%zz", nil, malformed},
		{"semicolon", "client_id=batch;client_id=stranger", nil, malformed},
		{"GET", form, change(func(r *http.Request) { r.Method = "GET" }), malformed},
		{"PUT", form, change(func(r *http.Request) { r.Method = "PUT" }), malformed},
		{"JSON", `{"client_id":"batch"}`, header("Content-Type", "application/json"), malformed},
		{"multipart", form, header("Content-Type", "multipart/form-data; boundary=x"), malformed},
		{"JSON, and Basic", "{}", change(func(r *http.Request) {
			r.SetBasicAuth("batch", "")
			r.Header.Set("Content-Type", "application/json")
		}), malformed},
		{"content type malformed", form, header("Content-Type", "application/x-www-form-urlencoded; x"), malformed},
		{"no content type", form, header("Content-Type"), malformed},
		{"no body", "", change(func(r *http.Request) { r.Body = nil }), malformed},
		{"too large", form + "&x=" + strings.Repeat("x", 64<<10), nil, clientauth.ErrRequestTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := post(owner, tt.form)
			if tt.change != nil {
				tt.change(r)
			}
			got := send(a, r)
			switch tt.reason {
			case "":
				got.passed(t, "batch")
			case clientauth.ErrRequestTooLarge:
				got.refused(t, tt.reason, 413, "invalid_request")
			default:
				got.refused(t, tt.reason, 400, "invalid_request")
			}
			if got.Header().Get("WWW-Authenticate") != "" {
				t.Errorf("challenge: got %q, want none", got.Header().Values("WWW-Authenticate"))
			}
		})
	}
	send(a, post(owner, "", basic("urn:x y", ""))).passed(t, "urn:x y")
	largest := form + "&x=" + strings.Repeat("x", 64<<10-len(form)-3)
	send(a, post(owner, largest)).passed(t, "batch")
}

// A handler further out may have parsed the form, under a limit of its own.
func TestParsedForm(t *testing.T) {
	owner := popauthtest.SelfSigned(t, "batch")
	a := newAuth(t, clientauth.Options{Clients: clientauth.Static{"batch": {thumbprint(t, owner)}}})
	r := post(owner, form+"&x="+strings.Repeat("x", 64<<10))
	if err := r.ParseForm(); err != nil {
		t.Fatal(err)
	}
	send(a, r).passed(t, "batch")

	limited := post(owner, form+strings.Repeat("x", 100))
	limited.Body = http.MaxBytesReader(nil, limited.Body, 100)
	send(a, limited).refused(t, clientauth.ErrRequestTooLarge, 413, "invalid_request")

	broken := post(owner, form)
	broken.Body = io.NopCloser(io.MultiReader(bytes.NewReader([]byte(form)), failing{}))
	send(a, broken).refused(t, clientauth.ErrRequestMalformed, 400, "invalid_request")
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

// The challenge answers the scheme that the client has used, and only an authentication that has failed.
func TestChallenge(t *testing.T) {
	owner, thief := popauthtest.SelfSigned(t, "batch"), popauthtest.SelfSigned(t, "batch")
	a := newAuth(t, clientauth.Options{Clients: clientauth.Static{"batch": {thumbprint(t, owner)}}, AlwaysBind: true})
	for _, tt := range []struct {
		name   string
		r      *http.Request
		reason clientauth.Reason
		want   string
	}{
		{"form", post(thief, form), clientauth.ErrCertificateMismatch, ""},
		{"Basic", post(thief, "", basic("batch", "")), clientauth.ErrCertificateMismatch, `Basic realm="client"`},
		{"Basic, no certificate", post(nil, "", basic("batch", "")), clientauth.ErrCertificateMissing, `Basic realm="client"`},
		{"Basic with a secret", post(thief, "", basic("batch", "s")), clientauth.ErrOtherMethod, `Basic realm="client"`},
		{"Bearer", post(nil, form, header("Authorization", "bearer x")), clientauth.ErrCertificateMissing, "Bearer"},
		{"DPoP", post(nil, form, header("Authorization", "dpop x")), clientauth.ErrCertificateMissing, "DPoP"},
		{"unknown", post(nil, form, header("Authorization", "Evil\", x=\"")), clientauth.ErrCertificateMissing, `Basic realm="client"`},
	} {
		got := send(a, tt.r)
		got.refused(t, tt.reason, 401, "invalid_client")
		if have := strings.Join(got.Header().Values("WWW-Authenticate"), "|"); have != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, have, tt.want)
		}
	}
}

// recording is a store that says what it was asked.
type recording struct {
	asked []string
	err   error
	regs  []clientauth.Registration
}

func (s *recording) Registrations(_ context.Context, id string) ([]clientauth.Registration, error) {
	s.asked = append(s.asked, id)
	return s.regs, s.err
}

// What can't be an identifier never reaches a store; what is refused anyway doesn't either.
func TestStoreIsAskedLast(t *testing.T) {
	owner := popauthtest.SelfSigned(t, "batch")
	store := &recording{}
	a := newAuth(t, clientauth.Options{Clients: store})
	for _, id := range []string{"a\x00b", "ä", "\r\n", strings.Repeat("a", 513), "\xff"} {
		send(a, post(owner, url.Values{"client_id": {id}}.Encode())).refused(t, clientauth.ErrClientUnknown, 401, "invalid_client")
	}
	send(a, post(owner, form+"&client_secret=s")).refused(t, clientauth.ErrTwoMethods, 400, "invalid_request")
	send(a, post(nil, form)).refused(t, clientauth.ErrCertificateMissing, 401, "invalid_client")
	if len(store.asked) > 0 {
		t.Errorf("the store was asked for %q", store.asked)
	}
	id := strings.Repeat("a", 512)
	send(a, post(owner, "client_id="+id)).refused(t, clientauth.ErrClientUnknown, 401, "invalid_client")
	if len(store.asked) != 1 || store.asked[0] != id {
		t.Errorf("the store was asked for %q, want the longest identifier", store.asked)
	}
}

type key struct{}

// contextStore wants the request's context.
type contextStore struct{ regs []clientauth.Registration }

func (s contextStore) Registrations(ctx context.Context, _ string) ([]clientauth.Registration, error) {
	if ctx.Value(key{}) == nil {
		return nil, errors.New("not the context of the request")
	}
	return s.regs, ctx.Err()
}

func TestStoreErrors(t *testing.T) {
	owner := popauthtest.SelfSigned(t, "batch")
	regs := []clientauth.Registration{thumbprint(t, owner)}
	cause := errors.New("secret of the database")
	got := send(newAuth(t, clientauth.Options{Clients: &recording{err: cause, regs: regs}}), post(owner, form))
	got.refused(t, clientauth.ErrUnavailable, 503, "temporarily_unavailable")
	if !errors.Is(got.err, cause) || got.Header().Get("Retry-After") == "" || strings.Contains(got.Body.String(), "database") {
		t.Errorf("got %v, %v, %s", got.err, got.Header(), got.Body)
	}
	a := newAuth(t, clientauth.Options{Clients: contextStore{regs}})
	ctx := context.WithValue(context.Background(), key{}, 1)
	send(a, post(owner, form).WithContext(ctx)).passed(t, "batch")
	late, end := context.WithTimeout(ctx, 0)
	defer end()
	send(a, post(owner, form).WithContext(late)).refused(t, clientauth.ErrUnavailable, 503, "temporarily_unavailable")
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	ended := func(a *clientauth.Authenticator, ctx context.Context) {
		t.Helper()
		got := send(a, post(owner, form).WithContext(ctx))
		got.refused(t, clientauth.ErrRequestEnded, 499, "temporarily_unavailable")
		if errors.Is(got.err, clientauth.ErrUnavailable) || errors.Is(got.err, popauth.ErrUnavailable) {
			t.Errorf("%v is an outage for errors.Is", got.err)
		}
	}
	ended(a, ctx)
	theirs, over := context.WithTimeoutCause(context.WithValue(context.Background(), key{}, 1), 0, popauth.ErrRequestEnded)
	defer over()
	ended(a, theirs)
	ended(newAuth(t, clientauth.Options{Clients: clientauth.Static{}, Certificate: fixed{err: popauth.ErrUnavailable}}), ctx)
}

// The end of a request explains an outage, not that its client can't prove who it is.
func TestRefusedForItselfBeforeTheEnd(t *testing.T) {
	owner := popauthtest.SelfSigned(t, "batch")
	clients := clientauth.Static{"batch": {thumbprint(t, owner)}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	refused := func(a *clientauth.Authenticator, c *popauthtest.Client, reason clientauth.Reason, status int, code string) {
		t.Helper()
		send(a, post(c, form).WithContext(ctx)).refused(t, reason, status, code)
	}
	a := newAuth(t, clientauth.Options{Clients: clients})
	refused(a, popauthtest.SelfSigned(t, "batch"), clientauth.ErrCertificateMismatch, 401, "invalid_client")
	refused(a, nil, clientauth.ErrCertificateMissing, 401, "invalid_client")
	broken := newAuth(t, clientauth.Options{Clients: clients, Certificate: fixed{err: errors.New("no header")}})
	refused(broken, owner, clientauth.ErrCertificateMalformed, 400, "invalid_request")
	// A source that has waited may have no Reason to name.
	waited := newAuth(t, clientauth.Options{Clients: clients, Certificate: fixed{err: fmt.Errorf("look-up: %w", context.Canceled)}})
	refused(waited, owner, clientauth.ErrRequestEnded, 499, "temporarily_unavailable")
}
