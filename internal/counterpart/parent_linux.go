package counterpart

import "syscall"

// endWithParent makes the kernel send SIGTERM when the test is gone, however it went.
func endWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }
