package popauth

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/field"
	"github.com/seed-171ab058/popauth/internal/settings"
)

// Resource is what an API publishes about itself, so that clients find out by themselves where to get tokens and how
// these must be bound (RFC 9728). The zero Resource publishes nothing. With an ID, every challenge of the Guard names
// the address of the document that Metadata serves. What the Guard enforces is in the document without being said
// again: the ways of binding, the algorithms of DPoP proofs, the scopes and the types of authorization details of its
// routes.
type Resource struct {
	_ [0]func()

	// ID is the API's resource identifier: an https URL without query and fragment, to the letter as clients call it,
	// such as https://api.example.com or https://api.example.com/mcp. Nothing of a request, its Host least of all, gets
	// into the document.
	ID string

	// AuthorizationServers lists the issuers of tokens for this API, as everybody may know them. If nil, the one that the
	// Verifier accepts. It is required where there are several, since these may be a list of customers, and where the
	// Verifier is from outside of this package, which can't tell.
	AuthorizationServers []string

	// DPoPRequired refuses every token that is not DPoP-bound with 401 and ErrBindingMissing, at whichever stage and
	// in Check, and says so in the document. Without it nothing does: a Guard can't know that all routes are behind
	// Confirm.
	DPoPRequired bool

	// Scopes and AuthorizationDetailsTypes are published besides those of the policies given to Authorize: what Check
	// and handlers ask for.
	Scopes, AuthorizationDetailsTypes []string

	// Name is for the eyes of a user, Documentation, Policy and Terms are addresses of pages. If empty, left out.
	Name, Documentation, Policy, Terms string

	// JWKS is the https address of the keys with which the API signs or decrypts. If empty, left out.
	JWKS string

	// Members are further members of the document, such as "resource_name#it". None may be one that a field or the
	// Guard is there for.
	Members map[string]any
}

const wellKnownResource = "/.well-known/oauth-protected-resource"

// document is the metadata of one API (RFC 9728). It grows until the first request.
type document struct {
	url, path string
	members   map[string]any

	serving atomic.Bool
	mu      sync.Mutex
	scopes  []string
	types   []string
	once    sync.Once
	body    []byte
}

// handler answers GET and HEAD with the document.
func (d *document) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		body := d.text()
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(body)))
		h.Set("Cache-Control", "public, max-age=600")
		h.Set("X-Content-Type-Options", "nosniff")
		if r.Method == http.MethodGet {
			_, _ = w.Write(body)
		}
	})
}

// record adds what the policies of a route ask for. What a request makes up is not recorded, even if a handler calls
// Authorize for it.
func (d *document) record(policies []Policy) {
	if d == nil || d.serving.Load() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.add(policies)
}

func (d *document) add(policies []Policy) {
	for _, p := range policies {
		d.scopes = append(d.scopes, p.scopes...)
		d.types = append(d.types, p.types...)
		d.add(p.either)
	}
}

// serve ends the time in which routes are built.
func (d *document) serve() {
	if d != nil && !d.serving.Load() {
		d.serving.Store(true)
	}
}

func (d *document) text() []byte {
	d.once.Do(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		all := maps.Clone(d.members)
		put(all, "scopes_supported", sortedSet(d.scopes))
		put(all, "authorization_details_types_supported", sortedSet(d.types))
		d.body, _ = json.Marshal(all, json.Deterministic(true)) // newDocument has seen that it can be written
	})
	return d.body
}

func sortedSet(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

// put leaves out what is empty (RFC 9728, section 3.2).
func put[T string | []string](members map[string]any, name string, value T) {
	if len(value) > 0 {
		members[name] = value
	}
}

// newDocument makes the document of an API whose tokens this Verifier and these Confirmers check; nil without an ID. Both
// may be nil, or nil in part: what is wrong with them others report.
func newDocument(r Resource, v Verifier, confirmers []Confirmer) (*document, error) {
	var wrong []error
	problem := func(field, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("popauth: Options.Resource."+field+": "+format, args...))
	}
	if r.ID == "" {
		if r.DPoPRequired || r.AuthorizationServers != nil || r.Scopes != nil || r.AuthorizationDetailsTypes != nil ||
			r.Members != nil || r.Name+r.Documentation+r.Policy+r.Terms+r.JWKS != "" {
			problem("ID", "empty, but other fields are not")
		}
		return nil, errors.Join(wrong...)
	}
	d := &document{members: map[string]any{}, scopes: slices.Clone(r.Scopes), types: slices.Clone(r.AuthorizationDetailsTypes)}
	var err error
	if d.url, d.path, err = metadataURL(r.ID); err != nil {
		problem("ID", "%w", err)
	}
	for _, name := range []string{"resource", "authorization_servers", "jwks_uri", "scopes_supported",
		"bearer_methods_supported", "resource_name", "resource_documentation", "resource_policy_uri", "resource_tos_uri",
		"tls_client_certificate_bound_access_tokens", "authorization_details_types_supported",
		"dpop_signing_alg_values_supported", "dpop_bound_access_tokens_required"} {
		if _, ok := r.Members[name]; ok {
			problem("Members", "%s is not theirs to say", name)
		}
	}
	for name, value := range r.Members {
		b, err := json.Marshal(value)
		if err == nil && (name == "" || !utf8.ValidString(name)) {
			err = errors.New("no name")
		}
		if err != nil {
			problem("Members", "%q can't be written as JSON: %w", name, err)
		}
		d.members[name] = jsontext.Value(b)
	}
	d.members["resource"] = r.ID
	d.members["bearer_methods_supported"] = []string{"header"}
	put(d.members, "resource_name", r.Name)
	for _, a := range []struct{ field, member, address string }{
		{"Documentation", "resource_documentation", r.Documentation},
		{"Policy", "resource_policy_uri", r.Policy},
		{"Terms", "resource_tos_uri", r.Terms},
		{"JWKS", "jwks_uri", r.JWKS},
	} {
		if put(d.members, a.member, a.address); a.address != "" && !isHTTPS(a.address) {
			problem(a.field, "%q is no https URL", a.address)
		}
	}
	if !listable(r.Scopes) {
		problem("Scopes", "%q has what is no scope", r.Scopes)
	}
	if slices.Contains(r.AuthorizationDetailsTypes, "") {
		problem("AuthorizationDetailsTypes", "has an empty entry")
	}
	d.addServers(r, v, problem)
	d.addBindings(r, confirmers, problem)
	if !utf8.ValidString(r.Name + strings.Join(r.AuthorizationDetailsTypes, "")) {
		problem("Name", "it or AuthorizationDetailsTypes is not UTF-8")
	}
	return d, errors.Join(wrong...)
}

func (d *document) addServers(r Resource, v Verifier, problem settings.Problem) {
	servers := slices.Clone(r.AuthorizationServers)
	if servers == nil {
		servers = knownIssuers(v)
		if len(servers) > 1 { // often one for each customer, and customers come and go
			problem("AuthorizationServers",
				"the Verifier accepts %d issuers, and the document is for everybody: list those that may be known", len(servers))
			return
		}
	}
	if len(servers) == 0 {
		problem("AuthorizationServers", "none, and the Verifier can't tell whose tokens it accepts")
	}
	for _, s := range servers {
		// RFC 8414, section 2.
		if !isHTTPS(s) || strings.ContainsAny(s, "?#") {
			problem("AuthorizationServers", "%q is no https URL without query and fragment", s)
		}
	}
	put(d.members, "authorization_servers", servers)
}

// addBindings says what the Confirmers confirm.
func (d *document) addBindings(r Resource, confirmers []Confirmer, problem settings.Problem) {
	dpop := false
	for _, c := range confirmers {
		switch {
		case c == nil: // which complete reports
		case c.Member() == memberX5T:
			d.members["tls_client_certificate_bound_access_tokens"] = true
		case c.Member() == memberJKT:
			dpop = true
			if s, ok := c.(SchemeConfirmer); ok {
				_, params := s.Challenge()
				for _, p := range params {
					if p.Name == "algs" {
						put(d.members, "dpop_signing_alg_values_supported", strings.Fields(p.Value))
					}
				}
			}
		}
	}
	if r.DPoPRequired {
		d.members["dpop_bound_access_tokens_required"] = true
		if !dpop {
			problem("DPoPRequired", "no DPoP among the Confirmers")
		}
	}
}

func isHTTPS(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && field.IsVisible(address)
}

var errResourceID = errors.New("not an https URL without user, query, fragment and dot segments")

// metadataURL returns the address of the metadata of a resource, and its path (RFC 9728, section 3.1). It works on the
// identifier as it is written, since a client compares it to the letter (section 3.3).
func metadataURL(id string) (address, where string, err error) {
	rest, secure := strings.CutPrefix(id, "https://")
	if !secure || !isHTTPS(id) || strings.ContainsAny(id, "?#") {
		return "", "", errResourceID
	}
	host, tail, slash := strings.Cut(rest, "/")
	if slash && tail != "" {
		tail = "/" + tail
	}
	u, err := url.Parse(id)
	// What a mux would clean, or read as a wildcard, can't be where the document is.
	if err != nil || tail != "" && (u.EscapedPath() != tail || hasDots(u.Path)) {
		return "", "", errResourceID
	}
	where = wellKnownResource + tail
	return "https://" + host + where, where, nil
}

// hasDots tells whether a path has segments that are removed from it (RFC 3986, section 5.2.4), or empty ones.
func hasDots(p string) bool {
	segments := strings.Split(strings.Trim(p, "/"), "/")
	return strings.HasPrefix(p, "//") || strings.HasSuffix(p, "//") || slices.ContainsFunc(segments, func(s string) bool {
		return s == "" || s == "." || s == ".."
	})
}
