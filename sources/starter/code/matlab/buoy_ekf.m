% BUOY_EKF  Locate a drifting wave buoy from bearings taken by one ship.
%
% A research vessel has lost the GPS link to a buoy but still hears its
% radio beacon, so all it can measure is the direction.  A single bearing
% says nothing about range; range becomes observable only because the ship
% manoeuvres.  The script runs an extended Kalman filter over simulated
% bearings twice, once with the ship on a straight course and once with a
% dog-leg, and compares the range error and the consistency of the filter.
%
% State: [east; north; east drift; north drift] of the buoy, metres and m/s.

1;  % script file: keeps Octave from taking the first function as the file
    % (MATLAB takes functions above the code that calls them since R2024a)


function z = wrap(angle)
% Innovations must be wrapped, or a bearing that crosses south throws the
% filter half way round the compass.
    z = mod(angle + pi, 2 * pi) - pi;
end

function ship = straight_course(t)
    speed = 4.5;
    ship = [speed * t; zeros(size(t))];
end

function ship = dog_leg(t)
% Turn 70 degrees to port at one third of the run, back at two thirds.
    speed = 4.5;
    dt = t(2) - t(1);
    turning = t >= t(end) / 3 & t < 2 * t(end) / 3;
    heading = pi / 2 - deg2rad(70) * turning;
    step = speed * dt * [sin(heading); cos(heading)];
    ship = cumsum(step, 2);
end

function [x, P] = predict(x, P, dt, accel_sd)
% Nearly constant velocity: white acceleration enters through G.
    F = [eye(2), dt * eye(2); zeros(2), eye(2)];
    G = [0.5 * dt^2 * eye(2); dt * eye(2)];
    x = F * x;
    P = F * P * F' + accel_sd^2 * (G * G');
end

function [x, P, nis] = correct(x, P, bearing, ship, sd)
    d = x(1:2) - ship;
    range2 = d' * d;
    predicted = atan2(d(1), d(2));            % clockwise from north
    H = [d(2), -d(1), 0, 0] / range2;
    S = H * P * H' + sd^2;
    K = P * H' / S;
    innovation = wrap(bearing - predicted);
    x = x + K * innovation;
    % Joseph form: stays symmetric and positive although the gain is only
    % the optimum of a linearised problem.
    J = eye(4) - K * H;
    P = J * P * J' + K * sd^2 * K';
    nis = innovation^2 / S;
end

function [x, P] = initialise(bearing, ship, guess_range, range_sd, bearing_sd)
% Put the buoy along the first bearing, with a covariance that is long
% down the line of sight and narrow across it.
    along = [sin(bearing); cos(bearing)];
    across = [along(2); -along(1)];
    x = [ship + guess_range * along; 0; 0];
    T = [along, across];
    Ppos = T * diag([range_sd^2, (guess_range * bearing_sd)^2]) * T';
    P = blkdiag(Ppos, 0.5^2 * eye(2));
end

function result = track(ship, truth, t, bearing_sd)
    n = numel(t);
    dt = t(2) - t(1);
    d = truth(1:2, :) - ship;
    bearings = wrap(atan2(d(1, :), d(2, :)) + bearing_sd * randn(1, n));

    [x, P] = initialise(bearings(1), ship(:, 1), 3000, 1500, bearing_sd);
    estimate = nan(4, n);
    sigma_range = nan(1, n);
    nis = nan(1, n);
    for k = 1:n
        if k > 1
            [x, P] = predict(x, P, dt, 2e-4);
            [x, P, nis(k)] = correct(x, P, bearings(k), ship(:, k), bearing_sd);
        end
        estimate(:, k) = x;
        los = x(1:2) - ship(:, k);
        los = los / norm(los);
        sigma_range(k) = sqrt(los' * P(1:2, 1:2) * los);
    end

    true_range = sqrt(sum(d.^2, 1));
    est_range = sqrt(sum((estimate(1:2, :) - ship).^2, 1));
    result.range_error = est_range - true_range;
    result.position_error = sqrt(sum((estimate(1:2, :) - truth(1:2, :)).^2, 1));
    result.sigma_range = sigma_range;
    result.mean_nis = mean(nis(2:end));
end


% ------------------------------------------------------------------ main

rand('twister', 7);
randn('twister', 7);

t = 0:15:3600;                                % a bearing every 15 s, 1 hour
drift = [-0.22; 0.14];                        % surface current, m/s
start = [2600; 4100];
truth = [start + drift * t; repmat(drift, 1, numel(t))];
bearing_sd = deg2rad(0.8);

plans = {'straight', @straight_course; 'dog-leg', @dog_leg};
trials = 25;

fprintf('%-10s %8s %12s %12s %9s\n', ...
        'course', 'minute', 'median err', 'filter sd', 'mean NIS');
for i = 1:size(plans, 1)
    ship = plans{i, 2}(t);
    err = zeros(trials, numel(t));
    sd = zeros(trials, numel(t));
    nis = zeros(trials, 1);
    for j = 1:trials
        run = track(ship, truth, t, bearing_sd);
        err(j, :) = abs(run.range_error);
        sd(j, :) = run.sigma_range;
        nis(j) = run.mean_nis;
    end
    for minute = [5 20 40 60]
        k = find(t <= 60 * minute, 1, 'last');
        fprintf('%-10s %8d %10.0f m %10.0f m %9.2f\n', plans{i, 1}, ...
                minute, median(err(:, k)), median(sd(:, k)), mean(nis));
    end
    % A consistent filter has NIS near 1: one measurement per update.
    if abs(mean(nis) - 1) > 0.25
        fprintf('  %s: filter is inconsistent, do not trust sd\n', plans{i, 1});
    end
end
