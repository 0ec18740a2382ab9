require "spec"

# Earliest arrival in a timetable (connection scan), with its specification.
module Timetable
  # Minutes after midnight; a trip past midnight simply goes beyond 1440.
  record Connection, trip : String, from : String, to : String, departs : Int32, arrives : Int32 do
    include Comparable(self)

    def <=>(other : self)
      {departs, arrives} <=> {other.departs, other.arrives}
    end
  end

  class Planner
    @connections : Array(Connection)

    def initialize(connections : Enumerable(Connection), @change_time = 4)
      @connections = connections.to_a.sort!
      if bad = @connections.find { |c| c.arrives < c.departs }
        raise ArgumentError.new("#{bad.trip} arrives before it departs")
      end
    end

    # The legs of the earliest journey, or nil when there is none.
    def earliest(from : String, to : String, at start : Int32) : Array(Connection)?
      return [] of Connection if from == to
      best = Hash(String, Int32).new(Int32::MAX)
      best[from] = start - @change_time # no change is needed at the origin
      reached_by = {} of String => Connection
      boarded = {} of String => Connection # first connection taken per trip
      via = {} of Connection => Connection

      first = @connections.bsearch_index { |c, _| c.departs >= start } || return nil
      @connections.each(within: first..) do |c|
        break if c.departs >= best[to] # nothing later can improve on it
        on_board = boarded.has_key?(c.trip)
        next unless on_board || best[c.from] <= c.departs - @change_time
        boarded[c.trip] ||= c
        if c.arrives < best[c.to]
          best[c.to] = c.arrives
          reached_by[c.to] = c
          via[c] = boarded[c.trip]
        end
      end
      reached_by.has_key?(to) ? trace(to, from, reached_by, via) : nil
    end

    # Each leg is shown as one connection from boarding to alighting.
    private def trace(to, from, reached_by, via)
      legs = [] of Connection
      stop = to
      until stop == from
        last = reached_by[stop]
        first = via[last]
        legs << Connection.new(last.trip, first.from, last.to, first.departs, last.arrives)
        stop = first.from
      end
      legs.reverse!
    end
  end
end

private def ride(trip, *stops)
  stops.to_a.each_cons(2).map do |(a, b)|
    Timetable::Connection.new(trip, a[0], b[0], a[1], b[1])
  end.to_a
end

describe Timetable::Planner do
  lines = [
    ride("slow", {"Ash", 480}, {"Birch", 500}, {"Cedar", 530}, {"Elm", 570}),
    ride("fast", {"Birch", 503}, {"Elm", 540}),
    ride("next", {"Birch", 515}, {"Elm", 552}),
    ride("night", {"Elm", 1430}, {"Fir", 1475}),
  ].flatten

  it "stays on board when no change is possible" do
    planner = Timetable::Planner.new(lines.reject { |c| c.trip.in?("fast", "next") })
    legs = planner.earliest("Ash", "Elm", at: 470).not_nil!
    legs.map(&.trip).should eq ["slow"]
    legs.first.arrives.should eq 570
  end

  it "does not promise a change that is too short" do
    legs = Timetable::Planner.new(lines).earliest("Ash", "Elm", at: 470).not_nil!
    legs.map(&.trip).should eq %w(slow next)
  end

  it "takes the tight change when the station allows it" do
    legs = Timetable::Planner.new(lines, change_time: 2).earliest("Ash", "Elm", at: 470).not_nil!
    legs.map(&.trip).should eq %w(slow fast)
    legs.last.arrives.should eq 540
  end

  it "needs no change time at the origin" do
    planner = Timetable::Planner.new(lines)
    planner.earliest("Birch", "Elm", at: 503).not_nil!.first.trip.should eq "fast"
  end

  it "runs past midnight" do
    legs = Timetable::Planner.new(lines).earliest("Ash", "Fir", at: 0).not_nil!
    legs.last.arrives.should eq 1475
    legs.size.should eq 3
  end

  it "knows when there is no way" do
    planner = Timetable::Planner.new(lines)
    planner.earliest("Fir", "Ash", at: 0).should be_nil
    planner.earliest("Ash", "Elm", at: 1000).should be_nil
    planner.earliest("Ash", "Ash", at: 0).should eq [] of Timetable::Connection
  end

  it "rejects impossible data" do
    expect_raises(ArgumentError, /arrives before/) do
      Timetable::Planner.new(ride("odd", {"Ash", 90}, {"Elm", 80}))
    end
  end
end
