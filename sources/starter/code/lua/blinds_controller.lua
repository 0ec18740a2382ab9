--- Window blinds for a microcontroller that runs Lua: sun, wind and wishes decide.
--
-- The host calls step(clock, sensors) once a second and sends the commands it returns
-- to the motors. Nothing in here touches hardware, so the same file runs on a desk.

local WIND_LIMIT = 11        -- m/s; above it all outside blinds go up
local WIND_CALM_SECONDS = 15 * 60
local MANUAL_SECONDS = 2 * 3600
local MIN_MOVE = 6           -- percent; smaller corrections only wear the motor

local windows = {
  { name = "office", azimuth = 135, travel = 42, glare_below = 35 },
  { name = "kitchen", azimuth = 225, travel = 30, glare_below = 25 },
  { name = "stairs", azimuth = 180, travel = 55, glare_below = 60, inside = true },
}

--- Sun position to about half a degree, good enough for blinds.
local function sun(clock)
  local latitude = math.rad(48.2)
  local declination = math.rad(-23.44) * math.cos(2 * math.pi * (clock.yday + 10) / 365.25)
  local hour_angle = math.rad((clock.utc_seconds / 3600 - 12) * 15 + 16.4)
  local sin_elevation = math.sin(latitude) * math.sin(declination)
    + math.cos(latitude) * math.cos(declination) * math.cos(hour_angle)
  local elevation = math.asin(sin_elevation)
  local azimuth = math.atan(
    math.sin(hour_angle),
    math.cos(hour_angle) * math.sin(latitude) - math.tan(declination) * math.cos(latitude))
  return math.deg(elevation), (math.deg(azimuth) + 180) % 360
end

local function angle_between(a, b)
  return math.abs((a - b + 180) % 360 - 180)
end

--- How far down, in percent, so that the sun does not reach the desk; 0 is open.
local function shade_wanted(window, elevation, azimuth, lux)
  if elevation <= 0 or lux < 18000 then return 0 end
  local off_axis = angle_between(azimuth, window.azimuth)
  if off_axis > 75 then return 0 end
  if elevation > window.glare_below then return 30 end
  local profile = math.deg(math.atan(math.tan(math.rad(elevation)), math.cos(math.rad(off_axis))))
  return math.min(90, 100 - profile)
end

local Blind = {}
Blind.__index = Blind

local function new_blind(window)
  local blind = { window = window, position = 0, target = 0, manual_until = 0 }
  blind.routine = coroutine.create(function(self)
    -- Positions are known only by dead reckoning: run to the upper stop once.
    coroutine.yield "up"
    for _ = 2, self.window.travel do coroutine.yield() end
    coroutine.yield "stop"
    self.position = 0
    while true do
      local error = self.target - self.position
      if math.abs(error) < MIN_MOVE and not (self.target == 0 and error ~= 0) then
        coroutine.yield()
      else
        coroutine.yield(error > 0 and "down" or "up")
        local per_second = 100 / self.window.travel * (error > 0 and 1 or -1)
        while (self.target - self.position) * per_second > 0 do
          self.position = math.max(0, math.min(100, self.position + per_second))
          coroutine.yield()
        end
        coroutine.yield "stop"
      end
    end
  end)
  return setmetatable(blind, Blind)
end

function Blind:tick()
  local ok, command = coroutine.resume(self.routine, self)
  if not ok then
    -- A bug must not leave a motor running: report it, stop, and stay put.
    self.routine = coroutine.create(function() while true do coroutine.yield() end end)
    return "stop", command
  end
  return command
end

local Controller = {}
Controller.__index = Controller

function Controller.new()
  local self = setmetatable({ blinds = {}, windy_until = 0 }, Controller)
  for _, window in ipairs(windows) do
    self.blinds[window.name] = new_blind(window)
  end
  return self
end

--- Somebody pressed a button; automation keeps away for a while, except in a storm.
function Controller:press(name, percent, now)
  local blind = assert(self.blinds[name], "no blind called " .. tostring(name))
  blind.target, blind.manual_until = percent, now + MANUAL_SECONDS
end

function Controller:step(clock, sensors)
  if sensors.wind == nil or sensors.wind > WIND_LIMIT then
    self.windy_until = clock.now + WIND_CALM_SECONDS -- a dead sensor counts as a storm
  end
  local storm = clock.now < self.windy_until
  local elevation, azimuth = sun(clock)
  local commands = {}
  for name, blind in pairs(self.blinds) do
    if storm and not blind.window.inside then
      blind.target = 0
    elseif clock.now >= blind.manual_until then
      local wanted = shade_wanted(blind.window, elevation, azimuth, sensors.lux or 0)
      -- Close at once, but open only when it has become clearly brighter than needed.
      if wanted > blind.target or wanted < blind.target - 20 then
        blind.target = wanted
      end
    end
    local command, problem = blind:tick()
    if command then commands[name] = command end
    if problem then print(("%s: %s"):format(name, problem)) end
  end
  return commands
end

return Controller
