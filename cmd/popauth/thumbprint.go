package main

import (
	"context"
	"crypto"
	"crypto/sha1" //nolint:gosec // printed to be compared with what other tools print, and marked
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spf13/cobra"
)

func newThumbprint() *cobra.Command {
	return &cobra.Command{
		Use:   "thumbprint FILE|-|https://HOST",
		Short: "Print the x5t#S256 of a certificate, or the jkt of a key",
		Long: "thumbprint prints what a token's cnf has for a certificate (x5t#S256, RFC 8705) or a key (jkt, RFC 9449).\n" +
			"A file may be PEM, DER, PKCS#12 or a JWK; the password of PKCS#12 is in the environment variable " + passwordVariable + ".\n" +
			"Of https://HOST it is the certificate that the server presents, which is not verified.",
		Example: "  popauth thumbprint client.crt\n  popauth thumbprint key.jwk",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m, err := materialOf(c.Context(), args[0], c.InOrStdin())
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return printThumbprints(c.OutOrStdout(), m)
		},
	}
}

func materialOf(ctx context.Context, arg string, in io.Reader) (material, error) {
	if strings.HasPrefix(arg, "https://") {
		return presented(ctx, arg)
	}
	b, err := readFile(arg, in)
	if err != nil {
		return material{}, err
	}
	return readMaterial(b)
}

// presented returns the certificates that a server presents. Nothing is sent to it, so nobody need be who he says.
func presented(ctx context.Context, address string) (material, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return material{}, errors.New("no URL with a host")
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // to look at what is presented
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return material{}, err
	}
	defer func() { _ = conn.Close() }()
	over, ok := conn.(*tls.Conn)
	if !ok {
		return material{}, errors.New("no TLS connection")
	}
	return material{certificates: over.ConnectionState().PeerCertificates}, nil
}

func printThumbprints(out io.Writer, m material) error {
	w := newTable(out)
	for i, c := range leafFirst(m.certificates) {
		if i > 0 {
			w.line("issuer", "%s (goes into no cnf)", c.Subject)
			continue
		}
		long, short := sha256.Sum256(c.Raw), sha1.Sum(c.Raw) //nolint:gosec // as above
		w.line("certificate", "%s", c.Subject)
		w.line("x5t#S256", "%s", x5t(c))
		w.line("SHA-256", "%s (hex, as openssl prints it: not for cnf)", hex.EncodeToString(long[:]))
		w.line("SHA-1", "%s (hex: not for cnf)", hex.EncodeToString(short[:]))
	}
	for _, key := range m.keys {
		jkt, err := jktOf(key)
		if err != nil {
			return err
		}
		w.line("key", "%s", kindOf(key))
		w.line("jkt", "%s", jkt)
	}
	return w.flush()
}

// x5t is the thumbprint as a token's cnf has it.
func x5t(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// jktOf is the thumbprint of a key (RFC 7638) as a token's cnf has it.
func jktOf(key crypto.PublicKey) (string, error) {
	k := jose.JSONWebKey{Key: key}
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("a key that has no jkt: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}
