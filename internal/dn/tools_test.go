//go:build unix

package dn_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	random "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/internal/dn"
)

// subject is a certificate, and what is in its subject.
type subject struct {
	rdns [][]av
	der  []byte // of the name
	pem  []byte

	certificate []byte
	key         *ecdsa.PrivateKey
}

// plain tells whether Java's getName reads each value as it is: it takes the octets of wider strings for text.
func (s subject) plain() bool {
	return !slices.ContainsFunc(slices.Concat(s.rdns...), func(a av) bool {
		return a.tag != asn1.TagUTF8String && a.tag != asn1.TagPrintableString && a.tag != asn1.TagIA5String
	})
}

// quoted tells whether a value begins and ends with a quotation mark: Java's toString takes it for one that is quoted already, and
// prints it as if they weren't part of it.
func (s subject) quoted() bool {
	return slices.ContainsFunc(slices.Concat(s.rdns...), func(a av) bool {
		text := a.text()
		return strings.HasPrefix(text, `"`) && strings.HasSuffix(text, `"`)
	})
}

func oid(arcs ...int) asn1.ObjectIdentifier { return arcs }

// kinds are types that tools have names for, and one that none has.
var kinds = []asn1.ObjectIdentifier{
	cn, org, ou, country, oid(2, 5, 4, 4), oid(2, 5, 4, 5), oid(2, 5, 4, 7), oid(2, 5, 4, 8), oid(2, 5, 4, 9), oid(2, 5, 4, 12),
	oid(2, 5, 4, 13), oid(2, 5, 4, 15), oid(2, 5, 4, 16), oid(2, 5, 4, 17), oid(2, 5, 4, 18), oid(2, 5, 4, 19), oid(2, 5, 4, 20),
	oid(2, 5, 4, 41), oid(2, 5, 4, 42), oid(2, 5, 4, 43), oid(2, 5, 4, 44), oid(2, 5, 4, 45), oid(2, 5, 4, 46), oid(2, 5, 4, 54),
	oid(2, 5, 4, 65), oid(2, 5, 4, 72), oid(2, 5, 4, 97), oid(0, 9, 2342, 19200300, 100, 1, 1), oid(0, 9, 2342, 19200300, 100, 1, 3),
	oid(0, 9, 2342, 19200300, 100, 1, 25), oid(1, 2, 840, 113549, 1, 9, 1), oid(1, 2, 840, 113549, 1, 9, 2),
	oid(1, 2, 840, 113549, 1, 9, 8), oid(1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 1), oid(1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 2),
	oid(1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 3), oid(1, 2, 3, 4, 5),
}

// subjects are certificates with each type, with every string type, and with random names.
func subjects(t *testing.T, n int) []subject {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	utf := asn1.TagUTF8String
	all := [][][]av{
		{{{country, asn1.TagPrintableString, "DE"}}, {{org, utf, "Example"}}, {{cn, utf, "batch"}}},
		{{{org, utf, `Example, Inc. "x" / y=1; <z> \`}}, {{cn, utf, "batch"}, {ou, utf, "#ops"}}, {{cn, utf, " a "}}},
		{{{cn, asn1.TagBMPString, "\x00\xfc"}}, {{cn, 28, "\x00\x01\xf6\x00"}}, {{cn, asn1.TagT61String, "T\xfc"}}},
	}
	var each [][]av
	for i, kind := range kinds {
		each = append(each, []av{{kind, utf, fmt.Sprint("value ", i)}})
	}
	all = append(all, each)
	seed := random.Uint64()
	t.Logf("seed %d", seed)
	r := random.New(random.NewPCG(seed, 0))
	for range n {
		var rdns [][]av
		for range 1 + r.IntN(4) {
			var rdn []av
			for _, i := range r.Perm(len(kinds))[:1+r.IntN(5)/3] {
				rdn = append(rdn, randomAttribute(r, kinds[i]))
			}
			rdns = append(rdns, rdn)
		}
		all = append(all, rdns)
	}
	var list []subject
	for i, rdns := range all {
		s := subject{rdns: rdns, der: der(t, rdns...)}
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(i) + 1), RawSubject: s.der, NotBefore: time.Now().Add(-time.Hour),
			NotAfter: time.Now().Add(time.Hour)}
		raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		s.certificate, s.key = raw, key
		s.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
		list = append(list, s)
	}
	return list
}

func randomAttribute(r *random.Rand, kind asn1.ObjectIdentifier) av {
	alphabet := []rune(`ab1,+=";<>#/\ ' üß` + "\n\x01\u2028中😀")
	var text []rune
	for range 1 + r.IntN(8) {
		text = append(text, alphabet[r.IntN(len(alphabet))])
	}
	switch r.IntN(8) {
	case 0:
		var b []byte
		for _, unit := range utf16.Encode(slices.DeleteFunc(slices.Clone(text), func(c rune) bool { return c > 0xffff })) {
			b = append(b, byte(unit>>8), byte(unit))
		}
		if len(b) > 0 {
			return av{kind, asn1.TagBMPString, string(b)}
		}
	case 1:
		var b []byte
		for _, c := range text {
			b = append(b, byte(c&0x7f|0x20))
		}
		return av{kind, asn1.TagIA5String, strings.ReplaceAll(string(b), "\x7f", "x")}
	}
	return av{kind, asn1.TagUTF8String, string(text)}
}

// text is the value, by the widths of the string types alone.
func (a av) text() string {
	width := map[int]int{asn1.TagBMPString: 2, 28: 4, asn1.TagT61String: 1}[a.tag]
	if width == 0 {
		return a.value
	}
	var b strings.Builder
	for i := 0; i < len(a.value); i += width {
		c := rune(0)
		for _, octet := range []byte(a.value[i : i+width]) {
			c = c<<8 | rune(octet)
		}
		b.WriteRune(c)
	}
	return b.String()
}

// others are names that differ from this one in little.
func (s subject) others(t *testing.T) [][]byte {
	var all [][]byte
	add := func(rdns [][]av) {
		if b := der(t, rdns...); !bytes.Equal(b, s.der) && equivalent(rdns) != equivalent(s.rdns) {
			all = append(all, b)
		}
	}
	reversed := slices.Clone(s.rdns)
	slices.Reverse(reversed)
	add(reversed)
	var split [][]av
	for i, rdn := range s.rdns {
		for j, a := range rdn {
			split = append(split, []av{a})
			changed := slices.Clone(s.rdns)
			changed[i] = slices.Clone(rdn)
			changed[i][j].oid = oid(2, 5, 4, 99)
			add(changed)
			changed = slices.Clone(s.rdns)
			changed[i] = slices.Clone(rdn)
			if a.tag == asn1.TagUTF8String {
				changed[i][j].value = a.value + " "
				add(changed)
			}
		}
	}
	add(split)
	add([][]av{slices.Concat(s.rdns...)})
	add(append(slices.Clone(s.rdns), []av{{cn, asn1.TagUTF8String, "batch"}}))
	return all
}

func equivalent(rdns [][]av) string {
	var b strings.Builder
	for _, rdn := range rdns {
		var parts []string
		for _, a := range rdn {
			parts = append(parts, fmt.Sprintf("%v %q", a.oid, a.text()))
		}
		slices.Sort(parts)
		fmt.Fprintln(&b, parts)
	}
	return b.String()
}

// outcome is what a form has to come to.
type outcome int

const (
	fits    outcome = iota
	refused         // an error that says how to write it
	unequal         // refused, or another name
	lossy           // fits or refused or another name that no certificate has
)

// hold holds what a tool has printed against its own certificate and against others.
func hold(t *testing.T, form, text string, list []subject, i int, want outcome) {
	t.Helper()
	s := list[i]
	parsed, err := dn.Parse(text)
	if want == refused {
		if err == nil {
			t.Errorf("%s: %q: got %v, want an error", form, text, parsed)
		}
		return
	}
	if err != nil {
		if want == fits {
			t.Errorf("%s: %q: %v", form, text, err)
		}
		return
	}
	own, err := dn.ParseDER(s.der)
	if err != nil {
		t.Fatal(err)
	}
	if got := parsed.Equal(own); want == fits && !got || want == unequal && got {
		t.Errorf("%s: %q against %v: got %t", form, text, own, got)
	}
	for j, other := range list {
		if n, err := dn.ParseDER(other.der); err == nil && j != i && !n.Equal(own) && parsed.Equal(n) {
			t.Errorf("VULNERABLE: %s: %q fits %v", form, text, n)
		}
	}
	for _, other := range s.others(t) {
		if n, err := dn.ParseDER(other); err == nil && parsed.Equal(n) {
			t.Errorf("VULNERABLE: %s: %q fits %v", form, text, n)
		}
	}
}

// What OpenSSL prints in the order of RFC 4514 fits its certificate, whatever is in it, and no other. What has the first RDN first
// is refused.
func TestOpenSSL(t *testing.T) {
	counterpart.Need(t, "openssl")
	dir := t.TempDir()
	list := subjects(t, 12)
	for i, s := range list {
		file := filepath.Join(dir, "certificate.pem")
		if err := os.WriteFile(file, s.pem, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, form := range []struct {
			nameopt string
			want    outcome
		}{
			{"RFC2253", fits},
			{"RFC2253,utf8,-esc_msb", fits}, // as Apache
			{"RFC2253,oid", fits},
			{"RFC2253,lname", fits},
			{"RFC2253,dump_all", fits},
			{"RFC2253,space_eq", refused},
			{"oneline", refused}, // the default before OpenSSL 3.2
			{"compat", refused},
			{"multiline", refused},
		} {
			out, err := exec.CommandContext(t.Context(), "openssl", "x509", "-in", file, "-noout", "-subject", "-nameopt",
				form.nameopt).Output()
			if err != nil {
				t.Fatal(err)
			}
			text := strings.TrimPrefix(strings.TrimSuffix(string(out), "\n"), "subject=")
			hold(t, form.nameopt, text, list, i, form.want)
			hold(t, "subject="+form.nameopt, "subject="+text, list, i, refused)
		}
	}
}

// What Java prints fits its certificate, and no other.
func TestJava(t *testing.T) {
	counterpart.Need(t, "java", "keytool")
	dir := t.TempDir()
	list := subjects(t, 200)
	file := filepath.Join(dir, "certificates.pem")
	var bundle []byte
	for _, s := range list {
		bundle = append(bundle, s.pem...)
	}
	if err := os.WriteFile(file, bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Env = counterpart.Environment(dir, "LC_ALL=C.UTF-8")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return string(out)
	}
	lines := strings.Fields(run("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", filepath.Join("testdata", "Names.java"), file))
	if len(lines) != 4*len(list) {
		t.Fatalf("got %d names, want 4 of each of %d certificates", len(lines), len(list))
	}
	owners := strings.Split(run("keytool", "-J-Dfile.encoding=UTF-8", "-J-Duser.language=en", "-printcert", "-file", file), "Owner: ")[1:]
	if len(owners) != len(list) {
		t.Fatalf("got %d owners of keytool, want %d", len(owners), len(list))
	}
	for i, s := range list {
		getName, toString := fits, fits
		if !s.plain() {
			getName = lossy
		}
		if s.quoted() {
			toString = lossy
		}
		for j, form := range []struct {
			name string
			want outcome
		}{{"getName", getName}, {"toString", toString}, {"RFC1779", toString}, {"CANONICAL", lossy}} {
			text, err := base64.StdEncoding.DecodeString(lines[4*i+j])
			if err != nil {
				t.Fatal(err)
			}
			hold(t, form.name, string(text), list, i, form.want)
		}
		owner, _, _ := strings.Cut(owners[i], "\nIssuer: ")
		hold(t, "keytool", owner, list, i, toString)
		hold(t, "Owner:", "Owner: "+owner, list, i, refused)
	}
}
