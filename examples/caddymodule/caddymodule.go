// Package caddymodule is a Guard inside of Caddy: a handler of its HTTP server, in front of an API in any language. Build it into
// Caddy with xcaddy, or import it beside Caddy's standard modules.
package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/forwardauth"
)

func init() { caddy.RegisterModule(new(Handler)) }

// Handler lets a request pass whose token is bound and has the scopes, and tells the API behind it who is calling. In JSON it is
// {"handler": "popauth", …}. Put it before what rewrites requests, and what answers them behind it, on the same route.
type Handler struct {
	Issuer   string          `json:"issuer"`
	Audience []string        `json:"audience"`
	Keys     json.RawMessage `json:"keys,omitempty"` // a JWK Set; if empty, what the issuer publishes
	BaseURL  string          `json:"base_url"`       // of the API, for DPoP
	Scopes   []string        `json:"scopes"`

	guard    *popauth.Guard
	identity *forwardauth.Identity
	policies []popauth.Policy
	replay   bool
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)

// CaddyModule implements caddy.Module.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.popauth", New: func() caddy.Module { return new(Handler) }}
}

// replays has the proofs that were used, for all Handlers: Caddy makes new ones whenever its configuration is loaded, and a proof
// must not be good once more then.
var replays = caddy.NewUsagePool()

// memory is a ReplayMemory that a pool can hold.
type memory struct{ *dpop.ReplayMemory }

// Destruct implements caddy.Destructor.
func (memory) Destruct() error { return nil }

// Provision implements caddy.Provisioner.
func (h *Handler) Provision(ctx caddy.Context) error {
	if len(h.Scopes) == 0 {
		return errors.New("popauth: scopes: none is asked for")
	}
	pooled, _, err := replays.LoadOrNew("replay", func() (caddy.Destructor, error) {
		m, err := dpop.NewReplayMemory(dpop.ReplayMemoryOptions{})
		return memory{m}, err
	})
	if err != nil {
		return err
	}
	h.replay = true
	used, ok := pooled.(memory)
	if !ok {
		return fmt.Errorf("popauth: the pool has a %T, want a memory", pooled)
	}
	proofs, err := dpop.New(dpop.Options{BaseURL: h.BaseURL, Replay: used.ReplayMemory})
	if err != nil {
		return err
	}
	o := popauth.Options{
		Issuer: h.Issuer, Audience: h.Audience, Confirmers: []popauth.Confirmer{popauth.MutualTLS{}, proofs},
		Certificate: popauth.TLSCertificate(), Logger: ctx.Slogger(),
	}
	if h.Keys != nil {
		if o.Keys, err = popauth.StaticKeys(h.Keys); err != nil {
			return err
		}
	}
	if h.guard, err = popauth.New(o); err != nil {
		return err
	}
	h.policies = []popauth.Policy{popauth.Bound(), popauth.Scope(h.Scopes...)}
	h.identity, err = forwardauth.NewIdentity(nil)
	return err
}

// Cleanup implements caddy.CleanerUpper.
func (h *Handler) Cleanup() error {
	if !h.replay {
		return nil
	}
	_, err := replays.Delete("replay")
	return err
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	err := h.identity.Check(r.Header)
	var d *popauth.Decision
	if err == nil {
		d, err = h.guard.Decide(r, h.policies...)
	}
	var caller http.Header
	if err == nil {
		caller, err = h.identity.Header(d.Principal)
	}
	if err != nil {
		h.guard.Refuse(w, r, err)
		return nil
	}
	maps.Copy(w.Header(), d.Header)
	popauth.Private(w.Header())
	r = d.Request
	r.Header = forAPI(r.Header)
	maps.Copy(r.Header, caller)
	return next.ServeHTTP(w, r)
}

// forAPI returns the headers without those that the API could call others with, or take another URL from. And a client could name
// headers in Connection, which reverse_proxy would remove then: the caller's, for one.
func forAPI(h http.Header) http.Header {
	h = h.Clone()
	maps.DeleteFunc(h, func(name string, _ []string) bool {
		like := strings.Map(func(c rune) rune { // as CGI and its heirs read a name
			if c < '0' || c > '9' && c < 'a' || c > 'z' {
				return '-'
			}
			return c
		}, strings.ToLower(name))
		return slices.Contains([]string{"authorization", "dpop", "x-original-url", "x-rewrite-url", "connection"}, like)
	})
	if strings.EqualFold(h.Get("Upgrade"), "websocket") {
		h.Set("Connection", "Upgrade")
	}
	return h
}
