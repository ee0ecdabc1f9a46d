package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/cmd/popauth/internal/proxycheck"
)

// examine reads a configuration, and prints what is wrong with it. The error is of type refusedError if something is.
func (h half) examine(ctx context.Context, in io.Reader, out io.Writer, name, secret string) error {
	var texts [][]byte
	for _, file := range h.check {
		b, err := readFile(file, in)
		if err != nil {
			return fmt.Errorf("--check: %w", err)
		}
		texts = append(texts, b)
	}
	if len(texts) > 1 && name != "traefik" {
		return errors.New("--check: one file, please: for several of nginx give the dump of nginx -T")
	}
	findings, err := h.findings(ctx, name, texts, secret)
	if err != nil {
		return fmt.Errorf("--check: %s: %w", strings.Join(h.check, ", "), err)
	}
	for _, f := range findings {
		if _, err := fmt.Fprintf(out, "✗ %s  %s\n    %s\n", f.Code, shown(f.Where), shown(f.Text)); err != nil {
			return err
		}
		for i, line := range strings.Split(f.Fix, "\n") {
			label := "    write: "
			if i > 0 {
				label = "           "
			}
			if _, err := fmt.Fprintln(out, label+shown(line)); err != nil {
				return err
			}
		}
	}
	if len(findings) > 0 {
		if len(findings) == 1 {
			return refusedError{errors.New("1 finding")}
		}
		return refusedError{fmt.Errorf("%d findings", len(findings))}
	}
	_, err = fmt.Fprintln(out, "nothing found, as far as these files tell: docs/proxies.md has the requests to try it with")
	return err
}

// expected is what the API reads.
func (h half) expected(name, secret string) proxycheck.Expect {
	e := proxycheck.Expect{Certificate: h.header, Secret: secret}
	switch name {
	case "envoy":
		e.Certificate = "X-Forwarded-Client-Cert"
	case "traefik":
		e.Certificate, e.Others = "X-Forwarded-Tls-Client-Cert", []string{"X-Forwarded-Tls-Client-Cert-Info"}
	case "nginx":
		if h.verdict {
			e.Verdict = h.verify
		} else if h.verify != "" {
			e.Others = []string{h.verify}
		}
	}
	return e
}

func (h half) findings(ctx context.Context, name string, texts [][]byte, secret string) ([]proxycheck.Finding, error) {
	e := h.expected(name, secret)
	switch name {
	case "nginx":
		return proxycheck.Nginx(h.check[0], string(texts[0]), e)
	case "caddy":
		text := bytes.TrimSpace(texts[0])
		if !json.Valid(text) {
			var err error
			if text, err = adapted(ctx, h.check[0]); err != nil {
				return nil, err
			}
		}
		return proxycheck.Caddy(h.check[0], text, e)
	case "traefik":
		return proxycheck.Traefik(h.check[0], texts, e)
	case "envoy":
		return proxycheck.Envoy(h.check[0], texts[0], e)
	}
	return nil, fmt.Errorf("%s isn't read: nginx, caddy, traefik and envoy are", name)
}

// adapted has Caddy itself read a Caddyfile: snippets, imports and the order of directives are its own.
func adapted(ctx context.Context, file string) ([]byte, error) {
	if file == "-" {
		return nil, errors.New("give a Caddyfile by its name, so that caddy finds what it imports; or the output of caddy adapt")
	}
	program, err := exec.LookPath("caddy")
	if err != nil {
		return nil, errors.New("a Caddyfile, and there is no caddy here that could read it: give the output of caddy adapt --config FILE")
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "adapt", "--adapter", "caddyfile", "--config", file) //nolint:gosec // it serves nothing
	cmd.WaitDelay = time.Second
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(errOut.String())
		if at := strings.LastIndex(text, "Error: "); at >= 0 {
			text = text[at:]
		}
		return nil, fmt.Errorf("caddy adapt: %s", shown(fmt.Sprintf("%.500s", text)))
	}
	return out.Bytes(), nil
}
