package popclient_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// refuses refuses the tokens given, * for all, with these challenges, one a line.
func refuses(challenge string, tokens ...string) func(http.ResponseWriter, string) {
	return func(w http.ResponseWriter, token string) {
		for _, refused := range tokens {
			if token == refused || refused == "*" {
				w.Header()["Www-Authenticate"] = strings.Split(challenge, "\n")
				w.WriteHeader(http.StatusUnauthorized)
			}
		}
	}
}

const invalid = `Bearer error="invalid_token"`

// A token that the API refuses is replaced once.
func TestRefusedToken(t *testing.T) {
	for name, test := range map[string]struct {
		challenge string
		want      string // tokens
	}{
		"alone":      {invalid, "t1 t2"},
		"lower case": {`bearer error=invalid_token`, "t1 t2"},
		"behind others": {"Basic realm=\"a, Bearer b\", DPoP algs=\"ES256\", Bearer realm=\"\\\"\", error=\"invalid_token\"",
			"t1 t2"},
		"on a line of its own": {"DPoP algs=\"ES256\"\nBearer error=\"invalid_token\"", "t1 t2"},
		"another error":        {`Bearer error="insufficient_user_authentication", acr_values="gold"`, "t1"},
		"no error":             {`Bearer realm="x"`, "t1"},
		"no challenge":         {``, "t1"},
		"DPoP's":               {`DPoP error="invalid_token"`, "t1"},
		"in quotes":            {`Bearer realm="Bearer error=invalid_token"`, "t1"},
	} {
		t.Run(name, func(t *testing.T) {
			onStage(t, func(t *testing.T, s *stage) {
				s.api = refuses(test.challenge, "t1")
				status, err := s.get(t)
				if got := strings.Join(s.tokens, " "); err != nil || got != test.want || (status == 200) != (test.want == "t1 t2") {
					t.Errorf("got %d, %v with tokens %s, want %s", status, err, got, test.want)
				}
			})
		})
	}
	onStage(t, func(t *testing.T, s *stage) {
		s.api = func(w http.ResponseWriter, _ string) {
			w.Header().Set("WWW-Authenticate", invalid)
			w.WriteHeader(http.StatusForbidden)
		}
		if status, err := s.get(t); status != 403 || err != nil || s.asked != 1 {
			t.Errorf("got %d, %v after %d token requests, want 403 after 1", status, err, s.asked)
		}
	})
}

// However many requests find a token refused at the same time, there is one fresh token for it.
func TestRefusedTokenAtOnce(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.want(t, "t1", 1)
		gate := make(chan struct{})
		s.api = func(w http.ResponseWriter, token string) {
			if token == "t1" {
				<-gate
			}
			refuses(invalid, "t1")(w, token)
		}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if status, err := s.get(t); status != 200 || err != nil {
					t.Errorf("got %d, %v, want 200", status, err)
				}
			})
		}
		synctest.Wait()
		close(gate)
		all.Wait()
		if s.asked != 2 {
			t.Errorf("got %d token requests, want 2", s.asked)
		}
	})
}

// An API that refuses every token gets its answer through, and doesn't have a token fetched for each request.
func TestRefusesAll(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.api = refuses(invalid, "*")
		s.want(t, "t1 t2", 2)
		for range 10 {
			s.want(t, "t2", 2)
		}
		time.Sleep(10 * time.Second)
		s.want(t, "t2 t3", 3)
		s.want(t, "t3", 3)
		s.api = refuses(invalid, "t3")
		time.Sleep(10 * time.Second)
		s.want(t, "t3 t4", 4)
		s.want(t, "t4", 4)
		// One that was fetched for its predecessor's age is refused like the first.
		time.Sleep(290 * time.Second)
		s.want(t, "t5", 5)
		s.api = refuses(invalid, "t5")
		s.want(t, "t5 t6", 6)
	})
}

// What can't be sent again isn't, but the token isn't used again either.
func TestRefusedWithBody(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.api = refuses(invalid, "t1")
		r := request(t, "POST", "https://api.example.com/", io.MultiReader(strings.NewReader("order")))
		if status, _ := do(t, s.client, r); status != 401 {
			t.Errorf("got %d, want the API's 401", status)
		}
		s.want(t, "t2", 2)
		time.Sleep(10 * time.Second)
		s.api = refuses(invalid, "t2")
		r = request(t, "POST", "https://api.example.com/", strings.NewReader("order"))
		resp, err := s.client.Do(r)
		if err != nil || resp.StatusCode != 200 || resp.Request != r {
			t.Fatalf("got %v, %v, want 200 to the request itself", resp, err)
		}
		resp.Body.Close()
	})
}

// A nonce is nothing to who sends no proofs.
func TestNonceForBearer(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.api = func(w http.ResponseWriter, _ string) {
			w.Header().Set("DPoP-Nonce", "n")
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
		s.want(t, "t1", 1)
	})
}

// The refusal is read and closed before the request is sent again, on the same connection, which is closed in the end.
func TestRefusalIsClosed(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.api = func(w http.ResponseWriter, token string) {
			refuses(invalid, "t1")(w, token)
			_, _ = io.WriteString(w, "what the API says")
		}
		var reused []bool
		get := func() {
			t.Helper()
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				GotConn: func(c httptrace.GotConnInfo) { reused = append(reused, c.Reused) },
			})
			if status, body := do(t, s.client, request(t, "GET", "https://api.example.com/", nil).WithContext(ctx)); status != 200 ||
				body != "what the API says" {
				t.Errorf("got %d %q, want 200", status, body)
			}
		}
		get()
		time.Sleep(89 * time.Second)
		get()
		time.Sleep(91 * time.Second)
		get()
		if got := fmt.Sprint(reused); got != "[false true true false]" {
			t.Errorf("got %s, want one connection for the first three requests", got)
		}
	})
}

// A refused token is not used any more, even if there is no other.
func TestRefusedAndNoOther(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.api = refuses(invalid, "t1")
		s.answer = func(n int) (int, string) {
			if n > 1 {
				return 503, ""
			}
			return 200, granted("t1", 300)
		}
		body := &closed{Reader: strings.NewReader("order")}
		r := request(t, "POST", "https://api.example.com/", strings.NewReader("order"))
		r.GetBody = func() (io.ReadCloser, error) { return body, nil }
		if resp, err := s.client.Do(r); err == nil || !body.closed || body.read != 0 {
			t.Errorf("got %v, %v, second body closed: %v, want it closed and not sent", resp, err, body.closed)
		}
	})
	onStage(t, func(t *testing.T, s *stage) {
		s.want(t, "t1", 1)
		s.api = refuses(invalid, "t1")
		s.answer = func(int) (int, string) { return 503, "" }
		if status, err := s.get(t); err == nil || !strings.Contains(err.Error(), "status 503") {
			t.Errorf("got %d, %v, want the token endpoint's error", status, err)
		}
		s.want(t, "", 2)
	})
}
