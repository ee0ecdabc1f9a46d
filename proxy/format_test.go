package proxy_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

// presets returns every preset, with chains where they are optional.
func presets() []proxy.Format {
	return []proxy.Format{
		proxy.RFC9440(), proxy.RFC9440Template(),
		proxy.Nginx(certHeader, verifyHeader), proxy.IngressNginx(),
		proxy.Apache(certHeader, verifyHeader).WithChain("X-Chain-0", "X-Chain-1"),
		proxy.HAProxy(certHeader, verifyHeader).WithChain(chainHeader),
		proxy.Envoy(), proxy.Traefik(), proxy.Caddy(certHeader),
		proxy.AWSALBVerify(), proxy.AWSALBPassthrough(),
		proxy.GoogleCloud(proxy.GoogleCloudHeaders{}),
		proxy.Cloudflare(), proxy.CloudflareLegacy(),
		proxy.AzureAppService(), proxy.IISARR(), proxy.Kong(), proxy.CloudFoundry(),
		proxy.CloudFront(), proxy.CloudFrontPassthrough(), proxy.AWSLambdaWebAdapter(),
		proxy.AzureApplicationGateway(certHeader, verifyHeader), proxy.AzureContainerApps(), proxy.F5(certHeader, verifyHeader),
	}
}

// Every function that returns a Format is among presets, so that FuzzFormats has it, and has a row on the page.
func TestEveryPreset(t *testing.T) {
	var page string
	for _, name := range []string{"../docs/proxies.md", "../docs/platforms.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		page += string(text)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	constructors, called := []string(nil), map[string]bool{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			switch {
			case !ok || f.Recv != nil:
			case f.Name.Name == "presets":
				ast.Inspect(f.Body, func(n ast.Node) bool {
					if s, ok := n.(*ast.SelectorExpr); ok {
						called[s.Sel.Name] = true
					}
					return true
				})
			case f.Name.IsExported() && f.Type.Results.NumFields() == 1:
				if result, ok := f.Type.Results.List[0].Type.(*ast.Ident); ok && result.Name == "Format" {
					constructors = append(constructors, f.Name.Name)
				}
			}
		}
	}
	if len(constructors) < 25 {
		t.Errorf("got the constructors %q, want all", constructors)
	}
	for _, name := range constructors {
		if !called[name] && name != "Custom" { // of any names
			t.Errorf("%s: not among presets: add it there", name)
		}
		if !strings.Contains(page, "proxy."+name+"(") {
			t.Errorf("%s: no row in docs/proxies.md or docs/platforms.md", name)
		}
	}
}

func TestHeaders(t *testing.T) {
	want := map[string]string{
		"rfc9440":          "Client-Cert Client-Cert-Chain",
		"rfc9440-template": "Client-Cert Client-Cert-Chain",
		"nginx":            "X-Ssl-Client-Cert X-Ssl-Client-Verify",
		"ingress-nginx":    "Ssl-Client-Cert Ssl-Client-Verify Ssl-Client-Subject-Dn Ssl-Client-Issuer-Dn",
		"apache":           "X-Ssl-Client-Cert X-Chain-0 X-Chain-1 X-Ssl-Client-Verify",
		"haproxy":          "X-Ssl-Client-Cert X-Ssl-Client-Chain X-Ssl-Client-Verify",
		"envoy":            "X-Forwarded-Client-Cert",
		"traefik":          "X-Forwarded-Tls-Client-Cert X-Forwarded-Tls-Client-Cert-Info",
		"caddy":            "X-Ssl-Client-Cert",
		"aws-alb-verify": "X-Amzn-Mtls-Clientcert-Leaf X-Amzn-Mtls-Clientcert X-Amzn-Mtls-Clientcert-Serial-Number " +
			"X-Amzn-Mtls-Clientcert-Issuer X-Amzn-Mtls-Clientcert-Subject X-Amzn-Mtls-Clientcert-Validity",
		"aws-alb-passthrough": "X-Amzn-Mtls-Clientcert X-Amzn-Mtls-Clientcert-Leaf X-Amzn-Mtls-Clientcert-Serial-Number " +
			"X-Amzn-Mtls-Clientcert-Issuer X-Amzn-Mtls-Clientcert-Subject X-Amzn-Mtls-Clientcert-Validity",
		"google-cloud": "X-Client-Cert-Leaf X-Client-Cert-Chain X-Client-Cert-Present X-Client-Cert-Chain-Verified " +
			"X-Client-Cert-Error",
		"cloudflare":        "Client-Cert Client-Cert-Chain Cf-Client-Cert-Der-Base64 Cf-Client-Cert-Sha256",
		"cloudflare-legacy": "Cf-Client-Cert-Der-Base64 Cf-Client-Cert-Sha256",
		"azure-app-service": "X-Arr-Clientcert",
		"iis-arr":           "X-Arr-Clientcert",
		"kong": "X-Client-Cert X-Client-Cert-Chain X-Client-Cert-Serial X-Client-Cert-Issuer-Dn X-Client-Cert-Subject-Dn " +
			"X-Client-Cert-Fingerprint",
		"cloud-foundry": "X-Forwarded-Client-Cert",
		"cloudfront": "Cloudfront-Viewer-Cert-Pem Cloudfront-Viewer-Cert-Present Cloudfront-Viewer-Cert-Sha256 Client-Cert " +
			"Client-Cert-Chain Cloudfront-Viewer-Cert-Serial-Number Cloudfront-Viewer-Cert-Issuer Cloudfront-Viewer-Cert-Subject " +
			"Cloudfront-Viewer-Cert-Validity",
		"cloudfront-passthrough": "Client-Cert Client-Cert-Chain Cloudfront-Viewer-Cert-Present Cloudfront-Viewer-Cert-Sha256 " +
			"Cloudfront-Viewer-Cert-Pem Cloudfront-Viewer-Cert-Serial-Number Cloudfront-Viewer-Cert-Issuer " +
			"Cloudfront-Viewer-Cert-Subject Cloudfront-Viewer-Cert-Validity",
		"aws-lambda-web-adapter":    "X-Amzn-Request-Context",
		"azure-application-gateway": "X-Ssl-Client-Cert X-Ssl-Client-Verify",
		"azure-container-apps":      "X-Forwarded-Client-Cert",
		"f5":                        "X-Ssl-Client-Cert X-Ssl-Client-Verify",
	}
	for _, f := range presets() {
		got := f.Headers()
		if strings.Join(got, " ") != want[f.Name()] {
			t.Errorf("%s: got %q, want %q", f.Name(), got, want[f.Name()])
		}
		got[0] = "changed"
		if f.Headers()[0] == "changed" {
			t.Errorf("%s: Headers is not a copy", f.Name())
		}
		if err := f.Validate(); err != nil {
			t.Errorf("%s: %v", f.Name(), err)
		}
		delete(want, f.Name())
	}
	if len(want) > 0 {
		t.Errorf("no preset is named %v", want)
	}
}

func TestZeroFormat(t *testing.T) {
	var f proxy.Format
	if err := f.Validate(); err == nil {
		t.Error("the zero Format is valid")
	}
	got, err := f.Decode(header("Client-Cert", value(t, "haproxy-rfc9440"), "", "x"))
	if err == nil || got.Leaf != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if errors.Is(err, proxy.ErrMalformed) || errors.Is(err, proxy.ErrTooLarge) {
		t.Errorf("a configuration error in a class of the request's: %v", err)
	}
	if f.Name() != "" || len(f.Headers()) != 0 {
		t.Errorf("got %q, %q", f.Name(), f.Headers())
	}
}

func TestValidate(t *testing.T) {
	encoding := proxy.Base64DER
	tests := []struct {
		name string
		f    proxy.Format
		want []string // one for each problem
	}{
		{"no names", proxy.Nginx("", ""), []string{"no name for the certificate", "no name for the verdict"}},
		{"underscore", proxy.Caddy("X_SSL_Client_Cert"), []string{"invalid name"}},
		{"dot", proxy.Caddy("X.Cert"), []string{"invalid name"}},
		{"space", proxy.Caddy("X Cert"), []string{"invalid name"}},
		{"colon", proxy.Caddy("X-Cert:"), []string{"invalid name"}},
		{"line break", proxy.Caddy("X\nCert"), []string{"invalid name"}},
		{"not ASCII", proxy.Caddy("X-Zertifikät"), []string{"invalid name"}},
		{"hyphen alone", proxy.Caddy("-"), []string{"invalid name"}},
		{"same name twice", proxy.HAProxy("X-A", "x-a"), []string{`"X-A" is the certificate and the verdict header`}},
		{"three problems", proxy.Custom(proxy.CustomHeaders{}), []string{"no name", "no encoding"}},
		{"custom without encoding", proxy.Custom(proxy.CustomHeaders{Certificate: "X-A"}), []string{"no encoding"}},
		{"chain without encoding", proxy.Custom(proxy.CustomHeaders{Certificate: "X-A", Encoding: encoding, Chain: "X-B"}),
			[]string{"a chain needs"}},
		{"encoding without chain", proxy.Custom(proxy.CustomHeaders{Certificate: "X-A", Encoding: encoding, ChainEncoding: encoding}),
			[]string{"a chain needs"}},
		{"verdict without judge", proxy.Custom(proxy.CustomHeaders{Certificate: "X-A", Encoding: encoding, Verdict: "X-B"}),
			[]string{"a verdict needs"}},
		{"judge without verdict", proxy.Custom(proxy.CustomHeaders{Certificate: "X-A", Encoding: encoding, Judge: proxy.NginxVerify}),
			[]string{"a verdict needs"}},
		{"clash with others", proxy.Custom(proxy.CustomHeaders{Certificate: "X-A", Encoding: encoding, Others: []string{"X-B", "x-a"}}),
			[]string{`"X-A" is the certificate and the other header`}},
		{"empty other", proxy.Custom(proxy.CustomHeaders{Certificate: "X-A", Encoding: encoding, Others: []string{""}}),
			[]string{"no name for the other header"}},
		{"Google, clash", proxy.GoogleCloud(proxy.GoogleCloudHeaders{Verified: "X-Client-Cert-Present"}),
			[]string{"is the verdict and the verdict header"}},
		{"chain where there is none", proxy.Nginx("X-A", "X-B").WithChain("X-C"), []string{"no chain header to name"}},
		{"chain where it is fixed", proxy.RFC9440().WithChain("X-C"), []string{"no chain header to name"}},
		{"chain twice", proxy.HAProxy("X-A", "X-B").WithChain("X-C").WithChain("X-D"), []string{"no chain header to name"}},
		{"no chain headers", proxy.Apache("X-A", "X-B").WithChain(), []string{"1 to 10 chain headers, not 0"}},
		{"two chain headers", proxy.HAProxy("X-A", "X-B").WithChain("X-C", "X-D"), []string{"1 to 1 chain headers, not 2"}},
		{"eleven chain headers", proxy.Apache("X-A", "X-B").WithChain(make([]string, 11)...), []string{"1 to 10 chain headers, not 11"}},
		{"empty chain header", proxy.HAProxy("X-A", "X-B").WithChain(""), []string{"no name for the chain header"}},
		{"chain clashes", proxy.HAProxy("X-A", "X-B").WithChain("X-B"), []string{"is the chain and the verdict header"}},
		{"no verdict to leave out", proxy.Traefik().WithoutVerdict(), []string{"no verdict to leave out"}},
		{"left out twice", proxy.Nginx("X-A", "X-B").WithoutVerdict().WithoutVerdict(), []string{"no verdict to leave out"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.f.Validate()
			if err == nil {
				t.Fatal("got no error")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tt.want) {
				t.Errorf("got %d problems, want %d: %v", len(lines), len(tt.want), err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
			if got, err := tt.f.Decode(header("X-A", b64(sequence(9)))); err == nil || got.Leaf != nil {
				t.Errorf("an invalid format decodes: %v, %v", got, err)
			}
		})
	}
}

func TestOptionsCopy(t *testing.T) {
	base := proxy.Apache(certHeader, verifyHeader)
	names := []string{"X-Chain-0", "X-Chain-1"}
	one, two := base.WithChain("X-One"), base.WithChain(names...)
	names[0] = "X-Changed"
	left := two.WithoutVerdict()
	for _, tt := range []struct {
		f    proxy.Format
		want string
	}{
		{base, "X-Ssl-Client-Cert X-Ssl-Client-Verify"},
		{one, "X-Ssl-Client-Cert X-One X-Ssl-Client-Verify"},
		{two, "X-Ssl-Client-Cert X-Chain-0 X-Chain-1 X-Ssl-Client-Verify"},
		{left, "X-Ssl-Client-Cert X-Chain-0 X-Chain-1 X-Ssl-Client-Verify"},
	} {
		if got := strings.Join(tt.f.Headers(), " "); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
		if err := tt.f.Validate(); err != nil {
			t.Error(err)
		}
	}
	bad := base.WithChain().WithChain().WithChain()
	a, b := bad.WithChain(), bad.WithoutVerdict().WithoutVerdict()
	if strings.Contains(a.Validate().Error(), "no verdict") || !strings.Contains(b.Validate().Error(), "no verdict") {
		t.Error("copies share their problems")
	}
}

func TestWithoutVerdict(t *testing.T) {
	f := proxy.Nginx(certHeader, verifyHeader).WithoutVerdict()
	sent := value(t, "nginx-escaped_cert")
	leaf := outcome{leaf: cert(t, "client")}
	check(t, f, header(certHeader, sent), leaf)
	check(t, f, header(certHeader, sent, verifyHeader, "SUCCESS"), leaf)
	check(t, f, header(certHeader, sent, verifyHeader, "NONE", verifyHeader, "x"), leaf)
	check(t, f, header(verifyHeader, "SUCCESS"), none)
}

// A header key that no server produces is not looked up, so that it can't be mistaken for the one that was removed.
func TestCanonicalKeysOnly(t *testing.T) {
	for _, f := range presets() {
		h := http.Header{}
		for _, name := range f.Headers() {
			h[strings.ToLower(name)] = []string{"x"}
			h[strings.ReplaceAll(name, "-", "_")] = []string{"x"}
			h[name] = nil
		}
		check(t, f, h, none)
	}
}

// The text of an error never quotes what was sent.
func TestErrorsQuoteNothing(t *testing.T) {
	const mark = "zqxj"
	own := proxy.Custom(proxy.CustomHeaders{Certificate: "X-A", Encoding: func(v string) ([][]byte, error) {
		return nil, fmt.Errorf("bad %q: %w", v, proxy.ErrTooLarge)
	}})
	wraps := proxy.Custom(proxy.CustomHeaders{Certificate: "X-A", Encoding: func(v string) ([][]byte, error) {
		_, err := proxy.Base64DER(v)
		return nil, fmt.Errorf("bad %q: %w", v, err)
	}})
	plain := proxy.Custom(proxy.CustomHeaders{Certificate: "X-A", Encoding: func(v string) ([][]byte, error) {
		return nil, errors.New(v)
	}})
	for _, f := range append(presets(), own, wraps, plain) {
		names := f.Headers()
		for _, v := range []string{mark, mark + ";" + mark + "=" + mark, ":" + mark + ":", "%" + mark, "FAILED:" + mark,
			mark + strings.Repeat("A", 70<<10)} {
			for i := range names {
				h := header(names[0], v)
				h[names[i]] = []string{v}
				if _, err := f.Decode(h); err == nil {
					t.Errorf("%s: accepted %.20q", f.Name(), v)
				} else if strings.Contains(err.Error(), mark) || strings.Contains(err.Error(), "AAAA") {
					t.Errorf("%s: quotes the value: %v", f.Name(), err)
				}
			}
		}
	}
	_, err := own.Decode(header("X-A", "x"))
	if !errors.Is(err, proxy.ErrTooLarge) || err.Error() != "proxy: client certificate too large: X-A: refused by the configured encoding" {
		t.Errorf("got %v", err)
	}
	_, err = wraps.Decode(header("X-A", "x"))
	if !errors.Is(err, proxy.ErrMalformed) || err.Error() != "proxy: malformed client certificate: X-A: not canonical base64" {
		t.Errorf("got %v", err)
	}
	_, err = plain.Decode(header("X-A", "x"))
	if !errors.Is(err, proxy.ErrMalformed) {
		t.Errorf("got %v", err)
	}
	if _, err = proxy.Base64DER("x"); err.Error() != "proxy: malformed client certificate: not canonical base64" {
		t.Errorf("got %v", err)
	}
}

// Decoding is a function of the header alone and leaves it as it is.
func FuzzFormats(f *testing.F) {
	for _, v := range allValues(f) {
		f.Add(v, v, "SUCCESS", uint8(0))
		f.Add(v, "", "0", uint8(1))
	}
	formats := presets()
	f.Fuzz(func(t *testing.T, certificate, chain, verdict string, more uint8) {
		for _, format := range formats {
			names := format.Headers()
			h := http.Header{names[0]: {certificate}}
			if more&1 != 0 && len(names) > 1 {
				h[names[1]] = []string{chain}
			}
			if more&2 != 0 {
				h[names[len(names)-1]] = []string{verdict}
			}
			before := fmt.Sprint(h)
			got, err := format.Decode(h)
			again, err2 := format.Decode(h)
			switch {
			case fmt.Sprint(h) != before:
				t.Fatal("changed the header")
			case (err == nil) != (err2 == nil) || !slices.Equal(got.Leaf, again.Leaf):
				t.Fatal("two outcomes")
			case err != nil && (got.Leaf != nil || got.Chain != nil || got.Verified):
				t.Fatal("a certificate beside an error")
			case err != nil && !errors.Is(err, proxy.ErrMalformed) && !errors.Is(err, proxy.ErrTooLarge):
				t.Fatalf("error of no class: %v", err)
			case err == nil && got.Leaf == nil && (got.Chain != nil || got.Verified):
				t.Fatal("a verdict or a chain about no certificate")
			}
			for _, der := range append(got.Chain, got.Leaf) {
				if der != nil {
					oneSequence(t, der)
				}
			}
		}
	})
}
