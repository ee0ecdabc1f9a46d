//go:build unix

package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// entry is a file of an archive.
type entry struct {
	name, text string
	mode       os.FileMode
}

func zipped(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name}
		h.SetMode(e.mode)
		f, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(e.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Nothing of a download is used that isn't the pinned one, and nothing that is half done.
func TestInstall(t *testing.T) {
	good := entry{name: "keycloak/bin/kc.sh", text: "#!/bin/sh\ntest \"$1\" = build", mode: 0o755}
	old := entry{name: good.name, text: "#!/bin/sh\necho too old; exit 3", mode: 0o755}
	sum := func(b []byte) string { h := sha256.Sum256(b); return hex.EncodeToString(h[:]) }
	for _, test := range []struct {
		name     string
		body     []byte
		checksum string // if "", the body's
		status   int
		want     string // of the error
	}{
		{name: "pinned", body: zipped(t, good)},
		{name: "another", body: zipped(t, good), checksum: keycloakChecksum, want: "nothing of it is used"},
		{name: "not found", body: zipped(t, good), status: http.StatusNotFound, want: "404"},
		{name: "no archive", body: []byte("<html>"), want: "zip"},
		{name: "outside", body: zipped(t, good, entry{name: "keycloak/../../outside", mode: 0o644}), want: "no file inside"},
		{name: "link", body: zipped(t, good, entry{name: "keycloak/l", text: "/", mode: 0o777 | os.ModeSymlink}), want: "no file inside"},
		{name: "build fails", body: zipped(t, old), want: "too old"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if test.status != 0 {
					w.WriteHeader(test.status)
				}
				_, _ = w.Write(test.body)
			}))
			defer server.Close()
			if test.checksum == "" {
				test.checksum = sum(test.body)
			}
			cache := filepath.Join(t.TempDir(), "cache")
			home := filepath.Join(cache, "keycloak")
			w := &world{out: t.Output(), dir: t.TempDir()}
			err := w.install(t.Context(), archive{server.URL, test.checksum}, home)
			left, readErr := os.ReadDir(cache)
			if readErr != nil {
				t.Fatal(readErr)
			}
			if test.want == "" {
				if info, statErr := os.Stat(filepath.Join(home, "bin", "kc.sh")); err != nil || statErr != nil || info.Mode()&0o100 == 0 {
					t.Errorf("got %v, %v, want an executable kc.sh", err, statErr)
				}
				if len(left) != 1 {
					t.Errorf("left behind: %v", left)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || len(left) > 0 {
				t.Errorf("got %v, and %v, want %q and nothing", err, left, test.want)
			}
		})
	}
}

// A user's Keycloak stays as it is: what is written to is a copy, and its data and configuration are not in it.
func TestCopy(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	for name, copied := range map[string]bool{
		"bin/kc.sh": true, "lib/lib/a.jar": true, "lib/quarkus/build.dat": true, "providers/mine.jar": true,
		"conf/cache-ispn.xml": true, "conf/keycloak.conf": false, "data/h2/keycloakdb.mv.db": false,
	} {
		file := filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(name), 0o500); err != nil {
			t.Fatal(err)
		}
		defer func() {
			text, err := os.ReadFile(filepath.Join(to, name))
			if (err == nil) != copied || copied && string(text) != name {
				t.Errorf("%s: got %q, %v, want it copied: %t", name, text, err, copied)
			}
		}()
	}
	if err := copyDistribution(to, from); err != nil {
		t.Fatal(err)
	}
	// Keycloak's build writes here.
	file := filepath.Join(to, "lib/quarkus/build.dat")
	if err := os.WriteFile(file, []byte("built"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(from, "lib/quarkus/build.dat")); err != nil || string(text) == "built" {
		t.Errorf("the user's own now has %q, %v", text, err)
	}
	if err := os.WriteFile(file, []byte("lib/quarkus/build.dat"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMissing(t *testing.T) {
	home := fake(t, "exit 0")
	w := &world{out: t.Output(), dir: t.TempDir()}
	if _, err := w.distribution(t.Context(), filepath.Join(home, "bin")); err == nil || !strings.Contains(err.Error(), "set KC_HOME") {
		t.Errorf("no Keycloak: got %v", err)
	}
	t.Setenv("JAVA_HOME", t.TempDir())
	if _, err := w.distribution(t.Context(), home); err == nil || !strings.Contains(err.Error(), "needs Java 17") {
		t.Errorf("no Java in JAVA_HOME: got %v", err)
	}
	t.Setenv("JAVA_HOME", "")
	t.Setenv("PATH", t.TempDir())
	if _, err := w.distribution(t.Context(), home); err == nil || !strings.Contains(err.Error(), "needs Java 17") {
		t.Errorf("no Java: got %v", err)
	}
}
