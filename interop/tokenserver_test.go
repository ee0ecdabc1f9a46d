package interop_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"
	"time"
)

// newTokenServer starts examples/tokenserver with these flags, and with the clients that the provider has too.
func newTokenServer(tb testing.TB, flags ...string) *authorizationServer {
	tb.Helper()
	s := newAuthorizationServer(tb)
	dir := tb.TempDir()
	write := func(name, text string) string {
		tb.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
		return name
	}
	registered := func(members object) object {
		members["scope"], members["resources"] = "orders.read", []string{structured}
		return members
	}
	credential := func(text string) object { return registered(object{"credentials": []object{{"credential": text}}}) }
	hash := sha256.Sum256([]byte(clientSecret))
	clients, err := json.Marshal(object{
		"by-dn":       credential("subject_dn=CN=by-dn,O=Orders"),
		"by-san":      credential("san_uri=spiffe://example.org/orders"),
		"self-signed": credential("thumbprint=" + s.selfSigned.Thumbprint()),
		"by-key": registered(object{
			"secrets": []object{{"sha256": hex.EncodeToString(hash[:])}}, "dpop_bound_access_tokens": true,
		}),
	})
	if err != nil {
		tb.Fatal(err)
	}
	certificate, key := pems(tb, s.certificate)
	flags = append(flags, "-clients", write("clients.json", string(clients)), "-cert", write("server.crt", certificate),
		"-key", write("server.key", key), "-client-ca", write("ca.crt", string(s.ca.PEM())))
	cmd := exec.Command(build(tb, dir, "../examples/tokenserver"), flags...)
	var log bytes.Buffer
	cmd.Stderr = &log
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // its error says that the process was killed
		if log.Len() > 0 {
			tb.Logf("tokenserver: %s", &log)
		}
	})
	var ready struct{ Issuer string }
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil {
		tb.Fatalf("tokenserver: %v: %s\n%s", err, line, &log)
	}
	s.issuer = ready.Issuer
	s.discover()
	return s
}

// build builds the program of another module as this test is built, so that its packages are built once.
func build(tb testing.TB, dir, module string) string {
	tb.Helper()
	program := filepath.Join(dir, "program.exe") // the name that Windows needs, too
	args := []string{"build", "-C", module, "-o", program}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		tb.Fatalf("go %v: %v\n%s", args, err, out)
	}
	return program
}
