package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
)

// setting is a Guard's options and a request. What fails is overlooked step by step, by another token: one that would not fail there,
// signed by a key of this program's own.
type setting struct {
	options popauth.Options
	request *http.Request
	token   string // as it was given
	bound   bool   // the route demands a bound token
	scopes  []string
	now     time.Time
	signed  *rewritten // nil: the token is as it was given

	asked struct { // what the route demands
		bound  bool
		scopes []string
	}
	unverifiable bool // nobody has looked at the signature
}

func (q question) setting(token string) (*setting, error) {
	target := q.url
	if target == "" {
		target = "https://api.example.com/"
	}
	u, err := url.Parse(target)
	if err != nil || u.Host == "" {
		return nil, errors.New("--url: no URL with a host")
	}
	r, err := q.made(u, token)
	if err != nil {
		return nil, err
	}
	return q.settingOf(r, u.Scheme+"://"+u.Host, token)
}

// settingOf is that of a request, whose client knows the API by the origin given.
func (q question) settingOf(r *http.Request, origin, token string) (*setting, error) {
	s := &setting{token: token, now: time.Now(), request: r}
	if q.at != "" {
		at, err := time.Parse(time.RFC3339, q.at)
		if err != nil {
			return nil, fmt.Errorf("--at: %w", err)
		}
		s.now = at
	}
	keys, err := q.keys()
	if err != nil {
		return nil, err
	}
	proofs, err := dpop.New(dpop.Options{BaseURL: origin})
	if err != nil {
		return nil, fmt.Errorf("--url: %w", err)
	}
	s.options = popauth.Options{
		Issuer: q.issuer, Audience: q.audience, Keys: keys, TokenTypes: q.types, Logger: slog.New(slog.DiscardHandler),
		Confirmers: []popauth.Confirmer{popauth.MutualTLS{}, proofs}, Now: func() time.Time { return s.now },
	}
	if s.options.Certificate, err = q.certificates(); err != nil {
		return nil, err
	}
	s.bound, s.scopes = q.confirm, q.scopes
	s.asked.bound, s.asked.scopes = q.confirm, q.scopes
	return s, nil
}

func (q question) keys() (popauth.KeySource, error) {
	if q.jwks != "" {
		b, err := readFile(q.jwks, nil)
		if err != nil {
			return nil, err
		}
		keys, err := popauth.StaticKeys(b)
		if err != nil {
			return nil, fmt.Errorf("--jwks: %w", err)
		}
		return keys, nil
	}
	o := popauth.RemoteKeysOptions{Issuer: q.issuer, AllowLoopbackHTTP: true}
	if q.authorities != "" {
		b, err := readFile(q.authorities, nil)
		if err != nil {
			return nil, err
		}
		o.RootCAs = x509.NewCertPool()
		if !o.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("--ca: %s has no certificate in PEM", q.authorities)
		}
	}
	return popauth.NewRemoteKeys(o)
}

// made is what the client sends, as a handler behind TLS gets it.
func (q question) made(u *url.URL, token string) (*http.Request, error) {
	r := httptest.NewRequest(q.method, u.RequestURI(), http.NoBody)
	r.Host = u.Host
	r.TLS = &tls.ConnectionState{HandshakeComplete: true, ServerName: u.Hostname()}
	scheme := q.scheme
	if q.proof != "" {
		b, err := valueOf(q.proof, nil)
		if err != nil {
			return nil, err
		}
		r.Header.Set("DPoP", string(bytes.TrimSpace(b)))
		if scheme == "" {
			scheme = "DPoP"
		}
	}
	if scheme == "" {
		scheme = "Bearer"
	}
	r.Header.Set("Authorization", scheme+" "+token)
	return r, q.present(r)
}

// present has the caller present the certificate of --cert.
func (q question) present(r *http.Request) error {
	if q.cert == "" {
		return nil
	}
	m, err := materialOf(context.Background(), q.cert, nil)
	if err == nil && len(m.certificates) == 0 {
		err = errors.New("no certificate in it")
	}
	if err != nil {
		return fmt.Errorf("--cert: %s: %w", q.cert, err)
	}
	r.TLS.PeerCertificates = leafFirst(m.certificates)
	return nil
}

// decide asks a Guard; nil if the request would pass.
func (s *setting) decide(ctx context.Context) (*popauth.Error, error) {
	g, err := popauth.New(s.options)
	if err != nil {
		return nil, err
	}
	var policies []popauth.Policy
	if s.bound {
		policies = append(policies, popauth.Bound())
	}
	if len(s.scopes) > 0 {
		policies = append(policies, popauth.Scope(s.scopes...))
	}
	_, err = g.Check(s.request.Clone(ctx), policies...)
	var e *popauth.Error
	if err != nil && !errors.As(err, &e) {
		return nil, err
	}
	return e, nil
}
