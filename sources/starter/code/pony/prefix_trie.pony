"""
A map from strings to immutable values with ordered iteration and prefix search,
and its tests.

Edges are single bytes, kept sorted in each node; lookups walk the key without
allocating. The type parameter is bounded by `Any val`, so a trie that is itself
frozen with `recover val` can be shared between actors as a whole. `None` marks
absence, so a `Trie[None]` would look empty.
"""
use "pony_test"

class Trie[V: Any val]
  let _root: _Node[V] = _Node[V]
  var _size: USize = 0

  fun size(): USize => _size

  fun ref update(key: String box, value: V): (V | None) =>
    """
    Sugar: `trie("key") = value`. Returns the value that was there before.
    """
    var node: _Node[V] = _root
    for byte in key.values() do
      node = node.child_or_new(byte)
    end
    let before = node.value = value
    if before is None then _size = _size + 1 end
    before

  fun apply(key: String box): V ? =>
    """
    Raises an error if there is no such key.
    """
    _find(key)?.value as V

  fun contains(key: String box): Bool =>
    try apply(key)?; true else false end

  fun longest_prefix_of(text: String box): (USize | None) =>
    """
    Length of the longest key that `text` begins with, as a router wants it.
    """
    var node: _Node[V] box = _root
    var length: USize = 0
    var best: (USize | None) = if _root.value is None then None else length end
    try
      for byte in text.values() do
        node = node.child(byte)?
        length = length + 1
        if node.value isnt None then best = length end
      end
    end
    best

  fun each_with_prefix(prefix: String, visit: {ref(String, V)} ref) =>
    """
    Calls `visit` for every key that begins with `prefix`, in byte order.
    """
    try _walk(_find(prefix)?, prefix, visit) end

  fun _walk(node: _Node[V] box, key: String, visit: {ref(String, V)} ref) =>
    match node.value
    | let value: V => visit(key, value)
    end
    for (byte, next) in node.edges.values() do
      _walk(next, key + String.from_array(recover val [byte] end), visit)
    end

  fun _find(key: String box): _Node[V] box ? =>
    var node: _Node[V] box = _root
    for byte in key.values() do
      node = node.child(byte)?
    end
    node

class _Node[V: Any val]
  var value: (V | None) = None
  let edges: Array[(U8, _Node[V])] = Array[(U8, _Node[V])](1)

  fun child(byte: U8): this->_Node[V] ? =>
    (let found, let next) = edges(_position(byte))?
    if found != byte then error end
    next

  fun ref child_or_new(byte: U8): _Node[V] =>
    try
      child(byte)?
    else
      let fresh = _Node[V]
      try edges.insert(_position(byte), (byte, fresh))? end
      fresh
    end

  fun _position(byte: U8): USize =>
    """
    Index of the first edge that is not below `byte`.
    """
    var low: USize = 0
    var high = edges.size()
    try
      while low < high do
        let middle = low + ((high - low) / 2)
        if edges(middle)?._1 < byte then low = middle + 1 else high = middle end
      end
    end
    low

actor Main is TestList
  new create(env: Env) => PonyTest(env, this)
  new make() => None

  fun tag tests(test: PonyTest) =>
    test(_TestReplace)
    test(_TestOrder)
    test(_TestRouting)

class iso _TestReplace is UnitTest
  fun name(): String => "trie/replace"

  fun apply(h: TestHelper) ? =>
    let trie = Trie[U32]
    h.assert_true((trie("ash") = 1) is None)
    trie("ashen") = 2
    h.assert_eq[U32](1, (trie("ash") = 7) as U32)
    h.assert_eq[U32](7, trie("ash")?)
    h.assert_eq[USize](2, trie.size())
    h.assert_false(trie.contains("as"))

class iso _TestOrder is UnitTest
  fun name(): String => "trie/order"

  fun apply(h: TestHelper) =>
    let trie = Trie[Bool]
    for word in ["lime"; "larch"; "oak"; "limewood"; "l"].values() do trie(word) = true end
    let seen = Array[String]
    trie.each_with_prefix("l", {ref(key: String, value: Bool) => seen.push(key) })
    h.assert_array_eq[String](["l"; "larch"; "lime"; "limewood"], seen)

class iso _TestRouting is UnitTest
  fun name(): String => "trie/longest prefix"

  fun apply(h: TestHelper) ? =>
    let routes = Trie[String]
    routes("/api/") = "v1"
    routes("/api/v2/") = "v2"
    h.assert_eq[USize](8, routes.longest_prefix_of("/api/v2/users") as USize)
    h.assert_eq[USize](5, routes.longest_prefix_of("/api/v3/users") as USize)
    h.assert_true(routes.longest_prefix_of("/static") is None)
