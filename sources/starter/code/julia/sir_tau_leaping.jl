#!/usr/bin/env julia
#
# Stochastic epidemic on a network of towns, by tau-leaping.
#
# Each town is an SEIR compartment; commuters couple the towns. What is wanted,
# and what no deterministic model tells, is the chance that an outbreak seeded
# by one case dies out by itself, and how it depends on where that case appears.
#   julia --threads=auto sir_tau_leaping.jl --runs 2000 --r0 1.6

using LinearAlgebra, Printf, Random, Statistics

Base.@kwdef struct Disease
    r0::Float64 = 1.6
    incubation::Float64 = 4.0      # days
    infectious::Float64 = 6.0      # days
end

struct Region
    names::Vector{String}
    population::Vector{Int}
    mixing::Matrix{Float64}        # row-stochastic contact matrix
end

"""
    gravity(names, population, km; home = 0.85)

A fraction `home` of all contacts stays in town. The rest is spread over the
other towns in proportion to population over squared distance.
"""
function gravity(names, population, km; home = 0.85)
    n = eachindex(names)
    pull = [i == j ? 0.0 : population[j] / km[i, j]^2 for i in n, j in n]
    away = pull ./ sum(pull; dims = 2)
    return Region(names, population, home * I + (1 - home) * away)
end

mutable struct State
    S::Vector{Int}
    E::Vector{Int}
    I::Vector{Int}
    R::Vector{Int}
end

function State(region::Region)
    n = length(region.population)
    return State(copy(region.population), zeros(Int, n), zeros(Int, n), zeros(Int, n))
end

infected(s::State) = sum(s.E) + sum(s.I)

# Counts are small near extinction, which is precisely the regime that matters,
# so draw binomials and not Poissons: a Poisson leap can remove more people than
# a compartment holds.
function binomial(rng, n::Int, p::Float64)
    (n == 0 || p <= 0) && return 0
    p >= 1 && return n
    if n * p > 30 && n * (1 - p) > 30
        x = round(Int, n * p + sqrt(n * p * (1 - p)) * randn(rng))
        return clamp(x, 0, n)
    end
    p > 0.5 && return n - binomial(rng, n, 1 - p)
    # Geometric skips: the expected number of draws is n*p + 1.
    hits, position = 0, 0
    rate = -log1p(-p)
    while true
        position += floor(Int, randexp(rng) / rate) + 1
        position > n && return hits
        hits += 1
    end
end

function step!(rng, s::State, region::Region, d::Disease, dt)
    beta = d.r0 / d.infectious
    prevalence = s.I ./ region.population
    force = beta .* (region.mixing * prevalence)
    leave_e = -expm1(-dt / d.incubation)
    leave_i = -expm1(-dt / d.infectious)
    for k in eachindex(s.S)
        caught = binomial(rng, s.S[k], -expm1(-force[k] * dt))
        onset = binomial(rng, s.E[k], leave_e)
        recover = binomial(rng, s.I[k], leave_i)
        s.S[k], s.E[k] = s.S[k] - caught, s.E[k] + caught - onset
        s.I[k], s.R[k] = s.I[k] + onset - recover, s.R[k] + recover
    end
    return s
end

struct Outcome
    attack_rate::Float64
    peak::Int
    peak_day::Float64
    extinct::Bool
end

function outbreak(rng, region, disease, seed_town; dt = 0.25, horizon = 730.0)
    s = State(region)
    s.S[seed_town] -= 1
    s.E[seed_town] += 1
    peak, peak_day, t = 1, 0.0, 0.0
    while t < horizon && infected(s) > 0
        step!(rng, s, region, disease, dt)
        t += dt
        now = sum(s.I)
        now > peak && ((peak, peak_day) = (now, t))
    end
    attacked = sum(region.population) - sum(s.S)
    return Outcome(attacked / sum(region.population), peak, peak_day, attacked < 100)
end

"Run the ensemble on all threads. One generator per run keeps it reproducible."
function ensemble(region, disease, town; runs, seed)
    results = Vector{Outcome}(undef, runs)
    Threads.@threads for r in 1:runs
        results[r] = outbreak(Xoshiro(seed + r), region, disease, town)
    end
    return results
end

function parse_args(args)
    options = Dict("runs" => "1000", "r0" => "1.6", "seed" => "11")
    for i in 1:2:length(args)
        key = lstrip(args[i], '-')
        haskey(options, key) || error("unknown option $(args[i])")
        options[key] = args[i + 1]
    end
    return (runs = parse(Int, options["runs"]),
            r0 = parse(Float64, options["r0"]),
            seed = parse(Int, options["seed"]))
end

function main(args)
    opt = parse_args(args)
    km = [0.0 18 42 55; 18 0 27 60; 42 27 0 31; 55 60 31 0]
    region = gravity(["Harbour", "Mill", "Quarry", "Upper"],
                     [84_000, 23_000, 9_500, 2_100], km)
    disease = Disease(r0 = opt.r0)

    @printf("%-10s %10s %12s %12s\n", "seeded in", "dies out", "attack rate", "peak day")
    for (k, name) in enumerate(region.names)
        runs = ensemble(region, disease, k; runs = opt.runs, seed = opt.seed)
        large = filter(o -> !o.extinct, runs)
        fade = 1 - length(large) / length(runs)
        isempty(large) && (@printf("%-10s %9.1f%%\n", name, 100fade); continue)
        @printf("%-10s %9.1f%% %11.1f%% %12.0f\n", name, 100fade,
                100median(o.attack_rate for o in large),
                median(o.peak_day for o in large))
    end
end

abspath(PROGRAM_FILE) == @__FILE__() && main(ARGS)
