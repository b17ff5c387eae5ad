package kubeserver

import (
	"os/exec"
	"syscall"
)

// tie has a program end with the thread that starts it, even where that is killed.
func tie(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
