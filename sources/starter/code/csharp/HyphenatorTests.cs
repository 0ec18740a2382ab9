using System.Buffers;
using Xunit;

namespace Typesetting.Hyphenation.Tests;

/// <summary>
/// Liang's algorithm: patterns such as "hy3ph" vote for (odd) or against (even) breaks
/// between letters; at every position the highest number wins.
/// </summary>
public sealed class Hyphenator
{
    private sealed class Node
    {
        public readonly SortedList<char, Node> Next = [];
        public byte[]? Points;
    }

    private readonly Node _root = new();
    private readonly int _left, _right;

    public Hyphenator(IEnumerable<string> patterns, int left = 2, int right = 3)
    {
        (_left, _right) = (left, right);
        foreach (var pattern in patterns) Add(pattern);
    }

    private void Add(ReadOnlySpan<char> pattern)
    {
        var points = new byte[pattern.Length + 1];
        var (node, letters) = (_root, 0);
        foreach (var c in pattern)
        {
            if (char.IsAsciiDigit(c))
            {
                points[letters] = (byte)(c - '0');
                continue;
            }
            if (!node.Next.TryGetValue(c, out var child)) node.Next[c] = child = new Node();
            node = child;
            letters++;
        }
        if (node.Points is not null) throw new ArgumentException($"pattern {pattern} occurs twice");
        node.Points = points[..(letters + 1)];
    }

    /// <summary>Writes break positions to <paramref name="breaks"/>, returns how many there are.</summary>
    public int FindBreaks(ReadOnlySpan<char> word, Span<int> breaks)
    {
        if (word.Length < _left + _right) return 0;
        var padded = ArrayPool<char>.Shared.Rent(word.Length + 2);
        Span<byte> votes = stackalloc byte[word.Length + 3];
        try
        {
            padded[0] = padded[word.Length + 1] = '.';
            word.ToLowerInvariant(padded.AsSpan(1));
            for (var start = 0; start < word.Length + 2; start++)
            {
                var node = _root;
                for (var i = start; i < word.Length + 2 && node.Next.TryGetValue(padded[i], out node!); i++)
                {
                    if (node.Points is not { } points) continue;
                    for (var p = 0; p < points.Length; p++)
                        votes[start + p] = Math.Max(votes[start + p], points[p]);
                }
            }
        }
        finally
        {
            ArrayPool<char>.Shared.Return(padded);
        }

        var count = 0;
        for (var position = _left; position <= word.Length - _right; position++)
            if (votes[position + 1] % 2 == 1) breaks[count++] = position;
        return count;
    }
}

public class HyphenatorTests
{
    private static readonly string[] English =
        ["hy3ph", "he2n", "hena4", "hen5at", "1na", "n2at", "1tio", "2io", "o2n"];

    private static string Hyphenate(string word, params string[] patterns)
    {
        Span<int> breaks = stackalloc int[64];
        var count = new Hyphenator(patterns.Length > 0 ? patterns : English).FindBreaks(word, breaks);
        var result = word;
        for (var i = count - 1; i >= 0; i--) result = result.Insert(breaks[i], "-");
        return result;
    }

    [Fact]
    public void Competing_patterns_settle_by_the_highest_number() =>
        Assert.Equal("hy-phen-ation", Hyphenate("hyphenation"));

    [Theory]
    [InlineData("Hyphenation", "Hy-phen-ation")]
    [InlineData("HYPHENATION", "HY-PHEN-ATION")]
    [InlineData("hy", "hy")]
    [InlineData("", "")]
    public void Case_is_ignored_but_kept(string word, string expected) =>
        Assert.Equal(expected, Hyphenate(word));

    [Theory]
    [InlineData("a1b", "aab", "aab")]
    [InlineData("a1b", "aabaa", "aa-baa")]
    [InlineData("a1b", "aaaabb", "aaaabb")]
    public void Margins_protect_both_ends(string pattern, string word, string expected) =>
        Assert.Equal(expected, Hyphenate(word, pattern));

    [Fact]
    public void A_dot_ties_a_pattern_to_the_edge_of_the_word()
    {
        Assert.Equal("under-done", Hyphenate("underdone", ".under1d"));
        Assert.Equal("plunderdone", Hyphenate("plunderdone", ".under1d"));
    }

    [Fact]
    public void A_pattern_that_occurs_twice_is_an_error()
    {
        var error = Assert.Throws<ArgumentException>(() => new Hyphenator(["a1b", "a2b"]));
        Assert.Contains("a2b", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Looking_for_breaks_does_not_allocate()
    {
        var hyphenator = new Hyphenator(English);
        Span<int> breaks = stackalloc int[16];
        hyphenator.FindBreaks("hyphenation", breaks); // fills the pool

        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++) hyphenator.FindBreaks("hyphenation", breaks);

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}
