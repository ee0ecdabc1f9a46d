package keys_test

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// An ETag saves the transfer, and belongs to one URL.
func TestRemoteKeysETag(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	serve := func(body func() []byte, confirmed *int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			if r.Header.Get("If-None-Match") == `"1"` {
				*confirmed++
				w.WriteHeader(http.StatusNotModified)
				return
			}
			_, _ = w.Write(body())
		})
	}
	var first, second int
	issuer.Handle("/jwks", serve(issuer.JWKS, &first))
	issuer.Handle("/moved", serve(issuer.JWKS, &second))
	synctest.Test(t, func(t *testing.T) {
		keys := issuer.KeySet(t, popauth.RemoteKeysOptions{})
		api := lab.NewKeyedAPI(t, issuer.URL, keys, nil)
		token := issuer.Lasting()
		api.Want(t, token, 200)
		for range 20 {
			time.Sleep(time.Hour)
			api.Want(t, token, 200)
			synctest.Wait()
			if !keys.LastRefresh().Equal(time.Now()) {
				t.Errorf("last refresh: got %v, want %v", keys.LastRefresh(), time.Now())
			}
		}
		if first != 20 {
			t.Errorf("answers without a body: got %d, want 20", first)
		}
		// What the metadata say counts for a day: after that, the same ETag elsewhere means nothing.
		issuer.Metadata = popauthtest.Claims{"jwks_uri": issuer.URL + "/moved"}
		issuer.Rotate()
		for range 5 {
			time.Sleep(time.Hour)
			_ = api.Ask(t.Context(), token)
			synctest.Wait()
			if r := issuer.Last.Swap(nil); r != nil && r.URL.Path == "/moved" {
				if r.Header.Get("If-None-Match") != "" || second != 0 {
					t.Error("an ETag was sent to another URL")
				}
				break
			}
		}
		api.Want(t, issuer.Lasting(), 200)
		api.Want(t, token, 401)
	})
}

// An issuer that moves its keys and takes the old place down is found at once.
func TestRemoteKeysMoved(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		api := lab.NewKeyedAPI(t, issuer.URL, issuer.KeySet(t, popauth.RemoteKeysOptions{}), nil)
		api.Want(t, issuer.Lasting(), 200)
		issuer.Metadata = popauthtest.Claims{"jwks_uri": issuer.URL + "/moved"}
		issuer.Handle("/moved", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(issuer.JWKS()) }))
		issuer.Handle("/jwks", http.NotFoundHandler())
		issuer.Rotate()
		time.Sleep(10 * time.Second)
		token := issuer.Lasting()
		api.Want(t, token, 200)
	})
}

// The client that popauth makes for itself leaves no connection behind and reads no endless header.
func TestRemoteKeysOwnClient(t *testing.T) {
	var large string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Large", large)
		_, _ = io.WriteString(w, oneKey)
	}))
	defer server.Close()
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{URL: server.URL, AllowLoopbackHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.Preload(t.Context()); err != nil {
		t.Error(err)
	}
	large = strings.Repeat("x", 1<<17)
	if err := keys.Preload(t.Context()); err == nil {
		t.Error("a header of 128 KiB was read")
	}
	other := popauthtest.NewIssuer(t)
	other.Server.Config.ErrorLog = log.New(io.Discard, "", 0)
	keys, err = popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: other.URL})
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.Preload(t.Context()); err == nil || other.Fetches() > 0 {
		t.Errorf("a certificate of nobody's: got %v", err)
	}
	lab.NoFetchLeft(t)
}

// A proxy passes bytes on and sees no more than the issuer's name.
func TestRemoteKeysProxy(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	var seen []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Method+" "+r.Host)
		out, err := net.Dial("tcp", issuer.Server.Listener.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		in, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(out, in); out.Close() }()
		go func() { _, _ = io.Copy(in, out); in.Close() }()
	}))
	defer proxy.Close()
	through, _ := url.Parse(proxy.URL)
	transport := issuer.Client().Transport.(*http.Transport).Clone()
	transport.Proxy = http.ProxyURL(through)
	transport.DisableKeepAlives = true
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: issuer.URL, Client: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.Preload(context.Background()); err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(issuer.URL, "https://")
	if slices.ContainsFunc(seen, func(s string) bool { return s != "CONNECT "+host }) || len(seen) == 0 {
		t.Errorf("the proxy saw %q, want CONNECT %s", seen, host)
	}
}

// A place that hangs leaves some of the time for the others.
func TestMetadataPlaceHangs(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		issuer.Fails(func(r *http.Request) (*http.Response, error) {
			switch r.URL.Path {
			case "/.well-known/openid-configuration":
				<-r.Context().Done()
				return nil, r.Context().Err()
			case "/.well-known/oauth-authorization-server":
				return lab.Answer(http.StatusOK, []byte(lab.Metadata(issuer.URL, issuer.URL+"/jwks"))), nil
			}
			w := httptest.NewRecorder()
			issuer.Server.Config.Handler.ServeHTTP(w, r)
			return w.Result(), nil
		})
		start := time.Now()
		if err := issuer.KeySet(t, popauth.RemoteKeysOptions{}).Preload(t.Context()); err != nil || time.Since(start) != 5*time.Second {
			t.Errorf("got %v after %v, want the second place's answer after 5 s", err, time.Since(start))
		}
	})
}
