"""Runs a program on a pseudo-terminal: JSON on standard input says which, and what is typed when a text has been printed."""

import json
import os
import pty
import select
import sys
import time

TIMEOUT_S = 20


def play(command, answers):
    child, terminal = pty.fork()
    if child == 0:
        os.execv(command[0], command)
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
        if answers:
            at = shown.find(answers[0][0].encode(), seen)
            if at >= 0:
                seen = at + len(answers[0][0])
                # The prompt is there before the terminal stops showing what is typed.
                time.sleep(0.3)
                os.write(terminal, answers.pop(0)[1].encode())
    _, status = os.waitpid(child, 0)
    return {"shown": shown.decode(), "code": os.waitstatus_to_exitcode(status)}


request = json.load(sys.stdin)
print(json.dumps(play(request["command"], request["answers"])))
