package popauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/seed-171ab058/popauth/internal/managed"
)

// headersOf returns the headers of a source; none of a nil one. The error is about its configuration.
func headersOf(source CertificateSource) (managed.Headers, error) {
	if source == nil {
		return nil, nil
	}
	names, err := source.Headers()
	if slices.Contains(names, "") {
		err = errors.Join(err, fmt.Errorf("popauth: %T: Headers has an empty name", source))
	}
	return slices.Clone(names), err // a source of somebody else's may change its own
}

// WithoutHeaders returns r without the headers that source reads, as ClientCertificate and a Guard hand requests on:
// names that some software takes for the same, and trailers of these names, are gone too, and with them an offer to go on
// with HTTP/2. It is for programs that ask Check or clientcert.Check and then show the request to others. It never changes
// r, and is r itself where there is nothing to remove now, and no body behind which a trailer could come.
func WithoutHeaders(r *http.Request, source CertificateSource) *http.Request {
	headers, _ := headersOf(source)
	clean := headers.Strip(r)
	removed := slices.DeleteFunc(slices.Clone(headers), func(name string) bool { return !managed.Headers{name}.CarriedBy(r) })
	if len(removed) == 0 {
		return clean
	}
	return clean.WithContext(context.WithValue(clean.Context(), removedKey{}, append(removed, removedFrom(r)...)))
}

type removedKey struct{}

// removedFrom names the headers that WithoutHeaders has removed.
func removedFrom(r *http.Request) managed.Headers {
	names, _ := r.Context().Value(removedKey{}).(managed.Headers)
	return names
}

// agree tells whether the headers of a source, if there are any, still say the certificate that a decision was made on. A stage removes
// them, but not where an adapter makes each of its handlers a request of its own.
func agree(headers managed.Headers, source CertificateSource, sent *http.Request, on *Certificate) bool {
	if !headers.CarriedBy(sent) {
		return true
	}
	c, err := obtain(source, sent)
	return err == nil && sameCertificate(c, on)
}
