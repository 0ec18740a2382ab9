## A line-based publish/subscribe server on asyncdispatch.
##
## Clients send
##   SUB <topic>       UNSUB <topic>       PUB <topic> <text>
## and receive `MSG <topic> <text>` lines. A subscriber that reads too slowly
## is cut off once its backlog exceeds a limit: it must not hold up others.

import std/[asyncdispatch, asyncnet, deques, sequtils, sets, strutils, tables]

const
  MaxBacklog = 256
  MaxLine = 4096

type
  Client = ref object
    socket: AsyncSocket
    peer: string
    topics: HashSet[string]
    backlog: Deque[string]
    writing, closed: bool

  Hub = ref object
    subscribers: Table[string, seq[Client]]
    delivered: int

proc leave(hub: Hub, client: Client, topic: string) =
  client.topics.excl topic
  hub.subscribers.withValue(topic, list):
    let at = list[].find(client)
    if at >= 0:
      list[].del at # order among subscribers does not matter
    if list[].len == 0:
      hub.subscribers.del topic

proc drop(hub: Hub, client: Client, why: string) =
  if client.closed:
    return
  client.closed = true
  for topic in toSeq(client.topics):
    hub.leave(client, topic)
  client.socket.close()
  echo client.peer, " left: ", why

proc pump(hub: Hub, client: Client) {.async.} =
  ## Writes the backlog; at most one instance runs per client.
  client.writing = true
  try:
    while client.backlog.len > 0 and not client.closed:
      await client.socket.send(client.backlog.popFirst)
      inc hub.delivered
  except OSError as e:
    hub.drop(client, e.msg)
  finally:
    client.writing = false

proc enqueue(hub: Hub, client: Client, line: string) =
  if client.closed:
    return
  if client.backlog.len >= MaxBacklog:
    hub.drop(client, "too slow")
    return
  client.backlog.addLast line & "\c\L"
  if not client.writing:
    asyncCheck hub.pump(client)

proc publish(hub: Hub, topic, text: string): int =
  # A copy: enqueue may drop a client and so edit the list.
  for client in toSeq(hub.subscribers.getOrDefault(topic)):
    hub.enqueue(client, "MSG " & topic & " " & text)
    inc result

proc validTopic(s: string): bool =
  s.len in 1 .. 64 and s.allCharsInSet(Letters + Digits + {'.', '-', '_'})

proc handle(hub: Hub, client: Client, line: string) =
  let parts = line.split(' ', maxsplit = 2)
  let topic = if parts.len > 1: parts[1] else: ""
  if not validTopic(topic):
    hub.enqueue(client, "ERR bad topic")
    return
  case parts[0].toUpperAscii
  of "SUB":
    if not client.topics.containsOrIncl(topic):
      hub.subscribers.mgetOrPut(topic, @[]).add client
    hub.enqueue(client, "OK")
  of "UNSUB":
    hub.leave(client, topic)
    hub.enqueue(client, "OK")
  of "PUB":
    let text = if parts.len > 2: parts[2] else: ""
    hub.enqueue(client, "OK " & $hub.publish(topic, text))
  else:
    hub.enqueue(client, "ERR unknown command")

proc serve(hub: Hub, client: Client) {.async.} =
  try:
    while not client.closed:
      let line = await client.socket.recvLine(maxLength = MaxLine)
      if line.len == 0: # the peer has gone
        hub.drop(client, "end of stream")
      elif line != "\c\L": # recvLine gives an empty line as CRLF
        hub.handle(client, line)
  except OSError as e:
    hub.drop(client, e.msg)

proc listen(hub: Hub, port: Port) {.async.} =
  let server = newAsyncSocket()
  server.setSockOpt(OptReuseAddr, true)
  server.bindAddr(port, "127.0.0.1")
  server.listen()
  echo "listening on port ", server.getLocalAddr[1].int
  while true:
    let (peer, socket) = await server.acceptAddr()
    asyncCheck hub.serve(Client(socket: socket, peer: peer))

proc report(hub: Hub) {.async.} =
  while true:
    await sleepAsync(60_000)
    echo hub.subscribers.len, " topics, ", hub.delivered, " lines delivered"

when isMainModule:
  let hub = Hub()
  asyncCheck hub.report()
  waitFor hub.listen(Port(7411))
