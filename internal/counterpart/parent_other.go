//go:build unix && !linux

package counterpart

import "syscall"

func endWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
