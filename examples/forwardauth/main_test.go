package main

import (
	"bytes"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/examples/proxies"
)

// The forward-auth matrix: what each request comes to, for its caller and for the API, with the configurations of
// this directory.
func TestForwardAuthMatrix(t *testing.T) {
	for proxy := range setups {
		t.Run(proxy, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS != "linux" {
				t.Skip("needs all of 127.0.0.0/8 to be loopback")
			}
			if _, err := proxies.Find(proxy); err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatal(err)
				}
				t.Skip(err)
			}
			var out bytes.Buffer
			err := run(&out, proxy)
			t.Logf("\n%s", &out)
			if err != nil || strings.Count(out.String(), "\n") < 30 {
				t.Error(err)
			}
		})
	}
}
