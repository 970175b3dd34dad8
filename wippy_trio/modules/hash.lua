-- The `hash` module.
local sys = ...
local type = type
local digest, digest_bytes = sys.raw("hash.digest"), sys.raw("hash.digest_bytes")
local mac, mac_bytes = sys.raw("hash.mac"), sys.raw("hash.mac_bytes")
local fnv32, fnv64 = sys.raw("hash.fnv32"), sys.raw("hash.fnv64")

local function invalid(what) return nil, sys.error("Invalid", what .. " must be a string", false) end

local function plain(algorithm)
  return function(data, raw)
    if type(data) ~= "string" then return invalid("data") end
    if raw then return digest_bytes(algorithm, data) end
    return digest(algorithm, data)
  end
end
local function keyed(algorithm)
  return function(data, secret, raw)
    if type(data) ~= "string" then return invalid("data") end
    if type(secret) ~= "string" then return invalid("secret") end
    if raw then return mac_bytes(algorithm, data, secret) end
    return mac(algorithm, data, secret)
  end
end
local function folded(operation)
  return function(data)
    if type(data) ~= "string" then return invalid("data") end
    sys.tick_check(#data >> 4) -- a byte at a time
    return operation(data)
  end
end

return {
  md5 = plain("md5"), sha1 = plain("sha1"), sha256 = plain("sha256"), sha512 = plain("sha512"),
  hmac_md5 = keyed("md5"), hmac_sha1 = keyed("sha1"), hmac_sha256 = keyed("sha256"), hmac_sha512 = keyed("sha512"),
  fnv32 = folded(fnv32), fnv64 = folded(fnv64),
}
