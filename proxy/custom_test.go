package proxy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

func TestCustom(t *testing.T) {
	client := cert(t, "client")
	full := proxy.Custom(proxy.CustomHeaders{
		Name:        "edge",
		Certificate: "x-edge-cert", Encoding: proxy.ByteSequence, None: []string{"absent"},
		Chain: "x-edge-chain", ChainEncoding: proxy.PEMPercentList,
		Verdict: "x-edge-verify", Judge: proxy.HAProxyVerify,
		Others: []string{"x-edge-dn"},
	})
	if got, want := full.Name()+" "+strings.Join(full.Headers(), " "),
		"edge X-Edge-Cert X-Edge-Chain X-Edge-Verify X-Edge-Dn"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	sent, chain := byteSequence(client), percentPEM(cert(t, "int"))
	check(t, full, header("X-Edge-Cert", sent, "X-Edge-Verify", "0"), outcome{leaf: client, verified: true})
	check(t, full, header("X-Edge-Cert", sent, "X-Edge-Verify", "0", "X-Edge-Chain", chain),
		outcome{leaf: client, chain: certs(t, "int"), verified: true})
	check(t, full, header("X-Edge-Cert", sent, "X-Edge-Verify", "0", "X-Edge-Chain", ""), outcome{leaf: client, verified: true})
	check(t, full, header("X-Edge-Cert", sent, "X-Edge-Verify", "0", "X-Edge-Chain", chain, "X-Edge-Chain", chain), malformed)
	check(t, full, header("X-Edge-Cert", sent), malformed)
	check(t, full, header("X-Edge-Cert", "absent", "X-Edge-Verify", "0"), none)
	check(t, full, header("X-Edge-Cert", "", "X-Edge-Verify", "0"), malformed)
	check(t, full.WithoutVerdict(), header("X-Edge-Cert", sent), outcome{leaf: client})

	listed := proxy.Custom(proxy.CustomHeaders{
		Certificate: "X-A", Encoding: proxy.Base64DER, Chain: "X-B", ChainEncoding: proxy.ByteSequenceList,
	})
	one := byteSequence(cert(t, "int"))
	check(t, listed, header("X-A", b64(client), "X-B", one+", "+one), outcome{leaf: client, chain: certs(t, "int", "int")})
	check(t, listed, header("X-A", b64(client), "X-B", one, "X-B", one), malformed)

	least := proxy.Custom(proxy.CustomHeaders{Certificate: "X-A", Encoding: proxy.Base64DERList})
	if got := least.Name(); got != "custom" {
		t.Errorf("got %q, want custom", got)
	}
	check(t, least, header("X-A", b64(client)+","+b64(cert(t, "int"))), outcome{leaf: client, chain: certs(t, "int")})
	check(t, least, header("X-A", ""), none)
	check(t, least, header(), none)
	check(t, least, header("X-A", "(null)"), malformed)
}

func TestCustomCopiesItsSlices(t *testing.T) {
	c := proxy.CustomHeaders{Certificate: "X-A", Encoding: proxy.Base64DER, None: []string{"absent"}, Others: []string{"X-B"}}
	f := proxy.Custom(c)
	c.None[0], c.Others[0] = "changed", "X-C"
	check(t, f, header("X-A", "absent"), none)
	if got := f.Headers(); !slices.Equal(got, []string{"X-A", "X-B"}) {
		t.Errorf("got %q", got)
	}
}

// Where the proxy sends the header always, its absence is not the absence of a certificate.
func TestCustomAlways(t *testing.T) {
	f := proxy.Custom(proxy.CustomHeaders{Certificate: "X-A", Encoding: proxy.Base64DER, Always: true})
	check(t, f, header("X-A", b64(cert(t, "client"))), outcome{leaf: cert(t, "client")})
	check(t, f, header("X-A", ""), none)
	check(t, f, header("X-B", ""), malformed)
	f = proxy.Custom(proxy.CustomHeaders{Certificate: "X-A", Encoding: proxy.Base64DER, None: []string{"-"}, Always: true})
	check(t, f, header("X-A", "-"), none)
	check(t, f, header(), malformed)
}

// What an encoding of the caller's own returns is held to the same limits.
func TestCustomEncoding(t *testing.T) {
	client := cert(t, "client")
	tests := []struct {
		name  string
		certs [][]byte
		err   error
		want  outcome
	}{
		{"one", [][]byte{client}, nil, outcome{leaf: client}},
		{"ten", slices.Repeat([][]byte{client}, 10), nil, outcome{leaf: client, chain: slices.Repeat([][]byte{client}, 9)}},
		{"eleven", slices.Repeat([][]byte{client}, 11), nil, tooLarge},
		{"nothing", nil, nil, malformed},
		{"nil certificate", [][]byte{nil}, nil, malformed},
		{"no DER", [][]byte{[]byte("text")}, nil, malformed},
		{"trailing byte in the chain", [][]byte{client, append(slices.Clone(client), 0)}, nil, malformed},
		{"over 16 KiB", [][]byte{sequence(16<<10 + 1)}, nil, tooLarge},
		{"error", [][]byte{client}, errors.New("no"), malformed},
	}
	for _, tt := range tests {
		encoding := func(string) ([][]byte, error) { return tt.certs, tt.err }
		t.Run(tt.name, func(t *testing.T) {
			f := proxy.Custom(proxy.CustomHeaders{Certificate: "X-A", Encoding: encoding})
			check(t, f, header("X-A", "x"), tt.want)
		})
		t.Run(tt.name+" as chain", func(t *testing.T) {
			f := proxy.Custom(proxy.CustomHeaders{Certificate: "X-A", Encoding: proxy.Base64DER, Chain: "X-B", ChainEncoding: encoding})
			want := tt.want
			if want.err == nil {
				want = outcome{leaf: client, chain: tt.certs}
			}
			check(t, f, header("X-A", b64(client), "X-B", "x"), want)
		})
	}
	t.Run("never called beyond 64 KiB", func(t *testing.T) {
		f := proxy.Custom(proxy.CustomHeaders{Certificate: "X-A", Encoding: func(string) ([][]byte, error) {
			t.Error("called")
			return [][]byte{client}, nil
		}})
		check(t, f, header("X-A", strings.Repeat("A", 64<<10+1)), tooLarge)
		check(t, f, header("X-A", "x", "X-A", "x"), malformed)
	})
}

func TestCustomJudge(t *testing.T) {
	client := cert(t, "client")
	for verdict, want := range map[proxy.Verdict][2]outcome{ // with a certificate, without one
		proxy.Unknown:         {malformed, malformed},
		proxy.NoCertificate:   {malformed, none},
		proxy.Validated:       {{leaf: client, verified: true}, malformed},
		proxy.NotValidated:    {{leaf: client}, malformed},
		proxy.ValidatedOrNone: {{leaf: client, verified: true}, none},
		proxy.Verdict(99):     {malformed, malformed},
		proxy.Verdict(-1):     {malformed, malformed},
	} {
		f := proxy.Custom(proxy.CustomHeaders{
			Certificate: "X-A", Encoding: proxy.Base64DER, Verdict: "X-B",
			Judge: func(string) proxy.Verdict { return verdict },
		})
		check(t, f, header("X-A", b64(client), "X-B", "x"), want[0])
		check(t, f, header("X-B", "x"), want[1])
	}
}

// Where an empty value doesn't mean that there is no certificate, it needs the verdict beside it as any other does.
func TestCustomEmptyValueNeedsItsVerdict(t *testing.T) {
	client := cert(t, "client")
	f := proxy.Custom(proxy.CustomHeaders{
		Certificate: "X-A", Encoding: func(string) ([][]byte, error) { return [][]byte{client}, nil }, None: []string{"-"},
		Verdict: "X-B", Judge: func(string) proxy.Verdict { return proxy.Validated },
	})
	check(t, f, header("X-A", "", "X-B", "x"), outcome{leaf: client, verified: true})
	check(t, f, header("X-A", ""), malformed)
	check(t, f, header("X-A", "-"), malformed)
	check(t, f, header(), none)
}

// An Encoding says that a value holds no certificate by ErrNone alone; a verdict about one and a chain are errors then, as without
// the header.
func TestErrNone(t *testing.T) {
	client := cert(t, "client")
	encoding := func(value string) ([][]byte, error) {
		switch value {
		case "none":
			return nil, errors.Join(errors.New("empty"), proxy.ErrNone)
		case "both":
			return [][]byte{client}, proxy.ErrNone
		case "in one form none, in the other malformed":
			return nil, errors.Join(proxy.ErrNone, proxy.ErrMalformed)
		case "in one form none, in the other too large":
			return nil, errors.Join(proxy.ErrNone, proxy.ErrTooLarge)
		case "nothing":
			return nil, nil
		}
		return [][]byte{client}, nil
	}
	f := proxy.Custom(proxy.CustomHeaders{
		Certificate: "X-A", Encoding: encoding, Chain: "X-C", ChainEncoding: proxy.Base64DER, Verdict: "X-B", Judge: proxy.NginxVerify,
	})
	check(t, f, header("X-A", "x", "X-B", "SUCCESS"), outcome{leaf: client, verified: true})
	check(t, f, header("X-A", "none", "X-B", "NONE"), none)
	check(t, f, header("X-A", "both", "X-B", "NONE"), none)
	check(t, f, header("X-A", "none", "X-B", "SUCCESS"), malformed)
	check(t, f, header("X-A", "none"), malformed) // somebody has removed the verdict
	check(t, f, header("X-A", "none", "X-B", "NONE", "X-C", b64(client)), malformed)
	check(t, f, header("X-A", "in one form none, in the other malformed", "X-B", "NONE"), malformed)
	check(t, f, header("X-A", "in one form none, in the other too large", "X-B", "NONE"), tooLarge)
	check(t, f, header("X-A", "nothing", "X-B", "NONE"), malformed)
	check(t, f, header("X-A", "nothing", "X-B", "SUCCESS"), malformed)
}
