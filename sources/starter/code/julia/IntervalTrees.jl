"""
An augmented treap over closed intervals. Inserting, deleting and stabbing
queries take `O(log n)` expected time plus the size of the answer.

Every node caches the largest right endpoint below it, which is what allows a
query to skip whole subtrees. Priorities are random, so an adversary who does
not see the generator cannot unbalance the tree, and sorted input is harmless.
"""
module IntervalTrees

using Random: AbstractRNG, default_rng

export Interval, IntervalTree, overlapping

"A closed interval `[lo, hi]`. An inverted pair is an error, a point is not."
struct Interval{T}
    lo::T
    hi::T
    function Interval{T}(lo, hi) where {T}
        lo <= hi || throw(ArgumentError("empty interval: $lo > $hi"))
        return new{T}(lo, hi)
    end
end

Interval(lo::T, hi::T) where {T} = Interval{T}(lo, hi)
Interval(lo, hi) = Interval(promote(lo, hi)...)

Base.isless(a::Interval, b::Interval) = isless((a.lo, a.hi), (b.lo, b.hi))
Base.in(x, iv::Interval) = iv.lo <= x <= iv.hi
Base.show(io::IO, iv::Interval) = print(io, '[', iv.lo, " .. ", iv.hi, ']')

overlaps(a::Interval, b::Interval) = a.lo <= b.hi && b.lo <= a.hi

mutable struct Node{T,V}
    key::Interval{T}
    value::V
    priority::UInt64
    reach::T                          # largest hi in this subtree
    left::Union{Nothing,Node{T,V}}
    right::Union{Nothing,Node{T,V}}
end

mutable struct IntervalTree{T,V,R<:AbstractRNG} <: AbstractDict{Interval{T},V}
    root::Union{Nothing,Node{T,V}}
    count::Int
    rng::R
end

IntervalTree{T,V}(; rng = default_rng()) where {T,V} =
    IntervalTree{T,V,typeof(rng)}(nothing, 0, rng)

Base.length(t::IntervalTree) = t.count

reach(::Nothing, default) = default
reach(n::Node, default) = max(n.reach, default)

refresh!(n::Node) = (n.reach = reach(n.left, reach(n.right, n.key.hi)); n)

"Split into the nodes below `key` and the nodes at or above it."
split(::Nothing, key) = (nothing, nothing)
function split(n::Node, key)
    if n.key < key
        n.right, above = split(n.right, key)
        return refresh!(n), above
    end
    below, n.left = split(n.left, key)
    return below, refresh!(n)
end

merge_nodes(::Nothing, b) = b
merge_nodes(a::Node, ::Nothing) = a
function merge_nodes(a::Node, b::Node)
    if a.priority >= b.priority
        a.right = merge_nodes(a.right, b)
        return refresh!(a)
    end
    b.left = merge_nodes(a, b.left)
    return refresh!(b)
end

function find(t::IntervalTree, key)
    n = t.root
    while n !== nothing && n.key != key
        n = key < n.key ? n.left : n.right
    end
    return n
end

convert_key(::Type{T}, iv::Interval) where {T} = Interval{T}(iv.lo, iv.hi)

function Base.get(t::IntervalTree{T}, key::Interval, default) where {T}
    n = find(t, convert_key(T, key))
    return n === nothing ? default : n.value
end

function Base.setindex!(t::IntervalTree{T,V}, value, iv::Interval) where {T,V}
    key = convert_key(T, iv)
    existing = find(t, key)
    existing === nothing || (existing.value = value; return t)
    fresh = Node{T,V}(key, value, rand(t.rng, UInt64), key.hi, nothing, nothing)
    below, above = split(t.root, key)
    t.root = merge_nodes(merge_nodes(below, fresh), above)
    t.count += 1
    return t
end

function Base.delete!(t::IntervalTree{T}, iv::Interval) where {T}
    key = convert_key(T, iv)
    find(t, key) === nothing && return t
    t.root = without(t.root, key)
    t.count -= 1
    return t
end

function without(n::Node, key)
    n.key == key && return merge_nodes(n.left, n.right)
    key < n.key ? (n.left = without(n.left, key)) : (n.right = without(n.right, key))
    return refresh!(n)
end

"""
    overlapping(f, tree, query)

Call `f(interval, value)` for every stored interval that meets `query`, in
order. `query` is an `Interval` or a single point.
"""
overlapping(f, t::IntervalTree, point) = overlapping(f, t, Interval(point, point))
overlapping(f, t::IntervalTree, q::Interval) = visit(f, t.root, q)

visit(f, ::Nothing, q) = nothing
function visit(f, n::Node, q::Interval)
    n.reach < q.lo && return nothing
    visit(f, n.left, q)
    overlaps(n.key, q) && f(n.key, n.value)
    n.key.lo <= q.hi && visit(f, n.right, q)
    return nothing
end

function Base.iterate(t::IntervalTree, stack = descend!(Node[], t.root))
    isempty(stack) && return nothing
    n = pop!(stack)
    return (n.key => n.value), descend!(stack, n.right)
end

descend!(stack, ::Nothing) = stack
descend!(stack, n::Node) = descend!(push!(stack, n), n.left)

end # module
