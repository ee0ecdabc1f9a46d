package forwardauth

import (
	"fmt"
	"net/http"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/field"
	"github.com/seed-171ab058/popauth/internal/uri"
)

// otherURL refuses headers by which an API in another language takes another URL than the request line's. What else
// gives a request another path or method, RequestLine refuses.
func otherURL(r *http.Request) error {
	scheme, _ := r.Context().Value(schemeKey{}).(string)
	for name, values := range r.Header {
		if like := field.Fold(name); like != "x-original-url" && like != "x-rewrite-url" {
			continue
		}
		for _, value := range values { // of the client, or of a proxy that says the same twice
			if value != r.RequestURI && value != scheme+"://"+r.Host+r.RequestURI {
				return &popauth.Error{Reason: popauth.ErrRequestLine, Err: fmt.Errorf(
					"%s with another URL, shown without query: %+.32q, %+.32q: have the proxy remove it",
					name, uri.Shown(value), uri.Shown(r.RequestURI))}
			}
		}
	}
	return nil
}
