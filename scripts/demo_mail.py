#!/usr/bin/env python3
"""The demo's mail.

demo_mail.py fill MAILDIR ORIGINALS       puts the sample messages into a Maildir, and a copy of each into ORIGINALS
demo_mail.py show FETCHED LIST UIDL       prints a table of the fetched messages 1, 2, 3... and of what LIST and UIDL said
"""

import email
import email.policy
import os
import random
import struct
import sys
import zlib
from datetime import datetime, timedelta, timezone
from email.message import EmailMessage
from email.utils import format_datetime

START = datetime(2026, 3, 2, 8, 15, tzinfo=timezone.utc)


def picture(width=320, height=200):
    """A PNG with a colour gradient."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(
        b"\0" + bytes(v for x in range(width) for v in (x * 255 // width, y * 255 // height, 160)) for y in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def messages():
    people = {
        "anna": "Anna Schäfer <anna@example.com>",
        "bo": "Bo Lindqvist <bo@example.org>",
        "yuki": "山田 由紀 <yuki@example.jp>",
        "scanner": "Scanner 2nd floor <scanner@office.example>",
        "shop": "Bücher & Café <orders@shop.example>",
    }

    def new(sender, subject, text):
        message = EmailMessage(policy=email.policy.SMTP)
        message["From"] = people[sender]
        message["To"] = "Demo <demo@example.com>"
        message["Subject"] = subject
        message.set_content(text)
        return message

    yield new("anna", "Welcome to your new mailbox", "Hello,\n\nthis mailbox speaks IMAP, and you are reading it by POP3.\n\nAnna\n")
    yield new("bo", "Lunch on Friday?", "Noon, at the usual place?\n\n> .\n.\n..\nThe lines with dots are part of this mail.\n")
    yield new("anna", "Grüße aus Köln – und ein Übermaß an Umlauten", "Schöne Grüße!\n\nÄÖÜ äöü ß €\n")
    yield new("yuki", "来週の会議について", "来週の会議は水曜日の午後三時からです。\nよろしくお願いします。\n")
    yield new("bo", "Re: Lunch on Friday? 🍜", "Noodles it is. 🍜\n")

    order = new("shop", "Ihre Bestellung Nr. 20260302 ist unterwegs", "Vielen Dank für Ihre Bestellung.\n")
    order.add_alternative("<p>Vielen Dank für Ihre <b>Bestellung</b>.</p>\n", subtype="html")
    yield order

    scan = new("scanner", "Scan 0001 from the second floor", "One page attached.\n")
    scan.add_attachment(picture(), maintype="image", subtype="png", filename="scan-0001.png")
    yield scan

    figures = new("anna", "Figures for February", "Attached as CSV.\n\nAnna\n")
    rows = "".join(f"2026-02-{day:02},{day * 37 % 101},{day * 53 % 97}\r\n" for day in range(1, 29))
    figures.add_attachment(rows.encode(), maintype="text", subtype="csv", filename="figures, Jänner bis März.csv")
    yield figures

    invitation = new("yuki", "Invitation: planning, Wednesday 15:00", "See the attached invitation.\n")
    event = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1@example.jp\r\nDTSTART:20260304T060000Z\r\nSUMMARY:Planning\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    invitation.add_attachment(event.encode(), maintype="text", subtype="calendar", filename="invite.ics")
    yield invitation

    forwarded = new("bo", "Fwd: Scan 0001 from the second floor", "See below.\n")
    forwarded.add_attachment(scan)
    yield forwarded

    archive = new("bo", "The photos from the summer (10 MB)", "All of them in one file.\n")
    archive.add_attachment(random.Random(7).randbytes(7_500_000), maintype="application", subtype="zip", filename="photos.zip")
    yield archive

    yield new("anna", "Last one", "That is all for today.\n\n-- \nAnna\n")


def fill(maildir, originals):
    for part in ("tmp", "new", "cur"):
        os.makedirs(os.path.join(maildir, part), exist_ok=True)
    os.makedirs(originals, exist_ok=True)
    for number, message in enumerate(messages(), 1):
        date = START + timedelta(hours=7 * number)
        message["Date"] = format_datetime(date)
        message["Message-ID"] = f"<demo-{number}@example.com>"
        if message.is_multipart():
            message.set_boundary(f"=_demo_{number}")
        octets = message.as_bytes()
        with open(os.path.join(originals, str(number)), "wb") as file:
            file.write(octets)
        name = f"{int(date.timestamp())}.demo{number}.example"
        temporary = os.path.join(maildir, "tmp", name)
        with open(temporary, "wb") as file:
            file.write(octets)
        os.utime(temporary, (date.timestamp(), date.timestamp()))
        os.rename(temporary, os.path.join(maildir, "new", name))


def width(text):
    """Columns of a terminal: East Asian characters and emoji take two."""
    import unicodedata

    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def show(fetched, listing, uidls):
    def column(path):
        with open(path, encoding="ascii") as file:
            return dict(line.split() for line in file if line.strip())

    sizes, ids = column(listing), column(uidls)
    bold, dim, off = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")
    print(f"{bold}{'no':>4}  {'octets':>10}  {'uidl':<22}{'from':<22}subject{off}")
    for number in sizes:
        with open(os.path.join(fetched, number), "rb") as file:
            message = email.message_from_bytes(file.read(), policy=email.policy.default)
        sender = str(message["From"].addresses[0].display_name)
        attached = ", ".join(str(part.get_filename()) for part in message.iter_attachments() if part.get_filename())
        pad = " " * max(1, 22 - width(sender))
        note = f"  {dim}[{attached}]{off}" if attached else ""
        print(f"{number:>4}  {int(sizes[number]):>10,}  {dim}{ids[number]:<22}{off}{sender}{pad}{message['Subject']}{note}")


if __name__ == "__main__":
    {"fill": fill, "show": show}[sys.argv[1]](*sys.argv[2:])
