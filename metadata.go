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

// Metadata returns the handler of the protected resource metadata (RFC 9728, section 3), to be mounted at
// MetadataPath outside of every Guard. It answers GET and HEAD alike for everybody, and caches may keep the answer for
// ten minutes. Where scripts of other origins read it, wrap it with the CORS handler that the API has anyway. It
// panics if Options.Resource has no ID.
//
// The document has the scopes and types of all policies that Authorize was given before the first request, to this
// handler or to a route of this Guard: later ones are not recorded, so that no request can add to it.
func (g *Guard) Metadata() http.Handler {
	m := g.mustPublish("Metadata")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		body := m.document()
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

// MetadataPath is where Metadata belongs: the path of the address that the challenges name, made of the ID by putting
// /.well-known/oauth-protected-resource between host and path (RFC 9728, section 3.1). It panics if Options.Resource
// has no ID.
func (g *Guard) MetadataPath() string { return g.mustPublish("MetadataPath").path }

func (g *Guard) mustPublish(method string) *metadata {
	if g == nil || g.metadata == nil {
		panic("popauth: " + method + ": Options.Resource has no ID")
	}
	return g.metadata
}

// metadata is the document of a Guard. It grows until the first request.
type metadata struct {
	url, path string
	members   map[string]any

	serving atomic.Bool
	mu      sync.Mutex
	scopes  []string
	types   []string
	once    sync.Once
	body    []byte
}

// record adds what the policies of a route ask for. What a request makes up is not recorded, even if a handler calls
// Authorize for it.
func (m *metadata) record(policies []Policy) {
	if m == nil || m.serving.Load() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(policies)
}

func (m *metadata) add(policies []Policy) {
	for _, p := range policies {
		m.scopes = append(m.scopes, p.scopes...)
		m.types = append(m.types, p.types...)
		m.add(p.either)
	}
}

// serve ends the time in which routes are built.
func (m *metadata) serve() {
	if m != nil && !m.serving.Load() {
		m.serving.Store(true)
	}
}

func (m *metadata) document() []byte {
	m.once.Do(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		all := maps.Clone(m.members)
		put(all, "scopes_supported", sortedSet(m.scopes))
		put(all, "authorization_details_types_supported", sortedSet(m.types))
		m.body, _ = json.Marshal(all, json.Deterministic(true)) // newMetadata has seen that it can be written
	})
	return m.body
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

// newMetadata makes the document of a Guard with these options, which are complete but for the Verifier's part; nil
// without an ID.
func newMetadata(o Options) (*metadata, error) {
	var wrong []error
	problem := func(field, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("popauth: Options.Resource."+field+": "+format, args...))
	}
	r := o.Resource
	if r.ID == "" {
		if r.DPoPRequired || r.AuthorizationServers != nil || r.Scopes != nil || r.AuthorizationDetailsTypes != nil ||
			r.Members != nil || r.Name+r.Documentation+r.Policy+r.Terms+r.JWKS != "" {
			problem("ID", "empty, but other fields are not")
		}
		return nil, errors.Join(wrong...)
	}
	m := &metadata{members: map[string]any{}, scopes: slices.Clone(r.Scopes), types: slices.Clone(r.AuthorizationDetailsTypes)}
	var err error
	if m.url, m.path, err = metadataURL(r.ID); err != nil {
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
		m.members[name] = jsontext.Value(b)
	}
	m.members["resource"] = r.ID
	m.members["bearer_methods_supported"] = []string{"header"}
	put(m.members, "resource_name", r.Name)
	for _, a := range []struct{ field, member, address string }{
		{"Documentation", "resource_documentation", r.Documentation},
		{"Policy", "resource_policy_uri", r.Policy},
		{"Terms", "resource_tos_uri", r.Terms},
		{"JWKS", "jwks_uri", r.JWKS},
	} {
		if put(m.members, a.member, a.address); a.address != "" && !isHTTPS(a.address) {
			problem(a.field, "%q is no https URL", a.address)
		}
	}
	if !listable(r.Scopes) {
		problem("Scopes", "%q has what is no scope", r.Scopes)
	}
	if slices.Contains(r.AuthorizationDetailsTypes, "") {
		problem("AuthorizationDetailsTypes", "has an empty entry")
	}
	m.addServers(o, problem)
	m.addBindings(o, problem)
	if !utf8.ValidString(r.Name + strings.Join(r.AuthorizationDetailsTypes, "")) {
		problem("Name", "it or AuthorizationDetailsTypes is not UTF-8")
	}
	return m, errors.Join(wrong...)
}

func (m *metadata) addServers(o Options, problem settings.Problem) {
	servers := slices.Clone(o.Resource.AuthorizationServers)
	if servers == nil {
		servers = knownIssuers(o.Verifier)
		if len(servers) > 1 { // often one for each customer, and customers come and go
			problem("AuthorizationServers", "the Verifier accepts %d issuers, and the document is for everybody: list those that may be known", len(servers))
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
	put(m.members, "authorization_servers", servers)
}

// addBindings says what the Confirmers confirm.
func (m *metadata) addBindings(o Options, problem settings.Problem) {
	dpop := false
	for _, c := range o.Confirmers {
		switch {
		case c == nil: // which complete reports
		case c.Member() == MutualTLS{}.Member():
			m.members["tls_client_certificate_bound_access_tokens"] = true
		case c.Member() == DPoP{}.Member():
			dpop = true
			if s, ok := c.(SchemeConfirmer); ok {
				_, params := s.Challenge()
				for _, p := range params {
					if p.Name == "algs" {
						put(m.members, "dpop_signing_alg_values_supported", strings.Fields(p.Value))
					}
				}
			}
		}
	}
	if o.Resource.DPoPRequired {
		m.members["dpop_bound_access_tokens_required"] = true
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
