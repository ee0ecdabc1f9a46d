//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/seed-171ab058/popauth/internal/counterpart"
)

// inputs are those of interop's Keycloak, so that both have one copy in the cache.
var inputs = append([]string{"org.keycloak:keycloak-quarkus-dist:" + keycloakVersion + ":zip", keycloakChecksum}, buildOptions("build")...)

func cached(t *testing.T) string {
	t.Helper()
	if err := findJava(); err != nil {
		counterpart.Missing(t, err)
	}
	name := "keycloak-" + keycloakVersion
	return filepath.Join(counterpart.Cache(t, "keycloak", inputs, func(dir string) {
		w := &world{out: t.Output(), dir: t.TempDir(), secrets: newSecrets()}
		if err := w.install(t.Context(), archive{keycloakURL, keycloakChecksum}, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}), name)
}

func TestSameAsInterop(t *testing.T) {
	text, err := os.ReadFile("../../interop/keycloak_test.go")
	if err != nil {
		t.Fatal(err)
	}
	build := buildOptions("build")
	for _, want := range []string{`"` + keycloakVersion + `"`, `"` + keycloakChecksum + `"`,
		`{"` + strings.Join(build, `", "`) + `"}`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("interop's Keycloak is another: no %s", want)
		}
	}
}

// What the README shows is what is printed, and the commands that -serve prints do what they say.
func TestRun(t *testing.T) {
	home := cached(t)
	counterpart.Need(t, "bash", "curl")
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	var logged bytes.Buffer // whose lines would stand amid the table
	log.SetOutput(&logged)
	defer log.SetOutput(os.Stderr)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	read, write := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, settings{home: home, serve: true}, write)
		_ = write.CloseWithError(err)
		done <- err
	}()
	printed := &bytes.Buffer{}
	for buffer := make([]byte, 4096); !administrator.Match(printed.Bytes()); {
		n, err := read.Read(buffer)
		printed.Write(buffer[:n])
		if err != nil {
			t.Fatalf("%v; it printed\n%s", <-done, printed)
		}
	}
	shown, commands, _ := strings.Cut(printed.String(), "\nAll of it stays up")
	if got, want := constant(shown), constant(block(t, "README.md", "```\nkeycloak  ")); got != want {
		t.Errorf("README.md: got\n%s\nwant\n%s", want, got)
	}
	testCommands(t, commands)
	testAdministrator(t, commands)
	stop()
	if err := <-done; err != nil || logged.Len() > 0 {
		t.Errorf("got %v, and logged %s", err, &logged)
	}
	wantNothing(t, temporary)
}

// administrator is the last line: the console's server and its password.
var administrator = regexp.MustCompile(`(?m)^The switches are at (\S+)/admin/\S+: admin, password (\S+)$`)

// testCommands pastes them into a shell, which prints the first line of each answer.
func testCommands(t *testing.T, text string) {
	t.Helper()
	_, text, _ = strings.Cut(text, "\n")
	script, _, _ := strings.Cut(text, "\nThe switches are")
	var want []string
	for line := range strings.Lines(script) {
		if _, status, found := strings.Cut(strings.TrimSpace(line), ": "); found && strings.HasPrefix(line, "# ") {
			want = append(want, "HTTP/2 "+status)
		}
	}
	got, err := exec.Command("bash", "-ec", script).CombinedOutput()
	answers := regexp.MustCompile(`HTTP/2 \d+`).FindAllString(string(got), -1)
	if err != nil || !slices.Equal(answers, want) || len(want) != 3 {
		t.Errorf("got %v, %v, want %v:\n%s\n%s", answers, err, want, script, got)
	}
}

// testAdministrator logs in with the password that is printed.
func testAdministrator(t *testing.T, text string) {
	t.Helper()
	printed := administrator.FindStringSubmatch(text)
	ca := regexp.MustCompile(`--cacert (\S+)`).FindStringSubmatch(text)
	got, err := exec.Command("curl", "-sS", "--cacert", ca[1], "-d", "grant_type=password", "-d", "client_id=admin-cli",
		"-d", "username=admin", "-d", "password="+printed[2], printed[1]+"/realms/master/protocol/openid-connect/token").CombinedOutput()
	if err != nil || !strings.Contains(string(got), `"access_token"`) {
		t.Errorf("the administrator's password: got %v, %s", err, got)
	}
}

// wantNothing fails if files are left in dir, or processes that were started from there.
func wantNothing(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	processes, err := exec.Command("ps", "-eo", "args").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(processes)) {
		if strings.Contains(line, dir) {
			t.Errorf("goes on: %s", line)
		}
	}
}

// constant is the text without what differs from run to run.
func constant(text string) string {
	for _, r := range []struct{ pattern, to string }{
		{`(?m)^keycloak .*\n`, ""},
		{`(?m) +$`, ""},
		{`(localhost|127\.0\.0\.1):\d+`, "$1:PORT"},
		{`\d+(\.\d)? s\b`, "N s"},
		{`"[A-Za-z0-9_-]{43}"`, `"THUMBPRINT"`},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.to)
	}
	return strings.TrimSpace(text)
}

// block is what the page has from start, a fence and what follows it, to the next fence.
func block(t *testing.T, page, start string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	fence, first, _ := strings.Cut(start, "\n")
	_, rest, found := strings.Cut(string(text), start)
	inner, _, closed := strings.Cut(rest, "\n```\n")
	if !found || !closed {
		t.Fatalf("%s: no block with %s %q", page, fence, first)
	}
	return first + inner
}

// The README's options are the API's, and its switches the realm's.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("api.go")
	if err != nil {
		t.Fatal(err)
	}
	options := strings.ReplaceAll(block(t, "README.md", "```go\npopauth.Options{"), "\n", "\n\t")
	if !strings.Contains(string(source), options) {
		t.Errorf("api.go has other options than README.md:\n%s", options)
	}
	switches := 0
	for _, quoted := range regexp.MustCompile("\\| `(\"[^`]*)` \\|").FindAllStringSubmatch(string(page), -1) {
		switches++
		if !strings.Contains(string(realm), quoted[1]) {
			t.Errorf("orders-realm.json has no %s", quoted[1])
		}
	}
	if switches < 9 {
		t.Errorf("got %d switches in README.md, want 9 at least", switches)
	}
	if !strings.Contains(string(page), "Keycloak "+keycloakVersion+" ") {
		t.Errorf("README.md names another version than %s", keycloakVersion)
	}
}

// An answer that isn't the expected one is an error, and so is a handler that runs for a refused request, or doesn't run.
func TestTableCompares(t *testing.T) {
	for _, test := range []struct {
		got, want string
		ran       int
		wrong     bool
	}{
		{got: "200 2 orders", want: "200 2 orders", ran: 1},
		{got: "401 invalid_token", want: "401 invalid_token"},
		{got: "200 2 orders", want: "401 invalid_token", ran: 1, wrong: true},
		{got: "401 invalid_client", want: "401 invalid_token", wrong: true},
		{got: "401 invalid_token", want: "401 invalid_token", ran: 1, wrong: true},
		{got: "200 2 orders", want: "200 2 orders", wrong: true},
	} {
		w := &world{out: io.Discard}
		table := &table{world: w, tabs: tabwriter.NewWriter(io.Discard, 0, 0, 2, ' ', 0)}
		table.row("thief", "one", test.want, func() (string, error) {
			w.api.ran += test.ran
			return test.got, nil
		})
		if err := table.close(); (err != nil) != test.wrong {
			t.Errorf("%+v: got %v", test, err)
		}
	}
}

// Ctrl-C while Keycloak starts leaves nothing behind, not even what kc.sh has started.
func TestInterrupted(t *testing.T) {
	home, temporary := fake(t, `sleep 1000 & echo started >"$TMPDIR/../started"; wait`), t.TempDir()
	t.Setenv("TMPDIR", temporary)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- run(ctx, settings{home: home}, io.Discard) }()
	for deadline := time.Now().Add(10 * time.Second); !exists(filepath.Join(temporary, "started")); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("kc.sh has not started")
		}
	}
	if err := os.Remove(filepath.Join(temporary, "started")); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-done; err == nil || err.Error() != "interrupted" {
		t.Errorf("got %v, want interrupted", err)
	}
	wantNothing(t, temporary)
}

// What Keycloak says when it doesn't start is shown.
func TestKeycloakEnds(t *testing.T) {
	err := run(t.Context(), settings{home: fake(t, `echo no such option; exit 2`)}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "no such option") || !strings.Contains(err.Error(), "exit status 2") {
		t.Errorf("got %v", err)
	}
}

// fake is the directory of a Keycloak whose kc.sh does this, with a Java that is none.
func fake(t *testing.T, script string) string {
	t.Helper()
	home := t.TempDir()
	for _, name := range []string{"bin/kc.sh", "bin/java"} {
		file := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, fmt.Appendf(nil, "#!/bin/sh\n%s\n", script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("JAVA_HOME", home)
	return home
}
