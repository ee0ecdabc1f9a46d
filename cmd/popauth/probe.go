package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-171ab058/popauth/cmd/popauth/internal/probe"
)

// probing is what probe is asked.
type probing struct {
	files                 probeFiles
	format, failOn, color string
	list, all             bool
	resolve               []string
	options               probe.Options
}

func newProbe() *cobra.Command {
	var p probing
	c := &cobra.Command{
		Use:   "probe URL --token-file FILE (--cert FILE --key FILE | --dpop-key FILE) [flags]",
		Short: "Send an API what thieves send, with its owner's leave, and say what it doesn't refuse",
		Long: "probe needs leave to test, a token that the API takes, and the certificate or key that the token is bound to.\n" +
			"It begins if the owner passes, sends GET and HEAD alone, and nothing to anybody but the URL's origin.\n" +
			"Exit status: 0, nothing was found; 1, something was; 2, nothing can be said, or not everything.\n" +
			"The token may come from the environment, as " + tokenVariable + ".",
		Example: "  popauth probe https://api.example.com/orders --token-file token --cert owner.crt --key owner.key\n" +
			"  popauth probe https://api.example.com/orders --token-file - --dpop-key key.jwk --format sarif <token >probe.sarif",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 && !p.list {
				return errors.New("want one URL that the owner may GET, such as https://api.example.com/orders")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if p.list {
				return probe.List(c.OutOrStdout())
			}
			p.options.URL = args[0]
			return p.run(c.Context(), c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&p.files.token, "token-file", "", "file with the owner's access token, - for standard input")
	f.StringVar(&p.files.cert, "cert", "", "the owner's certificate, in PEM or PKCS#12")
	f.StringVar(&p.files.key, "key", "", "its key in PEM, if it isn't in the same file")
	f.StringVar(&p.files.dpopKey, "dpop-key", "", "the owner's private key for proofs, as a JWK or in PEM")
	f.StringVar(&p.files.otherCert, "other-cert", "", "another client's certificate, which the API's TLS takes (default a self-signed one)")
	f.StringVar(&p.files.otherKey, "other-key", "", "its key in PEM, if it isn't in the same file")
	f.StringVar(&p.files.authorities, "ca", "", "the authorities of the API's own certificate, in PEM")
	f.StringVar(&p.files.issuerKeys, "jwks", "", "the issuer's JWK Set, to try its public keys as secrets")
	f.StringArrayVar(&p.files.mustRefuse, "must-refuse", nil, "WHAT=FILE, a token that the API must refuse: expired=old.txt")
	f.StringVar(&p.files.header, "header-file", "", "file with lines \"Name: value\" that each request has")
	f.StringSliceVar(&p.options.Checks, "checks", nil, "names of checks, with * and, to leave out, ! before")
	f.BoolVar(&p.list, "list", false, "print all checks with section and severity, and send nothing")
	f.BoolVar(&p.all, "all", false, "have the table show what is as it must be, too")
	f.StringVar(&p.format, "format", "table", "table, json, junit or sarif")
	f.StringVar(&p.failOn, "fail-on", "low", "the least severity that counts: info, low, medium, high or critical")
	f.StringSliceVar(&p.options.Methods, "allow-methods", nil, "methods that may be sent beside GET and HEAD")
	f.StringVar(&p.options.Origin, "origin", "", "the origin of the page that calls the API, for CORS")
	f.StringSliceVar(&p.resolve, "resolve", nil, "addresses to connect to, instead of those of the URL's name")
	f.Float64Var(&p.options.Rate, "rate", 20, "requests a second")
	f.IntVar(&p.options.MaxRequests, "max-requests", 1000, "requests in all")
	f.DurationVar(&p.options.Timeout, "timeout", 10*time.Second, "of one request")
	f.StringVar(&p.color, "color", "auto", "auto, always or never")
	return c
}

func (p *probing) run(ctx context.Context, in io.Reader, out, errOut io.Writer) error {
	write, err := p.writer(out)
	if err != nil {
		return err
	}
	from, err := probe.ParseSeverity(p.failOn)
	if err != nil {
		return fmt.Errorf("--fail-on: %w", err)
	}
	for _, text := range p.resolve {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return fmt.Errorf("--resolve: %w", err)
		}
		p.options.Addresses = append(p.options.Addresses, a)
	}
	if err := p.files.read(in, &p.options); err != nil {
		return err
	}
	if isTerminal(errOut) {
		p.options.Progress = func(done, all, requests int, name string) {
			_, _ = fmt.Fprintf(errOut, "\r\x1b[K")
			if done < all {
				_, _ = fmt.Fprintf(errOut, "%d/%d, %d requests: %s", done+1, all, requests, name)
			}
		}
	}
	report, err := probe.Run(ctx, p.options)
	if err != nil {
		if errors.Is(err, probe.ErrOwner) {
			err = fmt.Errorf("%w\nGive a URL that the owner may GET, a token that is in force, and the certificate or key that it is "+
				"bound to.\npopauth inspect says what the token is bound to, popauth thumbprint what a certificate or key has", err)
		}
		return err
	}
	if err := write(report, from); err != nil {
		return err
	}
	switch {
	case report.Worst(probe.Found, from):
		return refusedError{fmt.Errorf("not as it must be: %s", report.Summary())}
	case report.Worst(probe.Unclear, from):
		return fmt.Errorf("not everything could be decided: %s", report.Summary())
	}
	return nil
}

func (p *probing) writer(out io.Writer) (func(*probe.Report, probe.Severity) error, error) {
	colour := isTerminal(out) && os.Getenv("NO_COLOR") == ""
	switch p.color {
	case "auto":
	case "always", "never":
		colour = p.color == "always"
	default:
		return nil, fmt.Errorf("--color %q: want auto, always or never", p.color)
	}
	switch p.format {
	case "table":
		return func(r *probe.Report, _ probe.Severity) error { return r.Table(out, p.all, colour) }, nil
	case "json":
		return func(r *probe.Report, _ probe.Severity) error { return r.JSON(out) }, nil
	case "junit":
		return func(r *probe.Report, from probe.Severity) error { return r.JUnit(out, from) }, nil
	case "sarif":
		return func(r *probe.Report, _ probe.Severity) error { return r.SARIF(out) }, nil
	}
	return nil, fmt.Errorf("--format %q: want table, json, junit or sarif", p.format)
}

// isTerminal tells a terminal from a file and a pipe.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || strings.EqualFold(os.Getenv("TERM"), "dumb") {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
