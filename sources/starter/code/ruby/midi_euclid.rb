#!/usr/bin/env ruby
# frozen_string_literal: true

# Writes Euclidean drum patterns to a standard MIDI file.
#
#   ruby midi_euclid.rb song.mid <<SONG
#   tempo 112
#   kick  4/16
#   clave 5/16 rotate 2
#   hat   7/12 velocity 60
#   SONG
#
# "5/16" spreads five onsets as evenly as possible over sixteen steps. Tracks may
# differ in length; they drift against each other and meet again at the least
# common multiple, which is how long the file becomes.

module Euclid
  # Bresenham's line in disguise: step i carries an onset whenever the running
  # total of onsets passes a whole number.
  def self.pattern(onsets, steps, rotate: 0)
    raise ArgumentError, "#{onsets} onsets do not fit #{steps} steps" unless (0..steps).cover?(onsets)

    Array.new(steps) { |i| (i * onsets) % steps < onsets }.rotate(rotate)
  end
end

class MidiFile
  TICKS_PER_STEP = 120 # sixteenth notes at 480 ticks per quarter

  # Running deltas are kept per track, so events must come in order of time.
  class Track
    def initialize
      @bytes = String.new(encoding: Encoding::BINARY)
      @now = 0
    end

    def tempo(bpm) = meta(0x51, [60_000_000 / bpm].pack("N")[1..])

    def name(text) = meta(0x03, text.b)

    def note(at:, key:, velocity:, length:, channel: 9)
      event(at, [0x90 | channel, key, velocity].pack("C3"))
      event(at + length, [0x80 | channel, key, 0].pack("C3"))
    end

    def finish(at)
      @bytes << quantity(at - @now) << "\xFF\x2F\x00".b
      ["MTrk", @bytes.bytesize].pack("a4N") << @bytes
    end

    private

    def meta(type, data)
      event(@now, [0xFF, type].pack("C2") << quantity(data.bytesize) << data)
    end

    def event(at, data)
      raise ArgumentError, "event at #{at} lies in the past" if at < @now

      @bytes << quantity(at - @now) << data
      @now = at
    end

    # Variable-length quantity: seven bits per byte, high bit set on all but the last.
    def quantity(value)
      groups = value.digits(128).reverse
      last = groups.pop
      [*groups.map { |group| group | 0x80 }, last].pack("C*")
    end
  end

  def self.write(path, tracks)
    header = ["MThd", 6, 1, tracks.size, 480].pack("a4Nn3")
    File.binwrite(path, header << tracks.join)
  end
end

class Song
  DRUMS = {
    "kick" => 36, "rim" => 37, "snare" => 38, "clap" => 39, "hat" => 42, "openhat" => 46,
    "tom" => 47, "ride" => 51, "cowbell" => 56, "clave" => 75
  }.freeze

  Voice = Struct.new(:name, :pattern, :velocity)

  def self.parse(io)
    new.tap do |song|
      io.each_line.with_index(1) do |line, number|
        song.read(line.sub(/#.*/, "").split)
      rescue ArgumentError, KeyError => e
        abort "line #{number}: #{e.message}"
      end
    end
  end

  def initialize = (@tempo, @voices = 120, [])

  def read(words)
    case words
    in []
      nil
    in ["tempo", bpm]
      @tempo = Integer(bpm)
    in [drum, %r{\A(\d+)/(\d+)\z} => ratio, *options]
      DRUMS.fetch(drum)
      onsets, steps = ratio.split("/").map { |n| Integer(n, 10) }
      settings = options.each_slice(2).to_h { |key, value| [key.to_sym, Integer(value)] }
      pattern = Euclid.pattern(onsets, steps, rotate: settings.fetch(:rotate, 0))
      @voices << Voice.new(drum, pattern, settings.fetch(:velocity, 96))
    else
      raise ArgumentError, "cannot read #{words.join(' ').inspect}"
    end
  end

  def total_steps = @voices.map { |voice| voice.pattern.size }.reduce(1, :lcm)

  def render(path)
    ending = total_steps * MidiFile::TICKS_PER_STEP
    conductor = MidiFile::Track.new.tap { |track| track.tempo(@tempo) }
    tracks = @voices.map { |voice| track_for(voice).finish(ending) }
    MidiFile.write(path, [conductor.finish(ending), *tracks])
  end

  def to_s
    @voices.map { |v| format("%-8s %s", v.name, v.pattern.map { |hit| hit ? "x" : "." }.join) }.join("\n")
  end

  private

  def track_for(voice)
    track = MidiFile::Track.new
    track.name(voice.name)
    voice.pattern.cycle.lazy.first(total_steps).each_with_index do |hit, step|
      next unless hit

      # A bar's first step is played slightly louder.
      accent = (step % 16).zero? ? 20 : 0
      track.note(at: step * MidiFile::TICKS_PER_STEP, key: DRUMS.fetch(voice.name),
                 velocity: (voice.velocity + accent).clamp(1, 127), length: 60)
    end
    track
  end
end

target = ARGV.shift or abort "usage: midi_euclid.rb OUTPUT.mid < SONG"
song = Song.parse($stdin)
song.render(target)
puts song, "#{song.total_steps} steps -> #{target}"
