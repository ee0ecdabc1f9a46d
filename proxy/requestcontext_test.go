package proxy_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

func TestAWSLambdaWebAdapter(t *testing.T) {
	f := proxy.AWSLambdaWebAdapter()
	const name = "X-Amzn-Request-Context"
	verified := outcome{leaf: cert(t, "client"), verified: true}
	v1, v2 := value(t, "synth-lambda-request-context-v1"), value(t, "synth-lambda-request-context-v2")
	identity := v1[strings.Index(v1, `{"sourceIp"`):strings.Index(v1, `,"stage"`)]
	nested := `{"authorizer":{"lambda":` + v2 + `},"http":{"userAgent":"\",\"authentication\":{}"}}`
	for _, tt := range []struct {
		name, sent string
		want       outcome
	}{
		{"payload 1.0", v1, verified},
		{"payload 2.0", v2, verified},
		{"function URL", value(t, "synth-lambda-request-context-function-url"), none},
		{"load balancer", value(t, "synth-lambda-request-context-alb"), none},
		{"no clientCert", `{"authentication":{},"identity":{"clientCert":null}}`, none},
		{"no text", `{"authentication":{"clientCert":{"clientCertPem":""}}}`, none},
		{"null text", `{"authentication":{"clientCert":{"clientCertPem":null}}}`, none},
		{"what an authorizer says", nested, none},
		{"in both places", strings.Replace(v2, `{"accountId"`, `{"identity":`+identity+`,"accountId"`, 1), malformed},
		{"twice", strings.Replace(v2, `{"accountId"`, `{"authentication":null,"accountId"`, 1), malformed},
		{"another case", strings.Replace(v2, `"authentication"`, `"Authentication"`, 1), malformed},
		{"a number", `{"authentication":{"clientCert":{"clientCertPem":1}}}`, malformed},
		{"a list", `{"authentication":[]}`, malformed},
		{"a string", `{"authentication":"x"}`, malformed},
		{"no PEM", `{"authentication":{"clientCert":{"clientCertPem":"x"}}}`, malformed},
		{"empty", "", malformed},
		{"two values joined", v2 + "," + v2, malformed},
		{"large", `{"x":"` + strings.Repeat("a", 16<<10) + `"}`, tooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) { check(t, f, header(name, tt.sent), tt.want) })
	}
	check(t, f, header(), none)
	check(t, f, header(name, v2, name, v2), malformed)
}

func FuzzRequestContext(f *testing.F) {
	for _, name := range []string{"v1", "v2", "alb", "function-url"} {
		f.Add(value(f, "synth-lambda-request-context-"+name))
	}
	format := proxy.AWSLambdaWebAdapter()
	f.Fuzz(func(t *testing.T, sent string) {
		got, err := format.Decode(header("X-Amzn-Request-Context", sent))
		switch {
		case err != nil:
			if !errors.Is(err, proxy.ErrMalformed) && !errors.Is(err, proxy.ErrTooLarge) {
				t.Fatalf("error of no class: %v", err)
			}
		case got.Leaf != nil:
			oneSequence(t, got.Leaf)
			h, err := format.Encode(got.Leaf)
			if err != nil {
				t.Fatal(err)
			}
			again, err := format.Decode(h)
			if err != nil || !bytes.Equal(again.Leaf, got.Leaf) {
				t.Fatalf("encoded again: %v, %v", again, err)
			}
		}
	})
}
