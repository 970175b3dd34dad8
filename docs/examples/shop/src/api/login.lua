local env = require("env")
local http = require("http")
local reply = require("reply")
local security = require("security")

-- User -> the group of policies that says what he may do.
local role_of = { clerk = "clerk", owner = "owner" }

local function handler()
    local body, body_err = reply.body()
    if body_err then
        return reply.fail(body_err)
    end
    local role = role_of[body.user]
    if not role or body.password ~= env.get("SHOP_PASSWORD") then
        return reply.json(http.STATUS.UNAUTHORIZED, { error = "wrong user or password" })
    end

    local actor = security.new_actor("user:" .. body.user, { role = role })
    local scope, scope_err = security.named_scope("app.security:" .. role)
    if scope_err then
        return reply.fail(scope_err)
    end
    local tokens, store_err = security.token_store("app.security:tokens")
    if store_err then
        return reply.fail(store_err)
    end
    local token, err = tokens:create(actor, scope, { expiration = "1h" })
    tokens:close()
    if err then
        return reply.fail(err)
    end
    reply.json(http.STATUS.OK, { token = token, role = role })
end

return { handler = handler }
