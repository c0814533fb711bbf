"""A unix datagram socket at the path of the first argument, as an init system has one: prints what it is told, a line for each datagram."""

import socket
import sys

listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
path = sys.argv[1]
listener.bind("\0" + path[1:] if path.startswith("@") else path)
print("listening", flush=True)
while True:
    print(listener.recv(4096).decode().replace("\n", " "), flush=True)
