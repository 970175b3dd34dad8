-- The `queue` module. A message is a handle on the delivery; it dies with the handler's call.
local sys, K = ...
local type, next, getmetatable = type, next, getmetatable
local number_text, is, argument_error, sys_error, encode = K.tostring, sys.is, sys.argument_error, sys.error, sys.encode_message
local publish, info, message = sys.waiting("queue.publish"), sys.waiting("queue.info"), sys.immediate("queue.message")
local id, header, headers = sys.immediate("queue.message.id"), sys.immediate("queue.message.header"), sys.immediate("queue.message.headers")
local settle = sys.waiting("queue.message.settle")

local function invalid(text) return nil, sys_error("Invalid", text, false) end
local function text(v, index, name)
  if type(v) == "number" then return number_text(v) end
  return sys.check(v, "string", index, name)
end
local function expect(self, name)
  if not is(self, "queue.Message") then argument_error(1, name, "queue.Message expected") end
  return self
end

local methods = {}
sys.class("queue.Message", methods, {
  handle = true,
  meta = {
    __tostring = function(self)
      local known = id(self)
      return known and "queue.Message{id=" .. known .. "}" or "queue.Message{released}"
    end,
  },
})
function methods.id(self) return id(expect(self, "id")) end
function methods.header(self, key) return header(expect(self, "header"), text(key, 2, "header")) end
function methods.headers(self) return headers(expect(self, "headers")) end
function methods.ack(self) return settle(expect(self, "ack"), true) end
function methods.nack(self) return settle(expect(self, "nack"), false) end

-- Headers with text keys; what is no scalar becomes nothing.
local function header_table(t)
  local out = {}
  if type(t) ~= "table" or getmetatable(t) == false then return out end
  for k, v in next, t do
    local tv = type(v)
    if type(k) == "string" and (tv == "string" or tv == "number" or tv == "boolean") then out[k] = v end
  end
  return out
end

return {
  publish = function(queue, data, given)
    if queue == nil then return invalid("queue ID required") end
    queue = text(queue, 1, "publish")
    if queue == "" then return invalid("queue ID required") end
    if data == nil then return invalid("message data required") end
    if type(data) == "table" and getmetatable(data) ~= false and next(data) == nil then
      return invalid("message data cannot be empty")
    end
    return publish(queue, encode(data), header_table(given))
  end,
  message = function() return message() end,
  info = function(queue)
    if queue == nil then return invalid("queue ID required") end
    queue = text(queue, 1, "info")
    if queue == "" then return invalid("queue ID required") end
    return info(queue)
  end,
}
