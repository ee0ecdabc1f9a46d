package lab

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func NewMemoryIssuer(t testing.TB, algorithms ...string) *MemoryIssuer {
	return &MemoryIssuer{Issuer: popauthtest.NewIssuer(t, algorithms...)}
}

func Unreachable(*http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("connection refused")
}

// Parsed is the token as keyfunc sees it.
func Parsed(t testing.TB, token string) *jwt.Token {
	t.Helper()
	p, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// MadeUp returns the token under a kid that does not exist.
func MadeUp(token string, n int) string {
	_, rest, _ := strings.Cut(token, ".")
	header := fmt.Sprintf(`{"alg":"ES256","typ":"at+jwt","kid":"made-up-%d"}`, n)
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest
}

func NewKeyedAPI(t *testing.T, issuer string, keys popauth.KeySource, now func() time.Time) *KeyedAPI {
	t.Helper()
	guard, err := popauth.New(popauth.Options{
		Issuer: issuer, Audience: []string{popauthtest.Audience}, Keys: keys, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	spy := &popauthtest.Spy{}
	return &KeyedAPI{guard.Authenticate(spy), spy}
}

func Btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// NoFetchLeft fails if a fetch is still in flight after longer than any may take, one of an earlier test too.
func NoFetchLeft(t *testing.T) {
	t.Helper()
	var stacks string
	for range 4000 {
		buffer := make([]byte, 1<<22)
		stacks = string(buffer[:runtime.Stack(buffer, true)])
		if !strings.Contains(stacks, "popauth.(*RemoteKeys)") && !strings.Contains(stacks, "internal/calls.") {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("goroutines left behind:\n%s", stacks)
}
