# Jacobian-free Newton-Krylov, with the tests that keep it honest.
#
#   julia newton_krylov_tests.jl
#
# The solver never forms a Jacobian. GMRES needs only products J*v, and those
# are directional differences of the residual, so a discretised PDE with a
# million unknowns costs one residual evaluation per Krylov vector.

using LinearAlgebra, Random, Test

struct NotConverged <: Exception
    iterations::Int
    residual::Float64
end

Base.showerror(io::IO, e::NotConverged) =
    print(io, "Newton stalled after $(e.iterations) steps, |F| = $(e.residual)")

"Directional derivative of `F` at `x`, where `Fx == F(x)` is already known."
function jacvec(F, x, Fx, v)
    nv = norm(v)
    iszero(nv) && return zero(v)
    h = sqrt(eps()) * (1 + norm(x)) / nv
    return (F(x .+ h .* v) .- Fx) ./ h
end

"""
    gmres(A, b; tol, maxiter) -> (x, relative_residual)

Full GMRES for an operator given as a function. The Hessenberg least squares
problem is updated by Givens rotations, so its residual is known at each step
without forming the iterate.
"""
function gmres(A, b; tol = 1e-2, maxiter = min(length(b), 60))
    beta = norm(b)
    iszero(beta) && return zero(b), 0.0
    V = [b / beta]
    H = zeros(maxiter + 1, maxiter)
    rotations = LinearAlgebra.Givens{Float64}[]
    g = zeros(maxiter + 1)
    g[1] = beta
    k = 0
    while k < maxiter && abs(g[k + 1]) > tol * beta
        k += 1
        w = A(V[k])
        for i in 1:k                             # modified Gram-Schmidt
            H[i, k] = dot(V[i], w)
            w = w .- H[i, k] .* V[i]
        end
        H[k + 1, k] = norm(w)
        breakdown = H[k + 1, k] <= eps() * beta
        breakdown || push!(V, w / H[k + 1, k])
        column = view(H, :, k)
        foreach(G -> lmul!(G, column), rotations)
        G, r = givens(column[k], column[k + 1], k, k + 1)
        column[k], column[k + 1] = r, 0.0
        push!(rotations, G)
        lmul!(G, g)
        breakdown && break
    end
    y = UpperTriangular(H[1:k, 1:k]) \ g[1:k]
    return sum(y[i] .* V[i] for i in 1:k), abs(g[k + 1]) / beta
end

"""
    newton_krylov(F, x0; tol = 1e-10, maxiter = 50)

Inexact Newton with Eisenstat-Walker forcing: far from the root the linear
system is solved loosely, close to it tightly, which keeps the quadratic finish
without oversolving early. Steps are halved until the residual decreases.
"""
function newton_krylov(F, x0; tol = 1e-10, maxiter = 50)
    x = float.(copy(x0))
    Fx = F(x)
    r0 = r = norm(Fx)
    eta = 0.5
    for iteration in 1:maxiter
        r <= tol * max(r0, 1) && return x, iteration - 1
        step, _ = gmres(v -> jacvec(F, x, Fx, v), -Fx; tol = eta)
        lambda = 1.0
        local trial, Ftrial
        while true
            trial = x .+ lambda .* step
            Ftrial = F(trial)
            norm(Ftrial) <= (1 - 1e-4 * lambda) * r && break
            lambda /= 2
            lambda < 1e-8 && throw(NotConverged(iteration, r))
        end
        previous, r = r, norm(Ftrial)
        x, Fx = trial, Ftrial
        eta = clamp(0.9 * (r / previous)^2, 1e-6, 0.5)
    end
    throw(NotConverged(maxiter, r))
end

# Bratu problem u'' + lambda*exp(u) = 0 on (0, 1): two solutions below the
# fold at lambda = 3.5138, none above it.
function bratu(lambda, n)
    h = 1 / (n + 1)
    return function (u)
        left = [0.0; u[1:end-1]]
        right = [u[2:end]; 0.0]
        return @. (left - 2u + right) / h^2 + lambda * exp(u)
    end
end

@testset "Newton-Krylov" begin
    @testset "GMRES solves in at most n steps" begin
        M = randn(Xoshiro(5), 12, 12) + 6I
        b = collect(1.0:12)
        x, relres = gmres(v -> M * v, b; tol = 1e-13)
        @test M * x ≈ b rtol = 1e-10
        @test relres < 1e-12
    end

    @testset "lucky breakdown on an invariant subspace" begin
        D = Diagonal([2.0, 2.0, 5.0])
        x, _ = gmres(v -> D * v, [1.0, 1.0, 0.0]; tol = 1e-14)
        @test x ≈ [0.5, 0.5, 0.0]
    end

    @testset "both Bratu branches, from different starts" begin
        F = bratu(1.0, 63)
        low, _ = newton_krylov(F, zeros(63); tol = 1e-9)
        grid = (1:63) ./ 64
        high, _ = newton_krylov(F, @.(16 * grid * (1 - grid)); tol = 1e-9)
        @test maximum(low) ≈ 0.1405 atol = 1e-3
        @test maximum(high) > 3.5
        @test norm(F(low)) < 1e-6
    end

    @testset "reports the fold instead of looping" begin
        @test_throws NotConverged newton_krylov(bratu(4.5, 31), zeros(31))
    end

    @testset "exact start costs no iteration" begin
        x, iterations = newton_krylov(x -> x .^ 3 .- 8, [2.0])
        @test (x, iterations) == ([2.0], 0)
    end
end
