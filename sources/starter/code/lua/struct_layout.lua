--- Declarative binary records on top of string.pack.
--
--   local Header = layout.record {
--     layout.magic "ROUT",
--     layout.u16 "version",
--     layout.flags("options", { "compressed", "signed", [8] = "legacy" }),
--     layout.list("waypoints", layout.u8, layout.record { layout.i32 "lat", layout.i32 "lon" }),
--   }
--   local t, next_position = Header:unpack(bytes)
--   assert(Header:pack(t) == bytes)
--
-- Everything is little-endian and unaligned. Errors name the path to the field.

local layout = {}

local Codec = {}
Codec.__index = Codec

local function codec(name, pack, unpack)
  return setmetatable({ name = name, pack_field = pack, unpack_field = unpack }, Codec)
end

--- Raises with the path in front, once per level on the way up.
local function within(name, f, ...)
  local results = table.pack(pcall(f, ...))
  if results[1] then
    return table.unpack(results, 2, results.n)
  end
  local problem = results[2]
  if type(problem) ~= "table" then
    problem = { path = {}, message = tostring(problem):gsub("^[^:]+:%d+: ", "") }
  end
  table.insert(problem.path, 1, name)
  error(problem, 0)
end

local error_meta = {
  __tostring = function(e)
    return table.concat(e.path, "."):gsub("%.%[", "[") .. ": " .. e.message
  end,
}

function Codec:pack(value)
  local ok, result = pcall(self.pack_field, value)
  if ok then return result end
  error(type(result) == "table" and tostring(setmetatable(result, error_meta)) or result, 2)
end

function Codec:unpack(bytes, position)
  local ok, value, after = pcall(self.unpack_field, bytes, position or 1)
  if ok then return value, after end
  error(type(value) == "table" and tostring(setmetatable(value, error_meta)) or value, 2)
end

local function scalar(format)
  return function(name)
    return codec(name, function(value)
      return string.pack(format, value)
    end, function(bytes, position)
      return string.unpack(format, bytes, position)
    end)
  end
end

layout.u8 = scalar "<I1"
layout.u16 = scalar "<I2"
layout.u32 = scalar "<I4"
layout.i32 = scalar "<i4"
layout.f64 = scalar "<d"
layout.text = scalar "<s2"

--- A constant that must be present; it leaves no field behind.
function layout.magic(constant)
  return codec(nil, function()
    return constant
  end, function(bytes, position)
    local found = bytes:sub(position, position + #constant - 1)
    if found ~= constant then
      error(("expected %q, found %q"):format(constant, found), 0)
    end
    return nil, position + #constant
  end)
end

--- A set of named bits, as { compressed = true, ... }. Unknown bits are kept under
-- their number, so that reading and writing back changes nothing.
function layout.flags(name, bits)
  return codec(name, function(set)
    local word = 0
    for bit, flag in pairs(bits) do
      if set[flag] then word = word | 1 << (bit - 1) end
    end
    for key, on in pairs(set) do
      if math.type(key) == "integer" and on then word = word | 1 << (key - 1) end
    end
    return string.pack("<I2", word)
  end, function(bytes, position)
    local word, after = string.unpack("<I2", bytes, position)
    local set = {}
    for bit = 1, 16 do
      if word & 1 << (bit - 1) ~= 0 then set[bits[bit] or bit] = true end
    end
    return set, after
  end)
end

function layout.list(name, counter, element)
  local count = counter "count"
  return codec(name, function(values)
    local parts = { count.pack_field(#values) }
    for i, value in ipairs(values) do
      parts[#parts + 1] = within(("[%d]"):format(i), element.pack_field, value)
    end
    return table.concat(parts)
  end, function(bytes, position)
    local n, after = count.unpack_field(bytes, position)
    local values = {}
    for i = 1, n do
      values[i], after = within(("[%d]"):format(i), element.unpack_field, bytes, after)
    end
    return values, after
  end)
end

function layout.record(fields)
  return codec(nil, function(t)
    local parts = {}
    for i, field in ipairs(fields) do
      local value = field.name and t[field.name]
      if field.name and value == nil then
        error({ path = { field.name }, message = "is missing" }, 0)
      end
      parts[i] = within(field.name or "(constant)", field.pack_field, value)
    end
    return table.concat(parts)
  end, function(bytes, position)
    local t = {}
    for _, field in ipairs(fields) do
      local value
      value, position = within(field.name or "(constant)", field.unpack_field, bytes, position)
      if field.name then t[field.name] = value end
    end
    return t, position
  end)
end

return layout
