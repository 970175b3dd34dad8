"""Peers that a scenario plays, and the app's own server, over the simulated network."""

import subprocess
import sys

import pytest

from determinism.faults import FAULTS
from determinism.seams import Strike
from tests.conftest import entries_of
from wippy_trio.core.errors import ConfigError
from wippy_trio.simulation.loading import simulated_app
from wippy_trio.simulation.peers import find_peers
from wippy_trio.simulation.world import Life, LifeSpec, SimulatedApp, live

APP = """
- {name: gateway, kind: http.service, addr: ":8080", lifecycle: {auto_start: true}}
- {name: api, kind: http.router, meta: {server: gateway}}
- {name: pay, kind: http.endpoint, meta: {router: api}, method: POST, path: /pay, func: pay_now}
- name: pay_now
  kind: function.lua
  method: main
  modules: [http, http_client]
  source: |
    local http, client = require('http'), require('http_client')
    return function()
      local req, res = http.request(), http.response()
      local answer, err = client.post('https://pay.example.com/charge?currency=eur', {
        body = req:body(), headers = {['X-Key'] = 'k'}, timeout = '5s' })
      if err then return res:set_status(502):write(tostring(err)) end
      res:set_status(answer.status_code)
      res:write(answer.body or '')
    end
- {name: kept, kind: store.memory, lifecycle: {auto_start: true}}
- name: bank
  kind: function.lua
  meta: {type: simulation.peer, host: pay.example.com}
  method: main
  modules: [store, time]
  source: |
    local store, time = require('store'), require('time')
    return function(request)
      time.sleep('20ms')
      local kept = store.get('app:kept')
      kept:set('charges', (kept:get('charges') or 0) + 1)
      kept:set('last', request)
      if request.body == 'broken' then error('the bank is closed') end
      if request.body == 'odd' then return {status = 'fine'} end
      return {status = 201, headers = {['X-Bank'] = 'b'}, body = 'paid ' .. request.body}
    end
- name: scenario
  kind: function.lua
  meta: {type: simulation}
  method: main
  modules: [http_client, store, time]
  source: |
    local client, store, time = require('http_client'), require('store'), require('time')
    return function()
      SCRIPT
    end
"""
PAY = "local answer, err = client.post('http://localhost:8080/pay', {body = 'ten'})"


def life(script: str, *strikes: Strike) -> Life:
    app = simulated_app(entries_of(APP.replace("SCRIPT", script)))
    return live(app, LifeSpec("app:scenario", 1, strikes=strikes, keep=True))


def assert_held(found: Life) -> None:
    assert found.failure is None
    assert not found.inconclusive


def test_a_peer_gets_the_request_and_its_answer_comes_back() -> None:
    assert_held(
        life(f"""{PAY}
      assert(not err, err)
      local last = store.get('app:kept'):get('last')
      assert(answer.status_code == 201 and answer.body == 'paid ten', answer.body)
      assert(last.method == 'POST' and last.path == '/charge' and last.query.currency == 'eur', 'request line')
      assert(last.headers['X-Key'] == 'k' and last.headers.Host == 'pay.example.com' and last.body == 'ten', 'rest')
    """)
    )


@pytest.mark.parametrize(
    ("body", "words"), [("broken", "the bank is closed"), ("odd", "status must be a number from 200 to 599")]
)
def test_a_peer_that_fails_fails_the_scenario(body: str, words: str) -> None:
    failure = life(f"client.post('http://localhost:8080/pay', {{body = '{body}'}})").failure
    assert failure is not None
    assert failure.kind == "scenario"
    assert failure.message.startswith("peer app:bank: ")
    assert words in failure.message


def test_services_that_start_first_wait_for_their_peer() -> None:
    text = (
        APP.replace("SCRIPT", "time.sleep('1s') return store.get('app:kept'):get('charges') == 1")
        + """
- {name: processes, kind: process.host, host: {workers: 1}, lifecycle: {auto_start: true}}
- {name: service, kind: process.service, process: caller, host: processes, lifecycle: {auto_start: true}}
- name: caller
  kind: process.lua
  method: main
  modules: [http_client, time]
  source: |
    return function()
      local answer = assert(require('http_client').post('https://pay.example.com/', {body = 'first'}))
      assert(answer.body == 'paid first')
      require('time').sleep('1h')
    end
"""
    )
    assert_held(live(simulated_app(entries_of(text)), LifeSpec("app:scenario", 3, strikes=())))


def test_a_host_that_nobody_plays_names_the_line() -> None:
    found = life("local here = 1\n      client.get('http://unknown.example.com/x')")
    assert found.failure is not None
    assert "real network in simulation: unknown.example.com:80" in found.failure.message
    assert "app:scenario:4" in found.failure.message + found.failure.stack


WHERE = "POST pay.example.com/charge"
LINK = "app>pay.example.com:443"


@pytest.mark.parametrize(
    ("strike", "status", "charges"),
    [
        (Strike("http_5xx", WHERE, 0, 0.1), 500, 1),  # the bank did its work, and the answer was lost
        (Strike("http_5xx", WHERE, 0, 0.6), 503, 0),
        (Strike("http_slow", WHERE, 0, 1023 / 1024, 60.0), 502, 1),
        (Strike("http_slow", WHERE, 0, 0.25, 60.0), 201, 1),
        (Strike("connection_reset", LINK, 1, 0.5), 502, None),
        (Strike("partition", LINK, 0, 1.0, 30.0), 502, 0),
        (Strike("partition", LINK, 0, 0.1, 30.0), 201, 1),
        (Strike("partition_one_way", LINK, 1, 1.0, 30.0), 502, 0),
        (Strike("clogged_link", LINK, 1, 1.0, 30.0), 502, 0),
        (Strike("clogged_link", LINK, 1, 0.0, 30.0), 201, 1),
    ],
    ids=lambda value: f"{value.kind}-{value.draw:.2f}" if isinstance(value, Strike) else None,
)
def test_what_the_app_sees_of_each_fault(strike: Strike, status: int, charges: int | None) -> None:
    wanted = "true" if charges is None else f"(store.get('app:kept'):get('charges') or 0) == {charges}"
    found = life(
        f"""{PAY}
      assert(not err, err)
      assert(answer.status_code == {status}, answer.status_code .. ' ' .. tostring(answer.body))
      assert({wanted}, 'charges ' .. tostring(store.get('app:kept'):get('charges')))""",
        strike,
    )
    assert_held(found)
    assert [one.key for one in found.strikes] == [strike.key]


@pytest.mark.slow
def test_a_scenarios_own_requests_are_never_struck() -> None:
    network = frozenset(name for name, fault in FAULTS.items() if fault.area in {"network", "http"})
    script = "for i = 1, 30 do assert(client.get('http://localhost:8080/nothing').status_code == 404) end"
    app = simulated_app(entries_of(APP.replace("SCRIPT", script)))
    for seed in range(5):
        found = live(app, LifeSpec("app:scenario", seed, kinds=network))
        assert_held(found)
        assert found.strikes == ()


def _shop() -> SimulatedApp:
    return simulated_app(entries_of(APP.replace("SCRIPT", f"for i = 1, 5 do {PAY} time.sleep('1s') end")))


def _kinds() -> frozenset[str]:
    return frozenset(name for name, fault in FAULTS.items() if fault.area in {"network", "http", "clock"})


def hashes(seeds: int = 4) -> list[str]:
    """Trace hashes of a few lives with faults of the network and the clock."""
    app, kinds = _shop(), _kinds()
    return [live(app, LifeSpec("app:scenario", seed, kinds=kinds)).trace_hash for seed in range(seeds)]


@pytest.mark.slow
def test_equal_seeds_are_equal_lives() -> None:
    here = hashes()
    assert here == hashes()
    assert len(set(here)) == 4


@pytest.mark.slow
def test_a_list_of_its_strikes_gives_the_same_life() -> None:
    app, kinds = _shop(), _kinds()
    struck = 0
    for seed in range(12):
        drawn = live(app, LifeSpec("app:scenario", seed, kinds=kinds))
        struck += len(drawn.strikes)
        listed = live(app, LifeSpec("app:scenario", seed, kinds=kinds, strikes=drawn.strikes))
        assert (listed.strikes, listed.trace_hash) == (drawn.strikes, drawn.trace_hash)
    assert struck > 3


@pytest.mark.parametrize("engine", ["h11", "hypercorn"])
def test_responses_are_equal_byte_for_byte(engine: str) -> None:
    def read(seed: int) -> list[tuple[str, bytes]]:
        found = live(app, LifeSpec("app:scenario", seed, kinds=frozenset(), keep=True))
        assert_held(found)
        return [(event.actor, event.data) for event in found.log if event.what == "net.read"]

    text = APP.replace('addr: ":8080"', f'addr: ":8080", engine: {engine}')
    app = simulated_app(entries_of(text.replace("SCRIPT", f"for i = 1, 3 do {PAY} time.sleep('1s') end")))
    answers = b"".join(data for where, data in read(1) if where.endswith(">scenario"))
    assert answers.lower().count(b"date: thu, 01 jan 2026 00:00:0") == 3
    assert read(1) == read(1)


@pytest.mark.slow
def test_equal_seeds_are_equal_lives_in_other_processes() -> None:
    code = "from tests.wippy_trio.simulation.test_peers import hashes; print(hashes(12))"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": hash_seed}
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert runs[0] == runs[1] == f"{hashes(12)}\n"


@pytest.mark.parametrize(
    ("host", "words"),
    [("null", "a host name is required"), ("'http://a/'", "name is required"), ("'a:b'", "invalid listen address")],
)
def test_hosts_are_checked(host: str, words: str) -> None:
    meta = f"{{type: simulation.peer, host: {host}}}"
    with pytest.raises(ConfigError, match=words):
        find_peers(entries_of(f"- {{name: p, kind: function.lua, meta: {meta}, method: main, source: ''}}"))


def test_one_place_has_one_peer() -> None:
    meta = "meta: {type: simulation.peer, host: [x.org, NAME]}"
    text = "".join(f"- {{name: {name}, kind: function.lua, {meta.replace('NAME', name)}}}\n" for name in "ab")
    with pytest.raises(ConfigError, match=r"app:a is x\.org:80 already"):
        find_peers(entries_of(text))


def test_a_host_that_nobody_plays_is_no_failure_that_an_app_can_catch() -> None:
    found = life("pcall(client.get, 'http://unknown.example.com/x')")
    assert found.failure is not None
    assert found.failure.message.startswith("real network in simulation: unknown.example.com:80; give the scenario")
