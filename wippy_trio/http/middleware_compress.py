"""compress: gzip for answers that are long and compressible enough. Source: http/middleware#compress."""

from __future__ import annotations

import zlib

from wippy_trio.http.exchange import Exchange, Handler, Middleware
from wippy_trio.http.headers import Headers, parse_media_type
from wippy_trio.http.middleware import MiddlewareContext, Options, option

__all__ = ["accepts_gzip", "build_compress"]

_LEVELS = {"fastest": 1, "best": 9}
_GZIP_WINDOW_BITS = 31
_PACKED = ("audio/", "video/", "image/jp", "image/png", "image/gif", "image/webp", "image/avif", "font/woff")
_PACKED_WORDS = ("zip", "compress", "zstd", "brotli", "octet-stream+")


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding allows gzip (`gzip;q=0` does not)."""
    for part in accept_encoding.split(","):
        coding, _, quality = part.partition(";")
        if coding.strip().lower() == "gzip":
            _, _, value = quality.partition("=")
            return value.strip() not in ("0", "0.0", "0.00", "0.000")
    return False


class _Gzip:
    def __init__(self, level: int, wanted_bytes: int) -> None:
        self.wanted_bytes = wanted_bytes
        self._packer = zlib.compressobj(level, zlib.DEFLATED, _GZIP_WINDOW_BITS)

    def begin(self, status: int, headers: Headers, data: bytes, *, final: bool) -> bool:
        del final
        kind, _ = parse_media_type(headers.get("Content-Type"))
        packed = kind.startswith(_PACKED) or any(word in kind for word in _PACKED_WORDS)
        if len(data) < self.wanted_bytes or packed or "Content-Encoding" in headers or "Content-Range" in headers:
            return False
        if status == 206:
            return False
        headers.remove("Content-Length")
        headers.set("Content-Encoding", "gzip")
        return True

    def feed(self, data: bytes, *, final: bool, flush: bool) -> bytes:
        out = self._packer.compress(data)
        if final:
            return out + self._packer.flush()
        return out + self._packer.flush(zlib.Z_SYNC_FLUSH) if flush else out


def build_compress(options: Options, context: MiddlewareContext) -> Middleware:
    """Gzip where the client accepts it and at least `compress.min.length` bytes are there to decide on."""
    del context
    level = _LEVELS.get(option(options, "compress.level"), -1)
    try:
        min_length_bytes = int(option(options, "compress.min.length", default="1024"))
    except ValueError:
        min_length_bytes = 1024
    if min_length_bytes <= 0:
        min_length_bytes = 1024

    def wrap(handler: Handler) -> Handler:
        async def compressed(exchange: Exchange) -> None:
            exchange.response.headers.add("Vary", "Accept-Encoding")
            if accepts_gzip(",".join(exchange.request.headers.get_all("Accept-Encoding"))):
                exchange.response.add_filter(_Gzip(level, min_length_bytes))
            await handler(exchange)

        return compressed

    return wrap
