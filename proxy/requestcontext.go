package proxy

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// AWSLambdaWebAdapter reads X-Amzn-Request-Context, in which the Lambda Web Adapter, a program beside the API in a function, reports
// the requestContext of an event of API Gateway as JSON: authentication.clientCert.clientCertPem (payload 2.0), or
// identity.clientCert.clientCertPem (payload 1.0). API Gateway validates what it passes on, so Verified is set. Without either, as
// in events of another kind, there is no certificate. There is no chain.
//
// The adapter writes the header anew in each request, and calls the API on loopback: trust that, by [TrustPeers]. Releases whose
// events library knows no identity.clientCert drop the certificate of a REST API: use an HTTP API, or [APIGateway]. The whole header is
// removed, so a handler that needs the rest of it has to be told by one outside.
func AWSLambdaWebAdapter() Format {
	return newFormat(Format{
		name:     "aws-lambda-web-adapter",
		cert:     "X-Amzn-Request-Context",
		encoding: requestContext,
		verified: true,
	})
}

// requestContext reads the certificate in the request context of an event.
func requestContext(value string) ([][]byte, error) {
	if len(value) > maxValue {
		return nil, tooLarge("over 16 KiB")
	}
	var texts []string
	within := func(_ string, v jsontext.Value) error {
		return member(v, "clientCert", func(v jsontext.Value) error {
			return member(v, "clientCertPem", func(v jsontext.Value) error {
				text, err := strictjson.String(v)
				if text != "" {
					texts = append(texts, text)
				}
				return err
			})
		})
	}
	err := strictjson.Among([]byte(value), []string{"identity", "authentication"}, func(name string, v jsontext.Value) error {
		if v.Kind() == 'n' {
			return nil
		}
		return within(name, v)
	})
	switch {
	case err != nil:
		return nil, malformed("no request context of API Gateway's in JSON")
	case len(texts) == 0:
		return nil, ErrNone
	case len(texts) > 1:
		return nil, malformed("a certificate in both places of a request context")
	}
	return eventPEM(texts[0])
}

// member reads one member of an object, if it is there and not null.
func member(v jsontext.Value, name string, read func(jsontext.Value) error) error {
	return strictjson.Among(v, []string{name}, func(_ string, v jsontext.Value) error {
		if v.Kind() == 'n' {
			return nil
		}
		return read(v)
	})
}
