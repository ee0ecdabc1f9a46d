package main

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/seed-171ab058/popauth/cmd/popauth/internal/probe"
)

// tokenVariable has the access token where no file does: a flag would be in the process list.
const tokenVariable = "POPAUTH_TOKEN" //nolint:gosec // the name of a variable

// probeFiles name the files with what a probe is made with. Secrets come by no other way.
type probeFiles struct {
	token, cert, key, dpopKey, otherCert, otherKey string
	authorities, issuerKeys, header                string
	mustRefuse                                     []string
}

// read puts what the files have into the options. The error lists all files that are wrong.
func (f probeFiles) read(in io.Reader, o *probe.Options) error {
	var problems []error
	step := func(flag, file string, read func(text []byte) error) {
		if file == "" {
			return
		}
		text, err := readFile(file, in)
		if err == nil {
			err = read(text)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s %s: %w", flag, file, err))
		}
	}
	o.Token = strings.TrimSpace(os.Getenv(tokenVariable))
	step("--token-file", f.token, func(text []byte) error { o.Token = string(bytes.TrimSpace(text)); return nil })
	if o.Token == "" {
		problems = append(problems, fmt.Errorf("no token: give --token-file, or the environment variable %s", tokenVariable))
	}
	step("--cert", f.cert, func(text []byte) (err error) {
		o.Certificate, err = clientCertificate(text, f.key, in)
		return err
	})
	step("--other-cert", f.otherCert, func(text []byte) (err error) {
		o.Other, err = clientCertificate(text, f.otherKey, in)
		return err
	})
	step("--dpop-key", f.dpopKey, func(text []byte) (err error) {
		o.Key, err = proofKey(text)
		return err
	})
	step("--ca", f.authorities, func(text []byte) error {
		if o.RootCAs = x509.NewCertPool(); !o.RootCAs.AppendCertsFromPEM(text) {
			return errors.New("no certificate in PEM")
		}
		return nil
	})
	step("--jwks", f.issuerKeys, func(text []byte) (err error) {
		o.IssuerKeys, err = publicKeys(text)
		return err
	})
	step("--header-file", f.header, func(text []byte) (err error) {
		o.Header, err = headerLines(text)
		return err
	})
	o.MustRefuse = map[string]string{}
	for _, pair := range f.mustRefuse {
		what, file, _ := strings.Cut(pair, "=")
		if what == "" || file == "" {
			problems = append(problems, fmt.Errorf("--must-refuse %s: want WHAT=FILE", pair))
		}
		step("--must-refuse", file, func(text []byte) error {
			o.MustRefuse[what] = string(bytes.TrimSpace(text))
			return nil
		})
	}
	return errors.Join(problems...)
}

// clientCertificate reads a certificate with its chain, and its key from the same file or from another one.
func clientCertificate(text []byte, keyFile string, in io.Reader) (*tls.Certificate, error) {
	keyText := text
	if keyFile != "" {
		var err error
		if keyText, err = readFile(keyFile, in); err != nil {
			return nil, err
		}
	}
	if bytes.Contains(text, []byte("-----BEGIN ")) {
		c, err := tls.X509KeyPair(text, keyText)
		if err != nil && keyFile == "" {
			return nil, fmt.Errorf("%w: the key belongs into the same file, or into one of its own, which --key names", err)
		}
		return &c, err
	}
	key, leaf, chain, err := pkcs12.DecodeChain(text, os.Getenv(passwordVariable))
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, fmt.Errorf("PKCS#12, and the password in the environment variable %s is not its own", passwordVariable)
	case err != nil:
		return nil, errors.New("want a certificate in PEM, or PKCS#12")
	}
	c := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}
	for _, issuer := range chain {
		c.Certificate = append(c.Certificate, issuer.Raw)
	}
	return c, nil
}

// proofKey reads a private key, as a JWK or in PEM.
func proofKey(text []byte) (*probe.Key, error) {
	if text = bytes.TrimSpace(text); bytes.HasPrefix(text, []byte("{")) {
		return probe.ParseKey(text)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("want a private key, as a JWK or in PEM")
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		if signer, ok := key.(crypto.Signer); ok {
			return probe.NewKey(signer, "")
		}
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return probe.NewKey(key, "")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return probe.NewKey(key, "")
	}
	return nil, fmt.Errorf("PEM block %s: no private key that is known here; an encrypted one has to be decrypted first", block.Type)
}

func publicKeys(text []byte) ([]any, error) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("no JWK Set: %w", err)
	}
	var all []any
	for _, k := range set.Keys {
		if public := k.Public(); public.Valid() {
			all = append(all, public.Key)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no public key in it")
	}
	return all, nil
}

func headerLines(text []byte) (http.Header, error) {
	text = append(bytes.TrimSpace(text), "\r\n\r\n"...)
	h, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(text))).ReadMIMEHeader()
	if err != nil {
		return nil, errors.New(`want lines such as "X-Api-Key: secret"`)
	}
	for name := range h {
		if name == "Authorization" || name == "Dpop" {
			return nil, fmt.Errorf("%s is what the probe itself writes", name)
		}
	}
	return http.Header(h), nil
}
