package main

import (
	"crypto/tls"
	"errors"
	"net"
	"net/url"

	"github.com/seed-171ab058/popauth/clientauth"
)

// listeners are one for ordinary requests and, unless a path demands the certificate, one for clients that have one.
type listeners struct {
	all       []net.Listener
	issuer    string
	endpoints clientauth.Endpoints
}

func (l *listeners) close() {
	for _, tcp := range l.all {
		_ = tcp.Close()
	}
}

// open listens, and says where a certificate is demanded. RequestClientCert asks for one without verifying it:
// self-signed ones work too, and clientauth checks each by how it is registered.
func (s settings) open(server tls.Certificate) (*listeners, error) {
	ordinary := &tls.Config{
		Certificates: []tls.Certificate{server}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
	}
	asking := ordinary.Clone()
	asking.ClientAuth = tls.RequestClientCert
	first := ordinary
	if isPath(s.mtls) {
		first = asking
	}
	l := &listeners{}
	tcp, err := tls.Listen("tcp", s.listen, first)
	if err != nil {
		return nil, err
	}
	l.all = append(l.all, tcp)
	if l.issuer = s.issuer; l.issuer == "" {
		l.issuer = "https://" + tcp.Addr().String()
	}
	u, err := url.Parse(l.issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		l.close()
		return nil, errors.New("-issuer is not an https URL of host and port alone")
	}
	if isPath(s.mtls) {
		l.endpoints = clientauth.PathPrefix(s.mtls)
		return l, nil
	}
	if tcp, err = tls.Listen("tcp", s.mtls, asking); err != nil {
		l.close()
		return nil, err
	}
	l.all = append(l.all, tcp)
	_, port, err := net.SplitHostPort(tcp.Addr().String())
	if err != nil {
		l.close()
		return nil, err
	}
	l.endpoints = clientauth.Domain(net.JoinHostPort(u.Hostname(), port))
	return l, nil
}
