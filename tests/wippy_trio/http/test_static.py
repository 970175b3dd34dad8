import pytest

from wippy_trio.http.files import http_date, safe_path
from wippy_trio.http.static import spa_handler, static_handler

TREE = {
    "index.html": b"<html>root</html>", "css/a.css": b"body{}", "docs/index.html": b"docs", "bin": b"\x00\x01",
    "list/one.txt": b"1", "list/sub/x": b"2", "digits.txt": b"0123456789",
}  # fmt: skip
DATE = "Sun, 09 Sep 2001 01:46:40 GMT"


@pytest.mark.parametrize(
    ("path", "status", "body", "kind"),
    [
        ("/s/css/a.css", 200, b"body{}", "text/css; charset=utf-8"),
        ("/s/bin", 200, b"\x00\x01", "application/octet-stream"),
        ("/s/docs/", 200, b"docs", "text/html; charset=utf-8"),
        ("/s/none", 404, b"404 page not found\n", "text/plain; charset=utf-8"),
        ("/s/../secret", 404, b"404 page not found\n", "text/plain; charset=utf-8"),
        ("/s/..%2fsecret", 404, b"404 page not found\n", "text/plain; charset=utf-8"),
        ("/s/a%00b", 404, b"404 page not found\n", "text/plain; charset=utf-8"),
    ],
)
async def test_plain(ask, files, path: str, status: int, body: bytes, kind: str) -> None:
    store = files(TREE)
    sink = await ask(static_handler(store, "/s", "max-age=5"), target=path)
    assert (sink.status, sink.body, sink.headers.get("Content-Type")) == (status, body, kind)
    assert all(file.closed for file in store.opened)
    if status == 200:
        assert sink.headers.get("Cache-Control") == "max-age=5"
        assert sink.headers.get("Last-Modified") == DATE


@pytest.mark.parametrize(
    ("path", "location"),
    [("/docs", "docs/"), ("/docs/index.html", "./"), ("/digits.txt/", "../digits.txt"), ("/docs?q=1", "docs/?q=1")],
)
async def test_redirects(ask, files, path: str, location: str) -> None:
    sink = await ask(static_handler(files(TREE), "/"), target=path)
    assert (sink.status, sink.headers.get("Location")) == (301, location)


async def test_listing(ask, files) -> None:
    sink = await ask(static_handler(files({**TREE, "list/<x>": b""}), "/"), target="/list/")
    assert b'<a href="one.txt">one.txt</a>\n<a href="sub/">sub/</a>' in sink.body
    assert b'<a href="%3Cx%3E">&lt;x&gt;</a>' in sink.body


@pytest.mark.parametrize(
    ("path", "body"), [("/digits.txt", b"0123456789"), ("/users/1", b"<html>root</html>"), ("/", b"<html>root</html>")]
)
async def test_spa(ask, files, path: str, body: bytes) -> None:
    sink = await ask(spa_handler(files(TREE), "index.html", "no-cache"), target=path)
    assert (sink.status, sink.body, sink.headers.get("Cache-Control")) == (200, body, "no-cache")


async def test_spa_without_its_index(ask, files) -> None:
    sink = await ask(spa_handler(files({}), "index.html"), target="/x")
    assert (sink.status, sink.body) == (500, b"index file not found\n")


@pytest.mark.parametrize(
    ("wanted", "status", "body", "content_range"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=5-99", 206, b"56789", "bytes 5-9/10"),
        ("bytes=10-", 416, b"invalid range: failed to overlap\n", "bytes */10"),
        ("bytes=4-2", 416, b"invalid range: failed to overlap\n", "bytes */10"),
        ("lines=1-2", 416, b"invalid range: failed to overlap\n", "bytes */10"),
        ("bytes=0-9,0-9", 200, b"0123456789", ""),
    ],
)
async def test_ranges(ask, files, wanted: str, status: int, body: bytes, content_range: str) -> None:
    sink = await ask(static_handler(files(TREE), "/"), target="/digits.txt", headers={"Range": wanted})
    assert (sink.status, sink.body, sink.headers.get("Content-Range")) == (status, body, content_range)


async def test_several_ranges(ask, files) -> None:
    sink = await ask(static_handler(files(TREE), "/"), target="/digits.txt", headers={"Range": "bytes=0-1,4-5"})
    assert sink.status == 206
    assert sink.headers.get("Content-Type").startswith("multipart/byteranges; boundary=")
    assert b"Content-Range: bytes 4-5/10\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n45\r\n" in sink.body


async def test_conditions(ask, files) -> None:
    handler = static_handler(files(TREE), "/")
    tag = (await ask(handler, target="/digits.txt")).headers.get("Etag")
    for headers, status in (
        ({"If-None-Match": tag}, 304),
        ({"If-None-Match": f'"x", W/{tag}'}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-Modified-Since": DATE}, 304),
        ({"If-Modified-Since": http_date(0)}, 200),
        ({"If-Modified-Since": "junk"}, 200),
        ({"If-Match": '"x"'}, 412),
        ({"If-Match": tag}, 200),
        ({"If-Unmodified-Since": http_date(0)}, 412),
        ({"If-Range": '"x"', "Range": "bytes=0-1"}, 200),
        ({"If-Range": tag, "Range": "bytes=0-1"}, 206),
    ):
        sink = await ask(handler, target="/digits.txt", headers=headers)
        assert sink.status == status, headers
        if status == 304:
            assert (sink.body, "Content-Type" in sink.headers) == (b"", False)


async def test_head(ask, files) -> None:
    sink = await ask(static_handler(files(TREE), "/"), "HEAD", "/digits.txt")
    assert (sink.status, sink.body, sink.headers.get("Content-Length")) == (200, b"", "10")


@pytest.mark.parametrize(
    ("path", "safe"), [("/a/./b//c", "a/b/c"), ("", ""), ("a/../b", None), ("a\\b", None), ("a\x00", None)]
)
def test_safe_path(path: str, safe: str | None) -> None:
    assert safe_path(path) == safe
