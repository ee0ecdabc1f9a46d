//go:build unix

package interop_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/seed-171ab058/popauth/internal/counterpart"
)

// TestHydra needs a hydra (v2.3.0 was tried) in PATH, CI or not: to build it takes minutes and two hundred modules.
func TestHydra(t *testing.T) {
	if _, err := exec.LookPath("hydra"); err != nil {
		t.Skip(err)
	}
	s, admin := newHydra(t)
	post := func(path string, body object) object {
		t.Helper()
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.Post(admin+path, "application/json", bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var answer object
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode >= 300 {
			t.Fatalf("%s: got %s %v, %v", path, resp.Status, answer, err)
		}
		return answer
	}
	registered := post("/admin/clients", object{
		"client_secret": clientSecret, "grant_types": []string{"client_credentials"}, "audience": []string{structured},
		"scope": "orders.read", "token_endpoint_auth_method": "client_secret_post", "access_token_strategy": "jwt",
	})
	id, _ := registered["client_id"].(string)
	t.Run("RotationAtOnce", func(t *testing.T) {
		s.TB = t
		rotations := 0
		rotation{
			server: s, keeps: true,
			token: func() string {
				token, err := (&clientcredentials.Config{
					ClientID: id, ClientSecret: clientSecret, TokenURL: s.issuer + "/oauth2/token", AuthStyle: oauth2.AuthStyleInParams,
					Scopes: []string{"orders.read"}, EndpointParams: url.Values{"audience": {structured}},
				}).Token(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return token.AccessToken
			},
			rotate: func() {
				rotations++
				post("/admin/keys/hydra.jwt.access-token", object{"alg": "RS256", "use": "sig", "kid": fmt.Sprint("rotated-", rotations)})
			},
		}.test(t)
	})
}

// newHydra starts hydra with a database of its own, on http.
func newHydra(t *testing.T) (server *authorizationServer, admin string) {
	t.Helper()
	s := newAuthorizationServer(t)
	dir, ports := t.TempDir(), [2]int{counterpart.Port(t), counterpart.Port(t)}
	s.issuer, admin = fmt.Sprintf("http://127.0.0.1:%d", ports[0]), fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	database := "sqlite://" + filepath.Join(dir, "hydra.sqlite") + "?_fk=true"
	config, err := json.Marshal(object{
		"serve": object{
			"public": object{"host": "127.0.0.1", "port": ports[0]},
			"admin":  object{"host": "127.0.0.1", "port": ports[1]},
		},
		"dsn": database, "urls": object{"self": object{"issuer": s.issuer}},
		"secrets": object{"system": []string{clientSecret + clientSecret + "-of-the-system"}},
		"log":     object{"level": "error"}, "sqa": object{"opt_out": true},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "hydra.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	command := func(args ...string) *exec.Cmd {
		cmd := exec.Command("hydra", append(args, "--config", file)...)
		cmd.Env = counterpart.Environment(dir, "SQA_OPT_OUT=true")
		return cmd
	}
	counterpart.Run(t, command("migrate", "sql", "--yes", database))
	process := counterpart.Start(t, command("serve", "all", "--dev"))
	process.Await(func() error {
		resp, err := http.Get(s.issuer + "/.well-known/openid-configuration")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("metadata: %s", resp.Status)
		}
		return nil
	}, time.Minute)
	return s, admin
}
