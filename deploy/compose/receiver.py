"""Prints each message that it receives. examples/ has receivers that check signatures and work once on each message."""

import http.server
import sys


class Receiver(http.server.BaseHTTPRequestHandler):
    """Answers 204, which tells the relay that the message is handled."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        print(self.headers["webhook-id"], self.headers["ce-type"], body.decode("utf-8", "replace"), flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        """The line that do_POST prints is enough."""


http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Receiver).serve_forever()
