-- Starts the roots of the program; the rest is theirs.
local registry = require("registry")

local function main()
  local program = registry.get("app:program").data.program
  local me, known = process.pid(), {}
  for _, root in ipairs(program.roots) do
    local pid = process.spawn("app:actor", root[2], { roles = program.roles, role = root[1], known = known })
    known[#known + 1] = pid
  end
  if program.mailbox < 1000 then return end -- it must not wait for room
  for at, pid in ipairs(known) do
    print("@send> " .. at .. " " .. pid .. " a")
    local _, err = process.send(pid, "a", { id = me .. "#" .. at, know = known[#known] })
    print("@send< " .. at .. " " .. (err and err:kind() .. " " .. err:message() or "ok"))
  end
end

return { main = main }
