package proxy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

func TestAzureApplicationGateway(t *testing.T) {
	f := proxy.AzureApplicationGateway(certHeader, verifyHeader)
	verdicts(t, f, certHeader, verifyHeader, value(t, "synth-azure-application-gateway"), "")
	passthrough := f.WithoutVerdict()
	sent := value(t, "synth-azure-application-gateway")
	for _, verdict := range []string{"SUCCESS", "NONE", "FAILED:unable to verify the first certificate"} {
		check(t, passthrough, header(certHeader, sent, verifyHeader, verdict), outcome{leaf: cert(t, "client")})
	}
	_, err := proxy.AzureAppService().Decode(header("X-ARR-ClientCert", sent)) // as much that is published has it
	if !errors.Is(err, proxy.ErrMalformed) || !strings.Contains(err.Error(), "Azure Application Gateway") {
		t.Errorf("in X-ARR-ClientCert: got %v, want whose form it is", err)
	}
}

func TestAzureContainerApps(t *testing.T) {
	f := proxy.AzureContainerApps()
	client, between := cert(t, "client"), cert(t, "int")
	element := func(rest ...string) []string {
		return []string{"X-Forwarded-Client-Cert", hash(client) + strings.Join(rest, "")}
	}
	leaf, chain := `;Cert="`+percentPEM(client)+`"`, `;Chain="`+percentPEM(between)+`"`
	full := `;Chain="` + percentPEM(client, between) + `"`
	for _, tt := range []struct {
		name string
		h    []string
		want outcome
	}{
		{"leaf", element(leaf, ";"), outcome{leaf: client}},
		{"no semicolon", element(leaf), outcome{leaf: client}},
		{"chain without leaf", element(leaf, chain, ";"), outcome{leaf: client, chain: [][]byte{between}}},
		{"chain with leaf", element(leaf, full, ";"), outcome{leaf: client, chain: [][]byte{between}}},
		{"chain alone, with leaf", element(full, ";"), outcome{leaf: client, chain: [][]byte{between}}},
		{"chain alone, without leaf", element(chain, ";"), malformed},
		{"two semicolons", element(leaf, ";;"), malformed},
		{"hash alone", element(";"), malformed},
		{"no hash", []string{"X-Forwarded-Client-Cert", leaf[1:] + ";"}, malformed},
		{"another's hash", []string{"X-Forwarded-Client-Cert", hash(between) + leaf + ";"}, malformed},
		{"two elements", element(leaf, ",", hash(client), leaf), malformed},
		{"not encoded", element(`;Cert="` + foldedPEM(client) + `";`), malformed},
		{"ten behind the leaf", element(leaf, `;Chain="`+compactPEM(repeat(sequence(9), 10)...)+`";`), tooLarge},
		{"empty", []string{"X-Forwarded-Client-Cert", ""}, none},
	} {
		t.Run(tt.name, func(t *testing.T) { check(t, f, header(tt.h...), tt.want) })
	}
	check(t, proxy.Envoy(), header(element(leaf, ";")...), malformed) // Envoy's own has no such end
}

func repeat(der []byte, n int) (all [][]byte) {
	for range n {
		all = append(all, der)
	}
	return all
}
