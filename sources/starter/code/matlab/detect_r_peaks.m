function [peaks, hrv, quality] = detect_r_peaks(ecg, fs)
%DETECT_R_PEAKS  R-peak locations and heart rate variability from one lead.
%
%   PEAKS = DETECT_R_PEAKS(ECG, FS) returns the sample index of every R
%   peak in the vector ECG sampled at FS Hz.  No toolbox is needed.
%
%   [PEAKS, HRV] = DETECT_R_PEAKS(...) adds a struct with the mean rate in
%   beats per minute and the time-domain measures SDNN, RMSSD and pNN50,
%   computed over intervals between beats that pass the ectopy filter.
%
%   [PEAKS, HRV, QUALITY] = DETECT_R_PEAKS(...) adds, for each beat, its
%   correlation with the median beat; below about 0.8 the beat is either
%   ectopic or noise, and a person should look at it.
%
%   Stages: remove baseline wander, take a smoothed derivative, square it,
%   integrate over the width of a QRS complex, then threshold adaptively
%   with a refractory period and a search back for missed beats.

    ecg = double(ecg(:));
    if fs < 100
        error('detect_r_peaks:rate', 'Need at least 100 Hz, got %g.', fs);
    end
    if any(isnan(ecg))
        ecg = fill_gaps(ecg);
    end

    clean = ecg - moving_mean(ecg, round(0.6 * fs));
    slope = conv(clean, derivative_kernel(fs), 'same');
    energy = moving_mean(slope.^2, round(0.12 * fs));

    candidates = local_maxima(energy, round(0.25 * fs));
    coarse = adaptive_threshold(energy, candidates, fs);
    peaks = refine(clean, coarse, round(0.08 * fs));

    hrv = variability(peaks, fs);
    quality = template_correlation(clean, peaks, round(0.2 * fs));
end


function y = fill_gaps(y)
    bad = isnan(y);
    index = (1:numel(y))';
    y(bad) = interp1(index(~bad), y(~bad), index(bad), 'linear', 'extrap');
end

function m = moving_mean(x, width)
% Centred mean in linear time; windows shrink at both ends.
    n = numel(x);
    half = floor(width / 2);
    total = [0; cumsum(x)];
    low = max((1:n)' - half, 1);
    high = min((1:n)' + half, n);
    m = (total(high + 1) - total(low)) ./ (high - low + 1);
end

function h = derivative_kernel(fs)
% Derivative of a Gaussian, 8 ms wide: differentiates the QRS slope and
% leaves 50 or 60 Hz hum attenuated.
    sd = 0.008 * fs;
    k = (-ceil(4 * sd):ceil(4 * sd))';
    h = -k .* exp(-k.^2 / (2 * sd^2));
    h = h / sum(abs(h));
end

function idx = local_maxima(x, min_distance)
% Largest first, discarding any neighbour closer than min_distance.
    rise = [true; diff(x) > 0];
    fall = [diff(x) <= 0; true];
    idx = find(rise & fall);
    [~, order] = sort(x(idx), 'descend');
    taken = false(size(x));
    keep = false(size(idx));
    for i = order.'
        span = max(1, idx(i) - min_distance):min(numel(x), idx(i) + min_distance);
        if ~any(taken(span))
            taken(idx(i)) = true;
            keep(i) = true;
        end
    end
    idx = idx(keep);
end

function beats = adaptive_threshold(energy, candidates, fs)
    first = energy(1:min(end, 2 * fs));
    signal = 0.5 * max(first);
    noise = mean(first);
    beats = zeros(0, 1);
    skipped = zeros(0, 1);
    for c = candidates.'
        threshold = noise + 0.25 * (signal - noise);
        % Search back: after 1.66 mean intervals of silence, accept the
        % best skipped candidate that clears half the threshold.
        if numel(beats) > 8
            usual = mean(diff(beats(end-7:end)));
            if c - beats(end) > 1.66 * usual && ~isempty(skipped)
                [best, at] = max(energy(skipped));
                if best > threshold / 2
                    beats(end + 1, 1) = skipped(at);
                end
            end
        end
        if energy(c) > threshold
            beats(end + 1, 1) = c;
            signal = 0.875 * signal + 0.125 * energy(c);
            skipped = zeros(0, 1);
        else
            noise = 0.875 * noise + 0.125 * energy(c);
            skipped(end + 1, 1) = c;
        end
    end
end

function peaks = refine(clean, coarse, reach)
    peaks = zeros(size(coarse));
    for i = 1:numel(coarse)
        span = max(1, coarse(i) - reach):min(numel(clean), coarse(i) + reach);
        [~, at] = max(abs(clean(span)));
        peaks(i) = span(at);
    end
    peaks = unique(peaks);
end

function hrv = variability(peaks, fs)
% An interval is normal when it lies within 20 % of the local median.
    rr = 1000 * diff(peaks) / fs;
    local = arrayfun(@(i) median(rr(max(1, i-4):min(end, i+4))), (1:numel(rr))');
    used = abs(rr - local) <= 0.2 * local;
    jumps = diff(rr);
    jumps = jumps(used(1:end-1) & used(2:end));
    hrv = struct('rate', 60000 / mean(rr(used)), 'sdnn', std(rr(used)), ...
                 'rmssd', sqrt(mean(jumps.^2)), 'pnn50', 100 * mean(abs(jumps) > 50));
end

function r = template_correlation(clean, peaks, reach)
    inside = peaks > reach & peaks <= numel(clean) - reach;
    r = nan(size(peaks));
    beats = clean(bsxfun(@plus, peaks(inside).', (-reach:reach).'));
    beats = bsxfun(@minus, beats, mean(beats, 1));
    template = median(beats, 2);
    r(inside) = (template' * beats) ./ (norm(template) * sqrt(sum(beats.^2, 1)));
end
