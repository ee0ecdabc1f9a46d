package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/seed-171ab058/popauth/clientauth"
)

// client is a client's registration: its certificates or its secrets, several of each so that they can be rotated
// without a gap, and what it may ask for. The names of members are those of dynamic registration if it has one (RFC 7591,
// section 2; RFC 8705, section 3.4; RFC 9449, section 5.2).
type client struct {
	Credentials []clientauth.Registration `json:"credentials,omitempty"`
	Secrets     []secret                  `json:"secrets,omitempty"`
	Scope       string                    `json:"scope"`
	Resources   []string                  `json:"resources"` // the audiences of its tokens (RFC 8707)

	// BindToCertificate is for a client that authenticates by secret. Without a certificate, or a proof, it gets no token.
	BindToCertificate bool `json:"tls_client_certificate_bound_access_tokens,omitempty"`

	// BindToKey is for a client that must send a DPoP proof.
	BindToKey bool `json:"dpop_bound_access_tokens,omitempty"`

	// TokenSeconds is how long its tokens are good, at most a day. If zero, as long as the server's flag says.
	TokenSeconds int `json:"access_token_seconds,omitempty"`

	id string
}

// secret has only its hash. It must be random, with at least 128 bits, so that no dictionary finds it.
type secret struct {
	SHA256  string    `json:"sha256"`
	Expires time.Time `json:"expires,omitzero"`
	sum     []byte
}

// clients are those of the file, by client_id.
type clients map[string]*client

var _ clientauth.Clients = clients{}

// Registrations implements clientauth.Clients.
func (c clients) Registrations(_ context.Context, id string) ([]clientauth.Registration, error) {
	if known, ok := c[id]; ok {
		return known.Credentials, nil
	}
	return nil, nil
}

func readClients(file string) (clients, error) {
	text, err := os.ReadFile(file) //nolint:gosec // G304: the operator's own file
	if err != nil {
		return nil, err
	}
	var all clients
	// A member that is unknown or there twice is an error: a misspelt "expires" would never expire.
	if err := json.Unmarshal(text, &all, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var wrong []error
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if err := all[id].complete(id); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: client %q: %w", file, id, err))
		}
	}
	return all, errors.Join(wrong...)
}

func (c *client) complete(id string) error {
	if c == nil {
		return errors.New("null")
	}
	c.id = id
	var wrong []error
	if id == "" || (len(c.Credentials) == 0) == (len(c.Secrets) == 0) {
		wrong = append(wrong, errors.New("needs a client_id, and either credentials or secrets"))
	}
	for i, reg := range c.Credentials {
		if reg.Credential.Method() == "" {
			wrong = append(wrong, fmt.Errorf("credentials: entry %d has none", i))
		}
	}
	for i := range c.Secrets {
		s := &c.Secrets[i]
		sum, err := hex.DecodeString(s.SHA256)
		if err != nil || len(sum) != sha256.Size {
			wrong = append(wrong, fmt.Errorf("secrets: entry %d: sha256 is not 64 hex digits", i))
		}
		s.sum = sum
	}
	if len(strings.Fields(c.Scope)) == 0 {
		wrong = append(wrong, errors.New("scope: none"))
	}
	if len(c.Resources) == 0 {
		wrong = append(wrong, errors.New("resources: none"))
	}
	if c.TokenSeconds < 0 || c.TokenSeconds > 86400 {
		wrong = append(wrong, errors.New("access_token_seconds: not between 0 and 86400"))
	}
	for _, r := range c.Resources {
		// RFC 8707, section 2.
		if u, err := url.Parse(r); err != nil || !u.IsAbs() || u.Fragment != "" {
			wrong = append(wrong, fmt.Errorf("resources: %q is not an absolute URI without fragment", r))
		}
	}
	return errors.Join(wrong...)
}

// knows tells whether a secret is one of the client's that have not expired.
func (c *client) knows(text string, now time.Time) bool {
	sum := sha256.Sum256([]byte(text))
	found := 0
	for _, s := range c.Secrets {
		if s.Expires.IsZero() || now.Before(s.Expires) {
			found |= subtle.ConstantTimeCompare(sum[:], s.sum)
		}
	}
	return found == 1
}

// lifetime is that of its tokens.
func (c *client) lifetime(otherwise time.Duration) time.Duration {
	if c.TokenSeconds > 0 {
		return time.Duration(c.TokenSeconds) * time.Second
	}
	return otherwise
}

// scopes are the requested ones, or all of the client's if none is requested; false if one is not the client's.
func (c *client) scopes(asked []string) ([]string, bool) {
	own := strings.Fields(c.Scope)
	if len(asked) == 0 {
		return own, true
	}
	for _, s := range asked {
		if !slices.Contains(own, s) {
			return nil, false
		}
	}
	return asked, true
}

// audience is the requested resources. Without any it is the client's only one: a token for several that nobody asked
// for would be good for more than it is meant for.
func (c *client) audience(asked []string) ([]string, bool) {
	if len(asked) == 0 {
		return c.Resources, len(c.Resources) == 1
	}
	for _, r := range asked {
		if !slices.Contains(c.Resources, r) {
			return nil, false
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(asked))), true
}
