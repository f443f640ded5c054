"""Scrapes of `/metrics` over HTTP."""

import gzip
import http.client


class Scrape:
    """The samples of a scrape, by metric name."""

    def __init__(self, text):
        self.samples = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                series, value = line.rsplit(" ", 1)
                name, _, labels = series.partition("{")
                self.samples.setdefault(name, []).append((labels, float(value)))

    def sum(self, name, label=""):
        """Sum of the samples whose labels contain the text; 0 if there are none."""
        return round(sum(value for labels, value in self.samples.get(name, ()) if label in labels))


def get(port, path="/metrics", headers=None, timeout=60):
    """An answer's status and body, as sent."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def scrape(port):
    """A scrape as Prometheus does it, with gzip."""
    status, body = get(port, headers={"Accept-Encoding": "gzip"})
    if status != 200:
        raise OSError(f"/metrics answered with status {status}")
    return Scrape((gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).decode())
