--- A search language for a photo archive, parsed with parser combinators.
--
--   camera:"old Leica" and (year:1998..2003 or tag:alps) and not blurred
--
-- compile(text) returns a predicate over photo tables, or nil and a message with the
-- column of the first thing that could not be read.

local Parser = {}
Parser.__index = Parser

local function parser(run)
  return setmetatable({ run = run }, Parser)
end

-- A parser takes the text, a position and a shared state that remembers the farthest
-- failure; it returns a value and the next position, or nil.
local function fail(state, position, expected)
  if position > state.farthest then state.farthest, state.expected = position, {} end
  if position == state.farthest then table.insert(state.expected, expected) end
  return nil
end

local function match(pattern, what)
  local anchored = "^%s*" .. pattern
  return parser(function(text, position, state)
    local _, last, capture = text:find(anchored, position)
    if not last then return fail(state, position, what) end
    return capture or true, last + 1
  end)
end

local function keyword(word)
  return match("(" .. word .. ")%f[^%w]", "'" .. word .. "'")
end

--- a * b: both in sequence, value is the pair
function Parser.__mul(a, b)
  return parser(function(text, position, state)
    local first, middle = a.run(text, position, state)
    if first == nil then return nil end
    local second, last = b.run(text, middle, state)
    if second == nil then return nil end
    return { first, second }, last
  end)
end

--- a + b: the first alternative that matches
function Parser.__add(a, b)
  return parser(function(text, position, state)
    local value, last = a.run(text, position, state)
    if value ~= nil then return value, last end
    return b.run(text, position, state)
  end)
end

--- a / f: transforms the value
function Parser.__div(a, f)
  return parser(function(text, position, state)
    local value, last = a.run(text, position, state)
    if value == nil then return nil end
    return f(value), last
  end)
end

--- a ^ separator: a list of at least one
function Parser.__pow(a, separator)
  return parser(function(text, position, state)
    local value, last = a.run(text, position, state)
    if value == nil then return nil end
    local list = { value }
    while true do
      local found, middle = separator.run(text, last, state)
      if not found then return list, last end
      value, middle = a.run(text, middle, state)
      if value == nil then return nil end
      list[#list + 1], last = value, middle
    end
  end)
end

local function lazy(get)
  return parser(function(...) return get().run(...) end)
end

local function any(predicates)
  return function(photo)
    for _, predicate in ipairs(predicates) do
      if predicate(photo) then return true end
    end
    return false
  end
end

local function all(predicates)
  return function(photo)
    for _, predicate in ipairs(predicates) do
      if not predicate(photo) then return false end
    end
    return true
  end
end

local function holds(value, test)
  if type(value) ~= "table" then return value ~= nil and test(value) end
  for _, item in ipairs(value) do
    if test(item) then return true end
  end
  return false
end

local quoted = match('"([^"]*)"', "a quoted text") / string.lower
local word = match("(%a[%w_-]*)", "a word") / string.lower
local number = match("(%-?%d+%.?%d*)%f[^%d]", "a number") / tonumber
local range = (number * match("%.%.", "'..'") * number) / function(v)
  local low, high = v[1][1], v[2]
  return function(item) return type(item) == "number" and low <= item and item <= high end
end
local exactly = number / function(n)
  return function(item) return tonumber(item) == n end
end
local containing = (quoted + word) / function(needle)
  return function(item) return tostring(item):lower():find(needle, 1, true) ~= nil end
end

local either
local field = (match("(%a+)%s*:", "a field name") * (range + exactly + containing)) / function(v)
  return function(photo) return holds(photo[v[1]:lower()], v[2]) end
end
local tag = word / function(name)
  return function(photo) return holds(photo.tag, function(item) return item == name end) end
end
local group = (match("%(", "'('") * lazy(function() return either end) * match("%)", "')'"))
  / function(v) return v[1][2] end
local negated = (keyword "not" * lazy(function() return Parser.factor end)) / function(v)
  return function(photo) return not v[2](photo) end
end
Parser.factor = group + negated + field + tag
either = (((Parser.factor ^ keyword "and") / all) ^ keyword "or") / any

local function compile(text)
  local state = { farthest = 0, expected = {} }
  local query = either * match("$", "the end")
  local value = query.run(text, 1, state)
  if value then return value[1] end
  local column = text:find("%S", state.farthest) or #text + 1
  return nil, ("column %d: expected %s"):format(column, table.concat(state.expected, " or "))
end

return { compile = compile }
