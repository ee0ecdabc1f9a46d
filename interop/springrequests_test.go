//go:build unix

package interop_test

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/popauthtest"
)

type claims = popauthtest.Claims

// rawAPI is an API that gets requests byte by byte.
type rawAPI struct {
	name, addr, base string
	typ              string // of the tokens that it takes
}

func (s rawAPI) header() claims { return claims{"typ": s.typ} }

func (s rawAPI) get(target string, fields ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: " + s.addr + "\r\nConnection: close\r\n" + strings.Join(fields, "") + "\r\n"
}

// at is the API by another Host.
func (s rawAPI) at(host string) rawAPI {
	s.addr = host
	return s
}

func (s rawAPI) bearer(token string) string {
	return s.get("/orders", field("Authorization", "Bearer "+token))
}

func (s rawAPI) dpop(token, proof string) string {
	return s.get("/orders", dpopHeaders(token, proof))
}

func (s rawAPI) form(body string, fields ...string) string {
	return "POST /orders HTTP/1.1\r\nHost: " + s.addr + "\r\nConnection: close\r\n" +
		field("Content-Type", "application/x-www-form-urlencoded") + strings.Join(fields, "") +
		fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
}

func field(name, value string) string { return name + ": " + value + "\r\n" }

func dpopHeaders(token, proof string) string {
	return field("Authorization", "DPoP "+token) + field("DPoP", proof)
}

func single(request func(rawAPI) string) func(rawAPI) []string {
	return func(s rawAPI) []string { return []string{request(s)} }
}

func seconds(from int64) int64 { return time.Now().Unix() + from }

func sum(b []byte) []byte { x := sha256.Sum256(b); return x[:] }

// springRequest is one row: requests that are sent one after another, of which the last answer counts.
type springRequest struct {
	name string
	make func(rawAPI) []string
	cert *popauthtest.Client
}

// springRequests are the rows, and who sends them.
type springRequests struct {
	issuer                             *popauthtest.Issuer
	owner, other                       *popauthtest.Client
	key, thiefKey, rsa, ed25519, rs512 *popauthtest.ProofKey
	rows                               []springRequest
}

func (d *springRequests) add(name string, requests func(rawAPI) []string, cert ...*popauthtest.Client) {
	r := springRequest{name: name, make: requests}
	if len(cert) > 0 {
		r.cert = cert[0]
	}
	d.rows = append(d.rows, r)
}

// build makes the rows.
func (d *springRequests) build() []springRequest {
	d.rows = nil
	d.credentialsRows()
	d.claimsRows()
	d.proofsRows()
	return d.rows
}

func (d *springRequests) token(s rawAPI, c ...claims) string {
	return d.issuer.TokenWith(s.header(), c...)
}

func (d *springRequests) bearer(c ...claims) func(rawAPI) []string {
	return single(func(s rawAPI) string { return s.bearer(d.token(s, c...)) })
}

// headed changes the token's header.
func (d *springRequests) headed(header claims) func(rawAPI) []string {
	return single(func(s rawAPI) string {
		x := s.header()
		for k, v := range header {
			x[k] = v
		}
		return s.bearer(d.issuer.TokenWith(x))
	})
}

func (d *springRequests) proof(s rawAPI, token string, c ...claims) string {
	return d.key.Proof("GET", s.base+"/orders", token, c...)
}

func (d *springRequests) plainProof(s rawAPI, token string) string { return d.proof(s, token) }

// proved sends a bound token with a proof that f makes.
func (d *springRequests) proved(target string, f func(s rawAPI, token string) string) func(rawAPI) []string {
	return single(func(s rawAPI) string {
		token := d.token(s, d.key.Bound())
		return s.get(target, dpopHeaders(token, f(s, token)))
	})
}

// headerOf is the header of a token that is signed by this algorithm.
func (d *springRequests) headerOf(alg string) claims {
	first, _, _ := strings.Cut(d.issuer.TokenWith(claims{"alg": alg}), ".")
	text, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil {
		panic(err)
	}
	var header claims
	if err := json.Unmarshal(text, &header); err != nil {
		panic(err)
	}
	return header
}

// crafted is a token of members as they are written, in the header and in the payload.
func (d *springRequests) crafted(s rawAPI, header, payload string) string {
	return d.issuer.Sign(fmt.Appendf(nil, `{%s"alg":"RS256","kid":%q,"typ":%q}`, header, d.headerOf("RS256")["kid"], s.typ),
		fmt.Appendf(nil, `{"iss":%q,"aud":%q,%s"client_id":"c","jti":"%d","iat":%d,"exp":%d}`, d.issuer.URL, popauthtest.Audience, payload,
			time.Now().UnixNano(), seconds(0), seconds(300)), "RS256")
}

// sendRaw sends these bytes and returns the status of the answer.
func sendRaw(t *testing.T, addr, text string, c *popauthtest.Client) int {
	t.Helper()
	config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}} //nolint:gosec // both are on loopback
	if c != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.Certificate, nil }
	}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", addr, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// startSpringAPI starts ResourceServer.java.
func startSpringAPI(t *testing.T, s *authorizationServer, issuer, keys string, args ...string) (address string, ready func()) {
	t.Helper()
	port := counterpart.Port(t)
	p := startJava(s, springLibraries(t), t.TempDir(), "ResourceServer", port,
		append(args, "--test.issuer="+issuer, "--test.keys="+keys)...)
	address = fmt.Sprint("localhost:", port)
	client := &http.Client{Transport: s.transport(nil), Timeout: 10 * time.Second}
	return address, func() {
		t.Helper()
		p.Await(func() error {
			resp, err := client.Get("https://" + address + "/")
			if err != nil {
				return err
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized {
				return fmt.Errorf("without a token: %s", resp.Status)
			}
			return nil
		}, 3*time.Minute)
	}
}

// expected is a line of testdata/spring/requests.tsv.
type expected struct {
	spring, atJWT, popauth int
	why                    string // of the difference
}

func expectedRequests(t *testing.T) map[string]expected {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "spring", "requests.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]expected{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 5 {
			t.Fatalf("%q: want 5 columns", line)
		}
		var status [3]int
		for i := range status {
			if status[i], err = strconv.Atoi(fields[i+1]); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
		}
		all[fields[0]] = expected{spring: status[0], atJWT: status[1], popauth: status[2], why: fields[4]}
	}
	return all
}

// Spring's API and popauth's get the same raw requests, with tokens of one issuer. What each answers is in requests.tsv; where they
// differ, it has the text that says so, or the setting.
func TestSpringRequests(t *testing.T) {
	springLibraries(t)
	s := newAuthorizationServer(t)
	d := &springRequests{issuer: popauthtest.NewIssuer(t, "RS256", "ES256", "PS256", "ES384"), owner: s.ca.Client("owner"),
		other: s.ca.Client("other")}
	for alg, key := range map[string]**popauthtest.ProofKey{"RS256": &d.rsa, "EdDSA": &d.ed25519, "RS512": &d.rs512} {
		*key = popauthtest.NewProofKey(t, alg)
	}
	d.key, d.thiefKey = popauthtest.NewProofKey(t, "ES256"), popauthtest.NewProofKey(t, "ES256")

	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(d.issuer.JWKS()) }))
	t.Cleanup(keys.Close)
	plain, plainReady := startSpringAPI(t, s, d.issuer.URL, keys.URL, "--test.audience="+popauthtest.Audience)
	atJWT, atJWTReady := startSpringAPI(t, s, d.issuer.URL, keys.URL, "--test.audience="+popauthtest.Audience, "--test.at-jwt=true")

	o := d.issuer.Options()
	proofs, err := dpop.New(dpop.Options{URL: dpop.RequestURL})
	if err != nil {
		t.Fatal(err)
	}
	o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, proofs}
	guard, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	spy := &popauthtest.Spy{}
	server := popauthtest.NewServer(t, guard.Authenticate(spy))
	plainReady()
	atJWTReady()

	apis := []rawAPI{
		{name: "Spring", addr: plain, base: "https://" + plain, typ: "JWT"},
		{name: "Spring, at+jwt", addr: atJWT, base: "https://" + atJWT, typ: "at+jwt"},
		{name: "popauth", addr: server.Listener.Addr().String(), base: server.URL, typ: "JWT"},
	}
	want := expectedRequests(t)
	agreed := 0
	for i := range len(d.build()) {
		row := d.build()[i] // anew, since its times count from now
		var got [3]int
		for j, s := range apis {
			ran := 0
			for _, text := range row.make(s) {
				before := spy.Ran()
				got[j] = sendRaw(t, s.addr, text, row.cert)
				ran = spy.Ran() - before
			}
			if s.name == "popauth" && (ran == 1) != (got[j] == http.StatusOK) {
				t.Errorf("VULNERABLE: %s: answered %d, and the handler ran %d times", row.name, got[j], ran)
			}
		}
		w, ok := want[row.name]
		if statuses := [3]int{w.spring, w.atJWT, w.popauth}; !ok || got != statuses {
			t.Errorf("%s: got %v, want %v", row.name, got, statuses)
		}
		if differ := got[0] != got[2] || got[1] != got[2]; differ != (strings.HasPrefix(w.why, "RFC ") ||
			strings.HasPrefix(w.why, "setting: ")) {
			t.Errorf("%s: got %v, and the reason %q", row.name, got, w.why)
		}
		if got[0] == got[2] {
			agreed++
		}
		delete(want, row.name)
	}
	if len(want) > 0 {
		t.Errorf("requests.tsv has rows without a request: %v", want)
	}
	t.Logf("%d requests, %d with one status at Spring and popauth", len(d.rows), agreed)
}
