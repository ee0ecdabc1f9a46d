package forwardauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-171ab058/popauth"
)

// Route is a part of an API behind a proxy: a path, all that is below it, and who may.
type Route struct {
	_ [0]func()

	// Path is the path of whole segments: /orders is for /orders, /orders/ and /orders/7, and not for /orders-internal. Letter case
	// doesn't count, since to some APIs /ORDERS is the same. Of several routes the longest counts; / is for all the rest. It is of
	// letters, digits, and the characters -._~ between slashes.
	Path string

	// Handler answers the proxy's question: what Authorize, Confirm or Authenticate of the Site's Endpoint returns.
	Handler http.Handler
}

// routes are the longest first, so that the first one that fits counts.
func (s Site) routes() []Route {
	return slices.SortedStableFunc(slices.Values(s.Routes), func(a, b Route) int { return len(b.Path) - len(a.Path) })
}

// isRoute takes paths that mean the same to all programs, encoded or not, and nothing else in any configuration's language.
func isRoute(path string) bool {
	if path == "/" {
		return true
	}
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return false
	}
	for segment := range strings.SplitSeq(rest, "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsFunc(segment, func(c rune) bool {
			return !strings.ContainsRune("-._~", c) && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
		}) {
			return false
		}
	}
	return true
}

// below tells whether path is that of the route or below it.
func (r Route) below(path string) bool {
	if r.Path == "/" {
		return strings.HasPrefix(path, "/")
	}
	n := len(r.Path)
	return len(path) >= n && strings.EqualFold(path[:n], r.Path) && (len(path) == n || path[n] == '/')
}

// Handler is the service that the proxy asks: it answers at every path, each question by the Handler of the Route for the original
// request. It goes by what the proxy reports alone, so that no question can be about one path and answered for another. A request
// for which there is no Route is refused with 403, and one for which the rules that RequestLine has opened leave a choice of two
// with 400. What isn't the proxy's own gets the Endpoint's refusals.
//
// It is a server's whole Handler: a http.ServeMux around it would redirect some of Envoy's questions.
func (s Site) Handler() (http.Handler, error) {
	wrong := s.problems()
	for _, r := range s.Routes {
		if r.Handler == nil {
			wrong = append(wrong, fmt.Errorf("forwardauth: Site.Routes: %s: no Handler, such as Endpoint.Authorize returns", r.Path))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return &service{endpoint: s.Endpoint, routes: s.routes()}, nil
}

// service answers questions.
type service struct {
	endpoint *Endpoint
	routes   []Route
}

// ServeHTTP implements http.Handler. The Route's Handler reads the question anew.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	original, err := s.endpoint.original(r)
	if err != nil {
		s.endpoint.guard.Refuse(w, r, err) // on one line at most: nothing here asks for credentials
		return
	}
	at, err := s.route(original.URL)
	if err != nil {
		s.endpoint.guard.Refuse(w, r, err) // on one line at most: nothing here asks for credentials
		return
	}
	s.routes[at].Handler.ServeHTTP(w, r)
}

var (
	errNoRoute   = errors.New("no Route of the Site is for this path: the proxy's configuration has another list; have the Site write it")
	errTwoRoutes = errors.New("the path is that of one Route as it is encoded, and of another when it is decoded, or without empty " +
		"segments and parameters: name no Route below which RequestLine's openings matter")
)

// route chooses by the path, in each form in which an API may read it.
func (s *service) route(u *url.URL) (int, error) {
	find := func(path string) int {
		return slices.IndexFunc(s.routes, func(r Route) bool { return r.below(path) })
	}
	at := find(u.Path)
	for _, path := range []string{u.EscapedPath(), plain(u.EscapedPath()), plain(u.Path)} {
		if find(path) != at {
			return 0, &popauth.Error{Reason: popauth.ErrRequestLine, Err: errTwoRoutes}
		}
	}
	if at < 0 {
		return 0, &popauth.Error{Reason: popauth.ErrForbidden, Err: errNoRoute}
	}
	return at, nil
}

// plain leaves out empty segments, and what follows a semicolon in one.
func plain(path string) string {
	var b strings.Builder
	for segment := range strings.SplitSeq(path, "/") {
		segment, _, _ = strings.Cut(segment, ";")
		if segment != "" {
			b.WriteByte('/')
			b.WriteString(segment)
		}
	}
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}
