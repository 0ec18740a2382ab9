function report = river_gauge_report(filename, rating)
%RIVER_GAUGE_REPORT  Turn a raw stage log into daily discharge.
%
%   REPORT = RIVER_GAUGE_REPORT(FILENAME, RATING) reads the text log that
%   the pressure gauges upload, converts water level to discharge with the
%   rating table and returns one struct per station.  Lines look like
%
%       2031-04-02T06:15Z  KVL-03  stage=1.842m  batt=12.6V
%       2031-04-02T06:30Z  KVL-03  stage=ERR     batt=12.5V
%       # cleaned the intake, sensor raised 3 cm
%
%   RATING is a containers.Map from station code to a struct with fields
%   h0 (stage of zero flow, m), a and b, for the power law
%
%       Q = a * (h - h0) ^ b
%
%   and hmax, the highest stage at which the curve was ever measured.  A
%   discharge above hmax is reported but flagged as extrapolated.
%
%   A day counts only when at least 90 % of its quarter hours are present
%   after despiking.  Other days hold NaN: a low mean caused by a dead
%   battery must not enter the flood statistics as a dry day.

    records = read_log(filename);
    if isempty(records.station)
        error('river_gauge_report:empty', 'No readings in %s.', filename);
    end

    codes = unique(records.station);
    report = struct('station', {}, 'days', {}, 'mean_q', {}, 'peak_q', {}, ...
                    'coverage', {}, 'extrapolated', {}, 'low_battery', {});

    for i = 1:numel(codes)
        code = codes{i};
        if ~isKey(rating, code)
            warning('river_gauge_report:rating', ...
                    'No rating curve for %s, station left out.', code);
            continue
        end
        mine = strcmp(records.station, code);
        report(end + 1) = summarise(code, records.time(mine), ...
            records.stage(mine), records.battery(mine), rating(code)); %#ok<AGROW>
    end

    if nargout == 0
        print_report(report);
    end
end


function records = read_log(filename)
    fid = fopen(filename, 'r');
    if fid < 0
        error('river_gauge_report:open', 'Cannot open %s.', filename);
    end
    closer = onCleanup(@() fclose(fid));

    pattern = ['^(?<when>\d{4}-\d\d-\d\dT\d\d:\d\d)Z\s+' ...
               '(?<station>[A-Z]{3}-\d{2})\s+' ...
               'stage=(?<stage>ERR|-?\d+(\.\d+)?)m?\s+' ...
               'batt=(?<battery>\d+(\.\d+)?)V\s*$'];

    records = struct('time', [], 'station', {{}}, 'stage', [], 'battery', []);
    line_number = 0;
    rejected = 0;
    text = fgetl(fid);
    while ischar(text)
        line_number = line_number + 1;
        body = strtrim(text);
        if ~isempty(body) && body(1) ~= '#'
            hit = regexp(body, pattern, 'names');
            if isempty(hit)
                rejected = rejected + 1;
                if rejected <= 5
                    warning('river_gauge_report:line', ...
                            'Line %d not understood: %s', line_number, body);
                end
            else
                records.time(end + 1, 1) = ...
                    datenum(strrep(hit.when, 'T', ' '), 'yyyy-mm-dd HH:MM');
                records.station{end + 1, 1} = hit.station;
                records.stage(end + 1, 1) = str2double(hit.stage);  % ERR -> NaN
                records.battery(end + 1, 1) = str2double(hit.battery);
            end
        end
        text = fgetl(fid);
    end
end


function s = summarise(code, time, stage, battery, curve)
    % Gauges resend after an outage, so the log is neither sorted nor
    % unique.  Keep the last reading given for each quarter hour.
    slot = round(time * 96);
    [slot, last] = unique(slot, 'last');
    stage = despike(stage(last));
    battery = battery(last);

    q = curve.a * max(stage - curve.h0, 0) .^ curve.b;
    beyond = stage > curve.hmax;

    day = floor(slot / 96);
    days = (min(day):max(day))';
    group = day - days(1) + 1;
    shape = [numel(days), 1];
    good = ~isnan(q);

    present = accumarray(group(good), 1, shape);
    total = accumarray(group(good), q(good), shape);
    coverage = present / 96;

    s.station = code;
    s.days = days;
    s.mean_q = total ./ present;
    s.mean_q(coverage < 0.9) = NaN;
    % An instantaneous peak stays meaningful on a day with gaps.
    s.peak_q = accumarray(group(good), q(good), shape, @max, NaN);
    s.coverage = coverage;
    s.extrapolated = accumarray(group, double(beyond), shape) > 0;
    s.low_battery = accumarray(group, battery, shape, @min, NaN) < 11.8;
end


function stage = despike(stage)
% A river does not rise and fall 30 cm within half an hour.  A reading that
% differs from both neighbours, in the same direction, is a piece of ice or
% a fish on the sensor and not water.
    jump = diff(stage);
    up = jump(1:end-1);
    down = jump(2:end);
    spike = [false; abs(up) > 0.3 & abs(down) > 0.3 & up .* down < 0; false];
    if numel(spike) == numel(stage)
        stage(spike) = NaN;
    end
end


function print_report(report)
    for s = report
        fprintf('\n%s\n%-12s %10s %10s %6s\n', ...
                s.station, 'day', 'mean m3/s', 'peak m3/s', 'cover');
        for k = 1:numel(s.days)
            marks = [repmat('x', 1, s.extrapolated(k)), ...
                     repmat('b', 1, s.low_battery(k))];
            fprintf('%-12s %10.2f %10.2f %5.0f%% %s\n', ...
                    datestr(s.days(k), 'yyyy-mm-dd'), s.mean_q(k), ...
                    s.peak_q(k), 100 * s.coverage(k), marks);
        end
    end
end
