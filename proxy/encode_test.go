package proxy_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

// What Encode writes Decode reads, for every preset: the certificate, and that there is none.
func TestEncode(t *testing.T) {
	der := cert(t, "client")
	for _, f := range append(presets(), proxy.Envoy().WithHops("spiffe://a/gateway", "spiffe://a/inner")) {
		for what, want := range map[string][]byte{"certificate": der, "none": nil} {
			h, err := f.Encode(want)
			if err != nil {
				t.Errorf("%s, %s: %v", f.Name(), what, err)
				continue
			}
			p, err := f.Decode(h)
			if err != nil || !bytes.Equal(p.Leaf, want) || len(p.Chain) > 0 {
				t.Errorf("%s, %s: got %v, %v of %v", f.Name(), what, p, err, h)
			}
			for name := range h {
				if !strings.HasPrefix(name, http.CanonicalHeaderKey(name)) {
					t.Errorf("%s: header %q is not canonical", f.Name(), name)
				}
			}
		}
	}
	if h, err := proxy.Nginx("X-Cert", "X-Verify").Encode(der); err != nil || h.Get("X-Verify") != "SUCCESS" {
		t.Errorf("nginx: got %v, %v, want its verdict", h, err)
	}
	if _, err := (proxy.Format{}).Encode(der); err == nil {
		t.Error("the zero Format: got no error")
	}
	unknown := func(string) ([][]byte, error) { return nil, http.ErrNotSupported }
	own := proxy.Custom(proxy.CustomHeaders{Name: "own", Certificate: "X-Own", Encoding: unknown})
	if _, err := own.Encode(der); err == nil {
		t.Error("an Encoding that nobody knows: got no error")
	}
}
