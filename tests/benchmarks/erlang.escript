#!/usr/bin/env escript
%%! -smp enable
-mode(compile).
main([Name]) ->
    R = bench(Name),
    io:format("~.2f~n", [float(R)]).

rate(N, F) ->
    T0 = erlang:monotonic_time(microsecond),
    F(),
    N * 1000000 / max(1, erlang:monotonic_time(microsecond) - T0).

bench("spawn_exit") ->
    rate(50000, fun() -> spawn_all(50000) end);
bench("ping_pong") ->
    Me = self(),
    P = spawn(fun() -> ponger() end),
    rate(200000, fun() -> ping(P, Me, 200000) end);
bench("fan_in") ->
    Me = self(),
    rate(100000, fun() ->
        [spawn(fun() -> [Me ! #{id => I, text => <<"abc">>} || I <- lists:seq(1, 100)] end) || _ <- lists:seq(1, 1000)],
        take(100000)
    end);
bench("function_call") ->
    Me = self(),
    P = spawn(fun() -> ponger() end),
    rate(200000, fun() -> ping(P, Me, 200000) end);
bench("idle_bytes") ->
    M0 = erlang:memory(total),
    _ = [spawn(fun() -> receive stop -> ok end end) || _ <- lists:seq(1, 10000)],
    (erlang:memory(total) - M0) / 10000;
bench("ring") ->
    Me = self(),
    To = lists:foldl(fun(_, Next) -> spawn(fun() -> hop(Next) end) end, Me, lists:seq(2, 1000)),
    rate(100000, fun() -> laps(To, 100) end);
bench("respawn") ->
    rate(50000, fun() -> respawn(50000) end);
bench(_) -> 0.

hop(Next) -> receive M -> Next ! M, hop(Next) end.

laps(_, 0) -> ok;
laps(To, N) -> To ! N, receive N -> ok end, laps(To, N - 1).

respawn(0) -> ok;
respawn(N) ->
    {P, R} = spawn_monitor(fun() -> exit(boom) end),
    receive {'DOWN', R, process, P, boom} -> ok end,
    respawn(N - 1).

spawn_all(0) -> ok;
spawn_all(N) ->
    {P, R} = spawn_monitor(fun() -> ok end),
    receive {'DOWN', R, process, P, _} -> ok end,
    spawn_all(N - 1).

ponger() -> receive {From, Id} -> From ! #{id => Id, text => <<"abc">>}, ponger() end.

ping(_, _, 0) -> ok;
ping(P, Me, N) ->
    P ! {Me, N},
    receive #{id := N} -> ok end,
    ping(P, Me, N - 1).

take(0) -> ok;
take(N) -> receive _ -> take(N - 1) end.
