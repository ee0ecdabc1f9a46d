package reused

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// What one request said is gone with the next, at the same place.
func TestBuffer(t *testing.T) {
	var b Buffer
	send := func(path, token string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
		r.Header.Set("Authorization", token)
		return b.Request(r)
	}
	first := send("/alice", "Bearer 1")
	path, token := first.URL.Path, first.Header.Get("Authorization")
	if path != "/alice" || token != "Bearer 1" {
		t.Fatalf("got %q, %q", path, token)
	}
	second := send("/bobby", "Bearer 2")
	if path != "/bobby" || token != "Bearer 2" || second.Header.Get("Authorization") != "Bearer 2" {
		t.Errorf("the first one's are %q, %q, want the second one's", path, token)
	}
	b.Scribble()
	if path != "~~~~~~" {
		t.Errorf("got %q, want nothing left", path)
	}
}
