package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/seed-171ab058/popauth/internal/proxyfile"
)

// Cluster is where an API runs in Kubernetes, and the names of what is there. It is for [Site.IngressNginx] and [Site.Istio].
type Cluster struct {
	_ [0]func()

	Host      string // the name by which callers know the API: api.example.com
	Namespace string // of the API
	Service   string // the API's, and the number of its port: orders:8080

	// Certificate is the Secret with the certificate for Host and its key, of type kubernetes.io/tls. It is in Namespace, for
	// Istio in the namespace of the gateway.
	Certificate string

	// Clients is the Secret with the authorities of clients' certificates, beside Certificate, as ca.crt. For Istio it may be empty:
	// then they are in Certificate as ca.crt, or in a Secret of the same name with "-cacert" behind.
	Clients string

	Controller string // of ingress-nginx: its ConfigMap; "ingress-nginx/ingress-nginx-controller" if empty
	Class      string // of ingress-nginx: its IngressClass; "nginx" if empty

	Pods    string // for Istio: a label that the API's pods have and no others in Namespace: app=orders
	Gateway string // for Istio: a label of the gateway's pods; "istio=ingressgateway" if empty
}

func (c Cluster) isZero() bool {
	return c.Host == "" && c.Namespace == "" && c.Service == "" && c.Certificate == "" && c.Clients == "" && c.Controller == "" &&
		c.Class == "" && c.Pods == "" && c.Gateway == ""
}

// validateCluster reports every problem that the site has whatever writes for its cluster.
func (s Site) validateCluster() error {
	wrong := []error{s.validateHeaders()}
	problem := func(name, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("proxy: Site."+name+": "+format, args...))
	}
	if s.Listen != "" || len(s.API) > 0 || s.Certificate != "" || s.Key != "" || s.Clients != "" {
		problem("Listen", "this, API, Certificate, Key and Clients are addresses and files: leave them empty, and set Cluster")
	}
	c := s.Cluster
	if !isDomain(c.Host) || !strings.Contains(c.Host, ".") {
		problem("Cluster.Host", "got %q, want a domain's name in lower case, without a port: api.example.com", c.Host)
	}
	if name, port := c.service(); !isLabel(name) || !proxyfile.IsPort(port) {
		problem("Cluster.Service", "got %q, want the Service's name and the number of its port: orders:8080", c.Service)
	}
	if !isLabel(c.Namespace) {
		problem("Cluster.Namespace", "got %q, want a namespace's name", c.Namespace)
	}
	if !isDomain(c.Certificate) {
		problem("Cluster.Certificate", "got %q, want the name of a Secret", c.Certificate)
	}
	return errors.Join(wrong...)
}

func (c Cluster) service() (name, port string) {
	name, port, _ = strings.Cut(c.Service, ":")
	return name, port
}

// Name is that of the objects that are written.
func (c Cluster) name() string {
	name, _ := c.service()
	return name
}

// controller is the namespace and the name of ingress-nginx's ConfigMap.
func (c Cluster) controller() (namespace, name string) {
	namespace, name, _ = strings.Cut(cmp.Or(c.Controller, "ingress-nginx/ingress-nginx-controller"), "/")
	return namespace, name
}

// isLabel takes what RFC 1123, section 2.1, has for a label, in lower case.
func isLabel(text string) bool {
	return text != "" && len(text) <= 63 && strings.Trim(text, "-") == text && !strings.ContainsFunc(text, func(c rune) bool {
		return c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z')
	})
}

// isDomain takes labels with dots between them: the names of Secrets and of hosts.
func isDomain(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil || len(text) > 253 {
		return false
	}
	for label := range strings.SplitSeq(text, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}

// splitSelector takes a label apart: a key, which may have a domain in front, and a value.
func splitSelector(text string) (key, value string, ok bool) {
	key, value, ok = strings.Cut(text, "=")
	prefix, name, prefixed := strings.Cut(key, "/")
	if !prefixed {
		prefix, name = "", key
	}
	return key, value, ok && isLabelValue(name) && isLabelValue(value) && (!prefixed || isDomain(prefix))
}

// isLabelValue takes what Kubernetes has for the value of a label, without the empty one.
func isLabelValue(text string) bool {
	return text != "" && len(text) <= 63 && strings.Trim(text, "-_.") == text && !strings.ContainsFunc(text, func(c rune) bool {
		return c != '-' && c != '_' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	})
}
