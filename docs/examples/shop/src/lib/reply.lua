local http = require("http")

-- Kind of an error -> status. Anything else is our own fault.
local status_of = {
    [errors.INVALID] = http.STATUS.BAD_REQUEST,
    [errors.NOT_FOUND] = http.STATUS.NOT_FOUND,
    [errors.ALREADY_EXISTS] = http.STATUS.CONFLICT,
    [errors.CONFLICT] = http.STATUS.CONFLICT,
    [errors.PERMISSION_DENIED] = http.STATUS.FORBIDDEN,
    [errors.UNAVAILABLE] = http.STATUS.SERVICE_UNAVAILABLE,
}

local reply = {}

function reply.json(status: number, body: any)
    local res = http.response()
    res:set_content_type(http.CONTENT.JSON)
    res:set_status(status)
    res:write_json(body)
end

function reply.fail(err: any)
    local status = status_of[err:kind()] or http.STATUS.INTERNAL_ERROR
    reply.json(status, { error = err:message(), details = err:details() })
end

-- The body as a table, or nil and an error of kind INVALID.
function reply.body(): (any, any)
    local body, err = http.request():body_json()
    if err or type(body) ~= "table" then
        return nil, errors.new({ message = "the body must be a JSON object", kind = errors.INVALID })
    end
    return body, nil
end

return reply
