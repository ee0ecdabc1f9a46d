package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/oauth2"
	"mvdan.cc/sh/v3/syntax"
)

// writeCurl prints the command, and writes what is secret in it to a file: arguments are in the process list.
func (k *call) writeCurl(out io.Writer, h *holder, t *oauth2.Token) error {
	if k.nonce != "" && h.key == nil {
		return fmt.Errorf("--nonce: without --dpop-key there is no proof")
	}
	scheme := "Bearer"
	if h.key != nil {
		scheme = "DPoP"
	}
	lines := []string{"header = " + quotedForConfig("Authorization: "+scheme+" "+t.AccessToken)}
	if h.key != nil {
		proof, err := h.key.Proof(k.method, k.url.String(), t.AccessToken, k.nonce)
		if err != nil {
			return err
		}
		lines = append(lines, "header = "+quotedForConfig("DPoP: "+proof))
	}
	args := []string{"curl", "--config", k.curl}
	if k.authorities != "" {
		args = append(args, "--cacert", k.authorities)
	}
	more, secret, err := k.certificateArgs()
	if err != nil {
		return err
	}
	args, lines = append(args, more...), append(lines, secret...)
	if more, secret, err = k.requestArgs(); err != nil {
		return err
	}
	args, lines = append(args, more...), append(lines, secret...)
	if err := writePrivate(k.curl, []byte(strings.Join(lines, "\n")+"\n")); err != nil {
		return fmt.Errorf("--curl: %w", err)
	}
	command, err := commandLine(append(args, k.url.String()))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "# %s holds the token%s: remove it afterwards\n%s%s\n", shown(k.curl), passwordToo(k, lines),
		proofNote(h, k), command)
	return err
}

func passwordToo(k *call, lines []string) string {
	if slices.ContainsFunc(lines, func(s string) bool { return strings.HasPrefix(s, "pass = ") }) {
		return ", and the password of " + shown(k.cert)
	}
	return ""
}

func proofNote(h *holder, k *call) string {
	if h.key == nil {
		return ""
	}
	note := "# The proof is for this method and URL, and good once. APIs take it for a short time, popauth for a minute after it was " +
		"made.\n"
	if k.nonce == "" {
		note += "# An API that asks for a nonce answers 401 with DPoP-Nonce: make the command anew with --nonce.\n"
	}
	return note
}

// certificateArgs present the certificate. The password of PKCS#12 goes into the file.
func (k *call) certificateArgs() (args, secret []string, err error) {
	if k.cert == "" {
		return nil, nil, nil
	}
	b, err := readFile(k.cert, nil)
	if err != nil {
		return nil, nil, err
	}
	args = []string{"--cert", strings.ReplaceAll(k.cert, ":", `\:`)} // what follows a colon is a password to curl
	switch {
	case k.key != "":
		args = append(args, "--key", k.key)
	case !strings.Contains(string(b), "-----BEGIN "):
		args = append(args, "--cert-type", "P12")
		secret = append(secret, "pass = "+quotedForConfig(os.Getenv(passwordVariable)))
	}
	return args, secret, nil
}

// requestArgs are the method, the headers and the body. Headers may be secret, so they go into the file, and so does a body
// that is in no file.
func (k *call) requestArgs() (args, secret []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(k.head)) {
		for _, value := range k.head[name] {
			secret = append(secret, "header = "+quotedForConfig(name+": "+value))
		}
	}
	if k.method == "HEAD" {
		args = append(args, "--head")
	} else if k.method != "GET" || len(k.body) > 0 {
		args = append(args, "--request", k.method)
	}
	if file, ok := strings.CutPrefix(k.data, "@"); ok && file != "-" {
		if file, err = filepath.Abs(file); err != nil {
			return nil, nil, err
		}
		args = append(args, "--data-binary", "@"+file)
	} else if len(k.body) > 0 {
		if strings.ContainsRune(string(k.body), 0) {
			return nil, nil, fmt.Errorf("--data: a body with the character NUL: give it to curl by a file, --data @FILE")
		}
		secret = append(secret, "data-raw = "+quotedForConfig(string(k.body)))
	}
	return args, secret, nil
}

// quotedForConfig is a value in a file for curl --config, whose escapes are these.
func quotedForConfig(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\v", `\v`).Replace(s) + `"`
}

// commandLine quotes words for a POSIX shell.
func commandLine(words []string) (string, error) {
	quoted := make([]string, len(words))
	for i, w := range words {
		q, err := syntax.Quote(w, syntax.LangPOSIX)
		if err != nil {
			return "", fmt.Errorf("%q can't be written for a shell: %w", w, err)
		}
		quoted[i] = q
	}
	return strings.Join(quoted, " "), nil
}
