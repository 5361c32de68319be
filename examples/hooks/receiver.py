"""A receiver of Weft's hooks, for trying them out: prints what comes, and gives every run a variable.

While there is a file named "no" in the present directory, it agrees to nothing.
"""

import hashlib
import hmac
import http.server
import json
import os
import time

SECRET = b"a key for trying things out; use secret-file for others"


def genuine(headers, body):
    """Whether a signature is ours and not older than five minutes."""
    try:
        t, v1 = (part.split("=", 1)[1] for part in headers["Weft-Signature"].split(","))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return False
    message = t.encode() + b"." + headers["Weft-Delivery"].encode() + b"." + body
    mine = hmac.new(SECRET, message, hashlib.sha256).hexdigest()
    return hmac.compare_digest(mine, v1) and abs(time.time() - int(t)) < 300


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        run = json.loads(body)
        before = self.headers["Weft-When"] == "before"
        if before and not genuine(self.headers, body):
            self.send_error(401)
            return
        agrees = not (before and os.path.exists("no"))
        print(f"{self.headers['Weft-When']:6} run {run['runId']} {self.headers['Weft-From']} -> {self.headers['Weft-To']}: {'yes' if agrees else 'no'}", flush=True)
        self.send_response(200 if agrees else 409)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        if before and agrees and self.headers["Weft-To"] == "starting":
            self.wfile.write(json.dumps({"knitfabExtension": {"env": {"STARTED_BY": "examples/hooks"}}}).encode())

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", 9000), Receiver).serve_forever()
