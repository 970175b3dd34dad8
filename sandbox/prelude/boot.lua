-- First chunk of a VM: makes the kernel table and loads the other files of this folder into it.
return function(host, random)
  local K = { host = host, ops = {}, random = random, P = {} } -- P: the key of what objects keep from user code
  local load, dump = load, string.dump
  -- Our own chunks may come compiled, by an earlier VM of this process; those of programs come as text, always.
  function K.compile_own(code, name)
    local chunk, problem = load(code, name, "bt")
    if not chunk then error(problem, 0) end
    return chunk, dump(chunk)
  end
  function K.load_prelude(name, code)
    local chunk, compiled = K.compile_own(code, "=kernel/" .. name)
    local result = chunk(K)
    if name == "baselib" then K.base_globals = result end
    if name == "types" then K.types = result end
    return compiled
  end
  -- Cuts the VM off from everything that was only needed for loading.
  function K.seal()
    K.finish_base(K.base_globals)
    for _, name in ipairs({ "io", "os", "package", "debug", "python", "require", "dofile", "loadfile", "load" }) do
      _G[name] = nil
    end
  end
  return K
end
