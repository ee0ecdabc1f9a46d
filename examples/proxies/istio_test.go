package proxies_test

import (
	"cmp"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

const (
	meshGateway = meshPrefix + "gateway"
	managerType = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
	routerType  = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
	tlsTypes    = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
)

// A mesh is what Istio makes two Envoys of: what a Site has written, and the modes that the mesh's configuration has. The code that
// it does so by is pilot/pkg/networking/core/gateway.go, listener_inbound.go and pilot/pkg/security/authz of
// https://github.com/istio/istio, at commit 86c9f01fd735fb01d8192f5bcaf0d424afb7f14c.
type mesh struct {
	objects          map[string]map[string]any // by kind and name
	gateway, sidecar string                    // modes of X-Forwarded-Client-Cert
	nameless         bool                      // the sidecars don't say the URI
}

func newMesh(t *testing.T, text string) *mesh {
	t.Helper()
	documents, err := lab.YAML(text)
	if err != nil {
		t.Fatal(err)
	}
	m := &mesh{objects: map[string]map[string]any{}, gateway: "SANITIZE_SET", sidecar: "APPEND_FORWARD"}
	for _, d := range documents {
		o := d.(map[string]any)
		m.objects[fmt.Sprint(o["kind"], " ", o["metadata"].(map[string]any)["name"])] = o["spec"].(map[string]any)
	}
	return m
}

// object and list are parts of an object.
func object(of any, path ...string) map[string]any {
	for _, name := range path {
		of = of.(map[string]any)[name]
	}
	m, _ := of.(map[string]any)
	return m
}

func list(of any, path ...string) []any {
	all, _ := object(of, path[:len(path)-1]...)[path[len(path)-1]].([]any)
	return all
}

// gatewayConf is the gateway's Envoy, in front of the sidecar, or without a certificate of its own in front of anything.
func (m *mesh) gatewayConf(t *testing.T, as *popauthtest.Client) string {
	t.Helper()
	server := object(list(m.objects["Gateway orders"], "servers")[0])
	tls := object(server, "tls")
	route := object(list(m.objects["VirtualService orders"], "http")[0])
	var set []any
	for name, value := range object(route, "headers", "request", "set") {
		set = append(set, map[string]any{
			"header": map[string]any{"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
		})
	}
	details := map[string]any{}
	if m.gateway == "APPEND_FORWARD" || m.gateway == "SANITIZE_SET" {
		details = map[string]any{"subject": true, "cert": true, "dns": true, "uri": true}
	}
	manager := newManager(m.gateway, details, map[string]any{
		"match": map[string]any{"prefix": "/"}, "route": map[string]any{"cluster": "next"},
		"request_headers_to_add": set, "request_headers_to_remove": list(route, "headers", "request", "remove"),
	})
	manager["use_remote_address"] = true
	m.patch(manager, "EnvoyFilter orders-gateway")
	if mode := tls["mode"]; mode != "MUTUAL" && mode != "OPTIONAL_MUTUAL" {
		t.Fatalf("got mode %v", mode)
	}
	if as == nil {
		return envoyConf(manager, tls["mode"] == "MUTUAL", nil)
	}
	certificate, key, err := as.WritePEM(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return envoyConf(manager, tls["mode"] == "MUTUAL", map[string]any{
		"name": "tls", "typed_config": map[string]any{"@type": tlsTypes + "UpstreamTlsContext", "common_tls_context": map[string]any{
			"tls_certificates": []any{map[string]any{
				"certificate_chain": map[string]any{"filename": certificate}, "private_key": map[string]any{"filename": key},
			}},
		}},
	})
}

// sidecarConf is the Envoy of the API's sidecar.
func (m *mesh) sidecarConf() string {
	manager := newManager(m.sidecar, map[string]any{"subject": true, "dns": true, "uri": !m.nameless}, map[string]any{
		"match": map[string]any{"prefix": "/"}, "route": map[string]any{"cluster": "next"},
	})
	m.patch(manager, "EnvoyFilter orders-sidecar")
	if policy := m.objects["AuthorizationPolicy orders"]; policy != nil {
		var principals []any
		for _, p := range list(object(object(list(object(list(policy, "rules")[0]), "from")[0]), "source"), "principals") {
			principals = append(principals, map[string]any{"authenticated": map[string]any{
				"principal_name": map[string]any{"exact": "spiffe://" + p.(string)},
			}})
		}
		manager["http_filters"] = slices.Insert(manager["http_filters"].([]any), 0, any(map[string]any{
			"name": "rbac", "typed_config": map[string]any{
				"@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
				"rules": map[string]any{"action": policy["action"], "policies": map[string]any{"orders": map[string]any{
					"permissions": []any{map[string]any{"any": true}}, "principals": principals,
				}}},
			},
		}))
	}
	return envoyConf(manager, object(m.objects["PeerAuthentication orders"], "mtls")["mode"] == "STRICT", nil)
}

func newManager(mode string, details, route map[string]any) map[string]any {
	return map[string]any{
		"@type": managerType, "stat_prefix": "x", "delayed_close_timeout": "0.05s",
		"forward_client_cert_details": mode, "set_current_client_cert_details": details,
		"route_config": map[string]any{"virtual_hosts": []any{map[string]any{"name": "x", "domains": []any{"*"}, "routes": []any{route}}}},
		"http_filters": []any{map[string]any{"name": "envoy.filters.http.router", "typed_config": map[string]any{"@type": routerType}}},
	}
}

// patch does what an EnvoyFilter asks for.
func (m *mesh) patch(manager map[string]any, name string) {
	for _, p := range list(m.objects[name], "configPatches") {
		value := object(p, "patch", "value")
		switch object(p)["applyTo"].(string) + " " + object(p, "patch")["operation"].(string) {
		case "NETWORK_FILTER MERGE":
			merge(manager, object(value, "typed_config"))
		case "HTTP_FILTER INSERT_FIRST":
			manager["http_filters"] = slices.Insert(manager["http_filters"].([]any), 0, any(value))
		default:
			panic("another patch")
		}
	}
}

// merge is that of Protocol Buffers: what is set replaces, message by message.
func merge(into, from map[string]any) {
	for name, value := range from {
		if m, ok := value.(map[string]any); ok && into[name] != nil {
			merge(object(into[name]), m)
		} else {
			into[name] = value
		}
	}
}

// envoyConf is one listener and one cluster; JSON is YAML.
func envoyConf(manager map[string]any, demanded bool, upstream map[string]any) string {
	address := func(name string) map[string]any {
		return map[string]any{"socket_address": map[string]any{"address": "${" + name + "_HOST}", "port_value": "${" + name + "_PORT}"}}
	}
	cluster := map[string]any{
		"name": "next", "type": "STATIC", "connect_timeout": "5s",
		"load_assignment": map[string]any{"cluster_name": "next", "endpoints": []any{map[string]any{"lb_endpoints": []any{map[string]any{
			"endpoint": map[string]any{"address": address("API")},
		}}}}},
	}
	if upstream != nil {
		cluster["transport_socket"] = upstream
	}
	text, err := json.Marshal(map[string]any{"static_resources": map[string]any{
		"listeners": []any{map[string]any{"name": "x", "address": address("LISTEN"), "filter_chains": []any{map[string]any{
			"transport_socket": map[string]any{"name": "tls", "typed_config": map[string]any{
				"@type": tlsTypes + "DownstreamTlsContext", "require_client_certificate": demanded,
				"common_tls_context": map[string]any{
					"alpn_protocols": []any{"h2", "http/1.1"},
					"tls_certificates": []any{map[string]any{
						"certificate_chain": map[string]any{"filename": "${CERTS}/server.crt"},
						"private_key":       map[string]any{"filename": "${CERTS}/server.key"},
					}},
					"validation_context": map[string]any{"trusted_ca": map[string]any{"filename": "${CERTS}/clients-ca.crt"}},
				},
			}},
			"filters": []any{map[string]any{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}},
		}}}},
		"clusters": []any{cluster},
	}})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// istioText is what a Site writes for Istio.
func istioText(t *testing.T, format proxy.Format) string {
	t.Helper()
	text, err := proxy.Site{
		Format: format, SecretHeader: "X-Proxy-Secret", Secret: secret,
		Cluster: proxy.Cluster{
			Host: "api.example.com", Namespace: "shop", Service: "orders:80", Certificate: "api-tls", Pods: "app=orders",
		},
	}.Istio()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Nothing that names another method or path, or that the gateway sets, gets past it under a name that an API may take for the same.
func TestIstioSpellings(t *testing.T) {
	need(t)
	c := newCast(t)
	r := newRecorder(t)
	m := newMesh(t, istioText(t, proxy.Envoy().WithHops(meshGateway)))
	front, err := proxies.Start("envoy", proxies.Settings{
		Program: kindOf("envoy").program(t), API: r.Listener.Addr().String(), Server: c.authority.Server(), Clients: c.clients,
		Configuration: m.gatewayConf(t, nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(front.Stop)
	usual, _ := r.arrived(t, c, front.Address, "http/1.1", nil, nil)
	if !slices.Contains(usual, "X-Proxy-Secret") {
		t.Errorf("the API sees %q, want the secret among them", usual)
	}
	for _, name := range []string{
		"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL", "X-Proxy-Secret",
		"X-Forwarded-Client-Cert",
	} {
		for _, character := range separators {
			forged := []field{{strings.ReplaceAll(name, "-", string(character)), "x"}}
			for _, alpn := range []string{"http/1.1", "h2"} {
				if names, status := r.arrived(t, c, front.Address, alpn, forged, usual); status != 200 || len(names) > 0 {
					t.Errorf("%s, %s: got %d, the API sees %q", forged[0].name, alpn, status, names)
				}
			}
		}
	}
}

// What a Site writes for Istio, in two real Envoys with mutual TLS between them, whatever modes the mesh's configuration has.
func TestWrittenIstio(t *testing.T) {
	need(t)
	c := newCast(t)
	authority := popauthtest.NewCA(t)
	named := func(name string) *popauthtest.Client {
		return authority.Client(name, func(x *x509.Certificate) {
			u, err := url.Parse(meshPrefix + name)
			if err != nil {
				t.Fatal(err)
			}
			x.URIs = []*url.URL{u}
		})
	}
	gateway, workload := named("gateway"), named("batch")
	format := proxy.Envoy().WithHops(meshGateway)
	text := istioText(t, format)
	without := func(name string) func(*mesh) { return func(m *mesh) { delete(m.objects, name) } }
	for _, tt := range []struct {
		name             string
		gateway, sidecar string // modes of the mesh; empty: Istio's default
		change           func(*mesh)
		owner, forger    string
		past, knowing    string // a workload past the gateway, that forges all, without and with the secret
		nobody           string // the same without a certificate, if it is let in
	}{
		{name: "as it is", owner: "200", forger: "401", past: "403", knowing: "403"},
		{name: "a gateway that passes on", gateway: "ALWAYS_FORWARD_ONLY", owner: "200", forger: "401", past: "403", knowing: "403"},
		{name: "a gateway that appends", gateway: "APPEND_FORWARD", owner: "200", forger: "401", past: "403", knowing: "403"},
		{name: "a gateway that removes", gateway: "SANITIZE", owner: "200", forger: "401", past: "403", knowing: "403"},
		{name: "a sidecar that passes on", sidecar: "FORWARD_ONLY", owner: "200", forger: "401", past: "403", knowing: "403"},
		{name: "a sidecar that replaces", sidecar: "SANITIZE_SET", owner: "200", forger: "401", past: "403", knowing: "403"},
		{name: "a sidecar that says no URI", change: func(m *mesh) { m.nameless = true }, owner: "200", forger: "401", past: "403",
			knowing: "403"},
		// What each object is for.
		{name: "no AuthorizationPolicy", change: without("AuthorizationPolicy orders"), owner: "200", forger: "401",
			past: "400", knowing: "403"},
		{name: "no filter at a gateway that passes on", gateway: "ALWAYS_FORWARD_ONLY", change: without("EnvoyFilter orders-gateway"),
			owner: "401", forger: "200", past: "403", knowing: "403"},
		{name: "no filter at a sidecar that passes on, no policy", sidecar: "FORWARD_ONLY", change: func(m *mesh) {
			delete(m.objects, "EnvoyFilter orders-sidecar")
			delete(m.objects, "AuthorizationPolicy orders")
		}, owner: "403", forger: "403", past: "400", knowing: "200"},
		{name: "no PeerAuthentication, no policy", change: func(m *mesh) {
			delete(m.objects, "PeerAuthentication orders")
			delete(m.objects, "AuthorizationPolicy orders")
		}, owner: "200", forger: "401", past: "400", knowing: "403", nobody: "403"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMesh(t, text)
			if tt.gateway != "" {
				m.gateway = tt.gateway
			}
			if tt.sidecar != "" {
				m.sidecar = tt.sidecar
			}
			if tt.change != nil {
				tt.change(m)
			}
			k := kindOf("envoy")
			k.format = format
			own := *c
			own.clients = authority.PEM()
			l := newLane(t, &own, k, m.sidecarConf())
			outer := &lane{cast: c, kind: k, spy: l.spy, api: l.api}
			outer.start(t, l.front.Address, m.gatewayConf(t, gateway))

			token := field{"Authorization", "Bearer " + c.token(c.owner)}
			element := l.lines(c.owner.Certificate.Certificate[0])[0]
			whole := field{element.name, element.value + ",By=" + meshPrefix + "orders;" + strings.SplitN(element.value, ";", 2)[0] +
				`;Subject="";URI=` + meshGateway}
			for _, w := range []way{ways[1], ways[3]} {
				token := field{"authorization", token.value}
				if got, _ := outer.ask(w, c.owner, []field{token}); got != tt.owner {
					t.Errorf("the owner, %s: got %s, want %s", w.alpn, got, tt.owner)
				}
			}
			itself := field{"Authorization", "Bearer " + c.token(c.selfSigned)}
			if got, _ := outer.ask(ways[1], c.selfSigned, []field{itself}); got != "closed" {
				t.Errorf("a self-signed certificate: got %s, want an alert", got)
			}
			for name, as := range map[string]*popauthtest.Client{"no certificate": nil, "another certificate": c.thief} {
				for _, spelled := range []func(string) string{
					func(s string) string { return s }, hyphensTo("_"), hyphensTo("."), hyphensTo("~"),
				} {
					for _, xfcc := range []field{element, whole} {
						fields := append(respelled(append([]field{xfcc, {"X-Proxy-Secret", guessed}}, overrides...), spelled), token)
						got, _ := outer.ask(ways[1], as, fields)
						if spelled("-") == "-" && xfcc == element && got != tt.forger || got != "401" && tt.forger == "401" {
							t.Errorf("%s, forged, %s: got %s, want %s", name, fields[0].name, got, tt.forger)
						}
					}
				}
			}
			hidden := field{"X-Proxy-Secret", secret}
			for name, r := range map[string]struct {
				fields []field
				want   string
			}{"": {[]field{token, whole}, tt.past}, ", knows the secret": {[]field{token, whole, hidden}, tt.knowing}} {
				if got, _ := l.ask(ways[1], workload, r.fields); got != r.want {
					t.Errorf("a workload past the gateway%s: got %s, want %s", name, got, r.want)
				}
			}
			if got, _ := l.ask(ways[1], nil, []field{token, whole, hidden}); got != cmp.Or(tt.nobody, "closed") {
				t.Errorf("somebody outside of the mesh past the gateway: got %s, want %s", got, cmp.Or(tt.nobody, "closed"))
			}
		})
	}
}
