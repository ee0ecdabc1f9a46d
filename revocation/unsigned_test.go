package revocation_test

import (
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/revocation"
)

// peak is by how many bytes the heap grew at most.
func peak(f func()) (grown int) {
	before := heap()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				grown = max(grown, int(m.HeapAlloc)-before)
			}
		}
	}()
	f()
	close(stop)
	<-done
	return grown
}

func wrapped(tb testing.TB, class, tag int, inner []byte) []byte {
	tb.Helper()
	der, err := asn1.Marshal(asn1.RawValue{Class: class, Tag: tag, IsCompound: true, Bytes: inner})
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

// points is an issuing distribution point of so many names, each empty but the last.
func points(tb testing.TB, n int, last string) func(*x509.RevocationList) {
	inner := append(bytes.Repeat([]byte{0x86, 0}, n-1), append([]byte{0x86, byte(len(last))}, last...)...)
	value := wrapped(tb, asn1.ClassUniversal, 16, wrapped(tb, 2, 0, wrapped(tb, 2, 0, inner)))
	return func(l *x509.RevocationList) {
		l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: scopeID, Critical: true, Value: value})
	}
}

func numbered(n int) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		for i := range n {
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries,
				x509.RevocationListEntry{SerialNumber: big.NewInt(int64(i%120 + 1)), RevocationTime: l.ThisUpdate})
		}
	}
}

func forged(list []byte) []byte {
	list = bytes.Clone(list)
	list[len(list)-1] ^= 1
	return list
}

// Before it is known who has signed a list, it takes no more memory than it has bytes, and half as much again.
func TestUnsignedListsTakeLittle(t *testing.T) {
	root := popauthtest.NewCA(t)
	zipped := func(list []byte) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(list)
		_ = z.Close()
		return b.Bytes()
	}
	// Each is of nearly 4 MiB, which is what is read of one where MaxMemory is 1 MiB.
	entries, names := root.CRL(nil, numbered(190_000)), root.CRL(nil, points(t, 2_000_000, "http://crl.example/"))
	broken := root.CRL(nil, numbered(2))
	broken[bytes.Index(broken, []byte{2, 1, 1, 0x17})+3] = 5 // no time: nobody has come to look
	for _, tt := range []struct {
		name, coding, want string
		data               []byte
	}{
		{"of many entries, forged", "", "another key has signed", forged(entries)},
		{"of entries that can't be read, forged", "", "another key has signed", broken},
		{"of many points, forged", "", "beside its entries", forged(names)},
		{"of many points", "", "beside its entries", names},
		{"too long", "", "more than 4194304 bytes", bytes.Repeat([]byte{0}, 20<<20)},
		{"compressed", "gzip", "content coding", zipped(entries)},
		{"compressed in secret", "", "not a CRL", zipped(entries)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Accept-Encoding"); got != "identity" {
					t.Errorf("Accept-Encoding: got %q, want identity", got)
				}
				if tt.coding != "" {
					w.Header().Set("Content-Encoding", tt.coding)
				}
				_, _ = w.Write(tt.data)
			}))
			defer server.Close()
			cert := *certificate(t, root.Client("c"))
			cert.CRLDistributionPoints = []string{server.URL}
			c := checker(t, revocation.Options{DistributionPoints: true, MaxMemory: 1 << 20})
			var err error
			grown := peak(func() { _, err = c.Revoked(t.Context(), revoked(&cert, root.Certificate)) })
			if !contains(err, tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if grown > 20<<20 { // with what the collector hasn't come to yet
				t.Errorf("took %d KiB for a list of %d KiB", grown>>10, len(tt.data)>>10)
			}
		})
	}
}

// A list that is long on its way, and small in memory, is read where MaxMemory has room for it.
func TestDatesTakeNoMemory(t *testing.T) {
	root := popauthtest.NewCA(t)
	registry := root.Registry()
	registry.List = numbered(100_000) // 2 MB on the way, 200 kB in memory
	client := root.Client("c", registry.CRL)
	is(t, "status", try(t, checker(t, revocation.Options{DistributionPoints: true, MaxMemory: 1 << 20}), root, client), http.StatusOK)
}

// What the memory is counted by is about what is held, whatever the lists are like.
func TestCountedIsHeld(t *testing.T) {
	root := popauthtest.NewCA(t)
	long := func(n int) string { return "http://crl.example/" + string(bytes.Repeat([]byte{'a'}, n)) }
	for name, like := range map[string]func(*x509.RevocationList){
		"short":           func(*x509.RevocationList) {},
		"long":            numbered(20_000),
		"many points":     points(t, 16, "http://crl.example/"),
		"a long point":    points(t, 16, long(100)),
		"a large number":  func(l *x509.RevocationList) { l.Number = new(big.Int).Lsh(big.NewInt(1), 100) },
		"of many lengths": func(l *x509.RevocationList) { l.RevokedCertificateEntries = manyLengths(l.ThisUpdate) },
	} {
		t.Run(name, func(t *testing.T) {
			list := root.CRL(nil, like)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(list) }))
			defer server.Close()
			c := checker(t, revocation.Options{DistributionPoints: true, MaxMemory: 64 << 20, Client: server.Client()})
			cert := *certificate(t, root.Client("c"))
			ask := func(i int) {
				cert.CRLDistributionPoints = []string{fmt.Sprint(server.URL, "/", i)}
				if _, err := c.Revoked(t.Context(), revoked(&cert, root.Certificate)); err != nil && !contains(err, "other certificates") {
					t.Fatal(err)
				}
			}
			ask(0)
			before, counted := heap(), 0
			counted, _, _ = c.Remembered()
			const more = 300
			for i := range more {
				ask(i + 1)
			}
			server.Client().CloseIdleConnections()
			held := heap() - before
			now, lists, _ := c.Remembered()
			if counted = now - counted; lists != more+1 || held > 2*counted || counted > 3*held {
				t.Errorf("%d lists: counted %d bytes, want about the %d that are held", lists, counted, held)
			}
			runtime.KeepAlive(c)
		})
	}
}

func manyLengths(at time.Time) (all []x509.RevocationListEntry) {
	for n := range 200 {
		all = append(all, x509.RevocationListEntry{SerialNumber: new(big.Int).Lsh(big.NewInt(1), uint(8*n)), RevocationTime: at})
	}
	return all
}

// Points are compared up to a bound: what is beyond it acquits nobody, and costs nothing.
func TestPointsAreBounded(t *testing.T) {
	root := popauthtest.NewCA(t)
	const named = "http://crl.example/its"
	for _, tt := range []struct {
		name         string
		list, before int
		want         string
	}{
		{name: "the last of sixteen", list: 16, before: 15, want: "good"},
		{name: "the seventeenth of the certificate", list: 1, before: 16, want: "unknown"},
		{name: "thousands in the certificate", list: 16, before: 5000, want: "unknown"},
	} {
		list := root.CRL(nil, points(t, tt.list, named))
		c := checker(t, revocation.Options{Files: []string{listFile(t, list)}})
		cert := *certificate(t, root.Client("c"))
		cert.CRLDistributionPoints = append(slices.Repeat([]string{"http://crl.example/not"}, tt.before), named)
		if got := verdict(t, c, &cert, root.Certificate); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
	_, err := revocation.New(revocation.Options{Files: []string{listFile(t, root.CRL(nil, points(t, 17, named)))}})
	if !contains(err, "more than 16 names") {
		t.Errorf("a list of seventeen: got %v, want it refused", err)
	}
}

// FuzzList: a list reads as crypto/x509 reads it, entry by entry.
func FuzzList(f *testing.F) {
	root := popauthtest.NewCA(f)
	when := time.Now().Truncate(time.Second)
	for _, serials := range [][]int64{nil, {1}, {127, 128, 255, 256}, {1 << 40, 3, 3}} {
		f.Add(root.CRL(nil, func(l *x509.RevocationList) {
			for i, s := range serials {
				l.RevokedCertificateEntries = append(l.RevokedCertificateEntries,
					x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: when, ReasonCode: []int{0, 1, 6, 8}[i%4]})
			}
		}))
	}
	f.Add(root.CRL(nil, points(f, 3, "http://crl.example/")))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := revocation.ReadList(data)
		if err != nil {
			return // refused: one of a form that isn't read
		}
		want, err := x509.ParseRevocationList(data)
		if err != nil {
			for _, time := range []string{"malformed UTCTime", "malformed GeneralizedTime", "parsing time", "malformed time"} {
				if contains(err, time) {
					return // of an entry: nobody goes by it
				}
			}
			t.Fatalf("read, though it is none: %v: %x", err, data)
		}
		held := map[string]bool{} // on hold
		for _, e := range want.RevokedCertificateEntries {
			number := string(e.SerialNumber.Bytes())
			before, known := held[number]
			held[number] = e.ReasonCode == 6 && (!known || before)
		}
		for number, hold := range held {
			if found, onHold := got(number); !found || onHold != hold {
				t.Fatalf("%x: got %t, on hold %t, want true, %t: %x", number, found, onHold, hold, data)
			}
		}
	})
}
