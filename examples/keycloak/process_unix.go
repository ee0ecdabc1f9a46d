//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// process is a command of Keycloak's.
type process struct {
	cmd   *exec.Cmd
	log   string
	kill  func()        // whatever is left of it
	ended chan struct{} // closed once the program and what it has started are gone
}

// command is one of the Keycloak in home. Settings that you have for a Keycloak of your own don't reach it.
func (w *world) command(ctx context.Context, home string, args ...string) *process {
	c := exec.CommandContext(ctx, filepath.Join(home, "bin", "kc.sh"), args...) //nolint:gosec // G204: the user's Keycloak
	// Without the optimizing compiler it starts in a third of the time.
	c.Env = append(w.secrets.environment(), "HOME="+w.dir, "TMPDIR="+w.dir,
		"JAVA_OPTS_APPEND=-XX:TieredStopAtLevel=1 -XX:-UsePerfData -Djava.io.tmpdir="+w.dir)
	for _, name := range []string{"PATH", "LANG", "JAVA_HOME"} {
		if v, ok := os.LookupEnv(name); ok {
			c.Env = append(c.Env, name+"="+v)
		}
	}
	p := &process{cmd: c, log: w.path("keycloak.log"), ended: make(chan struct{})}
	c.Cancel = func() error { return nil } // stop sees to it
	return p
}

// start starts it in a process group of its own. A watchdog leads the group, and ends all of it when this program is gone,
// however that came about: a script may forward no signal.
func (p *process) start() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	watchdog := exec.Command("sh", "-c", "read -r line; kill -s KILL 0")
	watchdog.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var in io.Closer
	if in, err = watchdog.StdinPipe(); err == nil {
		err = watchdog.Start()
	}
	if err != nil {
		return errors.Join(err, log.Close())
	}
	p.kill = func() { _ = in.Close() }
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: watchdog.Process.Pid}
	if err := p.cmd.Start(); err != nil {
		p.kill()
		return errors.Join(err, watchdog.Wait(), log.Close())
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // ProcessState has it
		p.kill()
		_ = watchdog.Wait()
		_ = log.Close()
	}()
	return nil
}

// run runs it to its end.
func (p *process) run() error {
	if err := p.start(); err != nil {
		return err
	}
	<-p.ended
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("%s: %v\n%s", p.cmd, p.cmd.ProcessState, tail(p.log))
	}
	return nil
}

// await waits until ready has no error.
func (p *process) await(ctx context.Context, ready func() error) error {
	deadline := time.After(3 * time.Minute)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.ended:
			return fmt.Errorf("Keycloak has ended: %v\n%s", p.cmd.ProcessState, tail(p.log)) //nolint:staticcheck // ST1005: its name
		case <-deadline:
			return fmt.Errorf("Keycloak is not ready: %w\n%s", err, tail(p.log)) //nolint:staticcheck // ST1005: its name
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// stop sends SIGTERM, and SIGKILL to the whole group ten seconds later.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		p.kill()
		<-p.ended
	}
}
