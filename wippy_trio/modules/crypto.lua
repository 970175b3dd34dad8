-- The `crypto` module.
local sys, K = ...
local type, floor, ceil, tointeger, mathtype, tostring = type, math.floor, math.ceil, math.tointeger, math.type, tostring
local random_bytes, random_string = sys.raw("crypto.random_bytes"), sys.raw("crypto.random_string")
local random_uuid, mac, equal = sys.raw("crypto.random_uuid"), sys.raw("crypto.hmac"), sys.raw("crypto.equal")
local encrypt, decrypt = sys.raw("crypto.encrypt"), sys.raw("crypto.decrypt")
local jwt_encode, jwt_verify = sys.immediate("crypto.jwt_encode"), sys.immediate("crypto.jwt_verify")
local pbkdf2_now, pbkdf2 = sys.immediate("crypto.pbkdf2_now"), sys.waiting("crypto.pbkdf2")
local ALPHANUMERIC = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

local function text(v, index, name)
  if type(v) == "number" then return K.tostring(v) end
  return sys.check(v, "string", index, name)
end
local function integer(v, index, name)
  if mathtype(v) == "integer" then return v end
  sys.check(v, "number", index, name)
  return tointeger(v >= 0 and floor(v) or ceil(v)) or 0
end
local function optional(v) if type(v) == "string" then return v end end

local function keyed(algorithm)
  return function(key, data) return mac(algorithm, text(key, 1, algorithm), text(data, 2, algorithm)) end
end
local function ciphered(operation, cipher)
  return function(data, key, aad)
    return operation(cipher, text(data, 1, cipher), text(key, 2, cipher), optional(aad))
  end
end

return {
  random = K.freeze({
    bytes = function(length) return random_bytes(integer(length, 1, "bytes")) end,
    string = function(length, charset)
      return random_string(integer(length, 1, "string"), optional(charset) or ALPHANUMERIC)
    end,
    uuid = function() return random_uuid() end,
  }, "crypto.random"),
  hmac = K.freeze({ sha256 = keyed("sha256"), sha512 = keyed("sha512") }, "crypto.hmac"),
  encrypt = K.freeze({ aes = ciphered(encrypt, "aes"), chacha20 = ciphered(encrypt, "chacha20") }, "crypto.encrypt"),
  decrypt = K.freeze({ aes = ciphered(decrypt, "aes"), chacha20 = ciphered(decrypt, "chacha20") }, "crypto.decrypt"),
  jwt = K.freeze({
    encode = function(claims, key, algorithm)
      sys.check(claims, "table", 1, "encode")
      return jwt_encode(claims, text(key, 2, "encode"), algorithm == nil and "HS256" or text(algorithm, 3, "encode"))
    end,
    verify = function(token, key, algorithm, require_exp)
      if require_exp == nil then require_exp = true else sys.check(require_exp, "boolean", 4, "verify") end
      return jwt_verify(text(token, 1, "verify"), text(key, 2, "verify"),
        algorithm == nil and "HS256" or text(algorithm, 3, "verify"), require_exp)
    end,
  }, "crypto.jwt"),
  pbkdf2 = function(password, salt, iterations, length, algorithm)
    password, salt = text(password, 1, "pbkdf2"), text(salt, 2, "pbkdf2")
    iterations, length = integer(iterations, 3, "pbkdf2"), integer(length, 4, "pbkdf2")
    algorithm = algorithm == nil and "sha256" or text(algorithm, 5, "pbkdf2")
    local key, problem = pbkdf2_now(password, salt, iterations, length, algorithm)
    if key or problem then return key, problem end
    return pbkdf2(password, salt, iterations, length, algorithm)
  end,
  constant_time_compare = function(a, b)
    return equal(text(a, 1, "constant_time_compare"), text(b, 2, "constant_time_compare"))
  end,
}
