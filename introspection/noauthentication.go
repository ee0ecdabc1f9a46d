package introspection

import (
	"net/http"
	"net/url"
	"time"
)

// NoAuthentication sends no credentials, for an endpoint that asks for none, as the admin port of Ory Hydra does. RFC 7662,
// section 2.1, asks for some, since whoever reaches such an endpoint can try tokens on it: the network has to keep all others
// out. It needs Options.Endpoint; the endpoint that metadata names is a public one.
type NoAuthentication struct{}

var _ ClientAuthentication = NoAuthentication{}

func (NoAuthentication) clientID() string { return "" }

func (c NoAuthentication) completed(string, func() time.Time) (ClientAuthentication, error) {
	return c, nil
}

func (NoAuthentication) authenticate(*http.Request, url.Values) error { return nil }
