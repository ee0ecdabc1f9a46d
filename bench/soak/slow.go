//go:build unix

package soak

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

var errAnother = errors.New("answered as another")

// dial connects as the owner, with HTTP/1.1.
func (w *world) dial(o *owner) (*tls.Conn, error) {
	return tls.Dial("tcp", w.proxy, &tls.Config{
		RootCAs: w.servers.Pool(), MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{o.Certificate},
	})
}

// half sends a part of a header, and holds the connection for as long as d.
func (w *world) half(ctx context.Context, o *owner, d time.Duration) error {
	conn, err := w.dial(o)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // what was read is read
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuth", plainPath, w.proxy)
	wait(ctx, d)
	return err
}

// dribble sends a body by the byte, for as long as d, and holds the answer to the owner.
func (w *world) dribble(ctx context.Context, o *owner, d time.Duration) error {
	const step = 100 * time.Millisecond
	conn, err := w.dial(o)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // what was read is read
	length := int64(max(d/step, 1))
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\n%s: owner\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n",
		plainPath, w.proxy, senderHeader, w.issuer.stolen(o.name), length)
	for range length {
		if err == nil {
			wait(ctx, step)
			_, err = conn.Write([]byte("x"))
		}
	}
	if err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	var got identity
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		return err
	}
	want := identity{Client: o.name, Subject: "sub-" + o.name, Binding: o.binding, Body: length}
	if got != want {
		return fmt.Errorf("%w: got %+v, want %+v", errAnother, got, want)
	}
	return nil
}
