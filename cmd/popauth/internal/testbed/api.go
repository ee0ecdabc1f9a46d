package testbed

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/seed-171ab058/popauth"
)

// Audience is the aud of the tokens.
const Audience = "https://orders.example.com"

const (
	readScope  = "orders.read"
	writeScope = "orders.write"
)

// routes is the API: whatever may be read needs a bound token with orders.read, whatever changes something orders.write.
func routes(guard *popauth.Guard) http.Handler {
	mux := http.NewServeMux()
	echo := http.HandlerFunc(echo)
	mux.Handle("GET /", guard.Confirm(guard.Authorize(popauth.Scope(readScope))(echo))) // and HEAD
	mux.Handle("GET /unbound/", guard.Authenticate(guard.Authorize(popauth.Scope(readScope))(echo)))
	mux.Handle("/", guard.Confirm(guard.Authorize(popauth.Scope(writeScope))(echo)))
	return mux
}

// echo says what has arrived, and whose it is. Credentials are not in it.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, "body too large", http.StatusRequestEntityTooLarge)
		return
	}
	caller, _ := popauth.FromContext(r.Context())
	answer := map[string]any{
		"method": r.Method, "path": r.URL.Path, "query": r.URL.RawQuery, "body": string(body),
		"client_id": caller.ClientID, "subject": caller.Subject, "bound_by": bindings(caller),
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(answer) // a client that has gone is none of the API's business
}

// bindings are the members of cnf that were confirmed.
func bindings(p *popauth.Principal) []string {
	names := []string{}
	for _, b := range p.Bindings {
		names = append(names, b.Member)
	}
	return names
}
