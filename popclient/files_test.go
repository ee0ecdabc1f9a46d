package popclient_test

import (
	"crypto/tls"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// A file that is written again in place, at once and of the same size, is another one all the same; one that has not
// been touched for a while is not read again.
func TestFilesAreLookedAt(t *testing.T) {
	ca := popauthtest.NewCA(t)
	key := generate(t, "EdDSA")
	a, b := ca.ClientFor(key, "job"), ca.ClientFor(key, "job")
	file := pemFile(t, a)
	old, _ := os.ReadFile(file)
	content, _ := os.ReadFile(pemFile(t, b))
	for len(old) != len(content) { // signatures differ in size
		if len(old) < len(content) {
			old = append(old, '\n')
		} else {
			content = append(content, '\n')
		}
	}
	write(t, file, old)
	source := popclient.CertificateFile(file, key)
	read := func() *tls.Certificate {
		t.Helper()
		c, err := source(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	read()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, content)
	if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if got := read(); string(got.Certificate[0]) != string(b.Certificate.Certificate[0]) {
		t.Error("got the old certificate, want the one that was written in the same moment")
	}
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(file, past, past); err != nil {
		t.Fatal(err)
	}
	if first, second := read(), read(); first != second {
		t.Error("it was read again")
	}
	settled := read()
	write(t, file, old)
	if got := read(); got == settled || string(got.Certificate[0]) != string(a.Certificate.Certificate[0]) {
		t.Error("got the old certificate, want the new one")
	}
}

func pemFile(t testing.TB, c *popauthtest.Client) string {
	t.Helper()
	file, _, err := c.WritePEM(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// Whatever tells a file from the one before makes it be read again, also where all else is the same.
func TestFilesAreToldApart(t *testing.T) {
	ca := popauthtest.NewCA(t)
	key := generate(t, "EdDSA")
	file, other := pemFile(t, ca.ClientFor(key, "job")), pemFile(t, ca.ClientFor(key, "job"))
	past := time.Now().Add(-time.Hour)
	long := max(size(t, file), size(t, other))
	for _, f := range []string{file, other} {
		content, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		settle(t, f, append(content, strings.Repeat("\n", long-len(content))...), past)
	}
	source := popclient.CertificateFile(file, key)
	read := func() *tls.Certificate {
		t.Helper()
		c, err := source(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := read()
	if read() != first {
		t.Fatal("it was read again")
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	settle(t, file, append(content, '\n'), past)
	if read() == first {
		t.Error("another size: it was not read again")
	}
	settle(t, file, content, past)
	first = read()
	if err := os.Rename(file, file+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, file); err != nil {
		t.Fatal(err)
	}
	if string(read().Certificate[0]) == string(first.Certificate[0]) {
		t.Error("another file: it was not read again")
	}
	// Back to the first one from one that is too new to be told from a later one.
	second := read()
	write(t, file, content)
	read()
	settle(t, file, content, past)
	read()
	if err := os.Rename(file, file+".other"); err != nil {
		t.Fatal(err)
	}
	move(t, pemFile(t, ca.ClientFor(key, "job")), file)
	if read() == second {
		t.Error("a new file: it was not read")
	}
	if err := os.Rename(file+".other", file); err != nil {
		t.Fatal(err)
	}
	if string(read().Certificate[0]) != string(first.Certificate[0]) {
		t.Error("the former file: got the one between")
	}
}

func size(t testing.TB, file string) int {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Size())
}

// settle writes a file that looks like one of long ago.
func settle(t testing.TB, file string, content []byte, at time.Time) {
	t.Helper()
	if err := os.Chtimes(write(t, file, content), at, at); err != nil {
		t.Fatal(err)
	}
}
