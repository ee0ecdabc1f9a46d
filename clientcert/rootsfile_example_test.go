package clientcert_test

import (
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Authorities from a file that is read again when it changes, for Verification.
func ExampleRootsFile() {
	dir, err := os.MkdirTemp("", "roots")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "ca.crt")
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: popauthtest.NewCA(t).Certificate.Raw})
	if err := os.WriteFile(path, root, 0o600); err != nil {
		panic(err)
	}
	roots, err := clientcert.RootsFile(path, clientcert.RootsFileOptions{Keep: time.Hour})
	if err != nil {
		panic(err)
	}
	pool, err := roots(httptest.NewRequest("GET", "/", nil), nil)
	fmt.Println(pool != nil, err)
	// Output: true <nil>
}
