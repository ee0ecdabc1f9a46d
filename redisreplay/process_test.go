package redisreplay_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/seed-171ab058/popauth/redisreplay"
)

// peerVariable holds the socket of the Redis that the test binary, run again as another process, uses ids in.
const peerVariable = "REDISREPLAY_TEST_PEER"

func TestMain(m *testing.M) {
	// The client's log has a line for every connection that fails, as many here are meant to.
	logging.Disable()
	if socket := os.Getenv(peerVariable); socket != "" {
		if err := peer(socket); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if socket := os.Getenv(apiVariable); socket != "" {
		if err := api(socket); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// peer uses the id on each line of its input, and answers with a line.
func peer(socket string) error {
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, ContextTimeoutEnabled: true})
	defer client.Close()
	s, err := redisreplay.New(client, patient)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fresh, err := s.Use(context.Background(), "key", lines.Text(), time.Now().Add(10*time.Minute))
		fmt.Println(fresh, err)
	}
	return lines.Err()
}

// process is the test binary, run again as something else.
type process struct {
	in  io.Writer
	out *bufio.Scanner
}

func startProcess(t *testing.T, environment ...string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("process: %v", err)
		}
	})
	return &process{in, bufio.NewScanner(out)}
}

// Two processes are given the same id at the same time, a thousand times: each is accepted once.
func TestTwoProcesses(t *testing.T) {
	s := newServer(t)
	processes := []*process{startProcess(t, peerVariable+"="+s.socket()), startProcess(t, peerVariable+"="+s.socket())}
	var won [2]int
	for i, id := range ids("id", 1000) {
		for n := range processes {
			if _, err := fmt.Fprintln(processes[(i+n)%2].in, id); err != nil {
				t.Fatal(err)
			}
		}
		fresh := 0
		for n, p := range processes {
			if !p.out.Scan() {
				t.Fatalf("process %d: ended early: %v", n, p.out.Err())
			}
			switch answer := p.out.Text(); answer {
			case "true <nil>":
				fresh++
				won[n]++
			case "false <nil>":
			default:
				t.Errorf("%s, process %d: got %s", id, n, answer)
			}
		}
		if fresh != 1 {
			t.Errorf("%s: accepted %d times, want once", id, fresh)
		}
	}
	if won[0] == 0 || won[1] == 0 {
		t.Errorf("got %v accepted, want some by each process: they were not at work at the same time", won)
	}
	t.Logf("accepted by each process: %v", won)
}
