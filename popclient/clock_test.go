package popclient_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// offBy is a clock that is wrong by so much.
func offBy(d time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(d) } }

// proofs verifies proofs for whatever URL a request names.
func proofs(t testing.TB, o dpop.Options) *dpop.Confirmer {
	t.Helper()
	o.URL = dpop.RequestURL
	d, err := dpop.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// iat is how far the proof of a request is from this clock.
func iat(t testing.TB, r *http.Request) time.Duration {
	t.Helper()
	seconds, _ := part(t, r.Header.Get("DPoP"), 1)["iat"].(float64)
	return time.Until(time.Unix(int64(seconds), 0)).Round(10 * time.Second)
}

// A client whose clock is wrong learns the time from the first refusal, and has no other.
func TestClockIsCorrected(t *testing.T) {
	secrets := [][]byte{bytes.Repeat([]byte{1}, 32)}
	for name, tt := range map[string]struct {
		server dpop.Options
		off    time.Duration
		want   int  // requests for the first answer
		status int  // of that
		kept   bool // the client's own clock is good enough
	}{
		"15 min ahead":        {dpop.Options{}, 15 * time.Minute, 2, 200, false},
		"15 min behind":       {dpop.Options{}, -15 * time.Minute, 2, 200, false},
		"15 s ahead":          {dpop.Options{}, 15 * time.Second, 2, 200, false},
		"a time zone":         {dpop.Options{}, -14 * time.Hour, 2, 200, false},
		"ahead, with nonces":  {dpop.Options{Nonces: dpop.StatelessNonces{Secrets: secrets}}, 15 * time.Minute, 3, 200, false},
		"behind, with nonces": {dpop.Options{Nonces: dpop.StatelessNonces{Secrets: secrets}}, -15 * time.Minute, 3, 200, false},
		"behind, nonces count": {dpop.Options{Nonces: dpop.StatelessNonces{Secrets: secrets}, NonceTime: true}, -15 * time.Minute, 2,
			200, true},
		"within the server's time": {dpop.Options{}, -15 * time.Second, 1, 200, true},
		"a year":                   {dpop.Options{}, -365 * 24 * time.Hour, 1, 401, true},
		"a year, but nonces count": {dpop.Options{Nonces: dpop.StatelessNonces{Secrets: secrets}, NonceTime: true},
			-365 * 24 * time.Hour, 2, 200, true},
		"as it should be":           {dpop.Options{}, 0, 1, 200, true},
		"as it should be, nonces":   {dpop.Options{Nonces: dpop.StatelessNonces{Secrets: secrets}}, 0, 2, 200, true},
		"28 h, more than a mistake": {dpop.Options{}, 28 * time.Hour, 1, 401, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := newKey(t, "ES256")
			issuer := popauthtest.NewIssuer(t)
			options := issuer.Options()
			options.Confirmers = []popauth.Confirmer{proofs(t, tt.server)}
			guard, err := popauth.New(options)
			if err != nil {
				t.Fatal(err)
			}
			api := &popauthtest.Spy{}
			server := popauthtest.NewServer(t, guard.Confirm(api))
			key.Now = offBy(tt.off)
			base := &spy{next: server.Client().Transport}
			client := &http.Client{Transport: &popclient.DPoP{Key: key, Base: base, Source: static(
				issuer.Token(popauthtest.Claims{"cnf": popauthtest.Claims{"jkt": key.Thumbprint()}}), "DPoP")}}
			body := request(t, "POST", server.URL, strings.NewReader("order"))
			if status, _ := do(t, client, body); status != tt.status || (status == 200) != (api.Ran() == 1) {
				t.Errorf("got %d, the handler ran %d times, want %d", status, api.Ran(), tt.status)
			}
			base.check(t, tt.want)
			if tt.status != 200 {
				return
			}
			do(t, client, request(t, "GET", server.URL, nil))
			base.check(t, tt.want+1) // whatever was learned is kept
			want := tt.off.Round(10 * time.Second)
			if !tt.kept {
				want = 0
			}
			if got := iat(t, base.sent[tt.want]); got != want {
				t.Errorf("the next iat is off by %v, want %v", got, want)
			}
		})
	}
}

// refusing answers with 401 and these headers, and the Date of another time.
func refusing(off time.Duration, lines ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
		w.Header().Set("WWW-Authenticate", `DPoP error="invalid_dpop_proof"`)
		status := http.StatusUnauthorized
		for _, line := range lines {
			name, value, _ := strings.Cut(line, ": ")
			switch {
			case name == "Status":
				_, _ = fmt.Sscan(value, &status)
			case name == "Date" && value == "twice":
				w.Header()["Date"] = append(w.Header()["Date"], w.Header().Get("Date"))
			case value == "":
				w.Header()[name] = nil
			default:
				w.Header().Set(name, value)
			}
		}
		w.WriteHeader(status)
	})
}

// Nobody sets the clock but a server whose word it is.
func TestClockIsNotSteered(t *testing.T) {
	for name, tt := range map[string]struct {
		handler http.Handler
		change  func(*httptest.Server, *http.Transport)
		want    int // requests
	}{
		"a server that is verified": {handler: refusing(time.Hour), want: 2},
		"plain http": {handler: refusing(time.Hour), change: func(s *httptest.Server, _ *http.Transport) {
			s.URL = "http"
		}, want: 1},
		"a server that is not verified": {handler: refusing(time.Hour), want: 1, change: func(_ *httptest.Server, t *http.Transport) {
			t.TLSClientConfig.InsecureSkipVerify = true
		}},
		"out of a cache":         {handler: refusing(time.Hour, "Age: 3600"), want: 1},
		"two dates":              {handler: refusing(time.Hour, "Date: twice"), want: 1},
		"no date":                {handler: refusing(time.Hour, "Date: "), want: 1},
		"not a date":             {handler: refusing(time.Hour, "Date: tomorrow"), want: 1},
		"28 hours":               {handler: refusing(28 * time.Hour), want: 1},
		"28 hours back":          {handler: refusing(-28 * time.Hour), want: 1},
		"another refusal":        {handler: refusing(time.Hour, `WWW-Authenticate: DPoP error="invalid_token"`), want: 1},
		"another scheme":         {handler: refusing(time.Hour, `WWW-Authenticate: Bearer error="invalid_dpop_proof"`), want: 1},
		"no refusal":             {handler: refusing(time.Hour, "Status: 200"), want: 1},
		"forbidden":              {handler: refusing(time.Hour, "Status: 403"), want: 1},
		"the time that it is":    {handler: refusing(0), want: 1},
		"a second is no mistake": {handler: refusing(time.Second), want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := popauthtest.NewServer(t, tt.handler)
			transport, _ := server.Client().Transport.(*http.Transport)
			transport = transport.Clone()
			t.Cleanup(transport.CloseIdleConnections)
			if tt.change != nil {
				tt.change(server, transport)
			}
			if server.URL == "http" {
				plain := httptest.NewServer(tt.handler)
				t.Cleanup(plain.Close)
				server = plain
			}
			base := &spy{next: transport}
			client := &http.Client{Transport: &popclient.DPoP{Key: newKey(t, "ES256"), Base: base, Source: static("token", "DPoP")}}
			do(t, client, request(t, "GET", server.URL, nil))
			base.check(t, tt.want)
			if tt.want == 2 && iat(t, base.sent[1]) != time.Hour {
				t.Errorf("got an iat that is off by %v, want the server's time", iat(t, base.sent[1]))
			}
			do(t, client, request(t, "GET", server.URL, nil))
			base.check(t, tt.want+1)                         // what was refused is not tried again
			if got := iat(t, base.sent[tt.want]); got != 0 { // VULNERABLE otherwise
				t.Errorf("the next iat is off by %v, want 0", got)
			}
		})
	}
}

// A server that lies gets what it asks for at itself, once, and nowhere else.
func TestClockIsAnOriginsOwn(t *testing.T) {
	var lies atomic.Int64
	liar := popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refusing(time.Duration(lies.Add(1))*time.Hour).ServeHTTP(w, r)
	}))
	honest := popauthtest.NewServer(t, &popauthtest.Spy{})
	base := &spy{next: funcBase(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(liar.URL, r.URL.Host) {
			return liar.Client().Transport.RoundTrip(r)
		}
		return honest.Client().Transport.RoundTrip(r)
	})}
	d := &popclient.DPoP{Key: newKey(t, "ES256"), Base: base, Source: static("token", "DPoP")}
	client := &http.Client{Transport: d}
	want := 1 // the second try of the first request
	for range 5 {
		if status, _ := do(t, client, request(t, "GET", liar.URL, nil)); status != 401 {
			t.Errorf("got %d, want 401", status)
		}
		do(t, client, request(t, "GET", honest.URL, nil))
		want += 2
		base.check(t, want)
		if got := iat(t, base.sent[want-1]); got != 0 { // VULNERABLE otherwise
			t.Errorf("the other server's iat is off by %v, want 0", got)
		}
	}
	if d.Remembered() != 1 {
		t.Errorf("got %d origins, want the liar alone", d.Remembered())
	}
}

// A body that can't be sent again isn't; the next request has the right time.
func TestClockWithABodyThatIsGone(t *testing.T) {
	for name, tt := range map[string]struct {
		right time.Duration // what the server takes
		want  []int         // its answers
	}{
		"the server's Date is right": {time.Hour, []int{401, 200, 200}},
		"it is not":                  {0, []int{401, 401, 200}},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			server := popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked++; asked == 1 || iat(t, r) != tt.right {
					refusing(time.Hour).ServeHTTP(w, r)
				}
			}))
			base := &spy{next: server.Client().Transport}
			client := &http.Client{Transport: &popclient.DPoP{Key: newKey(t, "ES256"), Base: base, Source: static("token", "DPoP")}}
			for n, want := range tt.want {
				status, _ := do(t, client, request(t, "POST", server.URL, io.MultiReader(strings.NewReader("order"))))
				if status != want {
					t.Errorf("request %d: got %d, want %d", n, status, want)
				}
				base.check(t, n+1)
			}
		})
	}
	// A trial that is refused leaves the request to the client's own clock.
	asked := 0
	server := popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == 1 || iat(t, r) != 0 {
			refusing(time.Hour).ServeHTTP(w, r)
		}
	}))
	base := &spy{next: server.Client().Transport}
	client := &http.Client{Transport: &popclient.DPoP{Key: newKey(t, "ES256"), Base: base, Source: static("token", "DPoP")}}
	do(t, client, request(t, "POST", server.URL, io.MultiReader(strings.NewReader("order"))))
	if status, _ := do(t, client, request(t, "GET", server.URL, nil)); status != 200 {
		t.Errorf("got %d, want 200", status)
	}
	base.check(t, 3)
}

// When the machine's clock is put right, one more refusal is enough.
func TestClockThatIsPutRight(t *testing.T) {
	var off atomic.Int64
	off.Store(int64(15 * time.Minute))
	x := newProofServer(t, func() time.Time { return time.Now().Round(0).Add(time.Duration(off.Load())) })
	x.want(t, 2)
	x.want(t, 1)
	off.Store(0)
	x.want(t, 2)
	x.want(t, 1)
}

// proofServer is an authorization server that verifies proofs, and a client with a clock.
type proofServer struct {
	*httptest.Server
	base   *spy
	client *http.Client
}

func newProofServer(t *testing.T, now func() time.Time) *proofServer {
	t.Helper()
	dpop := proofs(t, dpop.Options{})
	x := &proofServer{}
	x.Server = popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if _, err := dpop.ProveKey(w.Header(), r, time.Now()); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"invalid_dpop_proof"}`)
			return
		}
		_, _ = io.WriteString(w, `{"access_token":"bound","token_type":"DPoP"}`)
	}))
	key := newKey(t, "ES256")
	key.Now = now
	x.base = &spy{next: x.Client().Transport}
	x.client = &http.Client{Transport: &popclient.Proofs{Key: key, Base: x.base}}
	return x
}

// want wants a token by so many requests.
func (x *proofServer) want(t *testing.T, requests int) {
	t.Helper()
	before := len(x.base.sent)
	status, body := do(t, x.client, request(t, "POST", x.URL, strings.NewReader("grant_type=client_credentials")))
	if got := len(x.base.sent) - before; status != 200 || got != requests {
		t.Errorf("got %d %s by %d requests, want 200 by %d", status, body, got, requests)
	}
}
