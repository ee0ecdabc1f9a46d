//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// process is a command of Keycloak's.
type process struct {
	cmd   *exec.Cmd
	wrote tail
	kill  func()        // all of its group
	ended chan struct{} // closed once the program and what it has started are gone
}

// command is one of the Keycloak in home. Settings that you have for a Keycloak of your own don't reach it.
func (w *world) command(home string, args ...string) *process {
	p := &process{
		cmd:   exec.Command(filepath.Join(home, "bin", "kc.sh"), args...), //nolint:gosec // G204: the user's Keycloak
		ended: make(chan struct{}),
	}
	// Without the optimizing compiler it starts in a third of the time.
	p.cmd.Env = append(w.secrets.environment(), "HOME="+w.dir, "TMPDIR="+w.dir,
		"JAVA_OPTS_APPEND=-XX:TieredStopAtLevel=1 -XX:-UsePerfData -Djava.io.tmpdir="+w.dir)
	for _, name := range []string{"PATH", "LANG", "JAVA_HOME"} {
		if v, ok := os.LookupEnv(name); ok {
			p.cmd.Env = append(p.cmd.Env, name+"="+v)
		}
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.wrote, &p.wrote
	p.cmd.WaitDelay = 5 * time.Second // for others that still have the output open
	return p
}

// start starts it in a process group of its own. A watchdog leads the group, and ends all of it when this program is gone,
// however that came about: kc.sh starts Java, and forwards no SIGKILL.
func (p *process) start() error {
	watchdog := exec.Command("sh", "-c", "read -r line; kill -s KILL 0")
	watchdog.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := watchdog.StdinPipe()
	if err != nil {
		return err
	}
	if err := watchdog.Start(); err != nil {
		return err
	}
	p.kill = func() { _ = in.Close() }
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: watchdog.Process.Pid}
	if err := p.cmd.Start(); err != nil {
		p.kill()
		_ = watchdog.Wait() // it has killed itself
		return err
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // ProcessState has it
		p.kill()
		_ = watchdog.Wait()
	}()
	return nil
}

// stop kills it: its data are thrown away anyway, and while it starts it ends by nothing else.
func (p *process) stop() {
	p.kill()
	<-p.ended
}

// run runs it to its end.
func (p *process) run(ctx context.Context) error {
	if err := p.start(); err != nil {
		return err
	}
	defer p.stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-p.ended:
	}
	if !p.cmd.ProcessState.Success() {
		return p.failure(errors.New(p.cmd.ProcessState.String()))
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
			return p.failure(errors.New(p.cmd.ProcessState.String()))
		case <-deadline:
			return p.failure(fmt.Errorf("not ready after 3 min: %w", err))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (p *process) failure(err error) error {
	return fmt.Errorf("kc.sh %s: %w; it wrote at last:\n%s", p.cmd.Args[1], err, p.wrote.text())
}
