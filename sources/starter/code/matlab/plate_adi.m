function [T, info] = plate_adi(spec)
%PLATE_ADI  Transient temperature of a rectangular plate.
%
%   T = PLATE_ADI(SPEC) integrates the two-dimensional heat equation with
%   the Peaceman-Rachford alternating direction scheme: each time step is
%   two half steps, implicit first along x and then along y, and each half
%   step is a batch of tridiagonal systems solved together by one
%   vectorised Thomas sweep.
%
%   Fields of SPEC, all in SI units:
%     size      [Lx Ly] of the plate                  (required)
%     cells     [nx ny] interior nodes                (default [60 40])
%     alpha     thermal diffusivity, m^2/s            (default 9.7e-5, Al)
%     edges     [west east south north] temperatures  (default zeros)
%     initial   scalar or nx-by-ny start temperature  (default 20)
%     source    function handle q(X, Y, t) in K/s     (default none)
%     dt, tend  step and end of the run, s            (default 0.5, 60)
%
%   [T, INFO] = PLATE_ADI(SPEC) also returns the node coordinates, the
%   history of the centre temperature and an energy balance defect.
%
%   PLATE_ADI with no input runs a self check against a separable mode.

    if nargin == 0
        self_check();
        return
    end
    spec = complete(spec);

    nx = spec.cells(1);
    ny = spec.cells(2);
    hx = spec.size(1) / (nx + 1);
    hy = spec.size(2) / (ny + 1);
    [Y, X] = meshgrid((1:ny) * hy, (1:nx) * hx);

    rx = spec.alpha * spec.dt / (2 * hx^2);
    ry = spec.alpha * spec.dt / (2 * hy^2);

    % Boundary contributions are constant in time, so build them once.
    bx = zeros(nx, ny);
    bx(1, :) = spec.edges(1);
    bx(nx, :) = bx(nx, :) + spec.edges(2);
    by = zeros(nx, ny);
    by(:, 1) = spec.edges(3);
    by(:, ny) = by(:, ny) + spec.edges(4);

    T = spec.initial .* ones(nx, ny);
    steps = round(spec.tend / spec.dt);
    centre = zeros(steps + 1, 1);
    centre(1) = T(ceil(nx / 2), ceil(ny / 2));

    for k = 1:steps
        t = (k - 1) * spec.dt;
        heat = spec.dt / 2 * spec.source(X, Y, t + spec.dt / 2);

        % Implicit in x, explicit in y.
        rhs = T + ry * second_difference(T.').' + ry * by + rx * bx + heat;
        half = thomas_batch(rx, rhs);

        % Implicit in y, explicit in x.
        rhs = half + rx * second_difference(half) + rx * bx + ry * by + heat;
        T = thomas_batch(ry, rhs.').';

        centre(k + 1) = T(ceil(nx / 2), ceil(ny / 2));
    end

    info.x = X;
    info.y = Y;
    info.t = (0:steps)' * spec.dt;
    info.centre = centre;
    info.steady_defect = steady_defect(T, bx, by, hx, hy, spec);
end


function d = second_difference(T)
% Second difference down the columns, with zero beyond both ends: the real
% boundary values are added by the caller.
    d = -2 * T;
    d(2:end, :) = d(2:end, :) + T(1:end-1, :);
    d(1:end-1, :) = d(1:end-1, :) + T(2:end, :);
end


function X = thomas_batch(r, B)
% Solve (1 + 2r) x_i - r (x_{i-1} + x_{i+1}) = b_i for every column of B.
% The matrix is the same for all of them and diagonally dominant, so the
% elimination factors are scalars and no pivoting is needed.
    n = size(B, 1);
    c = zeros(n, 1);
    c(1) = -r / (1 + 2 * r);
    X = B;
    X(1, :) = B(1, :) / (1 + 2 * r);
    for i = 2:n
        pivot = 1 + 2 * r + r * c(i - 1);
        c(i) = -r / pivot;
        X(i, :) = (B(i, :) + r * X(i - 1, :)) / pivot;
    end
    for i = n-1:-1:1
        X(i, :) = X(i, :) - c(i) * X(i + 1, :);
    end
end


function defect = steady_defect(T, bx, by, hx, hy, spec)
% How far T is from the steady state: the largest |dT/dt| in K/s.
    lap = (second_difference(T) + bx) / hx^2 + ...
          (second_difference(T.').' + by) / hy^2;
    defect = max(abs(spec.alpha * lap(:)));
end


function spec = complete(spec)
    defaults = struct('cells', [60 40], 'alpha', 9.7e-5, ...
                      'edges', [0 0 0 0], 'initial', 20, ...
                      'source', @(X, Y, t) 0, 'dt', 0.5, 'tend', 60);
    names = fieldnames(defaults);
    for i = 1:numel(names)
        if ~isfield(spec, names{i})
            spec.(names{i}) = defaults.(names{i});
        end
    end
    unknown = setdiff(fieldnames(spec), [names; {'size'}]);
    if ~isempty(unknown)
        error('plate_adi:field', 'Unknown field "%s".', unknown{1});
    end
end


function self_check()
% One sine mode decays as exp(-alpha*(kx^2 + ky^2)*t).  Halving the step
% in space and in time should cut the error by about four.
    alpha = 1e-4;
    exact_rate = alpha * pi^2 * (1 / 0.3^2 + 1 / 0.2^2);
    previous = NaN;
    for level = 1:3
        n = [15 11] * 2^(level - 1) + 2^(level - 1) - 1;
        [Y, X] = meshgrid((1:n(2)) / (n(2) + 1), (1:n(1)) / (n(1) + 1));
        mode = sin(pi * X) .* sin(pi * Y);
        T = plate_adi(struct('size', [0.3 0.2], 'cells', n, ...
            'alpha', alpha, 'initial', mode, 'dt', 4 / 2^level, 'tend', 20));
        err = max(max(abs(T - mode * exp(-exact_rate * 20))));
        fprintf('%3d x %3d nodes  error %.3e  ratio %.2f\n', ...
                n(1), n(2), err, previous / err);
        previous = err;
    end
end
