"""Fetches everything by poplib: MODE PORT CA_FILE INBOX USER PASSWORD."""

import poplib
import ssl
import sys

mode, port, ca, inbox, user, password = sys.argv[1:]
poplib._MAXLINE = 2_000_000  # its own limit of 2048 octets a line is far below what mail has
context = ssl.create_default_context(cafile=ca)
if mode == "Tls":
    server = poplib.POP3_SSL("localhost", int(port), context=context)
else:
    server = poplib.POP3("localhost", int(port))
if mode == "Stls":
    server.stls(context)
server.user(user)
server.pass_(password)
for number in range(1, server.stat()[0] + 1):
    lines = server.retr(number)[1]
    with open(f"{inbox}/{number:03}", "wb") as file:
        file.write(b"".join(line + b"\r\n" for line in lines))
server.quit()
