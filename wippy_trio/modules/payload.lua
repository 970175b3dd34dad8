-- The `payload` module: the class is the kernel's, conversion is here. A payload is {value, format}; one in a text
-- format holds the text in `raw` and no value.
local sys, K = ...
local transcode = sys.immediate("payload.transcode")
-- (is it text, value) or (nil, nil, error)
local function convert(form, value, target)
  local raw, made = transcode(form, value, target)
  if raw == nil then return nil, nil, made end
  return raw, made, nil
end
local methods = K.payload_methods

local function held(p, name)
  if K.is_object(p) ~= "Payload" then sys.argument_error(1, name, "payload expected") end
  return p
end

function methods.get_format(p) return held(p, "get_format")[2] end
local function reader(name)
  return function(p)
    local raw = held(p, name).raw
    if not raw then return p[1] end
    local _, text, problem = convert(p[2], raw, "lua/any")
    if problem then return nil, problem end
    return text
  end
end
methods.data, methods.unmarshal = reader("data"), reader("unmarshal")
function methods.transcode(p, target)
  held(p, "transcode")
  sys.check(target, "string", 2, "transcode")
  if target == p[2] then return p, nil end
  local v = p.raw
  if not v then v = p[1] end
  local raw, made, problem = convert(p[2], v, target)
  if problem then return nil, problem end
  if raw then return sys.payload(nil, target, made), nil end
  return sys.payload(made, target), nil
end

K.Payload.metatable.__tostring = function(p) return "payload{format=" .. p[2] .. "}" end

return {
  new = function(v) return sys.payload(v) end,
  format = K.freeze({
    JSON = "json/plain", YAML = "yaml/plain", STRING = "text/plain", BYTES = "application/octet-stream",
    MSGPACK = "application/msgpack", LUA = "lua/any", GOLANG = "golang/any", ERROR = "golang/error",
  }, "payload.format"),
}
