#!/usr/bin/env ruby
# frozen_string_literal: true

# Plots columns of a data file in the terminal with Braille characters: each cell
# holds 2 x 4 dots, so an 80-column window gives 160 points across.
#
#   vmstat 1 60 | ruby terminal_minimap.rb --column 13 --label "user %"
#   ruby terminal_minimap.rb --column 2,3 --log readings.tsv

require "io/console"
require "optparse"

class BrailleCanvas
  BLANK = 0x2800
  # Bit of each dot, addressed [row][column]; the lowest row was added to the
  # standard last, hence the odd numbering.
  DOTS = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]].freeze
  COLOURS = [36, 33, 35, 32].freeze # cyan, yellow, magenta, green

  attr_reader :width, :height

  def initialize(columns, rows)
    @width = columns * 2
    @height = rows * 4
    @cells = Array.new(rows) { Array.new(columns, 0) }
    @owner = Array.new(rows) { Array.new(columns) }
  end

  # The origin is the lower left corner.
  def plot(x, y, series = 0)
    return unless x.between?(0, width - 1) && y.between?(0, height - 1)

    row, dot_row = (height - 1 - y).divmod(4)
    column, dot_column = x.divmod(2)
    @cells[row][column] |= DOTS[dot_row][dot_column]
    @owner[row][column] ||= series
  end

  def line(from, to, series = 0)
    (x0, y0), (x1, y1) = from, to
    steps = [(x1 - x0).abs, (y1 - y0).abs, 1].max
    (0..steps).each do |i|
      plot(x0 + ((x1 - x0) * i).fdiv(steps).round, y0 + ((y1 - y0) * i).fdiv(steps).round, series)
    end
  end

  def render(colour: true)
    @cells.each_with_index.map do |row, r|
      row.each_with_index.map do |bits, c|
        glyph = (BLANK | bits).chr(Encoding::UTF_8)
        series = @owner[r][c]
        colour && series ? "\e[#{COLOURS[series % COLOURS.size]}m#{glyph}\e[0m" : glyph
      end.join
    end
  end
end

class Scale
  def initialize(values, log: false)
    @log = log
    usable = values.map { |v| transform(v) }.compact
    abort "no values that can be drawn" if usable.empty?
    @low, @high = usable.minmax
    @high = @low + 1 if @low == @high
  end

  def position(value, extent)
    t = transform(value) or return nil
    ((t - @low) / (@high - @low) * (extent - 1)).round
  end

  # Value at a relative height, 0 at the bottom and 1 at the top.
  def value_at(fraction)
    t = @low + (@high - @low) * fraction
    @log ? 10**t : t
  end

  private

  def transform(value)
    return value.to_f unless @log

    value.positive? ? Math.log10(value) : nil
  end
end

# Averages runs of samples when there are more of them than dots across. A run
# without a single number becomes nil, which leaves a gap in the line.
def resample(samples, count)
  return samples if samples.size <= count

  Array.new(count) do |i|
    run = samples[(i * samples.size / count)...((i + 1) * samples.size / count)].compact
    run.empty? ? nil : run.sum.fdiv(run.size)
  end
end

def humanize(value)
  suffixes = { 1e9 => "G", 1e6 => "M", 1e3 => "k" }
  limit, suffix = suffixes.find { |threshold, _| value.abs >= threshold }
  limit ? format("%.1f%s", value / limit, suffix) : format("%.4g", value)
end

options = { columns: [1], log: false, label: nil, height: 12 }
OptionParser.new do |parser|
  parser.banner = "usage: terminal_minimap.rb [options] [FILE...]"
  parser.on("-c", "--column LIST", Array, "columns to draw, from 1") { |v| options[:columns] = v.map { |n| Integer(n) } }
  parser.on("-l", "--log", "logarithmic vertical axis") { options[:log] = true }
  parser.on("--label TEXT") { |text| options[:label] = text }
  parser.on("--height ROWS", Integer) { |rows| options[:height] = rows }
end.parse!

series = Array.new(options[:columns].size) { [] }
ARGF.each_line do |text|
  fields = text.split
  numbers = options[:columns].map { |c| Float(fields[c - 1], exception: false) if fields[c - 1] }
  next if numbers.none? # header lines

  series.zip(numbers) { |list, number| list << number }
end

scale = Scale.new(series.flatten.compact, log: options[:log])
gutter = 8
canvas = BrailleCanvas.new((IO.console&.winsize&.last || 80) - gutter - 1, options[:height])
series.each_with_index do |samples, index|
  points = resample(samples, canvas.width)
  stretch = (canvas.width - 1).fdiv([points.size - 1, 1].max)
  placed = points.each_with_index.map { |v, i| v && (y = scale.position(v, canvas.height)) && [(i * stretch).round, y] }
  placed.each_cons(2) { |a, b| canvas.line(a, b, index) if a && b }
end

puts options[:label].center(canvas.width / 2 + gutter) if options[:label]
lines = canvas.render(colour: $stdout.tty?)
lines.each_with_index do |text, row|
  tick = (row % 4).zero? || row == lines.size - 1
  mark = tick ? humanize(scale.value_at(1 - row.fdiv([lines.size - 1, 1].max))) : ""
  puts "#{mark.rjust(gutter)} #{text}"
end
