function tests = test_pivoted_qr
% Function-based unit tests for PIVOTED_QR.  Run with
%
%   results = runtests('test_pivoted_qr');
%   table(results)
%
% Random inputs come from a fixed seed that is printed when a test fails,
% so a red run on the build server can be repeated at a desk.
    tests = functiontests(localfunctions);
end


function setupOnce(testCase)
    testCase.TestData.seed = 20231;
    testCase.TestData.tol = 200 * eps;
end


function setup(testCase)
    rng(testCase.TestData.seed, 'twister');
end


% ------------------------------------------------------------------
% Invariants that hold for every matrix

function testReconstructsInput(testCase)
    shapes = [6 6; 9 4; 4 9; 1 7; 7 1];
    for row = 1:size(shapes, 1)
        A = randn(shapes(row, 1), shapes(row, 2));
        [Q, R, perm] = pivoted_qr(A);
        residual = norm(A(:, perm) - Q * R, 'fro') / norm(A, 'fro');
        verifyLessThan(testCase, residual, testCase.TestData.tol, ...
            sprintf('shape %d-by-%d', shapes(row, 1), shapes(row, 2)));
    end
end

function testColumnsAreOrthonormal(testCase)
    A = randn(30, 12);
    Q = pivoted_qr(A);
    verifyEqual(testCase, Q' * Q, eye(12), 'AbsTol', testCase.TestData.tol);
end

function testFullFactorIsSquareAndUnitary(testCase)
    A = complex(randn(8, 3), randn(8, 3));
    [Q, R] = pivoted_qr(A, 'Full', true);
    verifySize(testCase, Q, [8 8]);
    verifySize(testCase, R, [8 3]);
    verifyEqual(testCase, Q * Q', complex(eye(8)), ...
        'AbsTol', testCase.TestData.tol);
end

function testDiagonalNeverIncreases(testCase)
    A = randn(20) * diag(logspace(0, -9, 20));
    [~, R] = pivoted_qr(A);
    d = abs(diag(R));
    verifyTrue(testCase, all(diff(d) <= d(1:end-1) * eps * 10));
end

function testPermutationIsABijection(testCase)
    [~, ~, perm] = pivoted_qr(randn(5, 11));
    verifyEqual(testCase, sort(perm), 1:11);
end

function testStrictLowerTriangleIsExactlyZero(testCase)
    % Exactly zero, not merely small: callers test it with ISTRIU.
    [~, R] = pivoted_qr(randn(10));
    verifyTrue(testCase, istriu(R));
end


% ------------------------------------------------------------------
% Rank decisions

function testRankOfAnOuterProduct(testCase)
    A = (1:6)' * [2 -1 0 5];
    [~, R, perm, rnk] = pivoted_qr(A);
    verifyEqual(testCase, rnk, 1);
    verifyEqual(testCase, perm(1), 4, 'column 4 has the largest norm');
    verifyEqual(testCase, R(2:end, :), zeros(3, 4));
end

function testZeroMatrixHasRankZero(testCase)
    [Q, R, ~, rnk] = pivoted_qr(zeros(4, 3));
    verifyEqual(testCase, rnk, 0);
    verifyEqual(testCase, R, zeros(3));
    verifyEqual(testCase, Q' * Q, eye(3));
end

function testToleranceMovesTheRankDecision(testCase)
    A = diag([1, 1e-4, 1e-8]);
    expected = {1e-2, 1; 1e-6, 2; 1e-12, 3};
    for i = 1:size(expected, 1)
        [~, ~, ~, rnk] = pivoted_qr(A, 'Tolerance', expected{i, 1});
        verifyEqual(testCase, rnk, expected{i, 2});
    end
end

function testKahanMatrixIsOverestimatedByAtMostOne(testCase)
    % The classical example on which column pivoting does not see how
    % near to singular the matrix is.  The point of this test is that
    % the limitation stays documented, not that it disappears.
    n = 50;
    c = cos(1.2);
    s = sin(1.2);
    K = diag(s .^ (0:n-1)) * (eye(n) - c * triu(ones(n), 1));
    [~, R, ~, rnk] = pivoted_qr(K, 'Tolerance', 1e-6);
    verifyGreaterThan(testCase, abs(R(n, n)), 100 * min(svd(K)));
    verifyEqual(testCase, rnk, rank(K, 1e-6 * norm(K)) + 1);
end


% ------------------------------------------------------------------
% Numerical edge cases and misuse

function testNormDowndatingSurvivesCancellation(testCase)
    % Two columns agreeing to twelve digits: without renorming, the
    % downdated norm of the second is dominated by rounding error.
    a = randn(40, 1);
    A = [a, a + 1e-12 * randn(40, 1), randn(40, 1)];
    [Q, R, perm] = pivoted_qr(A);
    verifyEqual(testCase, Q * R, A(:, perm), 'AbsTol', 1e-13);
    verifyGreaterThan(testCase, abs(R(3, 3)), 0);
end

function testScalingByAPowerOfTwoIsExact(testCase)
    A = randn(7, 5);
    [Q1, R1, p1] = pivoted_qr(A);
    [Q2, R2, p2] = pivoted_qr(1024 * A);
    verifyEqual(testCase, {Q2, R2, p2}, {Q1, 1024 * R1, p1});
end

function testRejectsNegativeTolerance(testCase)
    call = @() pivoted_qr(eye(2), 'Tolerance', -1);
    verifyError(testCase, call, ...
        'MATLAB:InputParser:ArgumentFailedValidation');
end
