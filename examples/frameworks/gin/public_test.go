package gin

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/examples/frameworks/internal/caller"
)

// compressed sends what handlers write, and its own last bytes after them, as compression does.
func compressed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		z := gzip.NewWriter(w)
		defer z.Close()
		next.ServeHTTP(zipped{w, z}, r)
	})
}

// late says what caches may keep when the next handler is through.
func late(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(zipped{w, w}, r)
		w.Header().Set("Cache-Control", "public, max-age=60")
	})
}

type zipped struct {
	http.ResponseWriter
	to io.Writer
}

func (w zipped) Write(b []byte) (int, error) { return w.to.Write(b) }

// A stage that wraps the ResponseWriter never sees the answer: PublicAnswers would take a handler's error for a 200.
func TestWrappingStage(t *testing.T) {
	w := caller.New(t, "orders.read")
	public := popauth.PublicAnswers(time.Hour)
	confirm := Stage(w.Guard.Confirm)
	for _, tt := range []struct {
		name   string
		stages []gin.HandlerFunc
	}{
		{"PublicAnswers", []gin.HandlerFunc{confirm, Stage(public)}},
		{"within a stage", []gin.HandlerFunc{Stage(func(h http.Handler) http.Handler { return w.Guard.Confirm(public(h)) })}},
		{"around a stage", []gin.HandlerFunc{confirm, Stage(func(h http.Handler) http.Handler { return public(w.Guard.Confirm(h)) })}},
		{"compression", []gin.HandlerFunc{confirm, Stage(compressed)}},
		{"public on its way out", []gin.HandlerFunc{confirm, Stage(late)}},
		{"compression alone", []gin.HandlerFunc{Stage(compressed)}},
		{"both", []gin.HandlerFunc{confirm, Stage(func(h http.Handler) http.Handler { return compressed(public(h)) })}},
		{"http.TimeoutHandler", []gin.HandlerFunc{confirm, Stage(func(h http.Handler) http.Handler {
			return http.TimeoutHandler(h, time.Minute, "")
		})}},
	} {
		for name, handler := range map[string]gin.HandlerFunc{
			"404":    func(c *gin.Context) { c.String(http.StatusNotFound, "none") },
			"500":    func(c *gin.Context) { c.AbortWithStatus(http.StatusInternalServerError) },
			"cookie": func(c *gin.Context) { c.SetCookie("session", "owner", 0, "", "", true, true); c.String(200, "mine") },
			"panic":  func(*gin.Context) { panic("handler") },
		} {
			ran, said := 0, ""
			r := gin.New()
			r.Use(gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, _ any) { c.AbortWithStatus(500) }))
			r.Use(func(c *gin.Context) { c.Header("X-Accel-Expires", "3600"); c.Next(); said = c.Errors.String() })
			r.GET("/schemas", append(append([]gin.HandlerFunc{}, tt.stages...), func(c *gin.Context) { ran++; handler(c) })...)
			answer := httptest.NewRecorder()
			r.ServeHTTP(answer, w.Owner.Request("GET", "/schemas", w.Token))
			for _, header := range []http.Header{answer.Result().Header, answer.Header()} { // as sent, and as outer handlers find it
				if got := header.Values("Cache-Control"); len(got) != 1 || got[0] != "no-store" || header["X-Accel-Expires"] != nil {
					t.Errorf("VULNERABLE: %s, %s: got Cache-Control %q in %v, want no-store alone", tt.name, name, got, header)
				}
			}
			if answer.Code != http.StatusInternalServerError || ran != 0 {
				t.Errorf("%s, %s: got %d, handler ran %d times, want 500 and no handler", tt.name, name, answer.Code, ran)
			}
			if !strings.Contains(said, "put it around the handler with gin.WrapH") {
				t.Errorf("%s, %s: got error %q, want what to change", tt.name, name, said)
			}
		}
	}
}

// Around the handler, with gin.WrapH, PublicAnswers sees what the handler answers.
func TestPublicAnswers(t *testing.T) {
	w := caller.New(t, "orders.read")
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		status  int
		public  bool
	}{
		"200":     {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "schema") }, 200, true},
		"nothing": {func(http.ResponseWriter, *http.Request) {}, 200, true},
		"404":     {http.NotFound, 404, false},
		"500":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, 500, false},
		"cookie": {func(w http.ResponseWriter, _ *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "owner", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
			_, _ = io.WriteString(w, "mine")
		}, 200, false},
		"panic": {func(http.ResponseWriter, *http.Request) { panic("handler") }, 500, false},
	} {
		r := gin.New()
		r.Use(gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, _ any) { c.AbortWithStatus(500) }))
		r.GET("/schemas", Stage(w.Guard.Confirm), gin.WrapH(popauth.PublicAnswers(time.Hour)(tt.handler)))
		answer := httptest.NewRecorder()
		r.ServeHTTP(answer, w.Owner.Request("GET", "/schemas", w.Token))
		want := "private"
		if tt.public {
			want = "public, max-age=3600"
		}
		if got := answer.Result().Header.Get("Cache-Control"); answer.Code != tt.status || got != want {
			t.Errorf("%s: got %d, Cache-Control %q, want %d, %q", name, answer.Code, got, tt.status, want)
		}
		stranger := httptest.NewRecorder()
		r.ServeHTTP(stranger, httptest.NewRequest("GET", "/schemas", http.NoBody))
		if got := stranger.Result().Header.Get("Cache-Control"); stranger.Code != 401 || got != "no-store" {
			t.Errorf("%s: nobody got %d, Cache-Control %q, want 401, no-store", name, stranger.Code, got)
		}
	}
}

// gin answers with the status that somebody has set before, where PublicAnswers sees a 200: the page says not to do that.
func TestPublicAnswersBehindStatus(t *testing.T) {
	w := caller.New(t, "orders.read")
	says := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "schema") })
	schemas := gin.WrapH(popauth.PublicAnswers(time.Hour)(says))
	for name, wire := range map[string]func(*gin.Engine){
		"NoRoute": func(r *gin.Engine) { r.NoRoute(Stage(w.Guard.Confirm), schemas) },
		"c.Status": func(r *gin.Engine) {
			r.GET("/schemas", Stage(w.Guard.Confirm), func(c *gin.Context) { c.Status(http.StatusNotFound) }, schemas)
		},
	} {
		r := gin.New()
		wire(r)
		answer := httptest.NewRecorder()
		r.ServeHTTP(answer, w.Owner.Request("GET", "/schemas", w.Token))
		if got := answer.Result().Header.Get("Cache-Control"); answer.Code != 404 || got != "public, max-age=3600" {
			t.Errorf("%s: got %d, Cache-Control %q, want what the page says: 404, public", name, answer.Code, got)
		}
	}
}

// Middleware that hands on the ResponseWriter that it got runs as a Stage.
func TestPassingStages(t *testing.T) {
	w := caller.New(t, "orders.write")
	for name, stage := range map[string]func(http.Handler) http.Handler{
		"RequestLine.Handler":   popauth.RequestLine{}.Handler,
		"Authenticate":          w.Guard.Authenticate,
		"Authorize":             w.Guard.Authorize(popauth.Scope("orders.write")),
		"RequireCertificate":    clientcert.Require(popauth.TLSCertificate(), clientcert.Thumbprint(w.Owner.Thumbprint())),
		"CrossOriginProtection": http.NewCrossOriginProtection().Handler,
		"http.MaxBytesHandler":  func(h http.Handler) http.Handler { return http.MaxBytesHandler(h, 1) },
	} {
		ran := 0
		r := gin.New()
		r.POST("/orders", Stage(stage), func(*gin.Context) { ran++ })
		answer := httptest.NewRecorder()
		if r.ServeHTTP(answer, w.Owner.Request("POST", "/orders", w.Token)); answer.Code != 200 || ran != 1 {
			t.Errorf("%s: got %d, handler ran %d times, want 200 and once", name, answer.Code, ran)
		}
	}
}
