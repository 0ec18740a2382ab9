/**
A frame arena for real-time code: allocation is a pointer bump, release is
wholesale, and the garbage collector is never involved.

Everything here is @nogc nothrow, and the module also builds with -betterC.
Slices handed out are `scope`-checked by the compiler (with -preview=dip1000)
so that they cannot outlive the arena.
*/
module ring_arena;

import core.stdc.stdlib : free, malloc;
import core.stdc.string : memset;

@nogc nothrow:

struct FrameArena
{
@nogc nothrow:
    private ubyte* base;
    private size_t capacity, used, peak;

    @disable this();
    @disable this(this); // one owner; move it if it must travel

    this(size_t bytes) @trusted
    {
        base = cast(ubyte*) malloc(bytes);
        capacity = base ? bytes : 0;
    }

    ~this() @trusted
    {
        free(base);
    }

    /// Zeroed storage for n values, or null when the frame is full.
    T[] make(T)(size_t n) return scope @trusted
    if (__traits(isPOD, T))
    {
        const start = (used + T.alignof - 1) & ~(T.alignof - 1);
        if (start > capacity || n > (capacity - start) / T.sizeof)
            return null;
        used = start + n * T.sizeof;
        if (used > peak)
            peak = used;
        memset(base + start, 0, n * T.sizeof);
        return (cast(T*)(base + start))[0 .. n];
    }

    /// Gives the tail of the latest allocation back.
    void shrinkLast(T)(scope T[] slice, size_t n) @trusted
    in (n <= slice.length)
    in (cast(ubyte*)(slice.ptr + slice.length) == base + used, "not the latest allocation")
    {
        used -= (slice.length - n) * T.sizeof;
    }

    /// A position to return to.
    size_t mark() const @safe
    {
        return used;
    }

    void release(size_t position) @safe
    in (position <= used)
    {
        used = position;
    }

    size_t highWater() const @safe
    {
        return peak;
    }

    invariant (used <= capacity);
}

/// Releases everything allocated within a lexical scope.
struct Scratch
{
@nogc nothrow:
    private FrameArena* arena;
    private size_t start;

    @disable this(this);

    this(return scope ref FrameArena a) @trusted
    {
        arena = &a;
        start = a.mark;
    }

    ~this() @safe
    {
        if (arena !is null)
            arena.release(start);
    }
}

/// Median of a noisy sensor window, without disturbing the caller's samples.
float median(ref FrameArena arena, scope const(float)[] samples)
in (samples.length > 0)
{
    auto scratch = Scratch(arena);
    auto work = arena.make!float(samples.length);
    if (work is null)
        return float.nan;
    work[] = samples[];
    foreach (i; 1 .. work.length) // insertion sort: windows are short
    {
        const x = work[i];
        size_t j = i;
        for (; j > 0 && work[j - 1] > x; --j)
            work[j] = work[j - 1];
        work[j] = x;
    }
    const mid = work.length / 2;
    return work.length % 2 ? work[mid] : (work[mid - 1] + work[mid]) / 2;
}

unittest
{
    auto arena = FrameArena(256);
    const float[5] window = [3, -90, 4, 1000, 5];
    assert(median(arena, window[]) == 4);
    assert(arena.mark == 0 && arena.highWater == 5 * float.sizeof);
}

unittest // alignment, exhaustion and giving back
{
    auto arena = FrameArena(64);
    auto bytes = arena.make!ubyte(3);
    auto words = arena.make!ulong(2);
    assert((cast(size_t) words.ptr & 7) == 0 && arena.mark == 24);
    assert(arena.make!ulong(6) is null);
    arena.shrinkLast(words, 1);
    assert(arena.make!ulong(6) !is null && bytes.length == 3);
    assert(arena.make!ubyte(1) is null);
    assert(arena.make!ulong(size_t.max / 4) is null);
}
