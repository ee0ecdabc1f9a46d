package clientauth_test

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
)

// named is a certificate, trusted, with the subject given.
func named(raw []byte) *popauth.Certificate {
	return &popauth.Certificate{Verified: popauth.VerifiedByTLS, Leaf: &x509.Certificate{
		Raw: []byte{1}, RawSubject: raw, RawIssuer: []byte{1}, NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(time.Hour),
	}}
}

// A name in the form that crypto/x509/pkix writes fits the certificate that it was written from, and no certificate
// with another common name. What any text was read as, it is read as again.
func FuzzSubjectDN(f *testing.F) {
	f.Add("batch", "Example", "CN=batch,O=Example")
	f.Add(`a,b+c"\<>;`, " #x ", `CN=a\2Cb+OU=#0401ff, O=\ x\ `)
	f.Add("ü", "=", "2.5.4.3=a")
	f.Fuzz(func(t *testing.T, cn, org, written string) {
		if c, err := clientauth.SubjectDN(written); err == nil {
			var again clientauth.Credential
			if err := again.UnmarshalText([]byte(c.String())); err != nil || again.String() != c.String() {
				t.Fatalf("%q: got %v, %v", written, again, err)
			}
		}
		name := pkix.Name{CommonName: cn, Organization: []string{org}}
		// The other writer doesn't escape NUL, and knows no limit.
		if cn == "" || org == "" || strings.ContainsRune(cn+org, 0) || len(name.String()) > 8<<10 {
			return
		}
		raw, err := asn1.Marshal(name.ToRDNSequence())
		if err != nil {
			return
		}
		c, err := clientauth.SubjectDN(name.String())
		if err != nil {
			t.Fatalf("%q: %v", name.String(), err)
		}
		if !fits(t, c, named(raw)) {
			t.Errorf("%q doesn't fit %x", name.String(), raw)
		}
		name.CommonName += "x"
		other, err := asn1.Marshal(name.ToRDNSequence())
		if err == nil && fits(t, c, named(other)) {
			t.Errorf("VULNERABLE: %v fits %x", c, other)
		}
	})
}

// Every spelling of a digest is that digest. What is accepted is a spelling of what it is read as, and the canonical
// form of that is read as the same.
func FuzzThumbprint(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdef"), "\u200e")
	f.Add([]byte{}, "SHA256 Fingerprint=2B:0C")
	f.Add([]byte(strings.Repeat("\xff", 32)), strings.Repeat("_", 43))
	f.Fuzz(func(t *testing.T, raw []byte, text string) {
		sum := sha256.Sum256(raw)
		if len(raw) == len(sum) {
			sum = [32]byte(raw)
		}
		want := "thumbprint=" + base64.RawURLEncoding.EncodeToString(sum[:])
		digits := hex.EncodeToString(sum[:])
		colons := strings.TrimSuffix(strings.ToUpper(hexPairs(digits, ":")), ":")
		for _, s := range []string{
			digits, colons, "\u200e" + hexPairs(digits, " "), base64.StdEncoding.EncodeToString(sum[:]),
			base64.RawURLEncoding.EncodeToString(sum[:]), "sha256 Fingerprint=" + colons,
		} {
			if c, err := clientauth.Thumbprint(s); err != nil || c.String() != want {
				t.Fatalf("%q: got %v, %v, want %s", s, c, err, want)
			}
		}
		c, err := clientauth.Thumbprint(text)
		if err != nil {
			return
		}
		value := strings.TrimPrefix(c.String(), "thumbprint=")
		if again, err := clientauth.Thumbprint(value); err != nil || again.String() != c.String() {
			t.Fatalf("%q: got %v, %v, want %v", value, again, err, c)
		}
		read, err := base64.RawURLEncoding.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		plain := strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
				return -1
			}
			return r
		}, text)
		asHex := strings.ToLower(strings.NewReplacer(":", "", "-", "").Replace(plain))
		asBase64 := strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimSuffix(plain, "="))
		if !strings.HasSuffix(asHex, hex.EncodeToString(read)) && !strings.HasSuffix(asBase64, value) {
			t.Fatalf("%q: read as %x", text, read)
		}
	})
}

func hexPairs(digits, separator string) string {
	var b strings.Builder
	for i := 0; i < len(digits); i += 2 {
		b.WriteString(digits[i:i+2] + separator)
	}
	return b.String()
}

// No text is read as something that it doesn't say again.
func FuzzCredential(f *testing.F) {
	for _, s := range []string{
		"subject_dn=CN=a", "san_dns=a.example", "san_uri=spiffe://a/b", "san_ip=::1", "san_email=a@b", "thumbprint=", "jwks={\"keys\":[]}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var c, again clientauth.Credential
		if c.UnmarshalText([]byte(text)) != nil {
			if c.String() != "" {
				t.Fatalf("%q: got %v beside an error", text, c)
			}
			return
		}
		if err := again.UnmarshalText([]byte(c.String())); err != nil || again.String() != c.String() {
			t.Fatalf("%q: got %v, %v, want %v", text, again, err, c)
		}
		if c.Method() == "" || !utf8.ValidString(c.String()) {
			t.Fatalf("%q: got %v of method %q", text, c, c.Method())
		}
	})
}

// No path comes out of the rewriting under the prefix's address, or as another one than it went in.
func FuzzPathPrefix(f *testing.F) {
	for _, s := range []string{"/mtls/token", "/mtls", "/MTLS/a%2Fb", "/mtls//x", "/mtls/../token", "/mt%6Cs/%", "//mtls", "*", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.Parse(path)
		if err != nil || u.Host != "" {
			return
		}
		a := newAuth(t, clientauth.Options{Clients: clientauth.Static{}, Endpoints: clientauth.PathPrefix("/mtls"),
			Certificate: fixed{certificate: named(nil)}})
		r := post(nil, form)
		r.URL = u
		before := u.EscapedPath()
		a.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			after := r.URL.EscapedPath()
			if clientauth.OriginalURL(r) == r.URL {
				if after != before || strings.HasPrefix(before+"/", "/mtls/") {
					t.Fatalf("%q: passed on as %q", before, after)
				}
				return
			}
			if !strings.HasPrefix(after, "/") || after != "/" && !strings.HasSuffix(before, after) {
				t.Fatalf("%q: rewritten to %q", before, after)
			}
			if decoded, err := url.PathUnescape(after); err != nil || decoded != r.URL.Path {
				t.Fatalf("%q: escaped %q, path %q", before, after, r.URL.Path)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
	})
}
