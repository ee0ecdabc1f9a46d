package popauthtest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

var _ popauthtest.TB = testing.TB(nil)

// fatal is a TB that records the failure it is told of.
type fatal struct {
	testing.TB
	message string
}

func (f *fatal) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	panic(f)
}

// failure runs f and returns what it told its TB.
func failure(t *testing.T, f func(popauthtest.TB)) string {
	t.Helper()
	tb := &fatal{TB: t}
	func() {
		defer func() {
			if r := recover(); r != nil && r != any(tb) {
				panic(r)
			}
		}()
		f(tb)
	}()
	return tb.message
}

func get(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// part decodes the nth part of a token.
func part(t *testing.T, token string, n int) map[string]any {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[n])
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	return members
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestNothingRunsAfterCleanup(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("use", func(t *testing.T) {
		issuer := popauthtest.NewIssuer(t)
		server := popauthtest.NewServer(t, &popauthtest.Spy{})
		var nobody popauthtest.Client
		for _, client := range []*http.Client{
			issuer.Client(), nobody.HTTP(issuer.Server), popauthtest.SelfSigned(t, "batch").HTTP(issuer.Server),
		} {
			get(t, client, issuer.JWKSURL())
		}
		get(t, nobody.HTTP(server), server.URL)
	})
	// What a closed connection wakes up needs a moment to leave.
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if after := runtime.NumGoroutine(); after > before {
		stacks := make([]byte, 1<<16)
		t.Errorf("goroutines: got %d, want %d\n%s", after, before, stacks[:runtime.Stack(stacks, true)])
	}
}
