"""Static trees: plain file serving with index pages and listings, and single-page applications. Source: http/static."""

from __future__ import annotations

from wippy_trio.core.errors import NotFoundError
from wippy_trio.http.exchange import Exchange, Handler, respond_text
from wippy_trio.http.files import FileInfo, ServedFiles, find_file, http_date, safe_path, serve_content

__all__ = ["spa_handler", "static_handler"]

INDEX = "index.html"
MAX_LISTED_COUNT = 10_000


def static_handler(files: ServedFiles, mount_path: str, cache_control: str = "") -> Handler:
    """Serve the tree below `mount_path`; directories give their index.html or a listing."""
    prefix = "" if mount_path == "/" else mount_path.removesuffix("/")

    async def serve(exchange: Exchange) -> None:
        if cache_control:
            exchange.response.headers.set("Cache-Control", cache_control)
        path = exchange.request.path
        if not path.startswith(prefix):
            await respond_text(exchange, 404, "404 page not found")
            return
        await _serve_tree(exchange, files, path[len(prefix) :] or "/")

    return serve


def spa_handler(files: ServedFiles, index: str, cache_control: str = "") -> Handler:
    """Serve existing files by their full request path, and the index file for every other path.

    The mount path is not stripped here, unlike in plain mode. Source: spec system/http static.spa.
    """

    async def serve(exchange: Exchange) -> None:
        if cache_control:
            exchange.response.headers.set("Cache-Control", cache_control)
        path = exchange.request.path
        if await find_file(files, path) is not None:
            await _serve_tree(exchange, files, path)
            return
        info = await find_file(files, index)
        if info is None or info.is_dir:
            await respond_text(exchange, 500, "index file not found")
            return
        exchange.response.headers.set("Content-Type", "text/html; charset=utf-8")
        await _serve_file(exchange, files, index, info)

    return serve


async def _serve_tree(exchange: Exchange, files: ServedFiles, path: str) -> None:
    if path.endswith(f"/{INDEX}"):
        await _redirect(exchange, "./")
        return
    info = await find_file(files, path)
    if info is None:
        await respond_text(exchange, 404, "404 page not found")
        return
    last = path.rstrip("/").rpartition("/")[2]
    if info.is_dir and not path.endswith("/"):
        await _redirect(exchange, f"{_escape(last)}/")
        return
    if not info.is_dir and path.endswith("/"):
        await _redirect(exchange, f"../{_escape(last)}")
        return
    if info.is_dir:
        page = f"{path}{INDEX}"
        found = await find_file(files, page)
        if found is None or found.is_dir:
            await _list(exchange, files, path, info)
            return
        path, info = page, found
    await _serve_file(exchange, files, path, info)


async def _serve_file(exchange: Exchange, files: ServedFiles, path: str, info: FileInfo) -> None:
    try:
        await serve_content(exchange, files, path, info)
    except NotFoundError:
        if not exchange.response.reset():
            raise
        await respond_text(exchange, 404, "404 page not found")


async def _list(exchange: Exchange, files: ServedFiles, path: str, info: FileInfo) -> None:
    inside = safe_path(path)
    assert inside is not None
    names = sorted(await files.list(inside))[:MAX_LISTED_COUNT]
    if info.modified_ns:
        exchange.response.headers.set("Last-Modified", http_date(info.modified_ns))
    lines = ["<!doctype html>", '<meta name="viewport" content="width=device-width">', "<pre>"]
    for name in names:
        child = await find_file(files, f"{inside}/{name}" if inside else name)
        shown = f"{name}/" if child is not None and child.is_dir else name
        lines.append(f'<a href="{_escape(shown)}">{_html(shown)}</a>')
    lines.append("</pre>")
    exchange.response.headers.set("Content-Type", "text/html; charset=utf-8")
    await exchange.response.write(("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))


async def _redirect(exchange: Exchange, target: str) -> None:
    query = exchange.request.query
    exchange.response.headers.set("Location", f"{target}?{query}" if query else target)
    exchange.response.set_status(301)


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;")


def _escape(text: str) -> str:
    """A path for a link: everything but unreserved characters and `/` escaped; `:` could look like a scheme."""
    safe = "/-_.~"
    return "".join(
        chr(byte) if chr(byte) in safe or (chr(byte).isalnum() and byte < 128) else f"%{byte:02X}"
        for byte in text.encode("utf-8", "surrogateescape")
    )
