"""
A line-based TCP service that counts things for a village fair.

    add cake 3        -> ok 17
    get cake          -> 17
    watch cake        -> a line whenever it changes, until the connection closes
    list              -> every name with its count, then a dot

Object capabilities decide what each part may do: only `Main` holds the root, the
listener gets an authority to listen and nothing else, and the store has no way
to reach the network or the disk at all.
"""
use "buffered"
use "collections"
use "net"
use "signals"

interface tag Watcher
  be changed(name: String, count: I64)

actor Store
  let _counts: Map[String, I64] = Map[String, I64]
  let _watchers: Map[String, SetIs[Watcher]] = Map[String, SetIs[Watcher]]

  be add(name: String, amount: I64, reply: Session) =>
    let count = _counts.get_or_else(name, 0) + amount
    _counts(name) = count
    reply.answer("ok " + count.string())
    try
      for watcher in _watchers(name)?.values() do
        watcher.changed(name, count)
      end
    end

  be read(name: String, reply: Session) =>
    reply.answer(_counts.get_or_else(name, 0).string())

  be list(reply: Session) =>
    let names = Sort[Array[String], String](Array[String].>concat(_counts.keys()))
    let text = recover iso String end
    for name in names.values() do
      text.append(name + " " + _counts.get_or_else(name, 0).string() + "\n")
    end
    text.append(".")
    reply.answer(consume text)

  be watch(name: String, watcher: Watcher) =>
    _watchers.insert_if_absent(name, SetIs[Watcher]).set(watcher)

  be forget(watcher: Watcher) =>
    for set in _watchers.values() do
      set.unset(watcher)
    end

actor Session
  """
  Stands between one connection and the store. The notifier lives inside the TCP
  actor and cannot receive messages, so replies come here.
  """
  let _conn: TCPConnection
  let _store: Store

  new create(conn: TCPConnection, store: Store) =>
    _conn = conn
    _store = store

  be command(line: String) =>
    let words: Array[String] = line.split(" ")
    try
      match words(0)?
      | "add" => _store.add(words(1)?, words(2)?.i64()?, this)
      | "get" => _store.read(words(1)?, this)
      | "watch" => _store.watch(words(1)?, this)
      | "list" => _store.list(this)
      | "" => None
      else
        answer("error: unknown command")
      end
    else
      answer("error: cannot read arguments")
    end

  be answer(text: String) =>
    _conn.write(text + "\n")

  be changed(name: String, count: I64) =>
    answer("* " + name + " " + count.string())

  be closed() => _store.forget(this)

class iso _Connection is TCPConnectionNotify
  let _store: Store
  let _reader: Reader = Reader
  var _session: (Session | None) = None

  new iso create(store: Store) => _store = store

  fun ref accepted(conn: TCPConnection ref) =>
    _session = Session(conn, _store)

  fun ref received(conn: TCPConnection ref, data: Array[U8] iso, times: USize): Bool =>
    _reader.append(consume data)
    try
      while true do
        let line: String = _reader.line()?
        match _session
        | let session: Session => session.command(line)
        end
      end
    end
    // Somebody who sends four kilobytes without a newline is not a client.
    if _reader.size() > 4096 then conn.dispose() end
    true

  fun ref closed(conn: TCPConnection ref) =>
    match _session
    | let session: Session => session.closed()
    end

  fun ref connect_failed(conn: TCPConnection ref) => None

class iso _Listener is TCPListenNotify
  let _store: Store
  let _err: OutStream

  new iso create(store: Store, err: OutStream) =>
    _store = store
    _err = err

  fun ref connected(listen: TCPListener ref): TCPConnectionNotify iso^ =>
    _Connection(_store)

  fun ref not_listening(listen: TCPListener ref) =>
    _err.print("cannot listen: is the port taken?")

class iso _Stop is SignalNotify
  let _listener: TCPListener

  new iso create(listener: TCPListener) =>
    _listener = listener

  fun ref apply(count: U32): Bool =>
    _listener.dispose()
    false

actor Main
  new create(env: Env) =>
    let listener = TCPListener(
      TCPListenAuth(env.root), _Listener(Store, env.err), "", "7410")
    SignalHandler(_Stop(listener), Sig.term())
