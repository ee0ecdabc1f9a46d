package main

import (
	"os/exec"
	"testing"
)

// certificatesFor makes those that nginx wants to see before it dumps anything.
func certificatesFor(t *testing.T, l *lab) {
	t.Helper()
	out, err := exec.Command("bash", "-c", "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost "+
		"-days 1 "+
		"-keyout '"+l.path("server.key")+"' -out '"+l.path("server.crt")+"' && cp '"+l.path("server.crt")+"' "+
		"'"+l.path("clients-ca.crt")+"'").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func nginxDump(l *lab) (string, error) {
	out, err := exec.Command("nginx", "-T", "-p", l.dir, "-c", l.path("nginx.conf"), "-e", l.path("log")).Output()
	return string(out), err
}
