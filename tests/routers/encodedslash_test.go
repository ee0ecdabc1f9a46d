package routers_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/gorilla/mux"
	"github.com/labstack/echo/v4"

	"github.com/seed-171ab058/popauth"
)

// A name with an encoded slash is one segment for the routers that are for such names, whatever else is in it.
func TestEncodedSlashNames(t *testing.T) {
	says := func(w http.ResponseWriter, name string) {
		plain, err := url.PathUnescape(name) // chi, echo and gorilla leave that to the handler
		if err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, plain)
	}
	sm, c, gm, e, g := http.NewServeMux(), chi.NewRouter(), mux.NewRouter().UseEncodedPath(), echo.New(), gin.New()
	sm.HandleFunc("/projects/{name}/x", func(w http.ResponseWriter, r *http.Request) { says(w, url.PathEscape(r.PathValue("name"))) })
	c.HandleFunc("/projects/{name}/x", func(w http.ResponseWriter, r *http.Request) { says(w, chi.URLParam(r, "name")) })
	gm.HandleFunc("/projects/{name}/x", func(w http.ResponseWriter, r *http.Request) { says(w, mux.Vars(r)["name"]) })
	e.GET("/projects/:name/x", func(c echo.Context) error { says(c.Response(), c.Param("name")); return nil })
	g.UseRawPath = true
	g.GET("/projects/:name/x", func(c *gin.Context) { says(c.Writer, url.PathEscape(c.Param("name"))) })
	for router, h := range map[string]http.Handler{"ServeMux": sm, "chi": c, "gorilla encoded": gm, "echo": e, "gin raw": g} {
		for target, want := range map[string]string{
			"/projects/group%2Fname/x": "group/name", "/projects/group%2Fmy%20name/x": "group/my name",
			"/projects/J%C3%BCrgen%2fx/x": "Jürgen/x",
			"/projects/group%2Fa%40b/x":   "group/a@b", "/projects/a%7eb%2F(1)/x": "a~b/(1)", "/projects/a|%2Fb/x": "a|/b",
			"/%70rojects/a%2Fb/x": "a/b",
		} {
			r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
			retarget(r, target)
			popauth.RequestLine{AllowEncodedSlash: true}.Handler(h).ServeHTTP(w, r)
			if w.Code != 200 || w.Body.String() != want {
				t.Errorf("%s: %s: got %d %q, want %q", router, target, w.Code, w.Body, want)
			}
		}
	}
}
