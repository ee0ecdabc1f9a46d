package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/seed-171ab058/popauth/popclient"
)

// secretVariable has the client's secret, where it is in no file: a flag would be in the process list.
const secretVariable = "POPAUTH_CLIENT_SECRET" //nolint:gosec // the name of a variable

// The ways in which a client authenticates, by their names in metadata (RFC 8414).
const (
	byCertificate = "tls_client_auth"
	byBasic       = "client_secret_basic"
	byPost        = "client_secret_post"
	byAssertion   = "private_key_jwt"
)

// client is who asks for a token, and what the token is to be bound to.
type client struct {
	issuer, endpoint, id string
	cert, key            string
	proofKey, alg        string
	fresh                bool

	method, secretFile                        string
	assertionKey, assertionID, assertionAudit string

	scopes, resources, params []string
	authorities               string
	timeout                   time.Duration
	verbose, secrets          bool
}

func (c *client) flags(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&c.issuer, "issuer", "", "the authorization server, whose metadata name the token endpoint")
	f.StringVar(&c.endpoint, "token-endpoint", "", "the token endpoint itself, instead of --issuer")
	f.StringVar(&c.id, "client-id", "", "what the client is registered as")
	f.StringVar(&c.cert, "cert", "", "certificate to present, PEM or PKCS#12 (password: "+passwordVariable+")")
	f.StringVar(&c.key, "key", "", "its key in PEM, if that is another file")
	f.StringVar(&c.proofKey, "dpop-key", "", "private key, PEM or JWK, that tokens are bound to by DPoP")
	f.BoolVar(&c.fresh, "dpop", false, "DPoP with a new key, for this run alone")
	f.StringVar(&c.alg, "dpop-alg", "", "algorithm of proofs (default: the key's)")
	f.StringVar(&c.method, "auth", "", strings.Join([]string{byCertificate, byBasic, byPost, byAssertion}, ", ")+" (default: by the files)")
	f.StringVar(&c.secretFile, "client-secret-file", "", "file with the client's secret; or set "+secretVariable)
	f.StringVar(&c.assertionKey, "assertion-key", "", "private key of "+byAssertion)
	f.StringVar(&c.assertionID, "assertion-kid", "", "its kid")
	f.StringVar(&c.assertionAudit, "assertion-audience", "", "aud of the assertion (default: the issuer)")
	f.StringSliceVar(&c.scopes, "scope", nil, "scopes to ask for")
	f.StringArrayVar(&c.resources, "resource", nil, "API that the token is for (RFC 8707)")
	f.StringArrayVar(&c.params, "param", nil, "further parameter of the token request: name=value")
	f.StringVar(&c.authorities, "ca", "", "authorities of the servers' certificates in PEM, instead of the system's")
	f.DurationVar(&c.timeout, "timeout", 10*time.Second, "for each request")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "print requests and answers, on standard error, tokens cut")
	f.BoolVar(&c.secrets, "show-secrets", false, "print tokens and secrets too")
}

// credentials are what a client proves itself by.
type credentials struct {
	certificate    func(context.Context) (*tls.Certificate, error) // nil: there is none
	leaf           *x509.Certificate
	key            *popclient.Key                 // nil: tokens are bound to the certificate
	authentication popclient.ClientAuthentication // nil: the certificate
	secret         string
	roots          *x509.CertPool // nil: the system's
}

// read reads the files. All that is wrong is reported together.
func (c *client) read(ctx context.Context, in io.Reader) (credentials, error) {
	var k credentials
	var wrong []error
	try := func(flag string, err error) {
		if err != nil {
			wrong = append(wrong, fmt.Errorf("--%s: %w", flag, err))
		}
	}
	var err error
	if c.cert != "" {
		k.certificate = c.certificate()
		first, err := k.certificate(ctx)
		if err == nil {
			k.leaf = first.Leaf
		}
		try("cert", err)
	} else if c.key != "" {
		try("key", errors.New("the key of a certificate, which --cert names; for DPoP give --dpop-key"))
	}
	switch {
	case c.proofKey != "" && c.fresh:
		try("dpop", errors.New("a new key, and --dpop-key is another: give one of them"))
	case c.proofKey != "":
		k.key, err = readKey(c.proofKey, c.alg)
		try("dpop-key", err)
	case c.fresh:
		alg := c.alg
		if alg == "" {
			alg = "ES256"
		}
		k.key, err = popclient.GenerateKey(alg)
		try("dpop-alg", err)
	}
	if c.authorities != "" {
		k.roots, err = readAuthorities(c.authorities)
		try("ca", err)
	}
	k.authentication, k.secret, err = c.authenticate(in)
	try("auth", err)
	return k, errors.Join(wrong...)
}

func (c *client) certificate() func(context.Context) (*tls.Certificate, error) {
	b, err := readFile(c.cert, nil)
	switch {
	case err != nil:
		return func(context.Context) (*tls.Certificate, error) { return nil, err }
	case bytes.Contains(b, []byte("-----BEGIN ")) || c.key != "":
		key := c.key
		if key == "" {
			key = c.cert
		}
		return popclient.CertificateFiles(c.cert, key)
	}
	return popclient.CertificatePKCS12(c.cert, os.Getenv(passwordVariable))
}

func readAuthorities(file string) (*x509.CertPool, error) {
	b, err := readFile(file, nil)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s has no certificate in PEM", file)
	}
	return pool, nil
}

// authenticate is how the client authenticates at the token endpoint. Nil is by its certificate.
func (c *client) authenticate(in io.Reader) (popclient.ClientAuthentication, string, error) {
	secret, err := c.secret(in)
	if err != nil {
		return nil, "", err
	}
	method := c.method
	switch {
	case method != "":
	case c.assertionKey != "":
		method = byAssertion
	case secret != "":
		method = byBasic
	default:
		method = byCertificate
	}
	if (method == byBasic || method == byPost) && secret == "" {
		return nil, "", fmt.Errorf("%s needs a secret: --client-secret-file, or the variable %s", method, secretVariable)
	}
	switch method {
	case byCertificate:
		return nil, "", nil
	case byBasic:
		return popclient.ClientSecretBasic{Secret: secret}, secret, nil
	case byPost:
		return popclient.ClientSecretPost{Secret: secret}, secret, nil
	case byAssertion:
		if c.assertionKey == "" {
			return nil, "", fmt.Errorf("%s needs --assertion-key", byAssertion)
		}
		key, err := readKey(c.assertionKey, "")
		if err != nil {
			return nil, "", err
		}
		audience := c.assertionAudit
		if audience == "" {
			audience = c.issuer
		}
		if audience == "" {
			return nil, "", errors.New("--assertion-audience: without --issuer it must be given")
		}
		return popclient.PrivateKeyJWT{Key: key, KeyID: c.assertionID, Audience: audience}, "", nil
	}
	return nil, "", fmt.Errorf("got %q, want %s, %s, %s or %s", method, byCertificate, byBasic, byPost, byAssertion)
}

func (c *client) secret(in io.Reader) (string, error) {
	if c.secretFile == "" {
		return os.Getenv(secretVariable), nil
	}
	b, err := readFile(c.secretFile, in)
	if err != nil {
		return "", fmt.Errorf("--client-secret-file: %w", err)
	}
	if secret := strings.TrimRight(string(b), "\r\n"); secret != "" {
		return secret, nil
	}
	return "", fmt.Errorf("--client-secret-file: %s is empty", c.secretFile)
}

// parameters are those of --param.
func (c *client) parameters() (url.Values, error) {
	all := url.Values{}
	for _, p := range c.params {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--param: got %q, want name=value", p)
		}
		all.Add(name, value)
	}
	return all, nil
}

// transport is one that presents the certificate, if there is one.
func (k credentials) transport(timeout time.Duration) *http.Transport {
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: k.roots}
	if k.certificate != nil {
		config.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return k.certificate(info.Context())
		}
	}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true, TLSHandshakeTimeout: timeout,
		ResponseHeaderTimeout: timeout,
	}
}
