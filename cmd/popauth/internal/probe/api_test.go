package probe

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/go-jose/go-jose/v4"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// api is a small API in which one thing is wrong: the one that hole names, which is also the name of the check that has to find
// it. Without a hole it is right. It is written apart from popauth, so that the probe isn't tested against its own reading.
type api struct {
	hole   string
	url    string
	issuer *popauthtest.Issuer
	keys   jose.JSONWebKeySet
	owner  *x509.Certificate
	nonces bool

	listener  io.Closer
	mu        sync.Mutex
	used      map[string]bool // proofs
	confirmed map[string]bool // tokens, for an API that remembers them
}

// openAPI starts one.
func (l *lab) openAPI(hole string) *api {
	l.Helper()
	a := &api{hole: hole, issuer: l.issuer, owner: l.owner.Certificate.Leaf, used: map[string]bool{}, confirmed: map[string]bool{}}
	a.nonces = slices.Contains([]string{"proof-nonce", "challenge-nonce", "cors-nonce"}, hole)
	if err := json.Unmarshal(l.issuer.JWKS(), &a.keys); err != nil {
		l.Fatal(err)
	}
	if a.has(needLenience...) {
		a.url = l.lenient(a)
		return a
	}
	// By name, as TLS has none for an address.
	server := l.serve(a, a.transport)
	a.url = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	a.listener = server.Listener
	if a.has("replay-address") {
		l.second(server)
	}
	return a
}

func (a *api) has(holes ...string) bool { return slices.Contains(holes, a.hole) }

// refused is why a request is.
type refused struct {
	status    int
	code      string
	challenge bool
}

func (r refused) Error() string { return r.code }

func invalid(code string) error { return refused{http.StatusUnauthorized, code, true} }

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.cors(w, r)
	switch {
	case a.has("still-up") && r.RequestURI == "//":
		a.listener.Close()
	case strings.HasPrefix(r.RequestURI, wellKnown):
		a.describe(w, r)
	case a.strange(r):
		listOrders(w, r)
	case a.pathOf(r) != "/orders":
		a.notFound(w, r)
	case a.has("other-methods") && r.Method == http.MethodPost:
		listOrders(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.WriteHeader(http.StatusMethodNotAllowed)
	default:
		if err := a.authenticate(r); err != nil {
			a.refuse(w, r, err)
			return
		}
		if a.has("cache-public") {
			w.Header().Set("Cache-Control", "public, max-age=60")
		}
		if a.has("reflect-header") && strings.Contains(r.URL.RawQuery, "X-Popauth-Probe") {
			w.Header().Set("X-Popauth-Probe", "1")
		}
		listOrders(w, r)
	}
}

// pathOf is the path of a request line that has nothing else.
func (a *api) pathOf(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	return path
}

func (a *api) notFound(w http.ResponseWriter, r *http.Request) {
	if a.has("reflect-html") {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "no "+r.URL.Path)
		return
	}
	w.WriteHeader(http.StatusNotFound)
}

func (a *api) authenticate(r *http.Request) error {
	if a.excused(r) {
		return nil
	}
	scheme, text, err := a.credentials(r)
	if err != nil {
		return err
	}
	claims, err := a.verify(text)
	if err != nil {
		return err
	}
	return a.confirm(r, scheme, text, claims)
}

// excused are requests that one hole or another lets in without a look.
func (a *api) excused(r *http.Request) bool {
	none := r.Header.Get("Authorization") == ""
	switch a.hole {
	case "no-token":
		return none
	case "no-credentials":
		return none && len(r.TLS.PeerCertificates) == 0
	case "identity-headers":
		return none && r.Header.Get("X-Forwarded-User") != ""
	case "head-no-token":
		return none && r.Method == http.MethodHead
	case "method-override":
		return none && r.Header.Get("X-HTTP-Method-Override") == http.MethodOptions
	case "empty-token":
		return strings.TrimSpace(r.Header.Get("Authorization")) == "Bearer"
	case "garbage-token":
		return strings.HasPrefix(r.Header.Get("Authorization"), "Bearer popauth-probe")
	}
	return false
}

// credentials returns scheme and token.
func (a *api) credentials(r *http.Request) (scheme, text string, err error) {
	lines := r.Header["Authorization"]
	if len(lines) > 1 && a.has("authorization-twice") {
		lines = lines[:1]
	}
	if found := a.elsewhere(r); found != "" {
		lines = []string{"Bearer " + found}
	}
	if len(lines) == 0 {
		return "", "", refused{status: http.StatusUnauthorized, challenge: true}
	}
	if len(lines) > 1 {
		return "", "", refused{http.StatusBadRequest, "invalid_request", true}
	}
	scheme, text, _ = strings.Cut(lines[0], " ")
	if a.has("authorization-list") {
		text, _, _ = strings.Cut(text, ",")
	}
	if a.has("scheme-unknown") && scheme == "Token" {
		scheme = "Bearer"
	}
	if !a.has("scheme-letter-case") {
		for _, known := range []string{"Bearer", "DPoP"} {
			if strings.EqualFold(scheme, known) {
				scheme = known
			}
		}
	}
	if scheme != "Bearer" && scheme != "DPoP" {
		return "", "", refused{status: http.StatusUnauthorized, challenge: true}
	}
	if text == "" || strings.ContainsAny(text, " ,") {
		return "", "", refused{http.StatusBadRequest, "invalid_request", true}
	}
	return scheme, text, nil
}

// elsewhere are the places beside Authorization in which some look for a token.
func (a *api) elsewhere(r *http.Request) string {
	switch a.hole {
	case "token-in-query":
		return r.URL.Query().Get("access_token")
	case "two-tokens":
		if r.Header.Get("Authorization") != "" {
			return r.URL.Query().Get("access_token")
		}
	case "token-in-body":
		b, _ := io.ReadAll(r.Body)
		_, token, _ := strings.Cut(string(b), "access_token=")
		return token
	case "token-in-cookie":
		if c, err := r.Cookie("access_token"); err == nil {
			return c.Value
		}
	case "token-in-header":
		return r.Header.Get("X-Access-Token")
	}
	return ""
}

// refuse answers a request that isn't let in.
func (a *api) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var is refused
	errors.As(err, &is)
	h := w.Header()
	a.challenge(h, r, is)
	if a.has("cache-refusal") {
		h.Set("Cache-Control", "max-age=60")
	}
	status := is.status
	switch {
	case a.has("status-401") && status == http.StatusUnauthorized:
		status = http.StatusForbidden
	case a.has("challenge-nonce") && is.code == "use_dpop_nonce":
		status = http.StatusBadRequest
	case a.has("status-invalid-token") && is.code == "invalid_token":
		status = http.StatusForbidden
	case a.has("server-error") && is.code == "invalid_token":
		status = http.StatusInternalServerError
	case a.has("challenge-error-status") && is.code == "invalid_token":
		status = http.StatusForbidden
	case a.has("status-disguised"):
		h.Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"error":"unauthorized"}`)
		return
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	body := map[string]string{"error": is.code}
	if a.has("reflect-token") {
		body["token"] = r.Header.Get("Authorization")
	}
	if a.has("stack-trace") {
		body["detail"] = "Traceback (most recent call last)"
	}
	_ = json.NewEncoder(w).Encode(body)
}

func (a *api) challenge(h http.Header, r *http.Request, is refused) {
	if !is.challenge || a.has("challenge-missing") {
		return
	}
	if a.nonces && is.code == "use_dpop_nonce" || a.has("cors-nonce") {
		h.Set("DPoP-Nonce", a.nonce())
	}
	code := is.code
	switch {
	case a.has("challenge-no-error") && code == "":
		code = "invalid_token"
	case a.has("challenge-error") && code == "invalid_token", a.has("challenge-dpop-error") && code == "invalid_dpop_proof":
		code = "bad"
	case a.has("challenge-step-up"):
		code = "insufficient_user_authentication"
	case a.has("challenge-characters") && code != "":
		code = "invalid_token\", error_description=\"caf\xc3\xa9"
	}
	extra := ""
	if code != "" {
		extra = fmt.Sprintf(`, error="%s"`, code)
	}
	if a.has("reflect-challenge") {
		extra += fmt.Sprintf(", sent=%q", r.Header.Get("Authorization"))
	}
	metadata := fmt.Sprintf(`resource_metadata="%s%s/orders"`, a.url, wellKnown)
	if a.has("metadata-challenge") {
		metadata = fmt.Sprintf(`resource_metadata="%s%s/nowhere"`, a.url, wellKnown)
	}
	sep := ", "
	if a.has("challenge-syntax") {
		sep = " "
	}
	bearer, dpop := "Bearer ", `DPoP algs="ES256"`+sep
	switch {
	case a.has("challenge-scheme"):
		bearer = "OAuth "
	case a.has("challenge-dpop-algs"):
		dpop = `DPoP x="y", `
	}
	h.Add("WWW-Authenticate", bearer+`realm="orders"`+sep+metadata+extra)
	h.Add("WWW-Authenticate", dpop+metadata+extra)
}

func (a *api) nonce() string { return "nonce-of-the-API" }

func thumbprint(der []byte) string {
	sum := sha256.Sum256(der)
	return encode(sum[:])
}

// first tells the first use of a proof.
func (a *api) first(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.used[id]
	a.used[id] = true
	return !was
}
