package clientauth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Clients finds the certificates that a client is registered with.
type Clients interface {
	// Registrations returns those of the client, in the order in which they are tried; none for a client that is unknown
	// or authenticates in another way. An error says that it can't be found out, and is answered with 503. The context
	// is the request's.
	Registrations(ctx context.Context, clientID string) ([]Registration, error)
}

// Registration is one certificate, or name of certificates, by which a client authenticates. A client that has two of
// them can change from one certificate to the next without a gap.
type Registration struct {
	// Credential is what the certificate must be. No certificate fits the zero value.
	Credential Credential `json:"credential" yaml:"credential"`

	// Expires is when the registration stops to count. If zero, never.
	Expires time.Time `json:"expires,omitzero" yaml:"expires,omitempty"`
}

// Static is Clients that don't change, by client_id. It can be read from a file of JSON or YAML.
type Static map[string][]Registration

var _ Clients = Static(nil)

// Registrations implements Clients.
func (s Static) Registrations(_ context.Context, clientID string) ([]Registration, error) {
	return s[clientID], nil
}

func (s Static) invalid() error {
	var wrong []error
	for _, id := range slices.Sorted(maps.Keys(s)) {
		if id == "" || !plausible(id) {
			wrong = append(wrong, fmt.Errorf("client %q: not an identifier of printable ASCII", id))
		}
		if len(s[id]) == 0 {
			wrong = append(wrong, fmt.Errorf("client %q: no registration", id))
		}
		for i, reg := range s[id] {
			if reg.Credential.is == nil {
				wrong = append(wrong, fmt.Errorf("client %q: registration %d has no credential", id, i))
			}
		}
	}
	return errors.Join(wrong...)
}
