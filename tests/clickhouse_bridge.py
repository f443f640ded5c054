"""An HTTP interface like ClickHouse's in front of its engine (chdb), for tests.

    PYTHONPATH=ENGINE clickhouse_bridge.py PORT FOLDER

POST /?query=INSERT ... stores the body as it was sent: the engine itself decompresses and parses it. Any other query is
executed with the values of param_NAME as its parameters, and its result is the response, in JSON lines by default. POST /fail?mode=MODE&count=N lets the next N inserts fail:
`refuse` answers with an error and stores nothing, `mute` stores the rows and closes the connection without an answer.
With BRIDGE_CERTIFICATE and BRIDGE_KEY, a second port, BRIDGE_TLS_PORT, has TLS.
"""

import base64
import os
import re
import selectors
import ssl
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer

from chdb import session

PORT, FOLDER = int(sys.argv[1]), sys.argv[2]
ENGINE = session.Session(os.path.join(FOLDER, "data"))
PASSWORD = os.environ.get("BRIDGE_PASSWORD")
COMPRESSION = {None: "none", "gzip": "gzip", "lz4": "lz4"}
failures = {"mode": None, "count": 0}


def insert(query, parameters, body, encoding):
    """Executes INSERT INTO DATABASE.TABLE (COLUMNS) FORMAT RowBinary."""
    words = re.fullmatch(r"INSERT INTO (\w+)\.(\w+) \(([\w,]+)\) FORMAT (\w+)", query)
    database, table, columns, form = words.groups()
    path = os.path.join(FOLDER, "body")
    with open(path, "wb") as file:
        file.write(body)
    rows = ENGINE.query(
        f"SELECT name, type FROM system.columns WHERE database = '{database}' AND table = '{table}'", "TSVRaw"
    )
    types = dict(line.split("\t") for line in str(rows).splitlines())
    if not types:
        raise RuntimeError("Code: 60. DB::Exception: Unknown table")
    missing = [name for name in columns.split(",") if name not in types]
    if missing:
        raise RuntimeError(f"Code: 16. DB::Exception: No such column {missing[0]}")
    structure = ", ".join(f"{name} {types[name]}" for name in columns.split(",")).replace("'", "\\'")
    settings = ", ".join(
        f"{name} = '{parameters[name]}'"
        for name in ("insert_deduplication_token", "deduplicate_blocks_in_dependent_materialized_views")
        if name in parameters
    )
    ENGINE.query(
        f"INSERT INTO {database}.{table} ({columns}) SELECT {columns} "
        f"FROM file('{path}', '{form}', '{structure}', '{COMPRESSION[encoding]}') "
        f"SETTINGS {settings}, insert_select_deduplicate = 1, max_threads = 1, max_insert_threads = 1"
    )


class Handler(BaseHTTPRequestHandler):
    def answer(self, status, body, code=None):
        self.send_response(status)
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def basic(self):
        """The password of HTTP Basic authentication."""
        scheme, _, text = (self.headers.get("Authorization") or "").partition(" ")
        return base64.b64decode(text).decode().partition(":")[2] if scheme == "Basic" else None

    def do_POST(self):
        url = urllib.parse.urlsplit(self.path)
        parameters = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if url.path == "/fail":
            failures.update(mode=parameters["mode"], count=int(parameters["count"]))
            return self.answer(200, b"")
        query = parameters.get("query") or body.decode()
        is_insert = query.startswith("INSERT INTO") and query.endswith("FORMAT RowBinary")
        mode = None
        if is_insert and failures["count"] > 0:
            failures["count"] -= 1
            mode = failures["mode"]
        try:
            # Queries of the tests themselves need no password.
            needs_password = is_insert or "wait_end_of_query" in parameters
            if needs_password and PASSWORD and PASSWORD not in (self.headers.get("X-ClickHouse-Key"), self.basic()):
                raise RuntimeError("Code: 516. DB::Exception: Authentication failed")
            if mode == "refuse":
                raise RuntimeError("Code: 252. DB::Exception: Too many parts")
            if is_insert:
                insert(query, parameters, body, self.headers.get("Content-Encoding"))
                result = b""
            else:
                for name, value in parameters.items():
                    if name.startswith("param_"):
                        literal = value.replace("\\", "\\\\").replace("'", "\\'")
                        ENGINE.query(f"SET {name} = '{literal}'")
                result = str(ENGINE.query(query, "JSONEachRow")).encode()
                # The engine may repeat the format of the query before.
                if query.startswith("INSERT"):
                    result = b""
        except Exception as error:
            code = re.search(r"Code: (\d+)", str(error))
            return self.answer(500, str(error).encode(), code and code.group(1))
        if mode == "mute":
            self.close_connection = True
            return None
        return self.answer(200, result)

    def log_message(self, *_):
        pass


class TlsServer(HTTPServer):
    """Accepts connections with TLS. A client that refuses the certificate ends its connection only."""

    def get_request(self):
        stream, address = super().get_request()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(os.environ["BRIDGE_CERTIFICATE"], os.environ["BRIDGE_KEY"])
        return context.wrap_socket(stream, server_side=True), address


def serve():
    plain = HTTPServer(("127.0.0.1", PORT), Handler)
    servers = [plain]
    if "BRIDGE_TLS_PORT" in os.environ:
        servers.append(TlsServer(("127.0.0.1", int(os.environ["BRIDGE_TLS_PORT"])), Handler))
    # One thread for all of them: the engine has one session.
    with selectors.DefaultSelector() as selector:
        for server in servers:
            selector.register(server, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                key.fileobj.handle_request()


serve()
