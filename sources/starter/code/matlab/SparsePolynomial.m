classdef SparsePolynomial
    %SPARSEPOLYNOMIAL  Polynomial in one variable with few nonzero terms.
    %
    %   P = SparsePolynomial(COEFFS, POWERS) stores only the listed terms,
    %   so x^1000000 - 1 costs two numbers and not a million.  Terms that
    %   share a power are merged and zero terms are dropped.
    %
    %   Example
    %       p = SparsePolynomial([1 -1], [7 0]);     % x^7 - 1
    %       q = SparsePolynomial([1 -1], [1 0]);     % x - 1
    %       [d, r] = divide(p, q);
    %       disp(d)                                  % x^6 + x^5 + ... + 1
    %       degree(r)                                % -Inf, exact division

    properties (SetAccess = private)
        Coeffs = [];     % row vector, no zeros
        Powers = [];     % row vector, strictly decreasing
    end

    methods
        function obj = SparsePolynomial(coeffs, powers)
            if nargin == 0
                return
            end
            if numel(coeffs) ~= numel(powers)
                error('SparsePolynomial:size', ...
                      'Give exactly one power for each coefficient.');
            end
            if any(powers < 0) || any(powers ~= fix(powers))
                error('SparsePolynomial:power', ...
                      'Powers must be nonnegative integers.');
            end
            if isempty(coeffs)
                return
            end
            [distinct, ~, group] = unique(powers(:));
            total = accumarray(group(:), coeffs(:));
            keep = total ~= 0;
            obj.Powers = flipud(distinct(keep)).';
            obj.Coeffs = flipud(total(keep)).';
        end

        function d = degree(obj)
            % The zero polynomial has degree -Inf, so that
            % degree(p*q) = degree(p) + degree(q) without exception.
            if isempty(obj.Powers)
                d = -Inf;
            else
                d = obj.Powers(1);
            end
        end

        function r = plus(p, q)
            p = SparsePolynomial.lift(p);
            q = SparsePolynomial.lift(q);
            r = SparsePolynomial([p.Coeffs, q.Coeffs], [p.Powers, q.Powers]);
        end

        function r = uminus(p)
            r = SparsePolynomial(-p.Coeffs, p.Powers);
        end

        function r = minus(p, q)
            r = p + (-1) * SparsePolynomial.lift(q);
        end

        function r = mtimes(p, q)
            p = SparsePolynomial.lift(p);
            q = SparsePolynomial.lift(q);
            c = p.Coeffs.' * q.Coeffs;
            e = bsxfun(@plus, p.Powers.', q.Powers);
            r = SparsePolynomial(c(:).', e(:).');
        end

        function tf = eq(p, q)
            p = SparsePolynomial.lift(p);
            q = SparsePolynomial.lift(q);
            tf = isequal(p.Powers, q.Powers) && isequal(p.Coeffs, q.Coeffs);
        end

        function r = derivative(p)
            live = p.Powers > 0;
            r = SparsePolynomial(p.Coeffs(live) .* p.Powers(live), ...
                                 p.Powers(live) - 1);
        end

        function y = evaluate(p, x)
            % Horner's rule over the gaps between successive powers.
            y = zeros(size(x));
            if isempty(p.Powers)
                return
            end
            gaps = [p.Powers(1:end-1) - p.Powers(2:end), p.Powers(end)];
            for k = 1:numel(p.Coeffs)
                y = (y + p.Coeffs(k)) .* x .^ gaps(k);
            end
        end

        function [quotient, remainder] = divide(p, q)
            % Long division; the leading term of the remainder is removed
            % outright so that rounding cannot leave it behind.
            if isempty(q.Powers)
                error('SparsePolynomial:zero', 'Division by zero polynomial.');
            end
            quotient = SparsePolynomial();
            remainder = p;
            while degree(remainder) >= degree(q)
                step = SparsePolynomial( ...
                    remainder.Coeffs(1) / q.Coeffs(1), ...
                    remainder.Powers(1) - q.Powers(1));
                quotient = quotient + step;
                tail = SparsePolynomial(q.Coeffs(2:end), q.Powers(2:end));
                rest = SparsePolynomial(remainder.Coeffs(2:end), ...
                                        remainder.Powers(2:end));
                remainder = rest - step * tail;
            end
        end

        function disp(p)
            if isempty(p.Powers)
                fprintf('   0\n');
                return
            end
            terms = arrayfun(@(c, e) sprintf('%+g*x^%d', c, e), ...
                             p.Coeffs, p.Powers, 'UniformOutput', false);
            fprintf('   %s\n', strjoin(terms, ' '));
        end
    end

    methods (Static)
        function p = lift(value)
            if isnumeric(value)
                p = SparsePolynomial(value, 0);
            else
                p = value;
            end
        end
    end
end
