package stranger

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// What the command is asked about.
func TestInput(t *testing.T) {
	out := os.Getenv("OUT")
	issuer := popauthtest.NewIssuer(t)
	owner, thief := popauthtest.SelfSigned(t, "owner"), popauthtest.SelfSigned(t, "thief")
	token := issuer.Token(owner.Bound(), popauthtest.Claims{"iss": "https://id.example.com", "aud": "https://api.example.com"})
	for name, text := range map[string][]byte{"keys.json": issuer.JWKS(), "token.txt": []byte(token)} {
		if err := os.WriteFile(filepath.Join(out, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, client := range map[string]*popauthtest.Client{"owner": owner, "thief": thief} {
		certificate, _, err := client.WritePEM(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(certificate, filepath.Join(out, name+".crt")); err != nil {
			t.Fatal(err)
		}
	}
}
