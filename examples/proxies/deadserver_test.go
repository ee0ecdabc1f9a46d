package proxies_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What docs/proxies.md says of a second server that is dead, as nginx has it: it costs one request every fail_timeout. With
// max_fails=0 it costs every second one, and with "down" none.
func TestDeadServer(t *testing.T) {
	need(t, "nginx")
	c := newCast(t)
	api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(api.Close)
	dead := deadAddress(t)
	const line = "\tserver ${API};\n"
	for _, tt := range []struct {
		name, second string
		least, most  int // of 502 in 60 requests within 2.4 s
	}{
		{name: "fail_timeout", second: " fail_timeout=1s", least: 2, most: 4},
		{name: "max_fails=0", second: " max_fails=0", least: 20, most: 40},
		{name: "down", second: " down"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := &lane{cast: c, kind: kinds[0]}
			text := file(l.kind)
			if !strings.Contains(text, line) {
				t.Fatalf("nginx.conf has no line %q", line)
			}
			l.start(t, api.Listener.Addr().String(), strings.Replace(text, line, line+"\tserver "+dead+tt.second+";\n", 1))
			refused := 0
			for range 60 {
				switch got := l.status(t, nil, http.Header{}); got {
				case http.StatusBadGateway:
					refused++
				case http.StatusOK:
				default:
					t.Errorf("got %d, want 200 or 502", got)
				}
				time.Sleep(40 * time.Millisecond)
			}
			if refused < tt.least || refused > tt.most {
				t.Errorf("502: got %d of 60, want %d to %d", refused, tt.least, tt.most)
			}
		})
	}
}

// deadAddress is one at which nobody listens, and nobody else can: the port stays bound.
func deadAddress(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	own, ok := name.(*syscall.SockaddrInet4)
	if err != nil || !ok {
		t.Fatalf("got %v, %v", name, err)
	}
	return fmt.Sprintf("127.0.0.1:%d", own.Port)
}
