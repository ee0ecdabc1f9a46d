package fiber2

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/examples/frameworks/internal/crowd"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// world is a Guard behind the trusted proxy, an owner and its token.
func world(t *testing.T) (guard *popauth.Guard, owner *popauthtest.Client, token string) {
	issuer := popauthtest.NewIssuer(t)
	options := issuer.Options()
	options.Certificate = crowd.Proxy()
	guard, err := popauth.New(options)
	if err != nil {
		t.Fatal(err)
	}
	owner = popauthtest.SelfSigned(t, "owner")
	return guard, owner, issuer.Token(owner.Bound())
}

// proxied is what the proxy sends for the owner, with header names as they are spelled here.
func proxied(owner *popauthtest.Client, token string) http.Header {
	return http.Header{
		"Authorization":     {"Bearer " + token},
		"x-ssl-client-cert": {base64.StdEncoding.EncodeToString(owner.Certificate.Certificate[0])},
		"X-PROXY-SECRET":    {crowd.Secret},
	}
}

// ask sends requests over one connection.
func ask(t *testing.T, app *fiber.App) func(method, path string, header http.Header) (int, string, http.Header) {
	l := crowd.Listen(t)
	serve(t, l, nil, app)
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	t.Cleanup(client.CloseIdleConnections)
	return func(method, path string, header http.Header) (int, string, http.Header) {
		t.Helper()
		r, err := http.NewRequest(method, "http://"+l.Addr().String()+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header, r.Host = header, header.Get("Host")
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(b), answer.Header
	}
}

// What a stage removes stays away from handlers, however it is spelled. fiber's adaptor gives it back.
func TestRemovedHeaders(t *testing.T) {
	guard, owner, token := world(t)
	handler := func(c *fiber.Ctx) error {
		var seen []string
		for name := range c.GetReqHeaders() {
			switch textproto.CanonicalMIMEHeaderKey(name) {
			case "X-Ssl-Client-Cert", "X-Proxy-Secret":
				seen = append(seen, strings.ToLower(name))
			}
		}
		slices.Sort(seen)
		return c.SendString(strings.Join(seen, " "))
	}
	both := "x-proxy-secret x-ssl-client-cert"
	for _, tt := range []struct {
		name   string
		config fiber.Config
		stages []fiber.Handler
		want   string
	}{
		{"Stage", fiber.Config{}, []fiber.Handler{Stage(guard.Confirm)}, ""},
		{"two Stages", fiber.Config{}, []fiber.Handler{Stage(guard.Authenticate), Stage(guard.Confirm)}, ""},
		{"names as sent", fiber.Config{DisableHeaderNormalizing: true}, []fiber.Handler{Stage(guard.Confirm)}, ""},
		{"RequireCertificate", fiber.Config{},
			[]fiber.Handler{Stage(clientcert.Require(crowd.Proxy(), clientcert.Thumbprint(owner.Thumbprint())))}, ""},
		{"adaptor.HTTPMiddleware", fiber.Config{}, []fiber.Handler{adaptor.HTTPMiddleware(lasting(guard.Confirm))}, both},
	} {
		app := New(tt.config, silent)
		app.Get("/", append(tt.stages, handler)...)
		status, got, _ := ask(t, app)("GET", "/", proxied(owner, token))
		if status != 200 || got != tt.want {
			t.Errorf("%s: got %d, handler sees %q, want %q", tt.name, status, got, tt.want)
		}
	}
}

// fiber's adaptor goes by the last line of a header; net/http and Stage show a Guard both.
func TestTwoTokens(t *testing.T) {
	guard, owner, token := world(t)
	for _, tt := range []struct {
		name  string
		stage fiber.Handler
		want  int
	}{
		{"Stage", Stage(guard.Confirm), 400},
		{"adaptor.HTTPMiddleware", adaptor.HTTPMiddleware(lasting(guard.Confirm)), 200},
	} {
		ran := 0
		app := New(fiber.Config{}, silent)
		app.Get("/", tt.stage, func(c *fiber.Ctx) error { ran++; return c.SendStatus(200) })
		header := proxied(owner, token)
		header["Authorization"] = []string{"Bearer x", "Bearer " + token}
		if status, _, _ := ask(t, app)("GET", "/", header); status != tt.want || ran != map[int]int{200: 1}[tt.want] {
			t.Errorf("%s: got %d, handler ran %d times, want %d", tt.name, status, ran, tt.want)
		}
	}
}

// A request is popauth's to keep: nothing of it changes when the next one comes over the same connection.
func TestOwnMemory(t *testing.T) {
	var mu sync.Mutex
	var kept []*http.Request
	app := New(fiber.Config{}, silent)
	app.Use(Stage(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			kept = append(kept, r)
			mu.Unlock()
			next.ServeHTTP(w, r)
		})
	}))
	app.All("/*", func(c *fiber.Ctx) error { return c.SendStatus(200) })
	send := ask(t, app)
	methods := []string{"GET", "PUT", "POST"}
	for i := range 100 {
		send(methods[i%3], fmt.Sprintf("/orders/%02d?q=%02d", i, i), http.Header{
			"Host": {fmt.Sprintf("host-%02d", i)}, "X-Number": {fmt.Sprintf("number-%02d", i)},
		})
	}
	for i, r := range kept {
		got := fmt.Sprintf("%s %s %s %s %s", r.Method, r.RequestURI, r.URL, r.Host, r.Header["X-Number"])
		path := fmt.Sprintf("/orders/%02d?q=%02d", i, i)
		want := fmt.Sprintf("%s %s %s host-%02d [number-%02d]", methods[i%3], path, path, i, i)
		if got != want {
			t.Fatalf("VULNERABLE: request %d: got %q, want %q", i, got, want)
		}
	}
}

// Which handler runs is decided by fiber, by another path or method than a stage has seen: refused.
func TestRewritten(t *testing.T) {
	guard, owner, token := world(t)
	path := func(c *fiber.Ctx) error { c.Path("/orders/8"); return c.Next() }
	method := func(c *fiber.Ctx) error { c.Method("DELETE"); return c.Next() }
	for _, tt := range []struct {
		name   string
		path   string
		before []fiber.Handler
		want   int
	}{
		{"nothing changed", "/orders/7", []fiber.Handler{Stage(guard.Authenticate)}, 200},
		{"path before the first stage", "/orders/7", []fiber.Handler{path}, 400},
		{"path after a stage", "/orders/7", []fiber.Handler{Stage(guard.Authenticate), path}, 400},
		{"method after a stage", "/orders/7", []fiber.Handler{Stage(guard.Authenticate), method}, 400},
		{"decoded by RequestLine.Handler", "/orders/%37", []fiber.Handler{Stage(popauth.RequestLine{}.Handler)}, 400},
		{"another encoding", "/orders/%37", nil, 400},
		{"empty segment", "//orders/7", []fiber.Handler{Stage(popauth.RequestLine{}.Handler)}, 400},
	} {
		ran := 0
		app := New(fiber.Config{}, silent)
		if tt.before != nil {
			for _, h := range tt.before {
				app.Use(h)
			}
		}
		app.All("/*", Stage(guard.Confirm), func(c *fiber.Ctx) error { ran++; return c.SendStatus(200) })
		status, _, _ := ask(t, app)("GET", tt.path, proxied(owner, token))
		if want := map[int]int{200: 1}[tt.want]; status != tt.want || ran != want {
			t.Errorf("%s: got %d, handler ran %d times, want %d and %d", tt.name, status, ran, tt.want, want)
		}
	}
}

// Nor does a stage that changes them itself: fiber would run the handler for what they were.
func TestRewritingStage(t *testing.T) {
	strip := func(next http.Handler) http.Handler { return http.StripPrefix("/orders", next) }
	post := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = r.WithContext(r.Context())
			r.Method = "POST"
			next.ServeHTTP(w, r)
		})
	}
	for name, stage := range map[string]func(http.Handler) http.Handler{
		"path": strip, "method": post, "decoded": popauth.RequestLine{}.Handler,
	} {
		ran := 0
		app := New(fiber.Config{}, silent)
		app.All("/*", Stage(stage), func(c *fiber.Ctx) error { ran++; return c.SendStatus(200) })
		if status, _, _ := ask(t, app)("GET", "/orders/%37", http.Header{}); status != 400 || ran != 0 {
			t.Errorf("%s: got %d, handler ran %d times, want 400", name, status, ran)
		}
	}
}

// Headers of handlers outside stay if a stage lets them be, and go if it removes them.
func TestAnswerHeaders(t *testing.T) {
	stage := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Add("Vary", "Authorization")
			w.Header().Del("ETag")
			if r.Header.Get("X-Pass") == "" {
				http.Error(w, "refused", http.StatusTeapot)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	app := New(fiber.Config{}, silent)
	app.Use(func(c *fiber.Ctx) error {
		c.Set("Vary", "Origin")
		c.Set("ETag", `"1"`)
		return c.Next()
	})
	app.Get("/", Stage(stage), func(c *fiber.Ctx) error { return c.SendString("passed") })
	send := ask(t, app)
	for _, tt := range []struct {
		header http.Header
		status int
		body   string
	}{{http.Header{}, http.StatusTeapot, "refused\n"}, {http.Header{"X-Pass": {"1"}}, 200, "passed"}} {
		status, body, header := send("GET", "/", tt.header)
		vary := strings.Join(header["Vary"], ", ")
		if status != tt.status || body != tt.body || vary != "Origin, Authorization" || header["Etag"] != nil {
			t.Errorf("got %d %q, Vary %q, ETag %q, want %d %q and both names, no ETag",
				status, body, vary, header["Etag"], tt.status, tt.body)
		}
	}
}

// Mistakes that fiber doesn't report: a route that is there before Use, and a Guard around fiber in net/http's server.
func TestWrongWiring(t *testing.T) {
	guard, owner, token := world(t)
	app := New(fiber.Config{}, silent)
	app.Get("/orders", func(c *fiber.Ctx) error { return c.SendString("ran") })
	app.Use(Stage(guard.Confirm))
	if status, body, _ := ask(t, app)("GET", "/orders", http.Header{}); status != 200 || body != "ran" {
		t.Errorf("route before Use: got %d %q, want what the page says: it isn't guarded", status, body)
	}

	inside := fiber.New()
	inside.Get("/orders", func(c *fiber.Ctx) error {
		_, ok := popauth.FromContext(c.UserContext())
		_, request := popauth.FromContext(c.Context())
		return c.SendString(fmt.Sprint(ok || request))
	})
	r := httptest.NewRequest("GET", "/orders", http.NoBody)
	r.RemoteAddr = "127.0.0.1:1"
	for name, lines := range proxied(owner, token) {
		r.Header.Set(name, lines[0])
	}
	w := httptest.NewRecorder()
	guard.Confirm(adaptor.FiberApp(inside)).ServeHTTP(w, r)
	if w.Code != 200 || w.Body.String() != "false" {
		t.Errorf("adaptor.FiberApp: got %d %q, want what the page says: no principal inside", w.Code, w.Body)
	}
}

// endless is what context.WithoutCancel makes, in a form that fiber's adaptor can copy from.
type endless struct{ context.Context }

// Done returns nil.
func (*endless) Done() <-chan struct{} { return nil }

// lasting gives a stage a context that doesn't end: fasthttp's ends with the server, in a data race with whoever waits for it.
func lasting(stage func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		h := stage(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, r.WithContext(&endless{r.Context()}))
		})
	}
}
