function [Q, R, perm, rnk] = pivoted_qr(A, varargin)
%PIVOTED_QR  Rank-revealing QR factorisation with column pivoting.
%
%   [Q, R, PERM] = PIVOTED_QR(A) factors the M-by-N matrix A so that
%   A(:, PERM) = Q*R, where Q has orthonormal columns, R is upper
%   triangular (trapezoidal if M < N) and abs(diag(R)) never increases.
%
%   [Q, R, PERM, RNK] = PIVOTED_QR(A) also returns the numerical rank.
%
%   [...] = PIVOTED_QR(A, 'Tolerance', TOL) treats a remaining column as
%   zero once its norm drops below TOL times the largest column norm of A.
%   The default is MAX(SIZE(A)) * EPS.
%
%   [...] = PIVOTED_QR(A, 'Full', true) returns a square M-by-M factor Q.
%
%   Column norms are downdated rather than recomputed at every step.  A
%   downdate loses all accuracy when most of a column has already been
%   eliminated, so a column is renormed as soon as its norm has shrunk by
%   half the working precision since it was last computed directly.
%
%   See also QR, SVD, ORTH.

    opts = parse_options(A, varargin{:});
    [m, n] = size(A);
    steps = min(m, n);

    R = A;
    perm = 1:n;
    V = zeros(m, steps);          % Householder vectors, one per column
    beta = zeros(1, steps);

    colnorm = column_norms(R);    % running estimate
    exact = colnorm;              % value at the last direct evaluation
    cutoff = opts.Tolerance * max([colnorm, 0]);
    rnk = 0;

    for k = 1:steps
        % Bring the largest remaining column to the front.
        [biggest, offset] = max(colnorm(k:n));
        if biggest <= cutoff
            R(k:m, k:n) = 0;
            break
        end
        p = offset + k - 1;
        if p ~= k
            swap = [p, k];
            R(:, [k, p]) = R(:, swap);
            perm([k, p]) = perm(swap);
            colnorm([k, p]) = colnorm(swap);
            exact([k, p]) = exact(swap);
        end

        [v, b, alpha] = house(R(k:m, k));
        V(k:m, k) = v;
        beta(k) = b;
        R(k, k) = alpha;
        R(k+1:m, k) = 0;
        rnk = k;

        if k < n
            trailing = R(k:m, k+1:n);
            R(k:m, k+1:n) = trailing - (b * v) * (v' * trailing);
            [colnorm, exact] = downdate(colnorm, exact, R, k);
        end
    end

    Q = accumulate(V, beta, rnk, m, pick(opts.Full, m, steps));
    if ~opts.Full
        R = R(1:steps, :);
    end
end


function [v, beta, alpha] = house(x)
% Householder vector with (I - beta*v*v')*x = alpha*e1, for real or
% complex x.  The sign of alpha is chosen to avoid cancellation in v(1).
    sigma = norm(x);
    v = x;
    if sigma == 0
        beta = 0;
        alpha = 0;
        return
    end
    if x(1) == 0
        phase = 1;
    else
        phase = x(1) / abs(x(1));
    end
    alpha = -phase * sigma;
    v(1) = x(1) - alpha;
    beta = 2 / real(v' * v);
end


function [colnorm, exact] = downdate(colnorm, exact, R, k)
% Remove row k's contribution from the norms of columns k+1:n.
    n = numel(colnorm);
    for j = k+1:n
        if colnorm(j) == 0
            continue
        end
        ratio = abs(R(k, j)) / colnorm(j);
        shrink = max(0, (1 - ratio) * (1 + ratio));
        if shrink * (colnorm(j) / exact(j))^2 <= sqrt(eps)
            colnorm(j) = norm(R(k+1:end, j));
            exact(j) = colnorm(j);
        else
            colnorm(j) = colnorm(j) * sqrt(shrink);
        end
    end
end


function Q = accumulate(V, beta, rnk, m, ncols)
% Multiply the reflectors out from the last to the first: each one then
% touches only the trailing block that is not yet an identity.
    Q = eye(m, ncols);
    for k = rnk:-1:1
        v = V(k:m, k);
        block = Q(k:m, k:ncols);
        Q(k:m, k:ncols) = block - (beta(k) * v) * (v' * block);
    end
end


function s = column_norms(A)
    s = sqrt(sum(abs(A).^2, 1));
end


function value = pick(condition, yes, no)
    if condition
        value = yes;
    else
        value = no;
    end
end


function opts = parse_options(A, varargin)
    p = inputParser;
    p.FunctionName = 'pivoted_qr';
    p.addParameter('Tolerance', max(size(A)) * eps, @(t) isscalar(t) && t >= 0);
    p.addParameter('Full', false, @(f) islogical(f) && isscalar(f));
    p.parse(varargin{:});
    opts = p.Results;
end
