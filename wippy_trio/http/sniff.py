"""Media types: by file name, or guessed from the first bytes.

Both tables are our own: the operating system's lists would make answers differ from machine to machine.
Source: http/endpoint (a body without a Content-Type gets a guessed one), http/static.
"""

from __future__ import annotations

__all__ = ["sniff_content_type", "type_by_name"]

_TEXT = "text/plain; charset=utf-8"
_BY_SUFFIX = {
    ".avif": "image/avif", ".bmp": "image/bmp", ".css": "text/css; charset=utf-8", ".csv": "text/csv; charset=utf-8",
    ".gif": "image/gif", ".gz": "application/gzip", ".htm": "text/html; charset=utf-8",
    ".html": "text/html; charset=utf-8", ".ico": "image/vnd.microsoft.icon", ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg", ".js": "text/javascript; charset=utf-8", ".json": "application/json",
    ".map": "application/json", ".md": "text/markdown; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
    ".mp3": "audio/mpeg", ".mp4": "video/mp4", ".otf": "font/otf", ".pdf": "application/pdf", ".png": "image/png",
    ".svg": "image/svg+xml", ".tar": "application/x-tar", ".ttf": "font/ttf", ".txt": _TEXT,
    ".wasm": "application/wasm", ".wav": "audio/x-wav", ".webm": "video/webm",
    ".webmanifest": "application/manifest+json", ".webp": "image/webp", ".woff": "font/woff", ".woff2": "font/woff2",
    ".xml": "text/xml; charset=utf-8", ".zip": "application/zip",
}  # fmt: skip
_HTML_STARTS = tuple(
    f"<{name}".encode()
    for name in (
        "!doctype html", "html", "head", "script", "iframe", "h1", "div", "font", "table", "a", "style", "title",
        "b", "body", "br", "p", "!--",
    )
)  # fmt: skip
_BINARY_STARTS = (
    (b"%PDF-", "application/pdf"), (b"%!PS-Adobe-", "application/postscript"),
    (b"\xfe\xff", "text/plain; charset=utf-16be"), (b"\xff\xfe", "text/plain; charset=utf-16le"),
    (b"\xef\xbb\xbf", _TEXT), (b"BM", "image/bmp"), (b"GIF87a", "image/gif"), (b"GIF89a", "image/gif"),
    (b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"ID3", "audio/mpeg"),
    (b"OggS\x00", "application/ogg"), (b"\x1aE\xdf\xa3", "video/webm"), (b"\x00\x01\x00\x00", "font/ttf"),
    (b"OTTO", "font/otf"), (b"wOFF", "font/woff"), (b"wOF2", "font/woff2"),
    (b"\x1f\x8b\x08", "application/x-gzip"), (b"PK\x03\x04", "application/zip"),
    (b"\x00asm", "application/wasm"), (b"\x00\x00\x01\x00", "image/x-icon"),
)  # fmt: skip
_BINARY_BYTES = frozenset((*range(0x09), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)))


def type_by_name(name: str) -> str:
    """The media type of a file name's suffix, empty where unknown."""
    dot = name.rfind(".")
    return _BY_SUFFIX.get(name[dot:].lower(), "") if dot >= 0 and "/" not in name[dot:] else ""


def sniff_content_type(data: bytes) -> str:
    """A media type guessed from at most the first 512 bytes; text unless something else shows."""
    head = data[:512]
    text = head.lstrip(b"\t\n\x0c\r ")
    lowered = text[:32].lower()
    for start in _HTML_STARTS:
        if lowered.startswith(start) and (start == b"<!--" or lowered[len(start) : len(start) + 1] in (b" ", b">")):
            return "text/html; charset=utf-8"
    if text.startswith(b"<?xml"):
        return "text/xml; charset=utf-8"
    for start, kind in _BINARY_STARTS:
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF" and head[8:14] == b"WEBPVP":
        return "image/webp"
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "audio/wave"
    if head[4:8] == b"ftyp":
        return "video/mp4"
    return "application/octet-stream" if _BINARY_BYTES.intersection(head) else _TEXT
