package routers_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/gorilla/mux"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/labstack/echo/v4"
)

// kind is a router with the routes that it can have; a trailing slash stands for all below, and {id} for one segment.
type kind struct {
	routes []string
	build  func(routes []string, h func(route string) http.Handler) http.Handler
}

var plainRoutes = []string{"/", "/admin/", "/users/{id}", "/close"}

// kinds are all routers that serve a GET by its path, each by the way in which it is told about paths.
func kinds() map[string]kind {
	gin.SetMode(gin.ReleaseMode)
	all := slices.Concat(plainRoutes, []string{"/$all/", "/é/", "/a|b"})
	return map[string]kind{
		"ServeMux": {append(all, "/orders:cancel/"), func(routes []string, h func(string) http.Handler) http.Handler {
			m := http.NewServeMux()
			for _, route := range routes {
				m.Handle(pattern(route, escaped), h(route))
			}
			return m
		}},
		"chi": {append(all, "/orders:cancel/"), func(routes []string, h func(string) http.Handler) http.Handler {
			c := chi.NewRouter()
			for _, route := range routes {
				c.Handle(below(route, "*"), h(route))
			}
			return c
		}},
		"gorilla": {append(all, "/orders:cancel/"), gorilla(mux.NewRouter, func(s string) string { return s })},
		"gorilla encoded": {append(all, "/orders:cancel/"),
			gorilla(func() *mux.Router { return mux.NewRouter().UseEncodedPath() }, escaped)},
		"gin":         {all, ginRouter(func(*gin.Engine) {}, func(s string) string { return s })},
		"gin raw":     {all, ginRouter(func(g *gin.Engine) { g.UseRawPath = true }, func(s string) string { return s })},
		"gin escaped": {all, ginRouter(func(g *gin.Engine) { g.UseEscapedPath = true }, escaped)},
		"echo": {all, func(routes []string, h func(string) http.Handler) http.Handler {
			e := echo.New()
			for _, route := range routes {
				e.GET(colons(below(route, "*")), echo.WrapHandler(h(route)))
			}
			return e
		}},
		"grpc-gateway": {append(plainRoutes, "/$all/"), func(routes []string, h func(string) http.Handler) http.Handler {
			gw := runtime.NewServeMux()
			for _, route := range slices.Sorted(slices.Values(routes)) { // the one added last is asked first
				err := gw.HandlePath(http.MethodGet, below(route, "{any=**}"),
					func(w http.ResponseWriter, r *http.Request, _ map[string]string) { h(route).ServeHTTP(w, r) })
				if err != nil {
					panic(err)
				}
			}
			return gw
		}},
	}
}

func escaped(path string) string { return (&url.URL{Path: path}).EscapedPath() }

// pattern spells all of a route but its parameter.
func pattern(route string, spell func(string) string) string {
	plain, parameter := strings.CutSuffix(route, "{id}")
	if parameter {
		return spell(plain) + "{id}"
	}
	return spell(plain)
}

func colons(pattern string) string { return strings.Replace(pattern, "{id}", ":id", 1) }

func below(route, all string) string {
	if strings.HasSuffix(route, "/") {
		return route + all
	}
	return route
}

func gorilla(router func() *mux.Router, spell func(string) string) func([]string, func(string) http.Handler) http.Handler {
	return func(routes []string, h func(string) http.Handler) http.Handler {
		m := router()
		for _, route := range slices.Backward(slices.Sorted(slices.Values(routes))) { // the first that matches counts
			if strings.HasSuffix(route, "/") {
				m.PathPrefix(pattern(route, spell)).Handler(h(route))
			} else {
				m.Path(pattern(route, spell)).Handler(h(route))
			}
		}
		return m
	}
}

func ginRouter(set func(*gin.Engine), spell func(string) string) func([]string, func(string) http.Handler) http.Handler {
	return func(routes []string, h func(string) http.Handler) http.Handler {
		g := gin.New()
		g.RedirectTrailingSlash = false
		set(g)
		for _, route := range routes {
			if route == "/" { // gin has no catch-all beside other routes
				g.NoRoute(func(c *gin.Context) { c.Status(http.StatusOK); h("/").ServeHTTP(c.Writer, c.Request) })
				continue
			}
			g.GET(colons(below(pattern(route, spell), "*any")), gin.WrapH(h(route)))
		}
		return g
	}
}

// routeOf is the route of a path, decoded once.
func (k kind) routeOf(path string) string {
	found := ""
	for _, route := range k.routes {
		if matches(route, path) && len(route) > len(found) {
			found = route
		}
	}
	return found
}

// matches is as RFC 6570 and most routers have it: {id} is one segment that isn't empty.
func matches(route, path string) bool {
	if prefix, ok := strings.CutSuffix(route, "{id}"); ok {
		value, below := strings.CutPrefix(path, prefix)
		return below && value != "" && !strings.Contains(value, "/")
	}
	return path == route || strings.HasSuffix(route, "/") && strings.HasPrefix(path, route)
}
