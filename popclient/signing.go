package popclient

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// maxSigning is how many signatures of one key are under way at a time, where the key isn't in memory.
const maxSigning = 64

var errSigner = errors.New("popclient: sign: the signer did not return")

// inMemory tells of a signer that takes no time: all that it does is arithmetic.
func inMemory(signer any) bool {
	switch signer.(type) {
	case *ecdsa.PrivateKey, ed25519.PrivateKey, *rsa.PrivateKey:
		return true
	}
	return false
}

// signWithin has a signer elsewhere, in a KMS or a PKCS#11 token, sign for no longer than the context lasts. One that hangs
// holds one goroutine for each of the places.
func signWithin[T any](ctx context.Context, places chan struct{}, sign func() (T, error)) (T, error) {
	var none T
	select {
	case places <- struct{}{}:
	case <-ctx.Done():
		return none, fmt.Errorf("popclient: sign: %d signatures have not returned: %w", cap(places), context.Cause(ctx))
	}
	type result struct {
		signed T
		err    error
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-places }()
		made := result{err: errSigner}
		defer func() { done <- made }()
		made.signed, made.err = recovered(sign)
	}()
	select {
	case made := <-done:
		return made.signed, made.err
	case <-ctx.Done():
		return none, fmt.Errorf("popclient: sign: the signer has not returned: %w", context.Cause(ctx))
	}
}

// recovered makes an error of a signer's panic, which would end the process, not one request.
func recovered[T any](sign func() (T, error)) (signed T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("popclient: sign: the signer panicked: %v", p)
		}
	}()
	return sign()
}

// publicOf is what a signer says its public key is. That of a nil pointer panics.
func publicOf(signer crypto.Signer) (public crypto.PublicKey, err error) {
	defer func() {
		if p := recover(); p != nil {
			public, err = nil, fmt.Errorf("a signer of type %T that is nil or broken: its Public panicked: %v", signer, p)
		}
	}()
	return signer.Public(), nil
}

// certificateKey is the key of a certificate, by the handle that works now.
type certificateKey struct {
	public  crypto.PublicKey
	timeout time.Duration // of one signature
	places  chan struct{}
	handle  atomic.Pointer[crypto.Signer]
}

func newCertificateKey(c *tls.Certificate, timeout time.Duration) *certificateKey {
	k := &certificateKey{public: c.Leaf.PublicKey, timeout: timeout, places: make(chan struct{}, maxSigning)}
	k.renew(c)
	return k
}

// renew takes the handle that came with the same certificate: the one before may be of a session that has ended.
func (k *certificateKey) renew(c *tls.Certificate) {
	if signer, ok := c.PrivateKey.(crypto.Signer); ok {
		k.handle.Store(&signer)
	}
}

func (k *certificateKey) signer() crypto.Signer { return *k.handle.Load() }

func (k *certificateKey) sign(ctx context.Context, sign func(crypto.Signer) ([]byte, error)) ([]byte, error) {
	signer := k.signer()
	once := func() ([]byte, error) { return sign(signer) }
	if inMemory(signer) {
		return recovered(once)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, k.timeout,
		fmt.Errorf("the key of the client certificate, within %v: %w", k.timeout, context.DeadlineExceeded))
	defer cancel()
	return signWithin(ctx, k.places, once)
}

// handshakeKey is the key for one handshake, with which it ends.
type handshakeKey struct {
	ctx context.Context // crypto.Signer has no other place for it
	key *certificateKey
}

var _ crypto.MessageSigner = handshakeKey{}

// Public implements crypto.Signer.
func (h handshakeKey) Public() crypto.PublicKey { return h.key.public }

// Sign implements crypto.Signer.
func (h handshakeKey) Sign(rand io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	own := bytes.Clone(digest) // whoever goes on after the handshake has ended
	return h.key.sign(h.ctx, func(s crypto.Signer) ([]byte, error) { return s.Sign(rand, own, o) })
}

// SignMessage implements crypto.MessageSigner, by Sign if the signer doesn't.
func (h handshakeKey) SignMessage(rand io.Reader, message []byte, o crypto.SignerOpts) ([]byte, error) {
	own := bytes.Clone(message)
	return h.key.sign(h.ctx, func(s crypto.Signer) ([]byte, error) { return crypto.SignMessage(s, rand, own, o) })
}
