package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/net/http/httpguts"
	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth/internal/discovery"
	"github.com/seed-171ab058/popauth/popclient"
)

// maxBody bounds what is read of an API's answer, in bytes.
const maxBody = 64 << 20

// call is one request to an API.
type call struct {
	client
	method, tokenFile, data, file string
	headers                       []string
	curl, nonce                   string

	url  *url.URL
	body []byte
	head http.Header
}

func newCall() *cobra.Command {
	var k call
	cmd := &cobra.Command{
		Use:   "call URL [flags]",
		Short: "Call an API with a bound token, and prove possession of what it is bound to",
		Long: "call gets a token as popauth token does, or takes that of --token-file. It follows no redirect. The exit status is 1 " +
			"if the API " +
			"refuses.",
		Example: "  popauth call https://api.example.com/orders --issuer https://id.example.com --client-id batch --cert client.crt " +
			"--key client.key\n" +
			"  popauth call https://api.example.com/orders --token-file token.txt --dpop-key dpop.pem --curl request.conf",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := k.prepare(args[0], cmd.InOrStdin()); err != nil {
				return err
			}
			return k.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&k.method, "request", "X", "", "method (default GET, with --data POST)")
	f.StringArrayVarP(&k.headers, "header", "H", nil, "'Name: value', or @FILE with such lines")
	f.StringVarP(&k.data, "data", "d", "", "body: text, @FILE, or @- for standard input")
	f.StringVar(&k.tokenFile, "token-file", "", "file with the token, or - : none is asked for")
	f.StringVarP(&k.file, "out", "o", "", "file for the answer's body")
	f.StringVar(&k.curl, "curl", "", "don't call: print a curl command, and write what is secret in it to this file")
	f.StringVar(&k.nonce, "nonce", "", "nonce for the proof of --curl")
	k.flags(f)
	return cmd
}

// prepare checks what the request is to be. Nothing is sent.
func (k *call) prepare(target string, in io.Reader) error {
	var wrong []error
	var err error
	if k.url, err = readTarget(target); err != nil {
		wrong = append(wrong, err)
	}
	if k.body, err = k.readData(in); err != nil {
		wrong = append(wrong, fmt.Errorf("--data: %w", err))
	}
	if k.method == "" {
		k.method = http.MethodGet
		if k.data != "" {
			k.method = http.MethodPost
		}
	}
	if !httpguts.ValidHeaderFieldName(k.method) { // RFC 9110, section 9.1: a token, as those are
		wrong = append(wrong, fmt.Errorf("--request: got %q, want a method such as GET", k.method))
	}
	if err = k.readHeaders(); err != nil {
		wrong = append(wrong, fmt.Errorf("--header: %w", err))
	}
	if len(k.body) > 0 && k.head.Get("Content-Type") == "" {
		k.head.Set("Content-Type", "text/plain; charset=utf-8")
		if json.Valid(k.body) {
			k.head.Set("Content-Type", "application/json")
		}
	}
	if k.nonce != "" && k.curl == "" {
		wrong = append(wrong, errors.New("--nonce: for --curl alone: a call gets nonces from the API"))
	}
	return errors.Join(wrong...)
}

func readTarget(target string) (*url.URL, error) {
	u, err := url.Parse(target)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("got %q, want a URL such as https://api.example.com/orders", target)
	case u.User != nil || u.Fragment != "":
		return nil, errors.New("the URL has userinfo or a fragment, which are not sent: leave them out")
	case u.Scheme == "http" && !discovery.IsLoopback(u.Hostname()):
		return nil, fmt.Errorf("http to %s: whoever is on the way could read the token: want https, or a loopback address", u.Hostname())
	}
	return u, nil
}

func (k *call) readData(in io.Reader) ([]byte, error) {
	if file, ok := strings.CutPrefix(k.data, "@"); ok {
		return readFile(file, in)
	}
	return []byte(k.data), nil
}

func (k *call) readHeaders() error {
	k.head = http.Header{}
	var lines []string
	for _, h := range k.headers {
		file, ok := strings.CutPrefix(h, "@")
		if !ok {
			lines = append(lines, h)
			continue
		}
		b, err := readFile(file, nil)
		if err != nil {
			return err
		}
		lines = append(lines, strings.Split(strings.TrimSpace(string(b)), "\n")...)
	}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return fmt.Errorf("got %q, want 'Name: value'", cut(line))
		}
		switch name = http.CanonicalHeaderKey(name); name {
		case "Authorization", "Dpop", "Host", "Content-Length", "Transfer-Encoding", "Connection":
			return fmt.Errorf("%s is set by this program: leave it out", name)
		}
		k.head.Add(name, value)
	}
	return nil
}

// holding is the token, and what sends requests with it.
func (k *call) holding(ctx context.Context, h *holder, in io.Reader) (source, error) {
	origin := k.url.Scheme + "://" + k.url.Host
	if k.tokenFile == "" {
		return h.obtain(ctx, []string{origin})
	}
	b, err := readFile(k.tokenFile, in)
	if err != nil {
		return source{}, fmt.Errorf("--token-file: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return source{}, fmt.Errorf("--token-file: %s has no token: want its characters alone, without a scheme", k.tokenFile)
	}
	h.transcript.mask.add(token)
	sent := h.transcript.around(h.transport(k.timeout))
	t := &oauth2.Token{AccessToken: token, TokenType: "Bearer"}
	from := source{api: bearer{token, sent}, token: func(context.Context) (*oauth2.Token, error) { return t, nil }}
	if h.key != nil {
		t.TokenType = "DPoP"
		from.api = &popclient.DPoP{Key: h.key, Source: oauth2.StaticTokenSource(t), Base: sent, Origins: []string{origin}}
	}
	return from, nil
}

// bearer sends a token that the connection confirms, or nothing. What it sends to is checked by readTarget.
type bearer struct {
	token string
	base  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.base.RoundTrip(r)
}

func (k *call) run(ctx context.Context, in io.Reader, out, errOut io.Writer) error {
	h, err := k.holder(ctx, in, errOut, k.url)
	if err != nil {
		return err
	}
	from, err := k.holding(ctx, h, in)
	if err != nil {
		return err
	}
	if k.curl != "" || k.tokenFile != "" {
		t, err := from.token(ctx)
		if err != nil {
			return err
		}
		h.compare(t.AccessToken)
		if k.curl != "" {
			return k.writeCurl(out, h, t)
		}
	}
	r, err := http.NewRequestWithContext(ctx, k.method, k.url.String(), bytes.NewReader(k.body))
	if err != nil {
		return err
	}
	if r.Header = k.head; len(k.body) == 0 {
		r.Body, r.GetBody = http.NoBody, nil
	}
	resp, err := (&http.Client{Transport: from.api, CheckRedirect: stay}).Do(r)
	if err != nil {
		return errors.New(h.transcript.mask.text(err.Error()))
	}
	defer func() { _ = resp.Body.Close() }()
	if err := k.save(out, resp.Body, h.transcript.mask); err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return refusedError{fmt.Errorf("the API refuses: %s%s", shown(resp.Status), advice(resp))}
	}
	return nil
}

// save writes an answer's body. On standard output the token is not in it, though the API sends it back.
func (k *call) save(out io.Writer, body io.Reader, m *mask) error {
	b, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	switch {
	case err != nil:
		return fmt.Errorf("the answer's body: %w", err)
	case len(b) > maxBody:
		return fmt.Errorf("the answer's body: more than %d bytes", maxBody)
	case k.file != "":
		return writePrivate(k.file, b)
	}
	text := m.text(string(b))
	if f, ok := out.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 { // a terminal, whose cursor is not the API's
			lines := strings.Split(text, "\n")
			for i := range lines {
				lines[i] = shown(lines[i])
			}
			text = strings.Join(lines, "\n")
		}
	}
	_, err = io.WriteString(out, text)
	return err
}

// advice says what to do about a refusal. Its challenges are printed with the exchange.
func advice(resp *http.Response) string {
	challenges := strings.Join(resp.Header.Values("WWW-Authenticate"), ", ")
	switch {
	case resp.StatusCode == http.StatusUnauthorized && challenges != "":
		return "; popauth explain says which check fails"
	case resp.StatusCode == http.StatusForbidden && strings.Contains(challenges, "insufficient_scope"):
		return "; ask for the scope by --scope"
	}
	return ""
}
