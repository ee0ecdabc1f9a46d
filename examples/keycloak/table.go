package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth/popclient"
)

// loot is what the API's log has of one request.
type loot struct{ token, proof string }

// table sends what the clients and the thieves send, and fails if an answer is not the expected one.
func (w *world) table(ctx context.Context) error {
	batch, err := w.ordersBatch()
	if err != nil {
		return err
	}
	job, err := w.ordersJob(ctx)
	if err != nil {
		return err
	}
	t := &table{world: w, tabs: tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)}
	const ok = "200 2 orders for "

	t.row("orders-batch", "its own, with its certificate", ok+"orders-batch", get(ctx, batch, w.api.url))
	bound := w.loot()
	w.say("first bound request after %.1f s\n", time.Since(w.started).Seconds())
	t.row("orders-job", "its own, with a proof", ok+"orders-job", get(ctx, job, w.api.url))
	proved := w.loot()
	if err := w.sayBound("orders-batch", bound); err != nil {
		return err
	}
	if err := w.sayBound("orders-job", proved); err != nil {
		return err
	}

	const refused = "401 invalid_token"
	stranger := &w.thief.Certificate
	t.row("thief", "orders-batch's, without a certificate", refused, w.present(ctx, nil, bound.header("Bearer")))
	t.row("thief", "orders-batch's, with another certificate", refused, w.present(ctx, stranger, bound.header("Bearer")))
	t.row("thief", "orders-job's, as a bearer token", refused, w.present(ctx, nil, proved.header("Bearer")))
	t.row("thief", "orders-job's, with its used proof", "401 invalid_dpop_proof", w.present(ctx, nil, proved.header("DPoP")))
	t.row("thief", "orders-job's, with a proof by another key", refused, w.proveByAnother(ctx, proved.token))
	t.row("orders-plain", "its own, which is bound to nothing", refused, get(ctx, w.ordersPlain(ctx), w.api.url))
	asBatch, asJob := url.Values{"client_id": {"orders-batch"}}, url.Values{"client_id": {"orders-job"}, "client_secret": {w.secrets.job}}
	t.row("thief", "asks as orders-batch, with another certificate", "401 invalid_client", w.ask(ctx, stranger, asBatch))
	t.row("thief", "asks as orders-batch, named so by another CA", "401 invalid_client", w.ask(ctx, &w.namesake.Certificate, asBatch))
	t.row("orders-job", "asks without a proof", "400 invalid_request", w.ask(ctx, nil, asJob))
	return t.close()
}

// loot takes it out of the log.
func (w *world) loot() loot {
	w.api.mu.Lock()
	defer w.api.mu.Unlock()
	_, token, _ := strings.Cut(w.api.leaked.Get("Authorization"), " ")
	return loot{token, w.api.leaked.Get("DPoP")}
}

func (l loot) header(scheme string) http.Header {
	h := http.Header{"Authorization": {scheme + " " + l.token}}
	if scheme == "DPoP" {
		h.Set("DPoP", l.proof)
	}
	return h
}

// sayBound shows what Keycloak has bound the token to.
func (w *world) sayBound(client string, l loot) error {
	parts := strings.Split(l.token, ".")
	var claims struct {
		Confirmation json.RawMessage `json:"cnf"`
	}
	if len(parts) == 3 {
		if payload, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			_ = json.Unmarshal(payload, &claims) // without cnf it is refused below
		}
	}
	if claims.Confirmation == nil {
		return fmt.Errorf("the token of %s has no cnf: is the client's switch on?", client)
	}
	w.say("%-14s\"cnf\": %s", client, claims.Confirmation)
	return nil
}

// present sends a request with these headers.
func (w *world) present(ctx context.Context, certificate *tls.Certificate, h http.Header) func() (string, error) {
	return func() (string, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.api.url+"/orders", http.NoBody)
		if err != nil {
			return "", err
		}
		r.Header = h
		return send(w.http(certificate), r)
	}
}

// proveByAnother is a thief who makes proofs, by a key of his own.
func (w *world) proveByAnother(ctx context.Context, token string) func() (string, error) {
	return func() (string, error) {
		key, err := popclient.GenerateKey("ES256")
		if err != nil {
			return "", err
		}
		source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token, TokenType: "DPoP"})
		client := &http.Client{Transport: &popclient.DPoP{Key: key, Source: source, Base: w.transport(nil)}}
		return get(ctx, client, w.api.url)()
	}
}

// ask asks Keycloak for a token of the client in the form.
func (w *world) ask(ctx context.Context, certificate *tls.Certificate, form url.Values) func() (string, error) {
	return func() (string, error) {
		form.Set("grant_type", "client_credentials")
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.keycloak.token, strings.NewReader(form.Encode()))
		if err != nil {
			return "", err
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w.api.note("so answers Keycloak")
		return send(w.http(certificate), r)
	}
}

func get(ctx context.Context, c *http.Client, api string) func() (string, error) {
	return func() (string, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/orders", http.NoBody)
		if err != nil {
			return "", err
		}
		return send(c, r)
	}
}

// send returns the status, and the body or the error that is named.
func send(c *http.Client, r *http.Request) (string, error) {
	answer, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return "", err
	}
	said := strings.TrimSpace(string(body[:min(len(body), 60)])) // a token is longer, and of no interest
	if answer.StatusCode != http.StatusOK {
		var named struct {
			Error string `json:"error"`
		}
		_ = json.Unmarshal(body, &named) // of an API it is in the challenge
		said = named.Error
		for _, challenge := range answer.Header.Values("WWW-Authenticate") {
			if _, rest, found := strings.Cut(challenge, `error="`); found {
				said, _, _ = strings.Cut(rest, `"`)
			}
		}
	}
	return strings.TrimSpace(fmt.Sprint(answer.StatusCode, " ", said)), nil
}

// table prints its rows at the end.
type table struct {
	*world
	tabs   *tabwriter.Writer
	wrong  []error
	header bool
}

// row sends, and compares the answer. The handler has to run if the answer is 200, and must not otherwise.
func (t *table) row(caller, token, want string, send func() (string, error)) {
	if !t.header {
		t.header = true
		_, _ = fmt.Fprintln(t.tabs, "CALLER\tTOKEN\tANSWER\tWHY")
	}
	wantRan := 0
	if strings.HasPrefix(want, "200 ") {
		wantRan = 1
	}
	before := t.api.begin()
	got, err := send()
	after, reason := t.api.end()
	ran := after - before
	if err != nil {
		got = err.Error()
	}
	if got != want || ran != wantRan {
		t.wrong = append(t.wrong, fmt.Errorf("%s, token %s: got %q and the handler ran %d times, want %q",
			caller, token, got, ran, want))
	}
	_, _ = fmt.Fprintf(t.tabs, "%s\t%s\t%s\t%s\n", caller, token, got, reason)
}

func (t *table) close() error {
	t.say("")
	return errors.Join(append(t.wrong, t.tabs.Flush())...)
}

func (a *api) begin() (ran int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reason = ""
	return a.ran
}

func (a *api) end() (ran int, reason string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ran, a.reason
}

func (a *api) note(reason string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reason = reason
}
