"""Runs a program that ends when the process that has asked for it does, however that ends.

``python launcher.py PARENT PROGRAM ARGUMENTS…`` is run as a script, by the process PARENT. On Linux the kernel is told
to kill it with its parent, and the program takes its place. Elsewhere it stays beside the program, and kills it when
its own input ends, which nobody writes to and which the parent alone holds open.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(parent):
            sys.exit("the process that has asked for this one has ended")  # before the kernel was told
        os.execv(command[0], command)
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False)
    signal.signal(signal.SIGTERM, lambda _number, _frame: program.terminate())

    def end_with_parent() -> None:
        os.read(0, 1)
        program.kill()

    threading.Thread(target=end_with_parent, daemon=True).start()
    status = program.wait()
    # As the program has ended, by a signal or by itself.
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
