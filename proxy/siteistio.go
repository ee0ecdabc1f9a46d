package proxy

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"text/template"

	"github.com/seed-171ab058/popauth/internal/proxyfile"
)

//go:embed istio.yaml.tmpl
var istioTemplate string

// Istio writes what an API with a sidecar needs behind a gateway of Istio's, for kubectl apply: Gateway, VirtualService, two
// EnvoyFilters, PeerAuthentication and AuthorizationPolicy. The format is that of [Envoy] with the gateway, by its SPIFFE ID, as
// its one hop:
//
//	proxy.Envoy().WithHops("spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway")
//
// The gateway takes certificates of the authorities in the Secret alone, and callers without one. It reports no verdict.
func (s Site) Istio() (string, error) {
	wrong := []error{s.validateCluster()}
	problem := func(name, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("proxy: Site."+name+": "+format, args...))
	}
	if s.Format.program != "envoy" {
		problem("Format", "Istio doesn't write %q: use proxy.Envoy with WithHops", s.Format.name)
	}
	gateway, ok := s.Format.istioGateway()
	if !ok {
		problem("Format", "got hops %q, want the gateway alone, as proxy.Envoy().WithHops(\"spiffe://cluster.local/ns/istio-system/sa/"+
			"istio-ingressgateway\") names it: a sidecar writes it behind each caller", s.Format.hops)
	}
	c := s.Cluster
	if c.Clients != "" && !isDomain(c.Clients) {
		problem("Cluster.Clients", "got %q, want the name of a Secret, or none", c.Clients)
	}
	podKey, podValue, ok := splitSelector(c.Pods)
	if !ok {
		problem("Cluster.Pods", "got %q, want a label that the API's pods have, and no others: app=orders", c.Pods)
	}
	gatewayKey, gatewayValue, ok := splitSelector(cmp.Or(c.Gateway, "istio=ingressgateway"))
	if !ok {
		problem("Cluster.Gateway", "got %q, want a label of the gateway's pods: istio=ingressgateway", c.Gateway)
	}
	if c.Controller != "" || c.Class != "" {
		problem("Cluster.Controller", "this and Class are for ingress-nginx: leave them empty")
	}
	if err := errors.Join(wrong...); err != nil {
		return "", err
	}
	service, port := c.service()
	return proxyfile.Fill(istioTemplate, s, template.FuncMap{
		"quoted": proxyfile.YAMLQuoted, "value": proxyfile.EnvoyValue,
		"hop":          func() string { return s.Format.hops[0] },
		"name":         c.name,
		"gateway":      func() istioGateway { return gateway },
		"gatewayKey":   func() string { return gatewayKey },
		"gatewayValue": func() string { return gatewayValue },
		"podKey":       func() string { return podKey },
		"podValue":     func() string { return podValue },
		"host":         func() string { return service + "." + c.Namespace + ".svc.cluster.local" },
		"port":         func() string { return port },
		"overrides":    func() []string { return proxyfile.Overrides() },
		"patterns":     s.removedByEnvoy,
	})
}

// istioGateway is what a SPIFFE ID of Istio's says.
type istioGateway struct{ Domain, Namespace, Account string }

// Principal is the name of the gateway in an AuthorizationPolicy.
func (g istioGateway) Principal() string { return g.Domain + "/ns/" + g.Namespace + "/sa/" + g.Account }

// istioGateway takes the one hop apart: spiffe://domain/ns/namespace/sa/account.
func (f Format) istioGateway() (istioGateway, bool) {
	if len(f.hops) != 1 {
		return istioGateway{}, false
	}
	id, ok := strings.CutPrefix(f.hops[0], "spiffe://")
	parts := strings.Split(id, "/")
	if !ok || len(parts) != 5 || parts[1] != "ns" || parts[3] != "sa" {
		return istioGateway{}, false
	}
	return istioGateway{parts[0], parts[2], parts[4]}, isDomain(parts[0]) && isLabel(parts[2]) && isDomain(parts[4])
}
