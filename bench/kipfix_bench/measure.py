"""Runs a command to its end and measures what it and all that it starts cost.

    python3 -m kipfix_bench.measure STOP_SIGNAL TIMEOUT_SECONDS COMMAND...

It prints JSON: exit code, wall and CPU seconds (user and system, of the whole process tree) and the
sum of the processes' peak memory. SIGTERM passes the stop signal on to the command. It is a process
of its own, because it adopts and waits for whatever the command leaves behind.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
POLL_SECONDS = 0.02
# Time to end after the stop signal.
STOP_SECONDS = 60


def descendants(pid):
    """Process ids of all that `pid` has started, directly or not."""
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        try:
            for thread in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{thread}/children") as file:
                    children = [int(child) for child in file.read().split()]
                found += children
                todo += children
        except OSError:
            pass  # It has ended.
    return found


def peak_memory(pid):
    """Peak resident memory of a process in octets; 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def send(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def main(stop_signal, timeout, command):
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        sys.exit("prctl(PR_SET_CHILD_SUBREAPER) failed")
    stops = []
    signal.signal(signal.SIGTERM, lambda *_: stops.append(time.monotonic()))
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            os.execvp(command[0], command)
        except OSError as error:
            print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        os._exit(127)
    exit_code, cpu, peaks, passed_on, killed = None, 0.0, {}, False, False
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if pid:
            cpu += usage.ru_utime + usage.ru_stime
            if pid == child:
                exit_code = os.waitstatus_to_exitcode(status)
            continue
        running = descendants(os.getpid())
        for pid in running:
            peaks[pid] = max(peaks.get(pid, 0), peak_memory(pid))
        now = time.monotonic()
        if stops and not passed_on:
            # The command ends what it started; what it left behind has to be ended, too.
            send([child] if exit_code is None else running, stop_signal)
            passed_on = True
        if now - start > timeout or (stops and now - stops[0] > STOP_SECONDS):
            send(running, signal.SIGKILL)
            killed = True
        time.sleep(POLL_SECONDS)
    report = {
        "exit_code": exit_code,
        "killed": killed,
        "wall_s": time.monotonic() - start,
        "cpu_s": cpu,
        "peak_rss": sum(peaks.values()),
    }
    os.write(REPORT_TO, json.dumps(report).encode())


if __name__ == "__main__":
    # The command may write to standard output; the report goes to where that was.
    REPORT_TO = os.dup(1)
    os.dup2(2, 1)
    main(signal.Signals[sys.argv[1]], float(sys.argv[2]), sys.argv[3:])
