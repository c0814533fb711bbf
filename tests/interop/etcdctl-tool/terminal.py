"""
Runs a program on a pseudo-terminal: JSON on standard input says which, in what environment, and what is typed when a text has been
printed. With "tells", what it prints goes to standard error at once.
"""

import json
import os
import pty
import select
import signal
import sys
import time

TIMEOUT_S = 40


def play(command, answers, env, tells):
    child, terminal = pty.fork()
    if child == 0:
        os.execve(command[0], command, {**os.environ, **env})
    shown = b""
    seen = 0
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        ready, _, _ = select.select([terminal], [], [], 0.1)
        if ready:
            try:
                piece = os.read(terminal, 4096)
            except OSError:
                break
            if not piece:
                break
            shown += piece
            if tells:
                sys.stderr.write(piece.decode(errors="replace"))
                sys.stderr.flush()
        if answers:
            at = shown.find(answers[0][0].encode(), seen)
            if at >= 0:
                seen = at + len(answers[0][0])
                # The prompt is there before the terminal stops showing what is typed.
                time.sleep(0.3)
                os.write(terminal, answers.pop(0)[1].encode())
    if time.monotonic() >= deadline:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return {"shown": shown.decode(), "code": os.waitstatus_to_exitcode(status)}


request = json.load(sys.stdin)
print(json.dumps(play(request["command"], request["answers"], request.get("env", {}), request.get("tells", False))))
