"""An HTTP interface like ClickHouse's in front of its engine (chdb), for tests.

    PYTHONPATH=ENGINE clickhouse_bridge.py PORT FOLDER

POST /?query=INSERT ... stores the body as it was sent: the engine itself decompresses and parses it. Any other query is
executed, and its result is the response in JSON lines. POST /fail?mode=MODE&count=N lets the next N inserts fail:
`refuse` answers with an error and stores nothing, `mute` stores the rows and closes the connection without an answer.
"""

import os
import re
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

    def do_POST(self):
        url = urllib.parse.urlsplit(self.path)
        parameters = dict(urllib.parse.parse_qsl(url.query))
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
            if is_insert and PASSWORD and self.headers.get("X-ClickHouse-Key") != PASSWORD:
                raise RuntimeError("Code: 516. DB::Exception: Authentication failed")
            if mode == "refuse":
                raise RuntimeError("Code: 252. DB::Exception: Too many parts")
            if is_insert:
                insert(query, parameters, body, self.headers.get("Content-Encoding"))
                result = b""
            else:
                result = str(ENGINE.query(query, "JSONEachRow")).encode()
        except Exception as error:
            code = re.search(r"Code: (\d+)", str(error))
            return self.answer(500, str(error).encode(), code and code.group(1))
        if mode == "mute":
            self.close_connection = True
            return None
        return self.answer(200, result)

    def log_message(self, *_):
        pass


HTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
