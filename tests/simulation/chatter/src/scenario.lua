-- A ring of talkers: all are started, then told of their neighbours, then waited for. Who was struck by a fault leaves
-- others waiting, which is no failure here: only the order of all this is of interest.
local function wait_for(count, inbox, deadline)
  local seen = 0
  while seen < count do
    local chosen = channel.select({ inbox:case_receive(), deadline:case_receive() })
    if chosen.channel == deadline then return seen end
    seen = seen + 1
  end
  return seen
end

return {
  main = function(workload)
    local count, time = workload.actors, require("time")
    local inbox, pids = process.inbox(), {}
    for me = 1, count do pids[me] = process.spawn("app:talker", "app:host", me, process.pid(), workload.rounds) end
    wait_for(count, inbox, time.after("1m"))
    for me = 1, count do process.send(pids[me], "hello", pids[me % count + 1]) end
    wait_for(count, inbox, time.after("2m"))
    for me = 1, count do process.terminate(pids[me]) end
  end,
}
