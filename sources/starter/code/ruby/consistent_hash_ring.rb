# frozen_string_literal: true

require "digest"
require "set"

# Places keys on servers so that adding or removing one server moves only its
# own share of the keys.
#
#   ring = ConsistentHashRing.new
#   ring.add("cache-a", weight: 2)
#   ring.add("cache-b")
#   ring.node_for("session:9921")            # => "cache-a"
#   ring.nodes_for("session:9921", count: 2) # primary, then replica
#
# Each unit of weight contributes POINTS_PER_WEIGHT virtual points; 160 of them
# keep the load of equal servers within a few percent of each other.
class ConsistentHashRing
  POINTS_PER_WEIGHT = 160
  HASHES_PER_DIGEST = 4 # a SHA-256 digest yields several independent 64-bit points

  Node = Data.define(:name, :weight)

  class EmptyRingError < StandardError
    def initialize = super("the ring has no nodes")
  end

  def initialize
    @nodes = {}
    @points = []  # sorted hash values
    @owners = {}  # hash value => node name
  end

  def add(name, weight: 1)
    raise ArgumentError, "weight must be positive" unless weight.positive?
    raise ArgumentError, "#{name} is on the ring already" if @nodes.key?(name)

    @nodes[name] = Node.new(name:, weight:)
    points_of(@nodes[name]) do |point|
      # On the (absurdly unlikely) collision the smaller name wins, so that the
      # layout does not depend on the order of insertion.
      @owners[point] = [@owners[point], name].compact.min
    end
    @points = @owners.keys.sort
    self
  end

  def remove(name)
    @nodes.delete(name) or return self
    @owners.delete_if { |_, owner| owner == name }
    @points = @owners.keys.sort
    self
  end

  def names = @nodes.keys

  def node_for(key)
    nodes_for(key, count: 1).first
  end

  # The first +count+ distinct nodes clockwise from the key. Fewer are returned
  # when the ring is smaller than that. A block can veto nodes, for instance
  # those that a health check has marked as down.
  def nodes_for(key, count:)
    raise EmptyRingError if @points.empty?

    chosen = Set.new
    each_clockwise(position(key)) do |owner|
      next if chosen.include?(owner)
      next if block_given? && !yield(owner)

      chosen << owner
      break if chosen.size == count
    end
    chosen.to_a
  end

  # Share of the hash space per node, for capacity dashboards.
  def shares
    totals = Hash.new(0)
    # The arc that ends in a point belongs to that point's owner.
    previous = @points.last - (1 << 64)
    @points.each do |point|
      totals[@owners[point]] += point - previous
      previous = point
    end
    totals.transform_values { |arc| arc.fdiv(1 << 64) }
  end

  private

  def each_clockwise(start)
    first = @points.bsearch_index { |point| point >= start } || 0
    @points.size.times do |step|
      yield @owners[@points[(first + step) % @points.size]]
    end
  end

  def points_of(node)
    (node.weight * POINTS_PER_WEIGHT / HASHES_PER_DIGEST).times do |replica|
      Digest::SHA256.digest("#{node.name}##{replica}").unpack("Q>4").each { |point| yield point }
    end
  end

  def position(key)
    Digest::SHA256.digest(key).unpack1("Q>")
  end
end

if $PROGRAM_NAME == __FILE__
  ring = ConsistentHashRing.new
  ring.add("cache-a").add("cache-b").add("cache-c", weight: 2)

  keys = Array.new(20_000) { |i| "user:#{i}" }
  before = keys.to_h { |key| [key, ring.node_for(key)] }

  puts "Share of the ring, and of #{keys.size} keys:"
  placed = before.values.tally
  ring.shares.sort.each do |name, share|
    printf("  %-8s %5.1f%% %5.1f%%\n", name, 100 * share, 100.0 * placed[name] / keys.size)
  end

  ring.add("cache-d")
  moved = keys.reject { |key| ring.node_for(key) == before[key] }
  destinations = moved.map { |key| ring.node_for(key) }.uniq
  printf("Adding cache-d moved %.1f%% of the keys, all to %p\n", 100.0 * moved.size / keys.size, destinations)

  healthy = ring.nodes_for("user:42", count: 2) { |name| name != "cache-c" }
  puts "user:42 with cache-c down: #{healthy.join(', ')}"
end
