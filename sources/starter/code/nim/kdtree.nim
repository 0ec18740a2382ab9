## A static k-d tree over points of any dimension, stored without pointers.
##
## The points are permuted into median order, so that the tree is implicit:
## the root of `items[lo ..< hi]` sits in the middle. Each entry carries a
## payload. Build once, query often.

import std/[algorithm, heapqueue, math, random]

type
  Vec*[K: static int] = array[K, float]

  KdTree*[K: static int; T] = object
    items: seq[tuple[at: Vec[K], payload: T]]

  Neighbour*[T] = tuple
    dist2: float
    payload: T

func dist2*[K: static int](a, b: Vec[K]): float =
  for i in 0 ..< K:
    result += (a[i] - b[i]) ^ 2

proc medianSplit[K, T](items: var seq[tuple[at: Vec[K], payload: T]];
                       lo, hi, axis: int) =
  ## Quickselect: moves the median along `axis` to the middle position.
  let mid = (lo + hi) div 2
  var (l, r) = (lo, hi - 1)
  while l < r:
    let pivot = items[(l + r) div 2].at[axis]
    var (i, j) = (l, r)
    while i <= j:
      while items[i].at[axis] < pivot: inc i
      while pivot < items[j].at[axis]: dec j
      if i <= j:
        swap items[i], items[j]
        inc i
        dec j
    if mid <= j: r = j
    elif mid >= i: l = i
    else: break

proc build[K, T](items: var seq[tuple[at: Vec[K], payload: T]]; lo, hi, axis: int) =
  if hi - lo <= 1:
    return
  items.medianSplit(lo, hi, axis)
  let mid = (lo + hi) div 2
  let next = (axis + 1) mod K
  items.build(lo, mid, next)
  items.build(mid + 1, hi, next)

proc initKdTree*[K: static int; T](
    entries: sink seq[tuple[at: Vec[K], payload: T]]): KdTree[K, T] =
  result.items = entries
  result.items.build(0, result.items.len, 0)

func len*(tree: KdTree): int = tree.items.len

type Candidate[T] = object
  dist2: float
  payload: T

func `<`[T](a, b: Candidate[T]): bool =
  a.dist2 > b.dist2 # a max-heap: the worst candidate is on top

proc nearest*[K, T](tree: KdTree[K, T]; query: Vec[K]; count: int): seq[Neighbour[T]] =
  ## The `count` closest entries, closest first.
  var heap: HeapQueue[Candidate[T]]

  proc visit(lo, hi, axis: int) =
    if lo >= hi:
      return
    let mid = (lo + hi) div 2
    let here = tree.items[mid]
    let d = dist2(here.at, query)
    if heap.len < count:
      heap.push Candidate[T](dist2: d, payload: here.payload)
    elif d < heap[0].dist2:
      discard heap.replace(Candidate[T](dist2: d, payload: here.payload))

    let gap = query[axis] - here.at[axis]
    let next = (axis + 1) mod K
    if gap < 0:
      visit(lo, mid, next)
    else:
      visit(mid + 1, hi, next)
    # Cross the splitting plane only if it is nearer than the worst so far.
    if heap.len < count or gap * gap < heap[0].dist2:
      if gap < 0:
        visit(mid + 1, hi, next)
      else:
        visit(lo, mid, next)

  if count > 0:
    visit(0, tree.items.len, 0)
  while heap.len > 0:
    let c = heap.pop
    result.add (c.dist2, c.payload)
  result.reverse

iterator within*[K, T](tree: KdTree[K, T]; low, high: Vec[K]): T =
  ## Payloads of all entries inside an axis-aligned box, bounds included.
  var stack = @[(0, tree.items.len, 0)]
  while stack.len > 0:
    let (lo, hi, axis) = stack.pop
    if lo >= hi:
      continue
    let mid = (lo + hi) div 2
    let entry = tree.items[mid]
    var inside = true
    for i in 0 ..< K:
      inside = inside and entry.at[i] in low[i] .. high[i]
    if inside:
      yield entry.payload
    let next = (axis + 1) mod K
    if low[axis] <= entry.at[axis]: stack.add (lo, mid, next)
    if high[axis] >= entry.at[axis]: stack.add (mid + 1, hi, next)

when isMainModule:
  var rng = initRand(20)
  var entries: seq[tuple[at: Vec[3], payload: int]]
  for id in 0 ..< 4000:
    # a coarse grid, so that equal coordinates are common
    entries.add ([rng.rand(20).float, rng.rand(20).float, rng.rand(1.0)], id)
  let tree = initKdTree(entries)

  for _ in 1 .. 200:
    let q: Vec[3] = [rng.rand(20.0), rng.rand(20.0), rng.rand(1.0)]
    var brute: seq[float]
    for e in entries: brute.add dist2(e.at, q)
    brute.sort
    for rank, n in tree.nearest(q, 5):
      doAssert n.dist2 == brute[rank]
      doAssert dist2(entries[n.payload].at, q) == n.dist2

  var boxed = 0
  for id in tree.within([5.0, 5.0, 0.0], [10.0, 10.0, 1.0]):
    doAssert entries[id].at[0] in 5.0 .. 10.0
    inc boxed
  echo tree.len, " points, ", boxed, " in the box"
