local http = require("http")
local reply = require("reply")
local store = require("store")

local function handler()
    local cache, err = store.get("app:cache")
    if err then
        return reply.fail(err)
    end
    local stats = cache:get("stats") or { created = 0, packed = 0 }
    cache:release()
    reply.json(http.STATUS.OK, stats)
end

return { handler = handler }
