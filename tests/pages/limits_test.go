package pages_test

import (
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"strings"
	"testing"
)

// The figures of docs/limits.md are the code's.
func TestLimits(t *testing.T) {
	page, err := os.ReadFile("../../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ file, name, row, figure string }{
		{"internal/jose/form.go", "MaxToken", "`Authorization`, and so a token", "16 KiB"},
		{"internal/uri/target.go", "MaxPath", "path of the request line", "8 KiB"},
		{"internal/jose/jws.go", "MaxHeaderValues", "values in a JOSE header", "64"},
		{"internal/jose/jws.go", "MaxKeyID", "`kid`", "256 bytes"},
		{"dpop/proof.go", "maxProof", "DPoP proof", "8 KiB"},
		{"dpop/proof.go", "maxProofID", "`jti` of a proof", "256 bytes"},
		{"dpop/prooftime.go", "maxProofAge", "age of a proof", "10 min"},
		{"dpop/prooftime.go", "maxProofLeeway", "clocks of proofs", "5 min"},
		{"dpop/prooftime.go", "defaultProofLeeway", "clocks of proofs", "10 s"},
		{"internal/settings/settings.go", "MaxLeeway", "clocks of tokens", "5 min"},
		{"internal/settings/settings.go", "defaultLeeway", "clocks of tokens", "30 s"},
		{"proxy/der.go", "maxValue", "header with one certificate", "16 KiB"},
		{"proxy/der.go", "maxValues", "all certificate headers together", "64 KiB"},
		{"proxy/der.go", "maxCertificates", "certificates in one header", "10"},
		{"proxy/der.go", "maxVerdict", "verdict of a proxy", "128 bytes"},
		{"forwardauth/headers.go", "maxURI", "URL that a proxy reports", "16 KiB"},
		{"internal/certname/certname.go", "MaxCertificate", "one certificate", "16 KiB"},
		{"internal/certname/fit.go", "maxBytes", "all that are sent", "64 KiB"},
		{"internal/certname/fit.go", "maxSent", "certificates sent", "40"},
		{"internal/certname/verify.go", "maxChain", "certificates of a chain", "10"},
		{"internal/certname/verify.go", "maxChains", "chains tried", "4"},
		{"internal/certname/fit.go", "minRSA", "RSA key, at least", "2048 bits"},
		{"clientcert/rootsfile.go", "maxRoots", "roots file", "4 MiB"},
		{"revocation/revocation.go", "maxFileSize", "CRL file", "64 MiB"},
		{"revocation/revocation.go", "maxListSize", "CRL by HTTP", "16 MiB"},
		{"revocation/revocation.go", "maxAnswerSize", "OCSP answer", "64 KiB"},
		{"internal/discovery/discovery.go", "MaxDocument", "metadata, and a JWK Set", "1 MiB"},
		{"internal/keys/document.go", "maxKeys", "keys of a set", "200"},
		{"introspection/call.go", "maxAnswer", "introspection answer", "64 KiB"},
		{"jwtmemory.go", "defaultTokens", "tokens remembered", "10,000"},
		{"proxy/certificate.go", "maxRemembered", "certificates of a proxy's header", "512"},
		{"proxy/certificate.go", "maxRememberedBytes", "certificates of a proxy's header", "4 MiB"},
		{"dpop/memory.go", "defaultReplayEntries", "used proofs: ", "1,048,576"},
		{"issuers/verifier.go", "defaultTokenBytes", "tokens of several issuers", "16 MiB"},
		{"refusallog.go", "maxLogged", "a sender's value in the log", "256 bytes"},
		{"internal/mismatch/mismatch.go", "maxGot", "a sender's value in the log", "128"},
	} {
		if got, want := constantOf(t, tt.file, tt.name), figureOf(t, tt.figure); got != want {
			t.Errorf("%s: %s is %d, and the page says %s", tt.file, tt.name, got, tt.figure)
		}
		found := false
		for line := range strings.Lines(string(page)) {
			found = found || strings.HasPrefix(line, "| "+tt.row) && strings.Contains(line, tt.figure)
		}
		if !found {
			t.Errorf("docs/limits.md has no row %q with %s", tt.row, tt.figure)
		}
	}
}

// figureOf is a figure in bytes, in nanoseconds, or as it is.
func figureOf(t *testing.T, figure string) int64 {
	t.Helper()
	number, unit, _ := strings.Cut(strings.ReplaceAll(figure, ",", ""), " ")
	n, ok := constant.Int64Val(constant.MakeFromLiteral(number, token.INT, 0))
	if !ok {
		t.Fatalf("%q is no figure", figure)
	}
	return n * map[string]int64{"": 1, "bytes": 1, "bits": 1, "KiB": 1 << 10, "MiB": 1 << 20, "s": 1e9, "min": 60e9}[unit]
}

// constantOf evaluates a constant of a file, which may use those of package time.
func constantOf(t *testing.T, file, name string) int64 {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), "../../"+file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	ast.Inspect(parsed, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for i, id := range spec.Names {
				if id.Name == name && i < len(spec.Values) {
					text = types.ExprString(spec.Values[i])
				}
			}
		}
		return true
	})
	text = strings.NewReplacer("time.Second", "1_000_000_000", "time.Minute", "60_000_000_000").Replace(text)
	value, err := types.Eval(token.NewFileSet(), nil, token.NoPos, text)
	if err != nil {
		t.Fatalf("%s: %s: %q: %v", file, name, text, err)
	}
	n, _ := constant.Int64Val(value.Value)
	return n
}
