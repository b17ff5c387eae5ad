package kubeserver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// process is a program that was started.
type process struct {
	name  string
	log   *os.File
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended and err is set
	err   error         // what Wait returned
}

// begin starts a program whose output is added to NAME.log in folder.
func begin(programs, folder, name string, args ...string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(folder, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(programs, name), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, log, log
	tie(cmd)
	p := &process{name: name, log: log, cmd: cmd, ended: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer close(p.ended)
		runtime.LockOSThread() // which the program is tied to
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		_ = log.Close()
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	return p, nil
}

// kill ends the program and waits for its end; what it kept is to be thrown away, or to
// survive that.
func (p *process) kill() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.ended
	_ = p.log.Close()
}
