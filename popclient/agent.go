package popclient

import (
	"net/http"
	"strings"

	"github.com/seed-171ab058/popauth/internal/field"
	"github.com/seed-171ab058/popauth/internal/version"
)

// agent names itself in requests that are popclient's own, for metadata and tokens: whoever runs the server finds them in its log.
// A request of the caller's has what the caller sets.
type agent struct{ base http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (a agent) RoundTrip(r *http.Request) (*http.Response, error) {
	named := r.WithContext(r.Context())
	named.Header = r.Header.Clone()
	named.Header.Set("User-Agent", product(version.Here()))
	return a.base.RoundTrip(named)
}

// product is the name with the version, where that can be written (RFC 9110, section 10.1.5).
func product(version string) string {
	const name = "popauth-popclient"
	number := strings.TrimPrefix(version, "v")
	if !field.IsToken(number) {
		return name
	}
	return name + "/" + number
}
