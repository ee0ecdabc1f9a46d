package probe

import (
	"encoding/json"
	"net/http"
	"strings"
)

// cors lets one page call.
func (a *api) cors(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	switch {
	case a.has("cors-any-origin") && origin != "":
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Allow-Credentials", "true")
	case origin == "https://app.example":
		w.Header().Set("Access-Control-Allow-Origin", origin)
		exposed := []string{"WWW-Authenticate", "DPoP-Nonce"}
		if a.has("cors-nonce") {
			exposed = exposed[:1]
		}
		if a.has("cors-challenge") {
			exposed = exposed[1:]
		}
		w.Header().Set("Access-Control-Expose-Headers", strings.Join(exposed, ", "))
	}
}

// describe serves the metadata of RFC 9728.
func (a *api) describe(w http.ResponseWriter, r *http.Request) {
	if a.pathOf(r) != wellKnown+"/orders" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	d := map[string]any{
		"resource": a.url + "/orders", "bearer_methods_supported": []string{"header"},
		"dpop_signing_alg_values_supported": []string{"ES256"},
	}
	switch a.hole {
	case "metadata-resource":
		d["resource"] = "https://other.example/orders"
	case "metadata-algorithms":
		d["dpop_signing_alg_values_supported"] = []string{"none"}
	case "metadata-methods":
		d["bearer_methods_supported"] = []string{"header", "query"}
	}
	w.Header().Set("Content-Type", "application/json")
	if a.has("metadata-form") {
		w.Header().Set("Content-Type", "text/html")
	}
	_ = json.NewEncoder(w).Encode(d)
}
