package redisreplay_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/redisreplay"
)

// With these the test binary, run again, is an API whose proofs are remembered in the Redis behind a socket.
const (
	apiVariable    = "REDISREPLAY_TEST_API"
	issuerVariable = "REDISREPLAY_TEST_ISSUER"
	keysVariable   = "REDISREPLAY_TEST_KEYS"
)

const apiURL = "https://api.example.com"

// api serves until its input ends, and says where.
func api(socket string) error {
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, ContextTimeoutEnabled: true})
	defer client.Close()
	store, err := redisreplay.New(client, redisreplay.Options{Timeout: 2 * time.Second})
	if err != nil {
		return err
	}
	keys, err := popauth.StaticKeys([]byte(os.Getenv(keysVariable)))
	if err != nil {
		return err
	}
	proofs, err := dpop.New(dpop.Options{BaseURL: apiURL, Replay: store, MaxAge: 10 * time.Minute})
	if err != nil {
		return err
	}
	guard, err := popauth.New(popauth.Options{
		Issuer: os.Getenv(issuerVariable), Audience: []string{popauthtest.Audience}, Keys: keys,
		Confirmers: []popauth.Confirmer{proofs},
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute,
		Handler: guard.Confirm(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "ran")
		}))}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	fmt.Println("http://" + listener.Addr().String())
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// startAPI returns the address of an API in another process.
func startAPI(t *testing.T, socket string, issuer *popauthtest.Issuer) string {
	t.Helper()
	p := startProcess(t, apiVariable+"="+socket, issuerVariable+"="+issuer.URL, keysVariable+"="+string(issuer.JWKS()))
	if !p.out.Scan() {
		t.Fatalf("the API said nothing: %v", p.out.Err())
	}
	return p.out.Text()
}

// caller sends proofs to two APIs at once.
type caller struct {
	key   *popauthtest.ProofKey
	token string
	apis  [2]string
}

func (c caller) proof() string { return c.key.Proof(http.MethodGet, apiURL+"/orders", c.token) }

// both returns the answers of the two APIs to one proof.
func (c caller) both(t *testing.T, proof string) [2]int {
	t.Helper()
	var got [2]int
	var wg sync.WaitGroup
	for i, api := range c.apis {
		wg.Go(func() {
			r, err := http.NewRequest(http.MethodGet, api+"/orders", http.NoBody)
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Authorization", "DPoP "+c.token)
			r.Header.Set("DPoP", proof)
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer answer.Body.Close()
			body, _ := io.ReadAll(answer.Body)
			if ran := string(body) == "ran"; ran != (answer.StatusCode == http.StatusOK) {
				t.Errorf("status %d, the handler ran: %t", answer.StatusCode, ran)
			}
			got[i] = answer.StatusCode
		})
	}
	wg.Wait()
	return got
}

// Two API processes share one Redis. A proof that is sent to both at once is accepted by one of them, a thousand times;
// while Redis stands still nothing is, and afterwards nothing twice.
func TestTwoAPIs(t *testing.T) {
	s := newServer(t)
	issuer := popauthtest.NewIssuer(t)
	key := popauthtest.NewProofKey(t, "ES256")
	c := caller{key, issuer.Token(key.Bound()), [2]string{startAPI(t, s.socket(), issuer), startAPI(t, s.socket(), issuer)}}
	counts := map[[2]int]int{}
	for range 1000 {
		counts[c.both(t, c.proof())]++
	}
	if counts[[2]int{200, 401}]+counts[[2]int{401, 200}] != 1000 {
		t.Errorf("got %v, want 200 and 401 each time", counts)
	}

	used := c.proof()
	c.both(t, used)
	s.signal(syscall.SIGSTOP)
	var during []string
	for range 5 {
		proof := c.proof()
		during = append(during, proof)
		if got := c.both(t, proof); got != [2]int{503, 503} {
			t.Errorf("while Redis stands still: got %v, want 503 and 503", got)
		}
	}
	s.signal(syscall.SIGCONT)
	eventually(t, "the APIs work again", func() error {
		if got := c.both(t, c.proof()); got[0]+got[1] != 200+401 {
			return fmt.Errorf("got %v", got)
		}
		return nil
	})
	if got := c.both(t, used); got != [2]int{401, 401} {
		t.Errorf("a proof used before: got %v, want 401 and 401", got)
	}
	for _, proof := range during {
		first, second := c.both(t, proof), c.both(t, proof)
		if first == [2]int{200, 200} || second != [2]int{401, 401} {
			t.Errorf("a proof that was answered with 503: got %v, then %v", first, second)
		}
	}
	t.Logf("1,000 proofs to both: %v", counts)
}
