package revocation_test

import (
	"crypto/x509"
	"fmt"
	"math/big"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/revocation"
)

// partitioned is an authority with a list for every few certificates, of so many entries each, and one client of each.
func partitioned(t *testing.T, n, entries int) (root *popauthtest.CA, registry *popauthtest.Registry, chains [][]*x509.Certificate) {
	t.Helper()
	root = popauthtest.NewCA(t)
	registry = root.Registry()
	list := root.CRL(nil, func(l *x509.RevocationList) {
		for i := range entries {
			serial := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 120), big.NewInt(int64(i)))
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries,
				x509.RevocationListEntry{SerialNumber: serial, RevocationTime: l.ThisUpdate})
		}
	})
	registry.Serve = func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(list) })
	}
	for i := range n {
		cert := *certificate(t, root.Client("c"))
		cert.CRLDistributionPoints = []string{fmt.Sprint(registry.Server.URL, "/", i, ".crl")}
		chains = append(chains, []*x509.Certificate{&cert, root.Certificate})
	}
	return root, registry, chains
}

// Lists in hundreds of partitions are fetched once each.
func TestManyPartitions(t *testing.T) {
	const many = 300
	_, registry, chains := partitioned(t, many, 10)
	c := checker(t, revocation.Options{DistributionPoints: true})
	for range 10 {
		for _, chain := range chains {
			if got := verdict(t, c, chain...); got != "good" {
				t.Fatalf("got %s, want good", got)
			}
		}
	}
	is(t, "requests", registry.Requests(), many)
}

// What is remembered is bounded in bytes, and those used last are what stays.
func TestMemoryIsBounded(t *testing.T) {
	const most, entries = 4 << 20, 20_000 // of 17 bytes: nine lists of 340 kB fit into three quarters
	_, registry, chains := partitioned(t, 40, entries)
	c := checker(t, revocation.Options{DistributionPoints: true, MaxMemory: most})
	before := heap()
	favourite := chains[0]
	for _, chain := range chains {
		for _, one := range [][]*x509.Certificate{favourite, chain} {
			if got := verdict(t, c, one...); got != "good" {
				t.Fatalf("got %s, want good", got)
			}
		}
		if counted, _, _ := c.Remembered(); counted > most {
			t.Fatalf("counted %d bytes, want at most %d", counted, most)
		}
	}
	is(t, "requests", registry.Requests(), len(chains)) // the one that was always used was fetched once
	_, lists, _ := c.Remembered()
	if got := heap() - before; got > most || lists < 8 {
		t.Errorf("holds %d bytes and %d lists, want at most %d, and 8 lists or more", got, lists, most)
	}
	runtime.KeepAlive(c)
	// A list that is larger than the bound is none, and the error names the option.
	_, _, chains = partitioned(t, 1, 60_000)
	c = checker(t, revocation.Options{DistributionPoints: true, MaxMemory: 1 << 20})
	if _, err := c.Revoked(t.Context(), chains[0]); err == nil || !contains(err, "Options.MaxMemory") {
		t.Errorf("got %v, want an error that names Options.MaxMemory", err)
	}
	if _, err := revocation.New(revocation.Options{OCSP: true, MaxMemory: 1}); err == nil || !contains(err, "Options.MaxMemory") {
		t.Errorf("got %v, want an error that names Options.MaxMemory", err)
	}
}

// Answers too: more certificates than fit are asked about again, and the memory stays.
func TestAnswersAreBounded(t *testing.T) {
	root := popauthtest.NewCA(t)
	registry := root.Registry()
	cert := *certificate(t, root.Client("c", registry.OCSP))
	c := checker(t, revocation.Options{OCSP: true, MaxMemory: 1 << 20})
	for i := range 800 {
		one := cert
		one.SerialNumber = big.NewInt(int64(i + 1))
		if got := verdict(t, c, &one, root.Certificate); got != "good" {
			t.Fatalf("got %s, want good", got)
		}
	}
	counted, _, answers := c.Remembered()
	if counted > 1<<18 || answers < 300 {
		t.Errorf("%d answers of %d bytes, want at most %d, and 300 answers or more", answers, counted, 1<<18)
	}
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// A list of half a million entries takes about what its serial numbers take.
func TestLongList(t *testing.T) {
	const entries = 200_000
	root, _, chains := partitioned(t, 1, entries)
	c := checker(t, revocation.Options{DistributionPoints: true, Timeout: 30 * time.Second})
	before := heap()
	if got := verdict(t, c, chains[0]...); got != "good" {
		t.Fatalf("got %s, want good", got)
	}
	if got := heap() - before; got > 20*entries {
		t.Errorf("holds %d bytes for %d serial numbers of 16 bytes", got, entries)
	}
	// Every number of it is found, and none beside it.
	for _, tt := range []struct {
		add  int64
		want string
	}{{-1, "good"}, {0, "revoked"}, {1, "revoked"}, {entries / 2, "revoked"}, {entries - 1, "revoked"}, {entries, "good"}} {
		one := *chains[0][0]
		one.SerialNumber = new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 120), big.NewInt(tt.add))
		if got := verdict(t, c, &one, root.Certificate); got != tt.want {
			t.Errorf("number %d: got %s, want %s", tt.add, got, tt.want)
		}
	}
	runtime.KeepAlive(c)
}
