package proxy_test

import (
	"fmt"
	"math"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/proxy"
)

// hostile returns texts of at most size bytes that look like what some decoder works hardest on.
func hostile(size int) map[string]string {
	fill := func(prefix, unit string) string {
		return prefix + strings.Repeat(unit, max(0, size-len(prefix))/len(unit))
	}
	der := sequence(9)
	return map[string]string{
		"base64":          fill("", "MIIC"),
		"one certificate": b64(sequence(max(2, size/4*3-2))),
		"commas":          fill("", ","),
		"list":            fill("", b64(der)+","),
		"blob":            fill("", b64(sequence(9))),
		"byte sequences":  fill("", byteSequence(der)+","),
		"escapes":         fill("", "%41"),
		"line ends":       fill("-----BEGIN%20CERTIFICATE-----", "%0A"),
		"short lines":     fill("-----BEGIN%20CERTIFICATE-----", "%0AM"),
		"begins":          fill("", "-----BEGIN%20CERTIFICATE-----%0A"),
		"blocks":          fill("", compactPEM(der)+"%0A"),
		"folded begins":   fill("", "-----BEGIN CERTIFICATE----- "),
		"folded blocks":   fill("", "-----BEGIN CERTIFICATE----- MAA= -----END CERTIFICATE----- "),
		"folded lines":    fill("-----BEGIN CERTIFICATE-----", " M"),
		"spaces":          fill("", " "),
		"pairs":           fill("", "URI=;"),
		"quotes":          fill(`Subject="`, `\"`),
		"long key":        fill("", "k") + "=",
		"elements":        fill("", hash(der)+";URI=a,"),
		"hash and chain":  hash(der) + `;Chain="` + fill("", compactPEM(der)+"%0A"),
		"verdict":         fill("FAILED:", "a"),
		"digits":          fill("", "1"),
	}
}

// attacks puts each text into each header of a format, alone and next to the others, in one line and in many.
func attacks(f proxy.Format, size int) map[string]http.Header {
	out := map[string]http.Header{}
	for name, text := range hostile(size) {
		everywhere := http.Header{}
		for _, key := range f.Headers() {
			everywhere[key] = []string{text}
			out[name+" in "+key] = http.Header{key: {text}}
			h := http.Header{key: {text}}
			h[f.Headers()[0]] = []string{text}
			out[name+" in the first and "+key] = h
		}
		out[name+" everywhere"] = everywhere
	}
	for _, key := range f.Headers() {
		out["lines of "+key] = http.Header{key: slices.Repeat([]string{""}, size/len(key))}
	}
	return out
}

// No header up to the 1 MiB that net/http lets through costs more than 1 ms or 1 MiB.
func TestCost(t *testing.T) {
	const budget = 1 << 20
	worst, slowest, name := uint64(0), time.Duration(0), ""
	for _, f := range presets() {
		for _, size := range []int{1 << 20, 64 << 10, 63 << 10, 31 << 10, 16 << 10, 15 << 10} {
			for attack, h := range attacks(f, size) {
				bytes, took := cost(func() { _, _ = f.Decode(h) })
				if bytes > budget {
					t.Errorf("%s, %s of %d: %d bytes allocated", f.Name(), attack, size, bytes)
				}
				if took > time.Millisecond {
					t.Errorf("%s, %s of %d: took %v", f.Name(), attack, size, took)
				}
				worst = max(worst, bytes)
				if took > slowest {
					slowest, name = took, fmt.Sprintf("%s, %s of %d", f.Name(), attack, size)
				}
			}
		}
	}
	t.Logf("at most %d bytes; %v for %s", worst, slowest, name)
}

// cost returns the bytes that one call allocates and the shortest time of several: a busy machine makes a call
// slower, never faster.
func cost(call func()) (uint64, time.Duration) {
	least := uint64(math.MaxUint64)
	for range 3 { // the runtime's own goroutines allocate, too
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		call()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	shortest := time.Duration(math.MaxInt64)
	for range 20 {
		if raceDetector { // it slows everything down
			return least, 0
		}
		start := time.Now()
		call()
		took := time.Since(start)
		if shortest = min(shortest, took); took < 200*time.Microsecond {
			break
		}
	}
	return least, shortest
}

// The exported encodings hold their limits without a Format around them.
func TestEncodingCost(t *testing.T) {
	for name, decode := range map[string]proxy.Encoding{
		"Base64DER": proxy.Base64DER, "Base64DERList": proxy.Base64DERList, "Base64DERBlob": proxy.Base64DERBlob,
		"PEMPercent": proxy.PEMPercent, "PEMPercentList": proxy.PEMPercentList, "PEMFolded": proxy.PEMFolded,
		"ByteSequence": proxy.ByteSequence, "ByteSequenceList": proxy.ByteSequenceList,
	} {
		for attack, text := range hostile(1 << 20) {
			bytes, took := cost(func() { _, _ = decode(text) })
			if bytes > 4<<10 || took > time.Millisecond {
				t.Errorf("%s, %s: %d bytes, %v", name, attack, bytes, took)
			}
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	leaf := cert(b, "client")
	for _, bm := range []struct {
		f proxy.Format
		h http.Header
	}{
		{proxy.RFC9440(), header("Client-Cert", byteSequence(leaf))},
		{proxy.Nginx(certHeader, verifyHeader), header(certHeader, percentPEM(leaf), verifyHeader, "SUCCESS")},
		{proxy.Apache(certHeader, verifyHeader), header(certHeader, foldedPEM(leaf), verifyHeader, "SUCCESS")},
		{proxy.HAProxy(certHeader, verifyHeader), header(certHeader, b64(leaf), verifyHeader, "0")},
		{proxy.Envoy(), header("X-Forwarded-Client-Cert", hash(leaf)+`;Cert="`+percentPEM(leaf)+`"`)},
	} {
		b.Run(bm.f.Name(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bm.f.Decode(bm.h); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
