package introspection

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/discovery"
	"github.com/seed-171ab058/popauth/internal/keys"
)

// connecting is a proxy that connects to one server, whatever it is asked for.
type connecting struct {
	to    string
	asked atomic.Int64 // for example.com
}

func (c *connecting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect || r.Host != "example.com:443" {
		http.Error(w, "not what is expected", http.StatusBadRequest)
		return
	}
	c.asked.Add(1)
	server, err := net.Dial("tcp", c.to)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer server.Close()
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
}

// A proxy of the environment is where the configuration has it, mostly inside. Its address is not the issuer's: an issuer
// outside stays one, and what its metadata names is asked through the proxy too. The environment is read once, hence
// another process.
func TestReachThroughAProxy(t *testing.T) {
	const child = "POPAUTH_TEST_REACH"
	if os.Getenv(child) == "" {
		own := exec.Command(os.Args[0], "-test.run=^TestReachThroughAProxy$", "-test.v")
		own.Env = append(os.Environ(), child+"=1", "https_proxy=", "no_proxy=", "NO_PROXY=", "REQUEST_METHOD=")
		if out, err := own.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestReachThroughAProxy") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	const issuer = "https://example.com" // which the server's certificate is for
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			_, _ = io.WriteString(w, `{"issuer":"`+issuer+`","jwks_uri":"`+issuer+`/jwks","introspection_endpoint":"`+issuer+
				`/introspect"}`)
		case "/jwks":
			_, _ = io.WriteString(w, `{"keys":[]}`)
		case "/introspect":
			_, _ = io.WriteString(w, `{"active":true,"aud":"orders"}`)
		}
	}))
	defer server.Close()
	c := &connecting{to: server.Listener.Addr().String()}
	proxy := httptest.NewServer(c)
	defer proxy.Close()
	t.Setenv("HTTPS_PROXY", proxy.URL)
	trust := func(client *http.Client) {
		own, _ := client.Transport.(*http.Transport)
		known, _ := server.Client().Transport.(*http.Transport)
		own.TLSClientConfig.RootCAs = known.TLSClientConfig.RootCAs
		t.Cleanup(own.CloseIdleConnections)
	}

	client := discovery.NewClient(nil, time.Now)
	trust(client.HTTP)
	from, err := discovery.NewIssuer(issuer, discovery.NoHTTP)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := client.Find(t.Context(), from, "jwks_uri", false); err != nil || found.Inside {
		t.Errorf("metadata: got inside %t, %v, want what it names held to be outside", found.Inside, err)
	}
	remote := keys.NewRemote(keys.RemoteOptions{
		Client: client, Issuer: from, Timeout: 10 * time.Second, Wait: 5 * time.Second, Refresh: time.Hour, MaxAge: time.Hour,
		Now: time.Now,
	})
	if err := remote.Preload(t.Context()); err == nil || !strings.Contains(err.Error(), "no usable key") {
		t.Errorf("keys: got %v, want them read", err)
	}
	asked := c.asked.Load()

	i, err := New(Options{Issuer: issuer, Audience: []string{"orders"}, Authentication: ClientSecretBasic{ID: "orders", Secret: "s"}})
	if err != nil {
		t.Fatal(err)
	}
	trust(i.client)
	trust(i.metadata.HTTP)
	if _, err := i.Verify(t.Context(), "t"); err != nil {
		t.Errorf("introspection: got %v, want an answer", err)
	}
	if now := c.asked.Load(); asked == 0 || now == asked {
		t.Errorf("the proxy was asked %d times for keys and %d for introspection, want each of them", asked, now-asked)
	}
}
