package revocation

import (
	"net"
	"net/http"
	"syscall"
	"time"
)

// direct sends requests by the proxy of the environment, where there is one for them, and else to addresses that a
// certificate may choose.
type direct struct{ proxied, own *http.Transport }

func newDirect(internal bool) *direct {
	dialer := &net.Dialer{Timeout: maxTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		return checkAddress(address, internal)
	}}
	return &direct{
		proxied: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
		own: &http.Transport{
			DialContext: dialer.DialContext, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
			TLSHandshakeTimeout: 10 * time.Second,
		},
	}
}

// RoundTrip implements http.RoundTripper.
func (d *direct) RoundTrip(r *http.Request) (*http.Response, error) {
	// A proxy connects for us, and has rules of its own.
	if proxy, err := http.ProxyFromEnvironment(r); err != nil || proxy != nil {
		return d.proxied.RoundTrip(r)
	}
	return d.own.RoundTrip(r)
}
