package popauth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestProblemDetails(t *testing.T) {
	l := lab.New(t)
	g := l.Guard(func(o *popauth.Options) { o.Deny = popauth.ProblemDetails })
	down := l.Guard(func(o *popauth.Options) {
		o.Deny = popauth.ProblemDetails
		o.Keys = nowhereKeys{}
	})
	for _, tt := range []struct {
		name  string
		guard *popauth.Guard
		r     *http.Request
		want  string
	}{
		{"no credentials", g, l.Owner.Request("GET", "/", ""), `{"type":"about:blank","title":"Unauthorized","status":401}`},
		{"malformed", g, l.Owner.Request("GET", "/", `a"b`),
			`{"type":"about:blank","title":"Bad Request","status":400,"detail":"The request's credentials are ` +
				`malformed","error":"invalid_request"}`},
		{"expired", g, l.Owner.Request("GET", "/", l.Bound(lab.Claims{"exp": 1})),
			`{"type":"about:blank","title":"Unauthorized","status":401,"detail":"The access token expired","error":"invalid_token"}`},
		{"scope", g, l.Owner.Request("GET", "/", l.Bound(lab.Claims{"scope": "x"})),
			`{"type":"about:blank","title":"Forbidden","status":403,"detail":"The access token lacks a ` +
				`scope","error":"insufficient_scope"}`},
		{"unavailable", down, l.Owner.Request("GET", "/", l.Bound()), `{"type":"about:blank","title":"Service Unavailable","status":503}`},
	} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			t.Run(tt.name+" "+method, func(t *testing.T) {
				tt.r.Method = method
				w := httptest.NewRecorder()
				tt.guard.Authorize(popauth.Scope("orders.read"))(http.NotFoundHandler()).ServeHTTP(w, tt.r)
				var status struct{ Status int }
				if err := json.Unmarshal([]byte(tt.want), &status); err != nil {
					t.Fatal(err)
				}
				h := w.Header()
				if w.Code != status.Status || h.Get("Content-Type") != "application/problem+json" ||
					h.Get("Content-Length") != fmt.Sprint(len(tt.want)) {
					t.Errorf("got %d %v", w.Code, h)
				}
				want := tt.want
				if method == "HEAD" {
					want = ""
				}
				if w.Body.String() != want {
					t.Errorf("got %s, want %s", w.Body, want)
				}
				if (w.Code == 503) != (h.Get("WWW-Authenticate") == "") || (w.Code == 503) != (h.Get("Retry-After") != "") {
					t.Errorf("got %d %v", w.Code, h)
				}
			})
		}
	}
}

type nowhereKeys struct{ popauth.KeySource }

func (nowhereKeys) KeyfuncCtx(context.Context) jwt.Keyfunc {
	return func(*jwt.Token) (any, error) { return nil, popauth.ErrUnavailable }
}

// Nothing of the request, and nothing of the cause, is in the answer to any reason.
func TestProblemDetailsReflectNothing(t *testing.T) {
	l := lab.New(t)
	texts := slices.Collect(maps.Keys(popauth.Descriptions()))
	g := l.Guard(func(o *popauth.Options) {
		o.Deny = func(w http.ResponseWriter, r *http.Request, e *popauth.Error) {
			for _, reason := range popauth.Reasons() {
				own := *e
				own.Reason = reason
				rec := httptest.NewRecorder()
				popauth.ProblemDetails(rec, r, &own)
				var p map[string]any
				if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || rec.Code != own.Status() ||
					p["status"] != float64(own.Status()) {
					t.Errorf("%s: got %d %s, %v", reason, rec.Code, rec.Body, err)
				}
				detail, _ := p["detail"].(string)
				if strings.Contains(rec.Body.String(), "evil") || !slices.Contains(texts, detail) ||
					p["title"] != http.StatusText(own.Status()) {
					t.Errorf("VULNERABLE: %s: got %s", reason, rec.Body)
				}
			}
			popauth.ProblemDetails(w, r, e)
		}
	})
	r := l.Owner.Request("GET", "/evil?evil=evil", l.Issuer.Token(lab.Claims{"iss": "evil", "aud": "evil", "evil": "evil"}))
	r.Header.Set("Evil", "evil")
	r.Host = "evil"
	if o := lab.Send(g.Confirm, r); o.Ran || o.Status != 401 {
		t.Errorf("got %+v", o)
	}
}

func ExampleProblemDetails() {
	options := popauthtest.NewIssuer(t).Options()
	options.Deny = popauth.ProblemDetails
	guard, err := popauth.New(options)
	if err != nil {
		panic(err)
	}
	show(guard.Confirm(orders), (*popauthtest.Client)(nil).Request("GET", "/orders", "x"))
	// Output:
	// 401 {"type":"about:blank","title":"Unauthorized","status":401,"detail":"The access token is malformed","error":"invalid_token"}
}
