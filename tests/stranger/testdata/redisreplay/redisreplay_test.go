package stranger

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/redisreplay"
)

// A proof is good once, and Redis has remembered it.
func TestProof(t *testing.T) {
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: os.Getenv("REDIS_SOCKET"), ContextTimeoutEnabled: true})
	defer client.Close()
	store, err := redisreplay.New(client, redisreplay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	proofs, err := dpop.New(dpop.Options{BaseURL: "https://api.example.com", Replay: store})
	if err != nil {
		t.Fatal(err)
	}
	issuer := popauthtest.NewIssuer(t)
	options := issuer.Options()
	options.Confirmers = []popauth.Confirmer{proofs}
	guard, err := popauth.New(options)
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	handler := guard.Confirm(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran++ }))
	key := popauthtest.NewProofKey(t, "ES256")
	token := issuer.Token(key.Bound())
	proof := key.Proof(http.MethodGet, "https://api.example.com/orders", token)
	for i, want := range []int{http.StatusOK, http.StatusUnauthorized} {
		r := httptest.NewRequest(http.MethodGet, "https://api.example.com/orders", http.NoBody)
		r.Header.Set("Authorization", "DPoP "+token)
		r.Header.Set("DPoP", proof)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != want || ran != 1 {
			t.Errorf("request %d: got %d, the handler ran %d times, want %d, once", i+1, w.Code, ran, want)
		}
	}
	keys, err := client.Keys(t.Context(), "popauth:replay:*").Result()
	if err != nil || len(keys) == 0 {
		t.Errorf("in Redis: got %q, %v, want the id of the proof", keys, err)
	}
}
