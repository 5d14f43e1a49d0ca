"""Answers every request with the value of its header x-name, as the request has it: each
character as its number. Its argument is a port."""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        numbers = " ".join(str(ord(c)) for c in self.headers["x-name"]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(numbers)))
        self.end_headers()
        self.wfile.write(numbers)


server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
server.serve_forever()
