"""Bugsink, with every POST kept as a file: posts/<arrival>-<project>-<status>.<content encoding>, the body unpacked.

A file has status 000 until the answer is known, so a request that a killed server never answered is kept as well.
"""

import io
import itertools
import os
import time
import zlib

import brotli
from bugsink.wsgi import application as bugsink

POSTS = "posts"
order = itertools.count()
os.makedirs(POSTS, exist_ok=True)


def read_all(stream):
    """A gunicorn body ends where the request ends, chunked or not."""
    return b"".join(iter(lambda: stream.read(1 << 16), b""))


def unpack(body, encoding):
    """The body as it was before compression; as it came when this is not what it says."""
    try:
        if encoding == "gzip":
            return zlib.decompress(body, zlib.MAX_WBITS | 16)
        if encoding == "deflate":
            return zlib.decompress(body, -zlib.MAX_WBITS)
        if encoding == "br":
            return brotli.decompress(body)
    except (zlib.error, brotli.error):
        pass
    return body


def keep(environ, body):
    """Writes the body under a name without a status, and returns what the name lacks."""
    encoding = "".join(filter(str.isalnum, environ.get("HTTP_CONTENT_ENCODING", "").lower())) or "identity"
    parts = environ["PATH_INFO"].split("/")
    project = parts[2] if len(parts) > 2 and parts[2].isdigit() else "0"
    name = f"{POSTS}/{time.time_ns():020}{next(order):06}-{project}-%s.{encoding}"
    with open(name % "tmp", "wb") as file:
        file.write(unpack(body, encoding))
    os.rename(name % "tmp", name % "000")
    return name


def application(environ, start_response):
    if environ["REQUEST_METHOD"] != "POST" or not environ["PATH_INFO"].startswith("/api/"):
        return bugsink(environ, start_response)
    body = read_all(environ["wsgi.input"])
    environ["wsgi.input"] = io.BytesIO(body)
    name = keep(environ, body)

    def start(status, *rest):
        os.rename(name % "000", name % status[:3])
        return start_response(status, *rest)

    return bugsink(environ, start)
