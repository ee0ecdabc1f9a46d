package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"software.sslmate.com/src/go-pkcs12"
)

// maxInput bounds what is read of a file, in bytes.
const maxInput = 1 << 20

// passwordVariable has the password of PKCS#12 files: a flag would be in the process list.
const passwordVariable = "POPAUTH_PASSWORD"

// readFile reads a file, or standard input for "-".
func readFile(name string, in io.Reader) ([]byte, error) {
	if name != "-" {
		f, err := os.Open(name) //nolint:gosec // whoever runs the program names it
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) > maxInput:
		return nil, fmt.Errorf("%s: more than %d bytes", name, maxInput)
	}
	return b, nil
}

// isFile tells an argument that names a file, or standard input, from a value.
func isFile(arg string) bool {
	if arg == "-" {
		return true
	}
	info, err := os.Stat(arg)
	return err == nil && info.Mode().IsRegular()
}

// valueOf is what a file holds, or the argument itself.
func valueOf(arg string, in io.Reader) ([]byte, error) {
	if isFile(arg) {
		return readFile(arg, in)
	}
	// A short text of one word is a file's name that was mistyped, rather than a token.
	if len(arg) < 100 && strings.Count(arg, ".") < 2 && !strings.ContainsAny(arg, "{ \n") && strings.ContainsAny(arg, "./") {
		return nil, fmt.Errorf("%s: no such file, and no token", arg)
	}
	return []byte(arg), nil
}

// material is what a file holds of certificates and keys. Of a private key there is the public one.
type material struct {
	certificates []*x509.Certificate
	keys         []crypto.PublicKey
}

var errNoMaterial = errors.New("neither a certificate nor a key: want PEM, DER, PKCS#12 or a JWK")

// readMaterial reads PEM, DER, PKCS#12 or a JWK.
func readMaterial(b []byte) (material, error) {
	b = bytes.TrimSpace(b)
	switch {
	case len(b) == 0:
		return material{}, errors.New("empty")
	case bytes.Contains(b, []byte("-----BEGIN ")):
		return readPEM(b)
	case b[0] == '{':
		key, err := readJWK(b)
		return material{keys: []crypto.PublicKey{key}}, err
	}
	if list, err := x509.ParseCertificates(b); err == nil && len(list) > 0 {
		return material{certificates: list}, nil
	}
	if key, err := parseKey(b); err == nil {
		return material{keys: []crypto.PublicKey{key}}, nil
	}
	_, leaf, chain, err := pkcs12.DecodeChain(b, os.Getenv(passwordVariable))
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return material{}, fmt.Errorf("PKCS#12, and the password in the environment variable %s is not its own", passwordVariable)
	case err != nil:
		return material{}, errNoMaterial
	}
	return material{certificates: append([]*x509.Certificate{leaf}, chain...)}, nil
}

func readPEM(b []byte) (material, error) {
	var m material
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return m, fmt.Errorf("PEM block %s: %w", block.Type, err)
			}
			m.certificates = append(m.certificates, c)
			continue
		}
		key, err := parseKey(block.Bytes)
		if err != nil {
			return m, fmt.Errorf("PEM block %s: %w", block.Type, err)
		}
		m.keys = append(m.keys, key)
	}
	if len(m.certificates)+len(m.keys) == 0 {
		return m, errNoMaterial
	}
	return m, nil
}

// parseKey returns the public key of what is a key in DER.
func parseKey(der []byte) (crypto.PublicKey, error) {
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PublicKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if signer, ok := key.(crypto.Signer); ok {
			return signer.Public(), nil
		}
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return publicOf(key), nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key.Public(), nil
	}
	return nil, errors.New("no key that is known here")
}

func publicOf(key *ecdsa.PrivateKey) crypto.PublicKey { return key.Public() }

// readJWK returns the public key of a JWK, also of a private one.
func readJWK(b []byte) (crypto.PublicKey, error) {
	var k jose.JSONWebKey
	if err := json.Unmarshal(b, &k); err != nil {
		return nil, fmt.Errorf("no JWK: %w", err)
	}
	if public := k.Public(); public.Valid() {
		return public.Key, nil
	}
	return nil, errors.New("a JWK without a public key")
}

// leafFirst puts the certificate that has issued none of the others first, as it is in most files.
func leafFirst(list []*x509.Certificate) []*x509.Certificate {
	for i, c := range list {
		issues := false
		for j, d := range list {
			issues = issues || i != j && bytes.Equal(d.RawIssuer, c.RawSubject)
		}
		if !issues {
			return append([]*x509.Certificate{c}, append(append([]*x509.Certificate{}, list[:i]...), list[i+1:]...)...)
		}
	}
	return list
}

// isToken tells a compact JWT.
func isToken(b []byte) bool {
	return strings.Count(string(bytes.TrimSpace(b)), ".") == 2 && bytes.HasPrefix(bytes.TrimSpace(b), []byte("ey"))
}
