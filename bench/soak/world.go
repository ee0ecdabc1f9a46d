//go:build unix

package soak

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/seed-171ab058/popauth/bench"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// world is everything that runs.
type world struct {
	program bench.Program
	dir     string
	group   *group

	servers, clients *popauthtest.CA
	issuer           *issuer
	apis             [2]*instance
	proxy            string // where nginx listens
	secret           string // of nginx and the APIs
	nonces           []byte
	nginx, redis     *process
	redisProgram     string
}

// instance is one of the API processes, through all its lives.
type instance struct {
	name, address string

	mu      sync.Mutex
	child   *child
	since   time.Time      // when its present life began
	reached map[string]int // what handlers of earlier lives have seen
}

// newWorld starts it. Whatever comes of it, close ends what has been started.
func newWorld() (w *world, err error) {
	w = &world{secret: rand.Text(), nonces: []byte(rand.Text() + rand.Text())}
	nginx, redisProgram, err := Programs()
	if err != nil {
		return w, err
	}
	w.redisProgram = redisProgram
	if w.dir, err = os.MkdirTemp("", "popauth-soak-"); err != nil {
		return w, err
	}
	if w.group, err = newGroup(); err != nil {
		return w, err
	}
	w.servers, w.clients = popauthtest.NewCA(&w.program), popauthtest.NewCA(&w.program)
	if w.issuer, err = newIssuer(&w.program, w.servers); err != nil {
		return w, err
	}
	if w.proxy, err = freeAddress(); err != nil {
		return w, err
	}
	if err := w.startRedis(); err != nil {
		return w, err
	}
	for n := range w.apis {
		i := &instance{name: instanceName(n), address: "127.0.0.1:0", reached: map[string]int{}}
		w.apis[n] = i
		if err := w.startAPI(i); err != nil {
			return w, err
		}
	}
	return w, w.startNginx(nginx, w.servers)
}

func (w *world) base() string { return "https://" + w.proxy }

// startAPI starts a process in an instance's place, and returns when it is ready.
func (w *world) startAPI(i *instance) error {
	c, err := w.group.startChild(apiSettings{
		Name: i.name, Listen: i.address, Issuer: w.issuer.URL, Authority: w.servers.Certificate.Raw, Redis: w.socket(),
		Base: w.base(), Secret: w.secret, Nonces: w.nonces,
	})
	if err != nil {
		return err
	}
	address, err := c.line()
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.child, i.address, i.since = c, address, time.Now()
	return nil
}

// killAPI ends an instance's process, as a machine does that fails.
func (w *world) killAPI(i *instance) error {
	s, err := i.state()
	i.mu.Lock()
	defer i.mu.Unlock()
	for name, n := range s.Reached {
		i.reached[name] += n
	}
	return errors.Join(err, i.child.end(syscall.SIGKILL))
}

// state asks the process.
func (i *instance) state() (s state, err error) {
	i.mu.Lock()
	c := i.child
	i.mu.Unlock()
	line, err := c.ask("state")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(line), &s)
}

// setClock sets the process's clock.
func (i *instance) setClock(offset time.Duration) error {
	i.mu.Lock()
	c := i.child
	i.mu.Unlock()
	_, err := c.ask("clock " + offset.String())
	return err
}

// listens is the instance's address.
func (i *instance) listens() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.address
}

// reachedBy is how many requests of this kind of sender the handler has seen, in all lives.
func (w *world) reachedBy() (map[string]int, error) {
	all := map[string]int{}
	for _, i := range w.apis {
		s, err := i.state()
		if err != nil {
			return nil, err
		}
		i.mu.Lock()
		for _, m := range []map[string]int{i.reached, s.Reached} {
			for name, n := range m {
				all[name] += n
			}
		}
		i.mu.Unlock()
	}
	return all, nil
}

// close ends everything.
func (w *world) close() {
	if w.group != nil {
		w.group.close()
	}
	if w.issuer != nil {
		w.issuer.close()
	}
	w.program.Close()
	if w.dir != "" {
		_ = os.RemoveAll(w.dir)
	}
}
