using System.Globalization;

namespace Harbour.Tides;

/// <summary>A periodic contribution to the water level at one place.</summary>
/// <param name="Speed">Degrees per hour, a constant of astronomy.</param>
/// <param name="Amplitude">Metres, fitted for the place.</param>
/// <param name="Phase">Lag in degrees, fitted for the place.</param>
public readonly record struct Constituent(string Name, double Speed, double Amplitude, double Phase)
{
    public double At(double hours) =>
        Amplitude * Math.Cos(double.DegreesToRadians(Speed * hours - Phase));

    public double SlopeAt(double hours) =>
        -Amplitude * double.DegreesToRadians(Speed)
        * Math.Sin(double.DegreesToRadians(Speed * hours - Phase));
}

public enum TideKind { Low, High }

public sealed record Extreme(DateTimeOffset Time, double Level, TideKind Kind);

/// <summary>A span of time during which the water is deep enough.</summary>
public sealed record Window(DateTimeOffset Opens, DateTimeOffset Closes)
{
    public TimeSpan Length => Closes - Opens;
}

/// <summary>Predicts levels by summing harmonic constituents around a mean.</summary>
public sealed class TideModel(DateTimeOffset epoch, double meanLevel, IReadOnlyList<Constituent> constituents)
{
    private static readonly TimeSpan CoarseStep = TimeSpan.FromMinutes(20);

    public double LevelAt(DateTimeOffset time)
    {
        var hours = (time - epoch).TotalHours;
        return meanLevel + constituents.Sum(c => c.At(hours));
    }

    private double SlopeAt(DateTimeOffset time)
    {
        var hours = (time - epoch).TotalHours;
        return constituents.Sum(c => c.SlopeAt(hours));
    }

    /// <summary>High and low waters, found where the slope changes its sign.</summary>
    public IEnumerable<Extreme> Extremes(DateTimeOffset from, DateTimeOffset until)
    {
        foreach (var (before, after) in SignChanges(SlopeAt, from, until))
        {
            var time = Bisect(SlopeAt, before, after);
            yield return new Extreme(time, LevelAt(time), SlopeAt(before) > 0 ? TideKind.High : TideKind.Low);
        }
    }

    /// <summary>When a vessel of the given draught can pass over a sill.</summary>
    /// <param name="sill">Height of the sill above chart datum; negative below it.</param>
    public IEnumerable<Window> PassageWindows(
        double sill, double draught, double clearance, DateTimeOffset from, DateTimeOffset until)
    {
        var needed = sill + draught + clearance;
        double Margin(DateTimeOffset t) => LevelAt(t) - needed;

        DateTimeOffset? opened = Margin(from) >= 0 ? from : null;
        foreach (var (before, after) in SignChanges(Margin, from, until))
        {
            var crossing = Bisect(Margin, before, after);
            if (opened is { } start)
            {
                yield return new Window(start, crossing);
                opened = null;
            }
            else
            {
                opened = crossing;
            }
        }
        if (opened is { } stillOpen) yield return new Window(stillOpen, until);
    }

    private static IEnumerable<(DateTimeOffset Before, DateTimeOffset After)> SignChanges(
        Func<DateTimeOffset, double> f, DateTimeOffset from, DateTimeOffset until)
    {
        var (time, sign) = (from, Math.Sign(f(from)));
        while (time < until)
        {
            var next = time + CoarseStep < until ? time + CoarseStep : until;
            var nextSign = Math.Sign(f(next));
            if (nextSign != 0 && sign != 0 && nextSign != sign) yield return (time, next);
            (time, sign) = (next, nextSign == 0 ? sign : nextSign);
        }
    }

    private static DateTimeOffset Bisect(Func<DateTimeOffset, double> f, DateTimeOffset low, DateTimeOffset high)
    {
        var lowSign = Math.Sign(f(low));
        while (high - low > TimeSpan.FromSeconds(5))
        {
            var middle = low + (high - low) / 2;
            if (Math.Sign(f(middle)) == lowSign) low = middle; else high = middle;
        }
        return low;
    }
}

public static class ConstituentFile
{
    private static readonly Dictionary<string, double> Speeds = new(StringComparer.OrdinalIgnoreCase)
    {
        ["M2"] = 28.9841042, ["S2"] = 30.0, ["N2"] = 28.4397295, ["K2"] = 30.0821373,
        ["K1"] = 15.0410686, ["O1"] = 13.9430356, ["M4"] = 57.9682084, ["MS4"] = 58.9841042,
    };

    /// <summary>Reads lines such as "M2 2.31 143.5"; '#' starts a comment.</summary>
    public static IReadOnlyList<Constituent> Parse(TextReader reader)
    {
        List<Constituent> found = [];
        for (var number = 1; reader.ReadLine() is { } line; number++)
        {
            var fields = line.Split('#')[0].Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            if (fields is []) continue;
            if (fields is not [var name, var amplitude, var phase])
                throw new FormatException($"line {number}: expected name, amplitude and phase");
            if (!Speeds.TryGetValue(name, out var speed))
                throw new FormatException($"line {number}: unknown constituent {name}");
            found.Add(new Constituent(name, speed, Number(amplitude), Number(phase)));
        }
        return found;

        static double Number(string text) => double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture);
    }
}
