#!/usr/bin/env lua
--- Grows plants from bracketed L-systems and draws them as SVG inside a web page.
--
--   lua lsystem_svg.lua fern 6 > fern.html
--
-- Rules may be stochastic: a list of {weight, replacement} pairs. A seed makes a
-- particular plant reproducible.

local plants = {
  fern = {
    axiom = "X",
    rules = { X = "F+[[X]-X]-F[-FX]+X", F = "FF" },
    angle = 25,
    heading = 80,
  },
  weed = {
    axiom = "F",
    rules = { F = { { 3, "F[+F]F[-F]F" }, { 2, "F[+F]F" }, { 2, "F[-F]F" } } },
    angle = 27,
    heading = 90,
  },
  bush = {
    axiom = "VZFFF",
    rules = {
      V = "[+++W][---W]YV",
      W = "+X[-W]Z",
      X = "-W[+X]Z",
      Y = "YZ",
      Z = "[-FFF][+FFF]F",
    },
    angle = 20,
    heading = 90,
  },
}

--- Linear congruential generator: math.random differs between Lua versions.
local function generator(seed)
  local state = seed
  return function()
    state = (1103515245 * state + 12345) % 2147483648
    return state / 2147483648
  end
end

local function choose(options, random)
  local total = 0
  for _, option in ipairs(options) do
    total = total + option[1]
  end
  local ticket = random() * total
  for _, option in ipairs(options) do
    ticket = ticket - option[1]
    if ticket < 0 then return option[2] end
  end
  return options[#options][2]
end

--- Rewrites depth-first in a coroutine: the expanded string, which grows to millions
-- of symbols, never exists as a whole.
local function symbols(plant, depth, random)
  local function expand(text, level)
    for symbol in text:gmatch(".") do
      local rule = level > 0 and plant.rules[symbol]
      if type(rule) == "table" then
        rule = choose(rule, random)
      end
      if rule then
        expand(rule, level - 1)
      else
        coroutine.yield(symbol)
      end
    end
  end
  return coroutine.wrap(function()
    expand(plant.axiom, depth)
  end)
end

local Turtle = {}
Turtle.__index = Turtle

function Turtle.new(heading, turn)
  local self = setmetatable({}, Turtle)
  self.x, self.y, self.heading, self.turn = 0, 0, math.rad(heading), math.rad(turn)
  self.stack = {}
  self.paths = {} -- one list of points per unbroken line, with its depth of branching
  self.min_x, self.max_x, self.min_y, self.max_y = 0, 0, 0, 0
  self:lift()
  return self
end

function Turtle:lift()
  self.path = nil
end

function Turtle:forward()
  if not self.path then
    self.path = { depth = #self.stack, { self.x, self.y } }
    self.paths[#self.paths + 1] = self.path
  end
  self.x = self.x + math.cos(self.heading)
  self.y = self.y - math.sin(self.heading) -- SVG counts downwards
  self.path[#self.path + 1] = { self.x, self.y }
  self.min_x, self.max_x = math.min(self.min_x, self.x), math.max(self.max_x, self.x)
  self.min_y, self.max_y = math.min(self.min_y, self.y), math.max(self.max_y, self.y)
end

Turtle.commands = {
  F = Turtle.forward,
  ["+"] = function(self) self.heading = self.heading + self.turn end,
  ["-"] = function(self) self.heading = self.heading - self.turn end,
  ["["] = function(self)
    self.stack[#self.stack + 1] = { self.x, self.y, self.heading }
    self:lift()
  end,
  ["]"] = function(self)
    local saved = assert(table.remove(self.stack), "unbalanced brackets in a rule")
    self.x, self.y, self.heading = table.unpack(saved)
    self:lift()
  end,
}

local function write_svg(turtle, out)
  local width, height = turtle.max_x - turtle.min_x, turtle.max_y - turtle.min_y
  local scale = 1000 / math.max(width, height, 1)
  out:write(('<!DOCTYPE html>\n<svg viewBox="%.0f %.0f %.0f %.0f">\n'):format(
    turtle.min_x * scale - 10, turtle.min_y * scale - 10, width * scale + 20, height * scale + 20))
  out:write('<g fill="none" stroke="#2f5d34" stroke-linecap="round">\n')
  for _, path in ipairs(turtle.paths) do
    local points = {}
    for i, point in ipairs(path) do
      points[i] = ("%.1f,%.1f"):format(point[1] * scale, point[2] * scale)
    end
    out:write(('<polyline stroke-width="%.2f" points="%s"/>\n'):format(
      math.max(0.4, 4 - 0.6 * path.depth), table.concat(points, " ")))
  end
  out:write("</g>\n</svg>\n")
end

local plant = plants[arg[1]]
if not plant then
  io.stderr:write("usage: lsystem_svg.lua fern|weed|bush [depth] [seed]\n")
  os.exit(2)
end
local turtle = Turtle.new(plant.heading, plant.angle)
for symbol in symbols(plant, tonumber(arg[2]) or 5, generator(tonumber(arg[3]) or 1)) do
  local command = Turtle.commands[symbol]
  if command then command(turtle) end
end
write_svg(turtle, io.stdout)
