"""sendfile: a handler names a file in a header and the file is served. Source: http/middleware#sendfile."""

from __future__ import annotations

from wippy_trio.core.errors import LuaError
from wippy_trio.http.exchange import Exchange, Handler, Middleware, respond_text
from wippy_trio.http.files import find_file, serve_content
from wippy_trio.http.middleware import MiddlewareContext, Options, option

__all__ = ["build_sendfile"]

PATH_HEADERS = ("X-Sendfile", "X-File-Path")
NAME_HEADER = "X-File-Name"


async def _send(exchange: Exchange, context: MiddlewareContext, files_id: str, path: str) -> None:
    if not files_id:
        await respond_text(exchange, 500, "sendfile middleware: fs option not configured")
        return
    files = context.find_files(files_id)
    if files is None:
        await respond_text(exchange, 500, f'sendfile middleware: filesystem "{files_id}" not found')
        return
    if path in (".", ".."):
        await respond_text(exchange, 400, "sendfile middleware: invalid file path")
        return
    info = await find_file(files, path)
    if info is None or info.is_dir:
        await respond_text(exchange, 404, f"sendfile middleware: file not found: {path}")
        return
    filename = exchange.response.headers.get(NAME_HEADER)
    if filename:
        exchange.response.headers.remove(NAME_HEADER)
        quoted = filename.replace("\\", "\\\\").replace('"', '\\"')
        exchange.response.headers.set("Content-Disposition", f'attachment; filename="{quoted}"')
    try:
        await serve_content(exchange, files, path, info)
    except LuaError as problem:
        context.log("error", "sendfile failed", {"path": path, "error": str(problem)})
        raise


def build_sendfile(options: Options, context: MiddlewareContext) -> Middleware:
    """Serve the file a handler named, with ranges; only where the handler has sent nothing itself."""
    files_id = option(options, "sendfile.fs", "fs")

    def wrap(handler: Handler) -> Handler:
        async def sending(exchange: Exchange) -> None:
            await handler(exchange)
            headers = exchange.response.headers
            path = next((value for name in PATH_HEADERS if (value := headers.get(name))), "")
            if not path:
                return
            for name in PATH_HEADERS:
                headers.remove(name)
            # A status the handler set is taken back: the file decides between 200, 206 and 304.
            if exchange.response.reset():
                await _send(exchange, context, files_id, path)

        return sending

    return wrap
