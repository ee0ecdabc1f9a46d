package popclient_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth/popclient"
)

// handlerBase answers requests by a handler, whatever their host, and closes their bodies.
type handlerBase struct{ handler http.HandlerFunc }

func (b handlerBase) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	b.handler(w, r)
	if r.Body != nil {
		r.Body.Close()
	}
	return w.Result(), nil
}

// closed is a body that knows whether it was closed and how far it was read.
type closed struct {
	io.Reader
	closed bool
	read   int
}

func (c *closed) Close() error { c.closed = true; return nil }

func (c *closed) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += n
	return n, err
}

func challenged(nonces ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Dpop-Nonce"] = nonces
		w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func TestRetries(t *testing.T) {
	n := 0
	always := func(w http.ResponseWriter, r *http.Request) { n++; challenged(fmt.Sprint("n", n))(w, r) }
	with := func(status int, challenge string, nonces ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Dpop-Nonce"] = nonces
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(status)
		}
	}
	const ask = `DPoP error="use_dpop_nonce"`
	for name, test := range map[string]struct {
		handler     http.HandlerFunc
		first, next int // requests
	}{
		"always another":   {always, 2, 2},
		"always the same":  {challenged("n"), 2, 1},
		"no nonce":         {challenged(), 1, 1},
		"empty":            {challenged(""), 1, 1},
		"two":              {challenged("a", "b"), 1, 1},
		"space":            {challenged("a b"), 1, 1},
		"quote":            {challenged(`a"b`), 1, 1},
		"backslash":        {challenged(`a\b`), 1, 1},
		"not ASCII":        {challenged("\u00fc"), 1, 1},
		"all of NQCHAR":    {challenged("!#[]~"), 2, 1},
		"long":             {challenged(strings.Repeat("n", 2048)), 2, 1},
		"too long":         {challenged(strings.Repeat("n", 2049)), 1, 1},
		"other error":      {with(401, `DPoP error="invalid_token"`, "n"), 1, 1},
		"no challenge":     {with(401, "", "n"), 1, 1},
		"200":              {with(200, ask, "n"), 1, 1},
		"400":              {with(400, ask, "n"), 1, 1},
		"403":              {with(403, ask, "n"), 1, 1},
		"other's error":    {with(401, `Bearer error="use_dpop_nonce", DPoP`, "n"), 1, 1},
		"other lines with": {with(401, `Bearer, DPoP algs="ES256", error="use_dpop_nonce"`, "n"), 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			base := &spy{next: handlerBase{test.handler}}
			client := &http.Client{Transport: &popclient.DPoP{Key: newKey(t, "ES256"), Source: static("token", "DPoP"), Base: base}}
			want := 0
			for i, more := range []int{test.first, test.next} {
				resp, err := client.Do(request(t, "GET", "https://api.example.com/", nil))
				if err != nil {
					t.Fatal(i, err)
				}
				if got := resp.Header.Values("WWW-Authenticate"); len(got) != 1 {
					t.Errorf("got %q, want the answer itself", got)
				}
				resp.Body.Close()
				want += more
				base.check(t, want)
			}
		})
	}
}

// The first answer is read to its end, within bounds, and closed before the second request is sent.
func TestFirstAnswerIsClosed(t *testing.T) {
	for _, size := range []int{10, 1 << 20} {
		first := &closed{Reader: strings.NewReader(strings.Repeat("x", size))}
		var open bool
		base := funcBase(func(r *http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			if part(t, r.Header.Get("DPoP"), 1)["nonce"] == "n" {
				open = !first.closed
				return w.Result(), nil
			}
			challenged("n")(w, r)
			resp := w.Result()
			resp.Body = first
			return resp, nil
		})
		d := &popclient.DPoP{Key: newKey(t, "ES256"), Source: static("token", "DPoP"), Base: base}
		resp, err := d.RoundTrip(request(t, "GET", "https://api.example.com/", nil))
		if err != nil || resp.StatusCode != 200 || open || first.read != min(size, 64<<10) {
			t.Errorf("%d bytes: got %v, %v, open %v, %d bytes read", size, resp, err, open, first.read)
		}
	}
}

type funcBase func(*http.Request) (*http.Response, error)

func (f funcBase) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Whatever goes wrong before anything is sent, nothing is, and the body is closed.
func TestNothingSent(t *testing.T) {
	key, good := newKey(t, "ES256"), static("token", "DPoP")
	broken := errors.New("no token today")
	for name, test := range map[string]struct {
		d    *popclient.DPoP
		url  string
		want string
	}{
		"zero":     {&popclient.DPoP{}, "", "Source is nil"},
		"no key":   {&popclient.DPoP{Source: good}, "", "no key"},
		"zero key": {&popclient.DPoP{Key: &popclient.Key{}, Source: good}, "", "no key"},
		"source fails": {&popclient.DPoP{Key: key, Source: source(func() (*oauth2.Token, error) { return nil, broken })}, "",
			"no token today"},
		"nil token":       {&popclient.DPoP{Key: key, Source: source(func() (*oauth2.Token, error) { return nil, nil })}, "", "no token"},
		"empty token":     {&popclient.DPoP{Key: key, Source: static("", "DPoP")}, "", "no token"},
		"Bearer":          {&popclient.DPoP{Key: key, Source: static("token", "Bearer")}, "", "type is not DPoP"},
		"no type":         {&popclient.DPoP{Key: key, Source: static("token", "")}, "", "type is not DPoP"},
		"another type":    {&popclient.DPoP{Key: key, Source: static("token", "DPoP ")}, "", "type is not DPoP"},
		"plain http":      {&popclient.DPoP{Key: key, Source: good}, "http://api.example.com/", "without TLS"},
		"looks like this": {&popclient.DPoP{Key: key, Source: good}, "http://localhost.example.com/", "without TLS"},
		"scheme":          {&popclient.DPoP{Key: key, Source: good}, "ftp://api.example.com/", "not an http"},
		"opaque":          {&popclient.DPoP{Key: key, Source: good}, "https:opaque", "not an http"},
		"not meant for":   {&popclient.DPoP{Key: key, Source: good, Origins: []string{"https://other.example.com"}}, "", "not meant"},
		"for nobody":      {&popclient.DPoP{Key: key, Source: good, Origins: []string{}}, "", "not meant"},
		"origin path":     {&popclient.DPoP{Key: key, Source: good, Origins: []string{"https://api.example.com/v1"}}, "", "entry 0"},
		"origin query":    {&popclient.DPoP{Key: key, Source: good, Origins: []string{"https://api.example.com?"}}, "", "entry 0"},
		"origin user":     {&popclient.DPoP{Key: key, Source: good, Origins: []string{"https://u@api.example.com"}}, "", "entry 0"},
		"origin plain":    {&popclient.DPoP{Key: key, Source: good, Origins: []string{"http://api.example.com"}}, "", "entry 0"},
		"origin host":     {&popclient.DPoP{Key: key, Source: good, Origins: []string{"api.example.com"}}, "", "entry 0"},
	} {
		t.Run(name, func(t *testing.T) {
			base := &spy{next: handlerBase{challenged("n")}}
			test.d.Base = base
			if test.url == "" {
				test.url = "https://api.example.com/"
			}
			body := &closed{Reader: strings.NewReader("order")}
			resp, err := test.d.RoundTrip(request(t, "POST", test.url, body))
			if err == nil || resp != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, %v, want %s", resp, err, test.want)
			}
			if len(base.sent) != 0 || !body.closed {
				t.Errorf("got %d requests, body closed %v", len(base.sent), body.closed)
			}
		})
	}
	d := &popclient.DPoP{Key: key, Source: good, Base: handlerBase{challenged("n")}}
	if _, err := d.RoundTrip(&http.Request{}); err == nil {
		t.Error("no URL: got no error")
	}
}

// What fails on the way to the second request is not hidden behind the first answer.
func TestSecondFails(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		signer error // of the second proof
		base   error // of the second request
		cancel bool  // before the second request
	}{
		"signer":  {signer: broken},
		"base":    {base: broken},
		"context": {cancel: true},
	} {
		t.Run(name, func(t *testing.T) {
			signer := &failing{hidden: hidden{Signer: generate(t, "EdDSA")}, second: test.signer}
			key, err := popclient.NewKey(signer, "EdDSA")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			answer, again, n := &closed{Reader: strings.NewReader("")}, &closed{Reader: strings.NewReader("")}, 0
			base := funcBase(func(r *http.Request) (*http.Response, error) {
				if n++; n == 2 {
					r.Body.Close()
					return nil, errors.Join(test.base, r.Context().Err())
				}
				if test.cancel {
					cancel()
				}
				w := httptest.NewRecorder()
				challenged("n")(w, r)
				resp := w.Result()
				resp.Body = answer
				return resp, nil
			})
			r := request(t, "POST", "https://api.example.com/", strings.NewReader("order")).WithContext(ctx)
			r.GetBody = func() (io.ReadCloser, error) { return again, nil }
			resp, err := (&popclient.DPoP{Key: key, Source: static("token", "DPoP"), Base: base}).RoundTrip(r)
			if resp != nil || !errors.Is(err, broken) && !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, %v, want an error", resp, err)
			}
			if !answer.closed || !again.closed {
				t.Errorf("answer closed %v, body closed %v", answer.closed, again.closed)
			}
		})
	}
}

// failing fails from the second signature on, if it has an error.
type failing struct {
	hidden
	second error
	n      int
}

func (f *failing) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if f.n++; f.n > 1 && f.second != nil {
		return nil, f.second
	}
	return f.hidden.Sign(r, digest, opts)
}

// What http.Client would have filled in may be missing.
func TestBareRequest(t *testing.T) {
	base := &spy{next: redirects(nil)}
	d := &popclient.DPoP{Key: newKey(t, "ES256"), Source: static("token", "DPoP"), Base: base}
	u, err := url.Parse("https://api.example.com")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.RoundTrip(&http.Request{URL: u}); err != nil {
		t.Fatal(err)
	}
	base.check(t, 1)
	claims := part(t, base.sent[0].Header.Get("DPoP"), 1)
	if claims["htm"] != "GET" || claims["htu"] != "https://api.example.com/" {
		t.Errorf("got %v, want GET https://api.example.com/", claims)
	}
	// Its request line would say something else than its path.
	u.Opaque = "//api.example.com/admin"
	if _, err := d.RoundTrip(&http.Request{URL: u}); err == nil || len(base.sent) != 1 {
		t.Errorf("opaque: got %v, want an error", err)
	}
}

func TestBaseFails(t *testing.T) {
	broken := errors.New("broken")
	base := funcBase(func(*http.Request) (*http.Response, error) { return nil, broken })
	d := &popclient.DPoP{Key: newKey(t, "ES256"), Source: static("token", "DPoP"), Base: base}
	if resp, err := d.RoundTrip(request(t, "GET", "https://api.example.com/", nil)); resp != nil || !errors.Is(err, broken) {
		t.Errorf("got %v, %v, want the error of the base", resp, err)
	}
}
