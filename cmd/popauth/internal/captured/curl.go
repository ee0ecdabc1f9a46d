package captured

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// words takes a command apart as a shell would, and refuses whatever a shell would do something for: variables, commands in
// commands, redirections, a second command.
func words(command string) ([]string, error) {
	if len(command) > maxCommand {
		return nil, fmt.Errorf("a command of more than %d bytes", maxCommand)
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(command), "")
	if err != nil {
		return nil, errors.New("no command of a POSIX shell: copy it as cURL (bash)")
	}
	if len(file.Stmts) != 1 {
		return nil, fmt.Errorf("%d commands, want one", len(file.Stmts))
	}
	s := file.Stmts[0]
	call, ok := s.Cmd.(*syntax.CallExpr)
	if !ok || len(call.Assigns) > 0 || len(s.Redirs) > 0 || s.Negated || s.Background || s.Coprocess {
		return nil, errors.New("more than a simple command: leave out variables, pipes and redirections")
	}
	for i, w := range call.Args {
		if !literal(w.Parts) {
			return nil, fmt.Errorf("word %d has a variable or a command in it: put its value there", i+1)
		}
	}
	// Of literals this takes the quotes away, and has nothing to look up: no variable, no command, no directory.
	list, err := expand.Fields(&expand.Config{Env: expand.ListEnviron(), NoUnset: true}, call.Args...)
	if err != nil {
		return nil, errors.New("a word that can't be read")
	}
	return list, nil
}

// literal tells whether nothing in a word stands for something else.
func literal(parts []syntax.WordPart) bool {
	for _, p := range parts {
		switch p := p.(type) {
		case *syntax.Lit:
			if strings.HasPrefix(p.Value, "~") {
				return false
			}
		case *syntax.SglQuoted:
		case *syntax.DblQuoted:
			if p.Dollar || !literal(p.Parts) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// curlOption is one of curl's, by what it means here.
type curlOption struct {
	long, short string
	value       bool
	does        func(c *curlCommand, value string) error
}

type curlCommand struct {
	method, url string
	headers     []pair
	removed     map[string]bool
	data        []string
	get, head   bool
	form        bool
	basic       string
	bearer      string
	notes       []string
}

func ignored(*curlCommand, string) error { return nil }

func unread(what string) func(*curlCommand, string) error {
	return func(*curlCommand, string) error { return errors.New(what) }
}

func curlOptions() []curlOption {
	presented := func(c *curlCommand, _ string) error {
		c.notes = append(c.notes, "the command presents a certificate, whose file isn't opened: give it by --cert")
		return nil
	}
	data := func(c *curlCommand, v string) error { c.data = append(c.data, v); return nil }
	header := func(name string) func(*curlCommand, string) error {
		return func(c *curlCommand, v string) error { c.headers = append(c.headers, pair{name, v}); return nil }
	}
	all := []curlOption{
		{"header", "H", true, (*curlCommand).header},
		{"request", "X", true, func(c *curlCommand, v string) error { c.method = v; return nil }},
		{"url", "", true, (*curlCommand).address},
		{"data", "d", true, data}, {"data-raw", "", true, data}, {"data-binary", "", true, data}, {"data-ascii", "", true, data},
		{"data-urlencode", "", true, data}, {"json", "", true, data},
		{"form", "F", true, func(c *curlCommand, _ string) error { c.form = true; return nil }},
		{"get", "G", false, func(c *curlCommand, _ string) error { c.get = true; return nil }},
		{"head", "I", false, func(c *curlCommand, _ string) error { c.head = true; return nil }},
		{"upload-file", "T", true, func(c *curlCommand, _ string) error { c.method = orElse(c.method, "PUT"); return nil }},
		{"user", "u", true, func(c *curlCommand, v string) error { c.basic = v; return nil }},
		{"oauth2-bearer", "", true, func(c *curlCommand, v string) error { c.bearer = v; return nil }},
		{"cookie", "b", true, ignored}, {"user-agent", "A", true, header("User-Agent")}, {"referer", "e", true, header("Referer")},
		{"cert", "E", true, presented},
		{"config", "K", true, unread("--config: that file isn't opened: put what is in it into the command")},
		{"next", "", false, unread("--next: two requests, want one")},
		{"netrc", "n", false, unread("--netrc: that file isn't opened")},
	}
	for _, name := range strings.Fields("key cacert capath cert-type key-type pass output:o max-time:m connect-timeout resolve " +
		"connect-to proxy:x " +
		"write-out:w retry retry-delay cookie-jar:c interface tls-max ciphers tls13-ciphers range:r limit-rate dump-header:D stderr " +
		"trace " +
		"trace-ascii noproxy unix-socket proxy-user:U max-redirs") {
		long, short, _ := strings.Cut(name, ":")
		all = append(all, curlOption{long, short, true, ignored})
	}
	for _, name := range strings.Fields("silent:s show-error:S include:i verbose:v insecure:k location:L globoff:g fail:f progress-bar:# " +
		"compressed http1.0:0 http1.1 http2 http2-prior-knowledge http3 fail-with-body ipv4:4 ipv6:6 tlsv1.2 tlsv1.3 no-buffer:N " +
		"remote-name:O " +
		"path-as-is no-progress-meter tr-encoding basic") {
		long, short, _ := strings.Cut(name, ":")
		all = append(all, curlOption{long, short, false, ignored})
	}
	return all
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func (c *curlCommand) header(v string) error {
	if strings.HasPrefix(v, "@") {
		return errors.New("--header @FILE: that file isn't opened: put the header into the command")
	}
	if name, value, ok := strings.Cut(v, ":"); ok {
		if value = strings.TrimSpace(value); value == "" {
			c.removed[strings.ToLower(name)] = true // curl leaves a header of its own out
			return nil
		}
		c.headers = append(c.headers, pair{name, value})
		return nil
	}
	if name, ok := strings.CutSuffix(v, ";"); ok {
		c.headers = append(c.headers, pair{name, ""})
		return nil
	}
	return errors.New("--header without a colon, which curl does not send")
}

func (c *curlCommand) address(v string) error {
	if c.url != "" {
		return errors.New("two URLs, want one")
	}
	if c.url = v; !strings.Contains(v, "://") {
		c.url = "http://" + v // as curl does
	}
	return nil
}

// readCurl reads a command.
func readCurl(command string) (*Request, error) {
	list, err := words(command)
	if err != nil {
		return nil, fmt.Errorf("curl: %w", err)
	}
	c := &curlCommand{removed: map[string]bool{}}
	if err := c.read(list[1:]); err != nil {
		return nil, fmt.Errorf("curl: %w", err)
	}
	named := false
	for _, h := range c.headers {
		named = named || strings.EqualFold(h.name, "Authorization")
	}
	switch { // curl's own order
	case named || c.removed["authorization"]:
	case c.bearer != "":
		c.headers = append(c.headers, pair{"Authorization", "Bearer " + c.bearer})
	case c.basic != "":
		c.headers = append(c.headers, pair{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(c.basic))})
	}
	if c.url == "" {
		return nil, errors.New("curl: no URL")
	}
	r, err := made("curl", c.sentMethod(), c.sentURL(), c.headers)
	if err != nil {
		return nil, fmt.Errorf("curl: %w", err)
	}
	r.Notes = c.notes
	return r, nil
}

func (c *curlCommand) sentMethod() string {
	switch {
	case c.method != "":
		return c.method
	case c.head:
		return "HEAD"
	case (len(c.data) > 0 || c.form) && !c.get:
		return "POST"
	}
	return "GET"
}

func (c *curlCommand) sentURL() string {
	if !c.get || len(c.data) == 0 {
		return c.url
	}
	join := "?"
	if strings.Contains(c.url, "?") {
		join = "&"
	}
	return c.url + join + strings.Join(c.data, "&")
}

// read reads the arguments.
func (c *curlCommand) read(list []string) error {
	options := curlOptions()
	for len(list) > 0 {
		arg := list[0]
		list = list[1:]
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			if err := c.address(arg); err != nil {
				return err
			}
			continue
		}
		var err error
		if name, ok := strings.CutPrefix(arg, "--"); ok {
			list, err = c.long(options, name, list)
		} else {
			list, err = c.short(options, arg[1:], list)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *curlCommand) long(options []curlOption, name string, list []string) ([]string, error) {
	for _, o := range options {
		if o.long != name {
			continue
		}
		if !o.value {
			return list, o.does(c, "")
		}
		if len(list) == 0 {
			return nil, fmt.Errorf("--%s without its value", name)
		}
		return list[1:], o.does(c, list[0])
	}
	return nil, fmt.Errorf("--%.40s isn't known here: leave it out if it changes nothing of the request", name)
}

// short reads options of one letter, of which the last may have its value beside it.
func (c *curlCommand) short(options []curlOption, letters string, list []string) ([]string, error) {
	for letters != "" {
		letter := letters[:1]
		letters = letters[1:]
		known := false
		for _, o := range options {
			if known = o.short == letter; !known {
				continue
			}
			if !o.value {
				if err := o.does(c, ""); err != nil {
					return nil, err
				}
				break
			}
			if letters != "" {
				return list, o.does(c, letters)
			}
			if len(list) == 0 {
				return nil, fmt.Errorf("-%s without its value", letter)
			}
			return list[1:], o.does(c, list[0])
		}
		if !known {
			return nil, fmt.Errorf("-%q isn't known here: leave it out if it changes nothing of the request", letter)
		}
	}
	return list, nil
}
