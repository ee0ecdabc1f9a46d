package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// attempt is a request, its sender, and the expected answer.
type attempt struct {
	who, how string
	as       *popauthtest.Client // nil: without certificate
	request  *http.Request
	want     string
}

// attempts begin with the owner's, so that the table shows what the thieves want.
func (s *stage) attempts(ctx context.Context) []attempt {
	nginx, around, token, mtls := "https://"+s.nginx, "http://"+s.api, s.issuer.Token, s.issuer.MTLSToken
	get := func(base string, header http.Header) *http.Request { return askAPI(ctx, base, s.token, header) }
	post := func(endpoint, id string) *http.Request { return askToken(ctx, endpoint, id) }
	forged := s.forged()
	guessed := forged.Clone()
	guessed.Set("X-Proxy-Secret", "guessed")
	return []attempt{
		{"owner", "API, its certificate", s.owner, get(nginx, nil), "200"},
		{"owner", "API, its certificate, and a forged header", s.owner, get(nginx, forged), "200"},
		{"owner", "API, its certificate, a token that has expired", s.owner, askAPI(ctx, nginx, s.expired, nil), "401 invalid_token"},
		{"thief", "API, the token, no certificate", nil, get(nginx, nil), "401 invalid_token"},
		{"thief", "API, the token, a certificate of the same authority", s.colleague, get(nginx, nil), "401 invalid_token"},
		{"thief", "API, the token, a self-signed certificate in the owner's name", s.namesake, get(nginx, nil), "401 invalid_token"},
		{"thief", "API, the token, the owner's certificate, another key", s.keyless, get(nginx, nil), "no connection"},
		{"thief", "API, the token, nginx's header forged", nil, get(nginx, forged), "401 invalid_token"},
		{"thief", "API, the token, nginx's header forged, a certificate", s.colleague, get(nginx, forged), "401 invalid_token"},
		{"thief", "API past nginx, the token, nginx's header forged", nil, get(around, forged), "400"},
		{"thief", "API past nginx, and with a guessed secret", nil, get(around, guessed), "400"},
		{"owner", "token server, its certificate", s.owner, post(mtls, clientID), "200 bound"},
		{"edge", "token server, its self-signed certificate", s.edge, post(mtls, "edge"), "200 bound"},
		{"thief", "token server, no certificate", nil, post(mtls, clientID), "401 invalid_client"},
		{"thief", "token server, a certificate of the same authority", s.colleague, post(mtls, clientID), "401 invalid_client"},
		{"thief", "token server, a self-signed certificate in the owner's name", s.namesake, post(mtls, clientID), "401 invalid_client"},
		{"thief", "token server, a self-signed certificate as edge", s.namesake, post(mtls, "edge"), "401 invalid_client"},
		{"thief", "token server, the owner's certificate, another key", s.keyless, post(mtls, clientID), "no connection"},
		{"owner", "token server, the endpoint that asks for no certificate", s.owner, post(token, clientID), "401 invalid_client"},
		{"owner", "token server, a certificate that has expired", s.outdated, post(mtls, clientID), "401 invalid_client"},
		{"owner", "token server, a registration that has expired", s.owner, post(mtls, "retired"), "401 invalid_client"},
	}
}

func (s *stage) runThieves(ctx context.Context) error {
	all := s.attempts(ctx)
	got := make([]string, len(all))
	for i, a := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		got[i] = s.outcome(a)
	}
	return report(s.out, all, got)
}

// report writes the table, and returns an error unless everything is as expected.
func report(out io.Writer, all []attempt, got []string) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "WHO\tASKS, AND WITH WHAT\tEXPECTED\tGOT")
	wrong := 0
	for i, a := range all {
		mark := ""
		if got[i] != a.want {
			wrong++
			mark = "\t<-- not as expected"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s%s\n", a.who, a.how, a.want, got[i], mark)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d are not as expected", wrong, len(all))
	}
	_, err := fmt.Fprintf(out, "\nAll %d as expected.\n", len(all))
	return err
}

// outcome is the status of an answer, with its error, or with whether its token is bound to the caller.
func (s *stage) outcome(a attempt) string {
	answer, err := s.send(a.as, a.request)
	if err != nil {
		return "no connection"
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err.Error()
	}
	_, rest, _ := strings.Cut(answer.Header.Get("WWW-Authenticate"), `error="`)
	word, _, _ := strings.Cut(rest, `"`)
	var issued struct {
		Token string `json:"access_token"`
		Error string `json:"error"`
	}
	if strings.HasPrefix(answer.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(text, &issued); err != nil {
			return err.Error()
		}
		word = issued.Error
	}
	if issued.Token != "" {
		word = boundTo(issued.Token, a.as)
	}
	return strings.TrimSpace(fmt.Sprint(answer.StatusCode, " ", word))
}

func boundTo(token string, c *popauthtest.Client) string {
	var claims struct {
		Confirmation struct {
			Thumbprint string `json:"x5t#S256"`
		} `json:"cnf"`
	}
	if err := readPayload(token, &claims); err != nil {
		return err.Error()
	}
	if c == nil || claims.Confirmation.Thumbprint != c.Thumbprint() {
		return "not bound"
	}
	return "bound"
}

// readPayload reads a token as anybody can.
func readPayload(token string, into any) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("not a JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	return json.Unmarshal(payload, into)
}

// send makes a connection for one request, with a certificate or without.
func (s *stage) send(as *popauthtest.Client, r *http.Request) (*http.Response, error) {
	config := &tls.Config{RootCAs: s.authority.Pool(), MinVersion: tls.VersionTLS12}
	if as != nil {
		config.Certificates = []tls.Certificate{as.Certificate}
	}
	return (&http.Transport{TLSClientConfig: config, DisableKeepAlives: true}).RoundTrip(r)
}

func askAPI(ctx context.Context, base, token string, header http.Header) *http.Request {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/orders", http.NoBody)
	if err != nil {
		panic(err) // the addresses are this program's own
	}
	r.Header = header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func askToken(ctx context.Context, endpoint, id string) *http.Request {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		panic(err) // the addresses are the token server's own
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// forged is what nginx would send for the owner's certificate. A certificate is no secret.
func (s *stage) forged() http.Header {
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.owner.Certificate.Certificate[0]})
	return http.Header{
		"X-Ssl-Client-Cert":   {strings.ReplaceAll(url.QueryEscape(string(text)), "+", "%20")},
		"X-Ssl-Client-Verify": {"SUCCESS"},
	}
}
