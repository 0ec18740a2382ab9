"""
A bank of elevators without a central controller.

Each hall call is put up for auction: every car answers with the time it would
need, and the cheapest gets the call. Cars keep all their state to themselves, so
there is nothing to lock; an auction is a short-lived actor that disappears once
its last bid has come in.
"""
use "collections"
use "time"

primitive Up fun string(): String => "up"
primitive Down fun string(): String => "down"
type Direction is (Up | Down)

class val HallCall
  let floor: U32
  let direction: Direction

  new val create(floor': U32, direction': Direction) =>
    (floor, direction) = (floor', direction')

actor Dispatcher
  let _cars: Array[Car] = Array[Car]

  be add(car: Car) => _cars.push(car)

  be request(call: HallCall) =>
    let auction = Auction(call, _cars.size())
    for car in _cars.values() do
      car.bid(call, auction)
    end

actor Auction
  let _call: HallCall
  var _outstanding: USize
  var _best: (Car | None) = None
  var _lowest: U32 = U32.max_value()

  new create(call: HallCall, bidders: USize) =>
    _call = call
    _outstanding = bidders

  be offer(car: Car, cost: U32) =>
    // Ties go to whoever answered first.
    if cost < _lowest then
      _lowest = cost
      _best = car
    end
    _outstanding = _outstanding - 1
    if _outstanding == 0 then
      match _best
      | let winner: Car => winner.assign(_call)
      end
    end

actor Car
  let _name: String
  let _out: OutStream
  let _stops: Set[U32] = Set[U32]
  var _floor: U32
  var _direction: Direction = Up
  var _door_ticks: U32 = 0

  new create(name: String, floor: U32, out: OutStream) =>
    _name = name
    _floor = floor
    _out = out

  be bid(call: HallCall, auction: Auction) => auction.offer(this, _cost(call))

  be assign(call: HallCall) =>
    _stops.set(call.floor)
    _say("takes the call " + call.direction.string() + " at " + call.floor.string())

  be step() =>
    if _door_ticks > 0 then
      _door_ticks = _door_ticks - 1
    elseif _stops.contains(_floor) then
      _stops.unset(_floor)
      _door_ticks = 3
      _say("opens at " + _floor.string())
    elseif _stops.size() > 0 then
      if not _any_ahead() then _direction = _opposite() end
      match _direction
      | Up => _floor = _floor + 1
      | Down => _floor = _floor - 1
      end
    end

  fun _cost(call: HallCall): U32 =>
    """
    Ticks until the car could open at the call. Every stop on the way costs four
    ticks; a call behind the car is reached only after its furthest stop ahead.
    """
    if _stops.size() == 0 then return _distance(_floor, call.floor) end

    var turn = _floor
    for stop in _stops.values() do
      if _ahead(stop) and (_distance(_floor, stop) > _distance(_floor, turn)) then
        turn = stop
      end
    end
    let travel =
      if _ahead(call.floor) and (call.direction is _direction) then
        _distance(_floor, call.floor)
      else
        _distance(_floor, turn) + _distance(turn, call.floor)
      end
    travel + (4 * _stops.size().u32()) + _door_ticks

  fun _any_ahead(): Bool =>
    for stop in _stops.values() do
      if _ahead(stop) then return true end
    end
    false

  fun _ahead(floor: U32): Bool =>
    match _direction
    | Up => floor > _floor
    | Down => floor < _floor
    end

  fun _opposite(): Direction => if _direction is Up then Down else Up end

  fun _distance(a: U32, b: U32): U32 => a.max(b) - a.min(b)

  fun _say(text: String) => _out.print(_name + " " + text)

class iso _Tick is TimerNotify
  let _car: Car

  new iso create(car: Car) => _car = car

  fun ref apply(timer: Timer, count: U64): Bool =>
    _car.step()
    true

actor Main
  new create(env: Env) =>
    let dispatcher = Dispatcher
    let timers = Timers
    for (name, floor) in [("A", U32(0)); ("B", U32(6)); ("C", U32(11))].values() do
      let car = Car(name, floor, env.out)
      dispatcher.add(car)
      timers(Timer(_Tick(car), 0, 500_000_000))
    end
    dispatcher.request(HallCall(7, Down))
    dispatcher.request(HallCall(2, Up))
