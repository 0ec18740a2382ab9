function out = cart_pendulum_lqr(theta0)
%CART_PENDULUM_LQR  Balance an inverted pendulum on a cart.
%
%   CART_PENDULUM_LQR(THETA0) linearises the cart and pole about the
%   upright position, designs a linear quadratic regulator from the stable
%   subspace of the Hamiltonian matrix, and then lets that controller loose
%   on the full nonlinear model, released at rest THETA0 radians from
%   upright (default 0.2).  Motor force saturates, so a large enough THETA0
%   is lost; the function also brackets that angle by bisection.
%
%   OUT = CART_PENDULUM_LQR(...) returns gains, poles and trajectory and
%   prints nothing.

    if nargin < 1
        theta0 = 0.2;
    end

    plant = struct( ...
        'M', 1.2, ...          % cart mass, kg
        'm', 0.25, ...         % pole mass, kg
        'L', 0.35, ...         % pivot to centre of mass, m
        'I', 0.0102, ...       % pole inertia about its centre, kg m^2
        'b', 0.4, ...          % viscous friction of the rail, N s/m
        'g', 9.81, ...
        'umax', 18, ...        % motor limit, N
        'rail', 0.9);          % half length of the rail, m

    [A, B] = linearise(plant);

    % Bryson's rule: one over the square of the excursion we can accept.
    Q = diag(1 ./ [0.4, 1.5, 0.15, 1.0].^2);
    R = 1 / 10^2;
    [K, P] = lqr_hamiltonian(A, B, Q, R);
    poles = eig(A - B * K);

    controller = @(x) saturate(-K * x, plant.umax);
    run = simulate(plant, controller, [0; 0; theta0; 0], 5, 2e-3);

    out = run;
    out.K = K;
    out.cost_to_go = P;
    out.poles = poles;
    out.capture_angle = capture_angle(plant, controller);

    if nargout == 0
        report(out, theta0);
        clear out
    end
end


function [A, B] = linearise(p)
% State: cart position, cart speed, pole angle from upright, pole rate.
    J = p.I + p.m * p.L^2;
    D = (p.M + p.m) * J - (p.m * p.L)^2;
    A = [0, 1, 0, 0; ...
         0, -p.b * J / D, -(p.m * p.L)^2 * p.g / D, 0; ...
         0, 0, 0, 1; ...
         0, p.b * p.m * p.L / D, (p.M + p.m) * p.m * p.g * p.L / D, 0];
    B = [0; J / D; 0; -p.m * p.L / D];
end


function dx = dynamics(p, x, u)
% Full model.  The mass matrix couples the cart and pole accelerations,
% so both come out of one 2-by-2 solve.
    s = sin(x(3));
    c = cos(x(3));
    mass = [p.M + p.m,      p.m * p.L * c; ...
            p.m * p.L * c,  p.I + p.m * p.L^2];
    force = [u - p.b * x(2) + p.m * p.L * x(4)^2 * s; ...
             p.m * p.g * p.L * s];
    acc = mass \ force;
    dx = [x(2); acc(1); x(4); acc(2)];
end


function [K, P] = lqr_hamiltonian(A, B, Q, R)
    n = size(A, 1);
    H = [A, -B * (R \ B'); -Q, -A'];
    [V, D] = eig(H);
    stable = real(diag(D)) < 0;
    if nnz(stable) ~= n
        error('lqr:imaginaryAxis', ...
              'Hamiltonian has eigenvalues on the imaginary axis.');
    end
    U = V(:, stable);
    P = real(U(n+1:2*n, :) / U(1:n, :));
    P = (P + P') / 2;
    K = R \ (B' * P);
end


function run = simulate(p, controller, x, duration, dt)
% Classical Runge-Kutta with the force held over each step, as the digital
% controller on the bench would hold it.
    steps = round(duration / dt);
    run.t = (0:steps)' * dt;
    run.x = nan(steps + 1, 4);
    run.u = nan(steps + 1, 1);
    run.balanced = false;
    for k = 1:steps + 1
        u = controller(x);
        run.x(k, :) = x.';
        run.u(k) = u;
        if abs(x(3)) > pi / 2 || abs(x(1)) > p.rail
            return               % fell over, or hit the end stop
        end
        k1 = dynamics(p, x, u);
        k2 = dynamics(p, x + dt / 2 * k1, u);
        k3 = dynamics(p, x + dt / 2 * k2, u);
        k4 = dynamics(p, x + dt * k3, u);
        x = x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4);
    end
    run.balanced = norm(x([3 4])) < 0.02;
end


function angle = capture_angle(p, controller)
    low = 0;
    high = pi / 2;
    while high - low > 0.005
        mid = (low + high) / 2;
        trial = simulate(p, controller, [0; 0; mid; 0], 4, 4e-3);
        if trial.balanced
            low = mid;
        else
            high = mid;
        end
    end
    angle = low;
end


function u = saturate(u, limit)
    u = max(-limit, min(limit, u));
end


function report(out, theta0)
    fprintf('gain      [%s]\n', sprintf(' %8.3f', out.K));
    for z = sort(out.poles).'
        fprintf('pole      %8.3f %+8.3fi\n', real(z), imag(z));
    end
    fprintf('released at %.3f rad: balanced = %d\n', theta0, out.balanced);
    fprintf('peak force %.2f N, peak cart excursion %.3f m\n', ...
            max(abs(out.u)), max(abs(out.x(:, 1))));
    fprintf('largest captured angle about %.2f rad\n', out.capture_angle);
end
