# frozen_string_literal: true

require "minitest/autorun"

# Routing rules for a parcel hub, written as a small internal DSL, with their tests.
module ParcelRouting
  Parcel = Struct.new(:weight_g, :country, :longest_side_mm, :contents, :express, keyword_init: true) do
    def letter? = weight_g <= 500 && longest_side_mm <= 353
  end

  class RuleError < StandardError; end

  class Rule
    attr_reader :name, :lane

    def initialize(name, &definition)
      @name = name
      @conditions = []
      instance_eval(&definition)
      raise RuleError, "rule #{name} sends nowhere" unless @lane
    end

    def matches?(parcel) = @conditions.all? { |condition| condition.call(parcel) }

    def specificity = @conditions.size

    private

    def send_to(lane) = @lane = lane

    # Accepts anything that answers ===: values, ranges, classes, patterns, lambdas.
    def where(**patterns)
      patterns.each do |attribute, pattern|
        unless Parcel.members.include?(attribute) || Parcel.method_defined?(attribute)
          raise RuleError, "rule #{name}: a parcel has no #{attribute}"
        end

        @conditions << lambda { |parcel|
          value = parcel.public_send(attribute)
          (pattern.is_a?(Array) ? pattern : [pattern]).any? { |option| option === value }
        }
      end
    end
  end

  class Table
    def self.define(&) = new.tap { |table| table.instance_eval(&) }

    def initialize
      @rules = []
      @fallback = nil
    end

    # The most specific rule wins; among equals, the one defined first.
    def route(parcel)
      best = @rules.select { |rule| rule.matches?(parcel) }.max_by.with_index { |rule, i| [rule.specificity, -i] }
      best&.lane || @fallback || raise(RuleError, "no rule for #{parcel}")
    end

    private

    def rule(name, &) = @rules << Rule.new(name, &)

    def otherwise(lane) = @fallback = lane
  end
end

class ParcelRoutingTest < Minitest::Test
  include ParcelRouting

  TABLE = ParcelRouting::Table.define do
    rule :letters do
      where letter?: true
      send_to :flat_sorter
    end

    rule :bulky do
      where longest_side_mm: (1200..)
      send_to :manual_bay
    end

    rule :customs do
      where country: ->(code) { !%w[DE FR NL BE].include?(code) }
      send_to :customs_cage
    end

    rule :lithium do
      where contents: /\b(battery|batteries|lithium)\b/i, country: %w[DE NL]
      send_to :hazmat
    end

    rule :express_letters do
      where express: true, letter?: true
      send_to :night_flight
    end

    otherwise :belt_4
  end

  def parcel(**overrides)
    Parcel.new(weight_g: 2_400, country: "DE", longest_side_mm: 400, contents: "books", express: false, **overrides)
  end

  def test_falls_back_when_nothing_matches
    assert_equal :belt_4, TABLE.route(parcel)
  end

  def test_ranges_are_inclusive_at_the_lower_end
    assert_equal :belt_4, TABLE.route(parcel(longest_side_mm: 1199))
    assert_equal :manual_bay, TABLE.route(parcel(longest_side_mm: 1200))
  end

  def test_more_conditions_beat_fewer
    letter = parcel(weight_g: 80, longest_side_mm: 220)
    assert_equal :flat_sorter, TABLE.route(letter)

    letter.express = true
    assert_equal :night_flight, TABLE.route(letter)
  end

  def test_pattern_looks_for_whole_words
    assert_equal :hazmat, TABLE.route(parcel(contents: "Spare battery, 20 Wh"))
    assert_equal :belt_4, TABLE.route(parcel(contents: "Batterycraft, a novel"))
  end

  def test_definition_order_breaks_ties
    # :bulky and :customs both match with one condition each.
    assert_equal :manual_bay, TABLE.route(parcel(country: "CH", longest_side_mm: 1500))
  end

  def test_typos_are_caught_when_the_table_is_built
    error = assert_raises(RuleError) do
      Table.define { rule(:broken) { where wieght_g: 10; send_to :x } }
    end
    assert_match(/broken: a parcel has no wieght_g/, error.message)
  end

  def test_a_rule_needs_a_lane
    assert_raises(RuleError) { Table.define { rule(:nowhere) { where country: "DE" } } }
  end

  def test_without_a_fallback_the_parcel_is_named
    empty = Table.define {}
    error = assert_raises(RuleError) { empty.route(parcel(contents: "clock")) }
    assert_includes error.message, 'contents="clock"'
  end
end
