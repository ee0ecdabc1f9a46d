//go:build unix

package interop_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/counterpart"
)

const (
	keycloakVersion  = "26.7.3"
	keycloakArtifact = "org.keycloak:keycloak-quarkus-dist:" + keycloakVersion + ":zip"
	keycloakChecksum = "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f" // SHA-256
)

// keycloakInputs are what the distribution is made of.
var keycloakInputs = append([]string{keycloakArtifact, keycloakChecksum}, keycloakBuild...)

// keycloakBuild names the database and how to ask for client certificates: both have to be known at build time.
var keycloakBuild = []string{"build", "--db=dev-file", "--https-client-auth=request"}

// TestKeycloak starts Keycloak once for all that is asked of it.
func TestKeycloak(t *testing.T) {
	k := newKeycloak(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *keycloak)
	}{
		{"Table", testKeycloakTable},
		{"OtherJWTs", testKeycloakOtherJWTs},
		{"Expired", testKeycloakExpired},
		{"Stolen", testKeycloakStolen},
		{"Popclient", testKeycloakPopclient},
		{"Names", testKeycloakNames},
		{"Tenants", testKeycloakTenants},
		{"Roles", testKeycloakRoles},
		{"FAPI", testKeycloakFAPI},
		{"Withdrawal", testKeycloakWithdrawal},
		{"RotationPassive", testKeycloakRotationPassive},
		{"RotationAtOnce", testKeycloakRotationAtOnce}, // last: others' tokens end with the old keys
	} {
		t.Run(test.name, func(t *testing.T) {
			k.TB = t // whose failures are the subtest's
			test.run(t, k)
		})
	}
}

// TestKeycloakSnapshot makes what TestKeycloak starts from, so that CI shows how long that takes.
func TestKeycloakSnapshot(t *testing.T) {
	t.Log(keycloakSnapshot(t))
}

// keycloak is a Keycloak that a test has started from the snapshot.
type keycloak struct {
	*scene
	base string // URL of the server; an issuer is a realm of it
}

func newKeycloak(tb testing.TB) *keycloak {
	tb.Helper()
	snapshot := keycloakSnapshot(tb)
	home := filepath.Join(tb.TempDir(), "keycloak")
	counterpart.Clone(tb, home, keycloakDistribution(tb))
	if err := os.CopyFS(filepath.Join(home, "data"), os.DirFS(snapshot)); err != nil {
		tb.Fatal(err)
	}
	k := &keycloak{scene: newScene(newAuthorizationServer(tb))}
	k.start(home)
	return k
}

// keycloakDistribution is Keycloak as Maven has it, and built.
func keycloakDistribution(tb testing.TB) string {
	tb.Helper()
	if os.Getenv("JAVA_HOME") == "" {
		counterpart.Need(tb, "java")
	}
	root := "keycloak-" + keycloakVersion // of the archive
	dir := counterpart.Cache(tb, "keycloak", keycloakInputs, func(dir string) {
		counterpart.Need(tb, "mvn", "unzip")
		archive := counterpart.Maven(tb, dir, keycloakArtifact, keycloakChecksum)
		counterpart.Run(tb, exec.Command("unzip", "-q", archive, "-d", dir))
		if err := os.Remove(archive); err != nil {
			tb.Fatal(err)
		}
		counterpart.Run(tb, keycloakCommand(tb, filepath.Join(dir, root), keycloakBuild...))
	})
	return filepath.Join(dir, root)
}

// keycloakSnapshot is Keycloak's data with the realms in it: importing them takes longer than to start without. No
// certificate is among it, so it doesn't expire.
func keycloakSnapshot(tb testing.TB) string {
	tb.Helper()
	distribution, realms := keycloakDistribution(tb), keycloakRealms(tb)
	inputs := append(slices.Clone(keycloakInputs), realms[shop], realms[otherShop])
	return counterpart.Cache(tb, "keycloak-data", inputs, func(dir string) {
		home := filepath.Join(tb.TempDir(), "keycloak")
		counterpart.Clone(tb, home, distribution)
		files := tb.TempDir()
		for realm, file := range realms {
			if err := os.WriteFile(filepath.Join(files, realm+"-realm.json"), []byte(file), 0o600); err != nil {
				tb.Fatal(err)
			}
		}
		counterpart.Run(tb, keycloakCommand(tb, home, "import", "--optimized", "--dir="+files))
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(home, "data"))); err != nil {
			tb.Fatal(err)
		}
	})
}

// start starts Keycloak, and waits until it answers with the metadata of the realm.
func (k *keycloak) start(home string) {
	k.Helper()
	files := map[string]string{"ca.crt": string(k.ca.PEM())}
	files["server.crt"], files["server.key"] = pems(k, k.certificate)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			k.Fatal(err)
		}
	}
	port := counterpart.Port(k) // which --hostname has to name
	k.base = fmt.Sprintf("https://localhost:%d", port)
	k.issuer = k.base + "/realms/" + shop
	process := counterpart.Start(k, keycloakCommand(k, home,
		"start", "--optimized", "--cache=local", "--hostname="+k.base, "--http-host=127.0.0.1", fmt.Sprint("--https-port=", port),
		"--log-level=warn,org.keycloak.events:error,org.keycloak.authentication.authenticators.client:error",
		"--https-certificate-file="+filepath.Join(home, "server.crt"),
		"--https-certificate-key-file="+filepath.Join(home, "server.key"),
		"--https-trust-store-file="+filepath.Join(home, "ca.crt"),
	))
	client := &http.Client{Transport: k.transport(nil), Timeout: 10 * time.Second}
	process.Await(func() error {
		resp, err := client.Get(k.issuer + "/.well-known/openid-configuration")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("metadata: %s", resp.Status)
		}
		return json.NewDecoder(resp.Body).Decode(&k.metadata)
	}, 3*time.Minute)
}

// keycloakCommand is a command of the copy in home. Without the optimizing compiler it starts in a third of the time.
func keycloakCommand(tb testing.TB, home string, args ...string) *exec.Cmd {
	tb.Helper()
	dir := tb.TempDir()
	cmd := exec.Command(filepath.Join(home, "bin", "kc.sh"), args...)
	cmd.Env = counterpart.Environment(dir,
		"JAVA_OPTS_APPEND=-XX:TieredStopAtLevel=1 -XX:-UsePerfData -Djava.io.tmpdir="+dir,
		"KC_BOOTSTRAP_ADMIN_USERNAME=admin", "KC_BOOTSTRAP_ADMIN_PASSWORD="+clientSecret,
	)
	return cmd
}
