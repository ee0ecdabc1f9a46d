package testbed

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
)

// publicJWK is an EC key as RFC 7518, section 6.2, has it.
func publicJWK(key *ecdsa.PublicKey) ([]byte, error) {
	members, err := publicMembers(key)
	if err != nil {
		return nil, err
	}
	return json.Marshal(members)
}

func publicMembers(key *ecdsa.PublicKey) (map[string]string, error) {
	point, err := key.Bytes() // 4, x, y (SEC 1, section 2.3.3)
	if err != nil {
		return nil, err
	}
	half := (len(point) - 1) / 2
	return map[string]string{
		"kty": "EC", "crv": "P-256",
		"x": base64.RawURLEncoding.EncodeToString(point[1 : 1+half]), "y": base64.RawURLEncoding.EncodeToString(point[1+half:]),
	}, nil
}

func privateJWK(key *ecdsa.PrivateKey) ([]byte, error) {
	members, err := publicMembers(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	d, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	members["d"], members["alg"] = base64.RawURLEncoding.EncodeToString(d), "ES256"
	return json.Marshal(members)
}

func privatePEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// write writes the files into a directory that nobody else may read.
func (b *Bed) write() error {
	dir, err := os.MkdirTemp("", "popauth-test-") // 0700
	if err != nil {
		return err
	}
	b.Directory, b.Files = dir, map[string]string{}
	jwk, err := privateJWK(b.key)
	if err != nil {
		return err
	}
	key, err := privatePEM(b.key)
	if err != nil {
		return err
	}
	assertion, err := privatePEM(b.assertion)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		what, name string
		content    []byte
	}{
		{"ca", "ca.pem", b.authority.PEM()}, {"client-secret", "client-secret.txt", []byte(b.secret)},
		{"dpop-key", "dpop.pem", key}, {"dpop-jwk", "dpop.jwk", jwk}, {"assertion-key", "assertion.pem", assertion},
	} {
		b.Files[f.what] = filepath.Join(dir, f.name)
		if err := os.WriteFile(b.Files[f.what], f.content, 0o600); err != nil {
			return err
		}
	}
	if b.Files["owner-cert"], b.Files["owner-key"], err = b.owner.WritePEM(dir); err != nil {
		return err
	}
	b.Files["thief-cert"], b.Files["thief-key"], err = b.thief.WritePEM(dir)
	return err
}
