# frozen_string_literal: true

# Interval sets over comparable values: union, intersection, difference and gaps.
# Ranges are half-open (begin...end), which makes adjacent ones join cleanly and
# keeps durations additive. Works with integers, times, dates and strings alike.
#
#   using SpanSet::Syntax
#   busy  = (9...11).span | (13...14).span
#   free  = (8...18).span - busy
#   free.to_a   # => [8...9, 11...13, 14...18]
class SpanSet
  include Enumerable

  # Adds Range#span, but only to files that ask for it with `using`.
  module Syntax
    refine Range do
      def span = SpanSet[self]
    end
  end

  class << self
    def [](*ranges) = new(ranges)

    def empty = @empty ||= new([])
  end

  def initialize(ranges)
    sorted = ranges.map { |range| check(range) }.reject { |r| r.begin >= r.end }.sort_by(&:begin)
    @spans = sorted.each_with_object([]) do |range, merged|
      if merged.any? && range.begin <= merged.last.end
        merged[-1] = merged.last.begin...[merged.last.end, range.end].max
      else
        merged << range
      end
    end.freeze
    freeze
  end

  def each(&block)
    return enum_for(:each) { @spans.size } unless block

    @spans.each(&block)
    self
  end

  def empty? = @spans.empty?

  def |(other)
    SpanSet.new(to_a + other.to_a)
  end
  alias union |

  # A sweep over both lists at once, linear in their lengths.
  def &(other)
    left, right = each, other.each
    common = []
    loop do # ends when either enumerator raises StopIteration
      a, b = left.peek, right.peek
      common << ([a.begin, b.begin].max...[a.end, b.end].min)
      (a.end <= b.end ? left : right).next
    end
    SpanSet.new(common)
  end
  alias intersection &

  def -(other)
    return self if empty? || other.empty?

    self & other.complement_within(min_by(&:begin).begin, map(&:end).max)
  end
  alias difference -

  # What this set leaves uncovered between two bounds.
  def complement_within(low, high)
    edges = [low, *flat_map { |span| [span.begin, span.end] }, high]
    clipped = edges.map { |edge| edge.clamp(low, high) }
    SpanSet.new(clipped.each_slice(2).map { |from, to| from...to })
  end

  # The uncovered stretches between the first and the last span.
  def gaps
    empty? ? self : complement_within(first.begin, @spans.last.end)
  end

  def cover?(value)
    index = @spans.bsearch_index { |span| span.end > value }
    !index.nil? && @spans[index].begin <= value
  end

  def superset?(other) = (other - self).empty?

  # Total length; needs values that can be subtracted from each other.
  def measure
    sum { |span| span.end - span.begin }
  end

  # Splits at multiples of +step+ counted from +origin+, for hourly or daily reports.
  def each_slot(step, origin: first&.begin)
    return enum_for(:each_slot, step, origin:) unless block_given?

    each do |span|
      from = span.begin
      while from < span.end
        boundary = origin + ((from - origin).div(step) + 1) * step
        to = [boundary, span.end].min
        yield from...to
        from = to
      end
    end
  end

  def ==(other) = other.is_a?(SpanSet) && to_a == other.to_a
  alias eql? ==

  def hash = @spans.hash

  # `in {spans: 0, measure: ..3600}` and friends
  def deconstruct_keys(_keys) = { spans: @spans.size, first: first, measure: measure }

  def deconstruct = to_a

  def inspect = "#<SpanSet #{@spans.join(' ∪ ').then { |s| s.empty? ? '∅' : s }}>"

  private

  def check(range)
    bounded = range.is_a?(Range) && range.begin && range.end
    raise ArgumentError, "#{range.inspect} is not a bounded range" unless bounded
    raise ArgumentError, "#{range} includes its end; use three dots" unless range.exclude_end?

    range
  end
end

if $PROGRAM_NAME == __FILE__
  using SpanSet::Syntax

  shift = (480...1020).span # minutes since midnight
  meetings = (540...600).span | (600...615).span | (780...870).span
  free = shift - meetings

  free.each { |span| puts format("%02d:%02d-%02d:%02d", *span.begin.divmod(60), *span.end.divmod(60)) }
  puts "busy #{(shift & meetings).measure} of #{shift.measure} minutes"

  case free
  in { spans: 1 } then puts "one free block"
  in [first, *, last] then puts "between #{first} and #{last}"
  end
  p free.each_slot(60, origin: 0).count, free.gaps, free.cover?(600), SpanSet.empty
end
