#!/usr/bin/env ruby
# frozen_string_literal: true

# A small publish/subscribe server with replay, for dashboards on a local network.
#
#   ruby rewind_buffer_server.rb --port 7070 --history 500
#
# One command per line, as in:
#
#   PUB pump.3 {"rpm":1480}      publish; answers OK <sequence>
#   SUB pump.* FROM 117          replay what is still held, then follow
#   UNSUB pump.*
#   PING
#
# Messages reach subscribers as: MSG <sequence> <topic> <payload>

require "optparse"
require "socket"

Message = Data.define(:sequence, :topic, :payload) do
  def to_line = "MSG #{sequence} #{topic} #{payload}\n"
end

# The only shared state. Everything in it happens under one mutex; sockets are
# written by per-client threads, so a slow client cannot hold up a publisher.
class Broker
  MAX_BACKLOG = 1_000

  def initialize(history:)
    @mutex = Mutex.new
    @history = history
    @log = []
    @sequence = 0
    @clients = {} # client => { pattern => true }
  end

  def publish(topic, payload)
    @mutex.synchronize do
      message = Message.new(sequence: @sequence += 1, topic:, payload:)
      @log << message
      @log.shift if @log.size > @history
      @clients.each do |client, patterns|
        deliver(client, message) if patterns.any? { |pattern, _| match?(pattern, topic) }
      end
      @sequence
    end
  end

  # Replay and registration share one critical section: no gap, no duplicate.
  def subscribe(client, pattern, from: nil)
    @mutex.synchronize do
      if from
        oldest = @log.first&.sequence
        client.outbox << "GAP #{from} #{oldest - 1}\n" if oldest && from < oldest
        @log.each { |m| deliver(client, m) if m.sequence >= from && match?(pattern, m.topic) }
      end
      (@clients[client] ||= {})[pattern] = true
    end
  end

  def unsubscribe(client, pattern) = @mutex.synchronize { @clients[client]&.delete(pattern) }

  def forget(client) = @mutex.synchronize { @clients.delete(client) }

  private

  def match?(pattern, topic) = File.fnmatch?(pattern, topic, File::FNM_EXTGLOB)

  def deliver(client, message)
    if client.outbox.size >= MAX_BACKLOG
      client.outbox.close unless client.outbox.closed? # the writer drains, then hangs up
    else
      client.outbox << message.to_line
    end
  rescue ClosedQueueError
    nil # already being disconnected
  end
end

class Client
  TOPIC = /\A[a-z0-9]+(?:\.[a-z0-9]+)*\z/

  attr_reader :outbox

  def initialize(socket, broker)
    @socket = socket
    @broker = broker
    @outbox = Thread::Queue.new
  end

  def run
    writer = Thread.new { write_loop }
    while (line = @socket.gets("\n", 8_192, chomp: true))
      @outbox << "#{handle(line)}\n"
    end
  rescue IOError, SystemCallError, ClosedQueueError
    nil
  ensure
    @broker.forget(self)
    @outbox.close
    writer&.join(2)
    @socket.close
  end

  private

  def handle(line)
    case line.split(" ", 3)
    in ["PING"]
      "PONG"
    in ["PUB", TOPIC => topic, payload]
      "OK #{@broker.publish(topic, payload)}"
    in ["SUB", pattern]
      @broker.subscribe(self, pattern)
      "OK"
    in ["SUB", pattern, /\AFROM (\d+)\z/]
      @broker.subscribe(self, pattern, from: Regexp.last_match(1).to_i)
      "OK"
    in ["UNSUB", pattern]
      @broker.unsubscribe(self, pattern)
      "OK"
    else
      "ERR cannot understand #{line[0, 60].inspect}"
    end
  end

  def write_loop
    while (line = @outbox.pop)
      @socket.write(line)
    end
    @socket.close_write
  rescue IOError, SystemCallError then @outbox.close
  end
end

options = { port: 7070, history: 200 }

OptionParser.new do |parser|
  parser.on("--port N", Integer) { |n| options[:port] = n }
  parser.on("--history N", Integer, "messages kept for replay") { |n| options[:history] = n }
end.parse!

broker = Broker.new(history: options[:history])
server = TCPServer.new("127.0.0.1", options[:port])
trap("INT") { server.close }
begin
  loop { Thread.start(server.accept) { |socket| Client.new(socket, broker).run } }
rescue IOError
  warn "stopped"
end
