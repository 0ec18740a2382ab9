# Compile-time physical dimensions.
#
# A quantity carries its SI exponents as a type parameter, so adding metres to
# seconds is a MethodError at the call and costs nothing at run time: a
# Quantity{D,Float64} is laid out exactly like a Float64.

module Units

export Quantity, @u_str, @dimension, value, in_units

# Exponents of (length, mass, time, current, temperature).
const Dim = NTuple{5,Int}
const NONE = (0, 0, 0, 0, 0)

struct Quantity{D,T<:Number} <: Number
    si::T
    Quantity{D}(x::T) where {D,T<:Number} = new{D::Dim,T}(x)
end

dimension(::Quantity{D}) where {D} = D
dimension(::Type{<:Quantity{D}}) where {D} = D
dimension(::Number) = NONE

# A dimensionless result decays to a plain number, so that exp, sin and
# comparison with 1.0 need no special case.
make(D::Dim, x) = D == NONE ? x : Quantity{D}(x)

for op in (:+, :-)
    @eval Base.$op(a::Quantity{D}, b::Quantity{D}) where {D} =
        Quantity{D}($op(a.si, b.si))
end
for op in (:<, :<=, :isless, :(==), :isequal)
    @eval Base.$op(a::Quantity{D}, b::Quantity{D}) where {D} = $op(a.si, b.si)
end
Base.:-(a::Quantity{D}) where {D} = Quantity{D}(-a.si)

@generated function Base.:*(a::Quantity{D}, b::Quantity{E}) where {D,E}
    sum = D .+ E
    return sum == NONE ? :(a.si * b.si) : :(Quantity{$sum}(a.si * b.si))
end
@generated function Base.:/(a::Quantity{D}, b::Quantity{E}) where {D,E}
    diff = D .- E
    return diff == NONE ? :(a.si / b.si) : :(Quantity{$diff}(a.si / b.si))
end

Base.:*(x::Real, a::Quantity{D}) where {D} = Quantity{D}(x * a.si)
Base.:*(a::Quantity{D}, x::Real) where {D} = Quantity{D}(a.si * x)
Base.:/(a::Quantity{D}, x::Real) where {D} = Quantity{D}(a.si / x)
Base.:/(x::Real, a::Quantity{D}) where {D} = Quantity{map(-, D)}(x / a.si)

# The exponent decides the type, so it must be known when compiling: literal
# powers arrive here as Val.
Base.literal_pow(::typeof(^), a::Quantity{D}, ::Val{N}) where {D,N} =
    make(D .* N, a.si^N)

function Base.sqrt(a::Quantity{D}) where {D}
    all(iseven, D) || throw(DomainError(a, "odd exponent under a square root"))
    return make(D .÷ 2, sqrt(a.si))
end

Base.abs(a::Quantity{D}) where {D} = Quantity{D}(abs(a.si))
Base.zero(::Type{Quantity{D,T}}) where {D,T} = Quantity{D}(zero(T))
Base.zero(a::Quantity) = zero(typeof(a))

const SYMBOLS = Dict{Symbol,Any}(
    :m => Quantity{(1, 0, 0, 0, 0)}(1.0),
    :g => Quantity{(0, 1, 0, 0, 0)}(1e-3),
    :s => Quantity{(0, 0, 1, 0, 0)}(1.0),
    :A => Quantity{(0, 0, 0, 1, 0)}(1.0),
    :K => Quantity{(0, 0, 0, 0, 1)}(1.0),
)
const PREFIX = Dict('k' => 1e3, 'M' => 1e6, 'G' => 1e9, 'c' => 1e-2,
                    'm' => 1e-3, 'u' => 1e-6, 'n' => 1e-9)

"""
    @dimension N = kg*m/s^2

Define a derived unit from those known so far.
"""
macro dimension(definition)
    Meta.isexpr(definition, :(=)) || error("expected NAME = EXPRESSION")
    name, body = definition.args
    # A definition body may be wrapped in a block by the parser.
    body = Meta.isexpr(body, :block) ? last(body.args) : body
    SYMBOLS[name] = evaluate(body)
    return nothing
end

lookup(name::Symbol) = get(SYMBOLS, name) do
    text = string(name)
    rest = Symbol(chop(text; head = 1, tail = 0))
    haskey(PREFIX, first(text)) && haskey(SYMBOLS, rest) ||
        throw(ArgumentError("unknown unit `$name`"))
    return PREFIX[first(text)] * SYMBOLS[rest]
end

# The unit grammar is a fragment of Julia's own, so let Julia parse it and walk
# the tree by hand. Nothing is ever passed to eval.
evaluate(n::Number) = n
evaluate(s::Symbol) = lookup(s)
function evaluate(ex::Expr)
    Meta.isexpr(ex, :call) || throw(ArgumentError("not a unit: $ex"))
    op, operands... = ex.args
    op === :* && return prod(evaluate, operands)
    op === :/ && return evaluate(operands[1]) / evaluate(operands[2])
    if op === :^
        base, power = evaluate(operands[1]), evaluate(operands[2])
        return make(dimension(base) .* power, value(base)^power)
    end
    throw(ArgumentError("operator `$op` is not allowed in a unit"))
end

macro u_str(text)
    return evaluate(Meta.parse(text))
end

value(a::Quantity) = a.si
value(x::Number) = x

"The numerical value of `a` when measured in `unit`; dimensions must agree."
function in_units(a::Quantity{D}, unit::Quantity{D}) where {D}
    return a.si / unit.si
end

function Base.show(io::IO, a::Quantity{D}) where {D}
    print(io, a.si)
    for (symbol, power) in zip(("m", "kg", "s", "A", "K"), D)
        power == 0 && continue
        print(io, ' ', symbol, power == 1 ? "" : "^$power")
    end
end

@dimension N = kg * m / s^2
@dimension J = N * m
@dimension W = J / s
@dimension Pa = N / m^2

end # module
