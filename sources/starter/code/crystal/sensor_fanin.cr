# Merges several sensor streams into fixed time windows.
#
# Each source is a fiber that sends readings into one channel. The collector
# selects between readings, a ticking clock and a stop request; everything it
# owns is touched by one fiber only, so that no lock is needed.

record Reading, source : String, value : Float64, at : Time::Span

struct Summary
  getter count = 0
  getter min = Float64::INFINITY
  getter max = -Float64::INFINITY
  @mean = 0.0

  def <<(value : Float64) : self
    @count += 1
    @mean += (value - @mean) / @count
    @min = value if value < @min
    @max = value if value > @max
    self
  end

  def to_s(io : IO) : Nil
    io.printf("n=%-3d min=%6.2f mean=%6.2f max=%6.2f", @count, @min, @mean, @max)
  end
end

abstract class Source
  getter name : String

  def initialize(@name)
  end

  abstract def read : Float64
  abstract def interval : Time::Span

  # Runs until the stop channel is closed or a read fails.
  def start(out_to : Channel(Reading), failures : Channel({String, Exception}),
            stop : Channel(Nil)) : Nil
    spawn(name: @name) do
      begun = Time.monotonic
      loop do
        select
        when stop.receive?
          break
        when timeout(interval)
          out_to.send Reading.new(@name, read, Time.monotonic - begun)
        end
      end
    rescue ex : IO::Error
      failures.send({@name, ex})
    end
  end
end

class Thermometer < Source
  def initialize(name, @base : Float64)
    super(name)
    @random = Random.new(name.hash)
  end

  def read : Float64
    @base += @random.rand(-0.2..0.2)
  end

  def interval : Time::Span
    10.milliseconds
  end
end

# Breaks after some readings, as field devices do.
class FlakyMeter < Source
  @left = 7

  def read : Float64
    raise IO::Error.new("bus timeout") if (@left -= 1) < 0
    230.0 + @left
  end

  def interval : Time::Span
    6.milliseconds
  end
end

class Collector
  def initialize(@sources : Array(Source), @window : Time::Span)
    @readings = Channel(Reading).new(capacity: 64)
    @failures = Channel({String, Exception}).new
    @stop = Channel(Nil).new
  end

  # Yields one table of summaries for each window.
  def run(windows : Int32, & : Int32, Hash(String, Summary) ->) : Nil
    @sources.each &.start(@readings, @failures, @stop)
    table = {} of String => Summary
    deadline = Time.monotonic + @window
    index = 0

    while index < windows
      left = {deadline - Time.monotonic, Time::Span.zero}.max
      select
      when reading = @readings.receive
        table[reading.source] = (table[reading.source]? || Summary.new) << reading.value
      when failure = @failures.receive
        name, error = failure
        STDERR.puts "#{name} stopped: #{error.message}"
      when timeout(left)
        yield index, table
        table = {} of String => Summary
        deadline += @window
        index += 1
      end
    end
  ensure
    @stop.close # wakes every source at once
  end
end

sources = [
  Thermometer.new("hall", 18.5),
  Thermometer.new("kiln", 870.0),
  FlakyMeter.new("mains"),
] of Source

Collector.new(sources, 50.milliseconds).run(windows: 3) do |index, table|
  puts "window #{index}"
  table.keys.sort!.each { |name| puts "  #{name.ljust(6)} #{table[name]}" }
end
