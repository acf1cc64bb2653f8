"""The mailboxes: always the same mail, made once and kept.

Maildirs with CRLF files, all of them seen, with Dovecot's list of UIDs. Users share their messages as hard links.

    u0..u99        1,000 messages of 2 to 60 KB, 15.5 MB     mid0..mid3   10,000 of 2 KB
    s0..s999       50 of those                               large        100,000 of 2 KB
    r200           200 of those                              big          20 of 26 MB

manifest/NAME.tsv says what the messages are: size, tab, SHA-256, in the mailbox's order.
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP

from .places import Account, Places

# A change here makes the mailboxes anew.
VERSION = "1"

# The first message's arrival; the others come a second apart.
START = 1_700_000_000

WORDS = (
    "alpha budget the of and meeting invoice schedule please review attached report quarter customer délai order shipment"
    " regards project update server window release notes"
).split()


@dataclass(frozen=True)
class Pool:
    """Messages that users share: the folder they are in and their names."""

    folder: str
    names: list[str]


def text(rng: random.Random, size: int) -> str:
    """About so many octets of lines, some of which need a dot stuffed."""
    lines: list[str] = []
    length = 0
    while length < size:
        line = " ".join(rng.choice(WORDS) for _ in range(rng.randint(3, 12)))
        chance = rng.random()
        if chance < 0.02:
            line = "." + line
        elif chance < 0.025:
            line = "."
        elif chance < 0.1:
            line = ""
        lines.append(line)
        length += len(line) + 2
    return "\n".join(lines) + "\n"


def letter(number: int) -> bytes:
    """Mail as people write it: text, text with HTML, or text with an attachment; 2 to 60 KB."""
    rng = random.Random(1000 + number)
    size = int(min(60_000, max(2000, rng.lognormvariate(9.3, 0.8))))
    message = EmailMessage(policy=SMTP)
    message["From"] = f"Sender {number} <s{number % 50}@example.org>"
    message["To"] = "user@example.net"
    message["Subject"] = f"Message {number}: " + " ".join(rng.choice(WORDS) for _ in range(6))
    message["Date"] = f"Mon, {1 + number % 28:02d} Jan 2024 10:{number % 60:02d}:00 +0000"
    message["Message-ID"] = f"<{number}.{rng.getrandbits(64):x}@example.org>"
    for hop in range(rng.randint(3, 9)):
        message[f"X-Trace-{hop}"] = f"by mx{hop}.example.org with ESMTPS id {rng.getrandbits(80):x}"
    kind = number % 3
    message.set_content(text(rng, size // 3 if kind == 0 else size), cte="8bit")
    if kind == 0:
        attachment = rng.randbytes(size // 2)
        message.add_attachment(attachment, maintype="application", subtype="pdf", filename=f"f{number}.pdf")
    elif kind == 1:
        page = "<html><body><p>" + text(rng, 800) + "</p></body></html>"
        message.add_alternative(page, subtype="html", cte="8bit")
    if message.is_multipart():
        message.set_boundary(f"=_bench_{number:024}")  # the library's own is another one each time
    return message.as_bytes()


LOREM = text(random.Random(7), 200_000).encode().split(b"\n")


def notification(number: int) -> bytes:
    """Mail as machines write it: about 2 KB."""
    rng = random.Random(50_000 + number)
    header = (
        f"Return-Path: <n@example.org>\r\n"
        f"From: N {number % 97} <n{number % 97}@example.org>\r\n"
        f"To: user@example.net\r\n"
        f"Subject: notification {number}\r\n"
        f"Date: Tue, {1 + number % 28:02d} Feb 2024 08:{number % 60:02d}:{number % 59:02d} +0000\r\n"
        f"Message-ID: <n{number}.{rng.getrandbits(64):x}@example.org>\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: 8bit\r\n"
        "\r\n"
    )
    line = rng.randrange(len(LOREM) - 60)
    wanted = 1400 + rng.randrange(500)
    body = b""
    while len(body) < wanted:
        body += LOREM[line % len(LOREM)] + b"\r\n"
        line += 1
    return header.encode() + body


def photos(number: int) -> bytes:
    """One attachment: about 26 MB."""
    rng = random.Random(90_000 + number)
    header = (
        "From: B <b@example.org>\r\n"
        "To: user@example.net\r\n"
        f"Subject: big {number}\r\n"
        f"Message-ID: <b{number}@example.org>\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: application/octet-stream\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        "\r\n"
    )
    attachment = base64.encodebytes(rng.randbytes(19_160_000 - 1000 * number))
    return header.encode() + attachment.replace(b"\n", b"\r\n")


class Maker:
    """Writes pools and users."""

    def __init__(self, places: Places, account: Account) -> None:
        self.places = places
        self.account = account

    def pool(self, name: str, count: int, message: Callable[[int], bytes]) -> Pool:
        folder = self.places.data / "pool" / name
        folder.mkdir(parents=True)
        names = []
        with self.places.manifest(name).open("w") as manifest:
            for number in range(count):
                octets = message(number)
                assert octets.endswith(b"\r\n")
                path = folder / f"{START + number}.M{number}P1.bench,S={len(octets)},W={len(octets)}"
                path.write_bytes(octets)
                os.utime(path, (START + number, START + number))
                self.account.give(path)
                manifest.write(f"{len(octets)}\t{hashlib.sha256(octets).hexdigest()}\n")
                names.append(path.name)
        return Pool(name, names)

    def first(self, pool: Pool, count: int, manifest: str) -> Pool:
        """The first messages of a pool, with a manifest of their own."""
        lines = self.places.manifest(pool.folder).read_text().splitlines(keepends=True)
        self.places.manifest(manifest).write_text("".join(lines[:count]))
        return Pool(pool.folder, pool.names[:count])

    def user(self, name: str, pool: Pool) -> None:
        home = self.places.data / "mail" / name
        maildir = home / "Maildir"
        for folder in (home, maildir, maildir / "cur", maildir / "new", maildir / "tmp"):
            self.account.folder(folder)
        source = f"{self.places.data}/pool/{pool.folder}/"
        for file in pool.names:
            os.link(source + file, f"{maildir}/cur/{file}:2,S")
        list_of_uids = maildir / "dovecot-uidlist"
        identity = hashlib.md5(name.encode()).hexdigest()
        with list_of_uids.open("w") as lines:
            lines.write(f"3 V{START} N{len(pool.names) + 1} G{identity}\n")
            lines.writelines(f"{uid} :{file}\n" for uid, file in enumerate(pool.names, 1))
        self.account.give(list_of_uids)

    def everything(self) -> None:
        self.places.manifest("").parent.mkdir(parents=True)
        letters = self.pool("letters", 1000, letter)
        notifications = self.pool("notifications", 100_000, notification)
        for number in range(100):
            self.user(f"u{number}", letters)
        few = self.first(letters, 50, "few")
        for number in range(1000):
            self.user(f"s{number}", few)
        self.user("r200", self.first(letters, 200, "r200"))
        ten_thousand = self.first(notifications, 10_000, "mid")
        for number in range(4):
            self.user(f"mid{number}", ten_thousand)
        self.user("large", notifications)
        self.user("big", self.pool("big", 20, photos))


def prepare(places: Places, account: Account) -> None:
    """Makes the mailboxes if they are not there. The peers' indexes of earlier mailboxes go with them."""
    stamp = places.data / "complete"
    wanted = f"{VERSION} {account.user}\n"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"making the mailboxes in {places.data} (1.5 GB, a minute or two, once)", flush=True)
    for old in (places.data, places.homes):
        if old.exists():
            shutil.rmtree(old)
    Maker(places, account).everything()
    stamp.write_text(wanted)
