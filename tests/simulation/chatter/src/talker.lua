-- Talks to its neighbour in the ring, sleeps now and then, and leaves its name where others write too.
return {
  main = function(me, parent, rounds)
    local inbox = process.inbox()
    local kv = require("store").get("app:kv")
    process.send(parent, "ready", me)
    local neighbour = inbox:receive():payload():data()
    for round = 1, rounds do
      process.send(neighbour, "chat", { from = me, round = round })
      local heard = inbox:receive():payload():data()
      if (me + round) % 7 == 0 then require("time").sleep(((me * 13) % 50) .. "ms") end
      kv:set("last " .. me % 10, heard.from)
    end
    process.send(parent, "done", me)
  end,
}
