#!/usr/bin/python3
"""Receives messages of the relay: checks the signature, does its work, answers 2xx.

    DATABASE_URL=postgres://app:secret@localhost/shop RELAY_HTTP_SECRET=whsec_… ./receive.py 8080 warehouse

The relay takes any 2xx for "done" and never sends the message again. Everything else, and
no answer, means that it comes again later, with the same id.

The second argument is the name under which the program receives. Give each service a name
of its own: two services with one name would each handle half of the messages.
"""

import base64
import hashlib
import hmac
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2

TOLERANCE = 5 * 60  # seconds; an older request may be a recorded one
MAX_BODY = 1 << 20  # bytes; RELAY_MAX_PAYLOAD


def read_key(secret):
    """Returns the bytes of a secret: whsec_ and their base64."""
    if not secret.startswith("whsec_"):
        sys.exit("RELAY_HTTP_SECRET must be set to whsec_ and the secret in base64")
    return base64.b64decode(secret.removeprefix("whsec_"))


if len(sys.argv) != 3:
    sys.exit("usage: receive.py PORT CONSUMER")
PORT, CONSUMER = int(sys.argv[1]), sys.argv[2]
KEY = read_key(os.environ.get("RELAY_HTTP_SECRET", ""))


def verify(headers, body):
    """Checks a request as Standard Webhooks 1.0.0 says: the signature covers the id, the
    time and the bytes of the body. While a secret is being changed the header holds
    several signatures, and one of them must be right."""
    message_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not message_id or not timestamp.isdecimal() or len(timestamp) > 15:
        return False
    if abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(KEY, signed, hashlib.sha256).digest()
    wanted = b"v1," + base64.b64encode(digest)
    signatures = headers.get("webhook-signature", "").encode().split(b" ")
    return any(hmac.compare_digest(signature, wanted) for signature in signatures)


def work(message_id, body):
    """Does what the message asks for, and remembers its id in the same transaction: what
    was done once is not done again. A second copy that arrives meanwhile waits in
    relay.receive() until this one has committed."""
    connection = psycopg2.connect(os.environ["DATABASE_URL"])  # in earnest: from a pool
    try:
        with connection, connection.cursor() as cursor:  # commits, or rolls back
            cursor.execute("select relay.receive(%s, %s)", (CONSUMER, message_id))
            if cursor.fetchone()[0]:
                cursor.execute(
                    "insert into shipment (message_id, what) values (%s, %s)",
                    (message_id, body.decode()),
                )
    finally:
        connection.close()


class Receiver(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"  # the relay uses a connection again
    timeout = 60  # seconds; the relay closes idle connections after 30

    def do_POST(self):
        size = self.headers.get("Content-Length", "")
        if not size.isdecimal() or len(size) > 7 or int(size) > MAX_BODY:
            self.close_connection = True  # the body is left unread
            return self.answer(413)
        body = self.rfile.read(int(size))
        if not verify(self.headers, body):
            return self.answer(401)
        try:
            work(self.headers["webhook-id"], body)
        except Exception as error:
            self.log_error("message %s: %s", self.headers["webhook-id"], error)
            return self.answer(500)  # the relay comes again
        self.answer(204)

    def answer(self, status):
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", "0")
        self.end_headers()


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Receiver).serve_forever()
