package clientcert_test

import (
	"bytes"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// rootsLab is a file with roots, a clock, and a log.
type rootsLab struct {
	*testing.T
	path string
	now  time.Time
	log  bytes.Buffer
	v    clientcert.Verification
	via  popauth.CertificateSource
}

func newRootsLab(t *testing.T, path string, keep time.Duration) *rootsLab {
	t.Helper()
	l := &rootsLab{T: t, path: path, now: time.Now()}
	roots, err := clientcert.RootsFile(path, clientcert.RootsFileOptions{
		Keep: keep, Now: func() time.Time { return l.now }, Logger: slog.New(slog.NewTextHandler(&l.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	l.v = clientcert.Verification{RootsFor: roots}
	if l.via, err = clientcert.Verified(popauth.TLSCertificate(), l.v); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *rootsLab) write(content []byte) {
	l.Helper()
	if err := os.WriteFile(l.path, content, 0o600); err != nil {
		l.Fatal(err)
	}
}

// later asks after the time given.
func (l *rootsLab) later(d time.Duration, c *popauthtest.Client) error {
	l.now = l.now.Add(d)
	_, err := clientcert.Check(c.Request("GET", "/", ""), l.via)
	return err
}

func (l *rootsLab) want(d time.Duration, c *popauthtest.Client, want popauth.Reason) {
	l.Helper()
	if err := l.later(d, c); want == "" && err != nil || want != "" && !errors.Is(err, want) {
		l.Errorf("got %v, want %q", err, want)
	}
}

func TestRootsFile(t *testing.T) {
	a, b := popauthtest.NewCA(t), popauthtest.NewCA(t)
	ofA, ofB := a.Client("a"), b.Client("b")
	both := slices.Concat(a.PEM(), b.PEM())

	t.Run("written anew", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ca.crt")
		if err := os.WriteFile(path, a.PEM(), 0o600); err != nil {
			t.Fatal(err)
		}
		l := newRootsLab(t, path, 0)
		l.want(0, ofA, "")
		l.want(0, ofB, popauth.ErrCertificateUntrusted)
		l.write(both)
		l.want(time.Second-1, ofB, popauth.ErrCertificateUntrusted) // once a second, not with each request
		l.want(1, ofA, "")
		l.want(0, ofB, "")
		l.write(b.PEM())
		l.want(time.Second, ofA, popauth.ErrCertificateUntrusted)
		l.want(0, ofB, "")
		l.write(both)
		l.now = l.now.Add(-time.Hour) // a clock that is set back
		l.want(0, ofA, "")
		if got := strings.Count(l.log.String(), "roots read"); got != 3 {
			t.Errorf("got %d lines, want one for each change:\n%s", got, &l.log)
		}
	})

	// As Kubernetes mounts a secret: ca.crt leads to ..data/ca.crt, ..data to a directory, and ..data is renamed over.
	t.Run("a mounted secret", func(t *testing.T) {
		dir := t.TempDir()
		mount := func(version string, content []byte) {
			if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(dir, version, "ca.crt")
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
			old := time.Now().Add(-time.Hour) // older than a file system's tick, and the same for all
			if err := errors.Join(os.Chtimes(name, old, old), os.Symlink(version, filepath.Join(dir, "..data_tmp")),
				os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))); err != nil {
				t.Fatal(err)
			}
		}
		mount("..1", a.PEM())
		path := filepath.Join(dir, "ca.crt")
		if err := os.Symlink(filepath.Join("..data", "ca.crt"), path); err != nil {
			t.Fatal(err)
		}
		l := newRootsLab(t, path, 0)
		l.want(0, ofA, "")
		mount("..2", b.PEM())
		l.want(time.Second, ofA, popauth.ErrCertificateUntrusted)
		l.want(0, ofB, "")
		if err := os.RemoveAll(filepath.Join(dir, "..2")); err != nil {
			t.Fatal(err)
		}
		l.want(time.Second, ofB, "")
		mount("..3", both)
		l.want(time.Second, ofA, "")
	})

	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
	for name, content := range map[string][]byte{
		"empty": nil, "text": []byte("not yet\n"), "cut off": both[:len(both)-30], "cut off in the first": a.PEM()[:100],
		"a key": slices.Concat(b.PEM(), key), "no certificate": slices.Concat(b.PEM(), broken),
		"another type": slices.Concat(b.PEM(), bytes.ReplaceAll(a.PEM(), []byte(" CERT"), []byte(" TRUSTED CERT"))),
		"large behind": slices.Concat(b.PEM(), bytes.Repeat([]byte("\n"), 4<<20)),
		"too large":    bytes.Repeat([]byte("\n"), 4<<20+1),
	} {
		t.Run("broken: "+name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ca.crt")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := clientcert.RootsFile(path, clientcert.RootsFileOptions{}); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("at start: got %v, want an error that names the file", err)
			}
			for _, keep := range []time.Duration{0, 10 * time.Minute, -1} {
				if err := os.WriteFile(path, a.PEM(), 0o600); err != nil {
					t.Fatal(err)
				}
				l := newRootsLab(t, path, keep)
				l.write(content)
				bound := map[time.Duration]time.Duration{0: time.Hour, 10 * time.Minute: 10 * time.Minute, -1: 0}[keep]
				if bound > 0 {
					l.want(time.Second, ofA, "")
					l.want(bound-2*time.Second, ofA, "")
				}
				l.want(2*time.Second, ofA, popauth.ErrUnavailable)
				l.want(0, ofB, popauth.ErrUnavailable)
				if got := strings.Count(l.log.String(), "level=ERROR"); got != 1 || !strings.Contains(l.log.String(), path) {
					t.Errorf("got %d lines, want one that names the file:\n%s", got, &l.log)
				}
				l.write(b.PEM())
				l.want(time.Second, ofB, "")
				l.want(0, ofA, popauth.ErrCertificateUntrusted)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ca.crt")
		if _, err := clientcert.RootsFile(path, clientcert.RootsFileOptions{}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("at start: got %v, want %v", err, os.ErrNotExist)
		}
		if _, err := clientcert.RootsFile(t.TempDir(), clientcert.RootsFileOptions{}); err == nil {
			t.Error("a directory: got nil, want an error")
		}
		if err := os.WriteFile(path, a.PEM(), 0o600); err != nil {
			t.Fatal(err)
		}
		l := newRootsLab(t, path, 0)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		l.want(time.Second, ofA, "")
		l.want(time.Hour, ofA, popauth.ErrUnavailable)
	})
}

// The same roots are the same pool, whoever has touched the file: what is remembered of certificates stays.
func TestRootsFileSame(t *testing.T) {
	ca := popauthtest.NewCA(t)
	path := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(path, ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	l := newRootsLab(t, path, 0)
	r := ca.Client("a").Request(http.MethodGet, "/", "")
	first, err := l.v.RootsFor(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.write(ca.PEM())
	l.now = l.now.Add(time.Minute)
	again, err := l.v.RootsFor(r, nil)
	if err != nil || again != first {
		t.Errorf("got another pool, or %v", err)
	}
}
