/**
Physical quantities whose dimension is part of the type.

Adding metres to seconds is a compile-time error; multiplying them gives a
quantity of a new type. Nothing of this is left at run time: a Quantity is
as large as the number inside it.
*/
module quantity;

import std.conv : text;
import std.format : format;
import std.traits : isFloatingPoint;

/// Exponents of metre, kilogram and second.
struct Dimension
{
    int metre, kilogram, second;

    Dimension opBinary(string op)(Dimension b) const
    if (op == "+" || op == "-")
    {
        return mixin("Dimension(metre " ~ op ~ " b.metre, kilogram " ~ op
            ~ " b.kilogram, second " ~ op ~ " b.second)");
    }

    /// For messages: "m s^-2" and the like. Usable at compile time.
    string toString() const pure @safe
    {
        string s;
        static foreach (i, unit; ["m", "kg", "s"])
        {{
            const e = this.tupleof[i];
            if (e != 0)
                s ~= (s.length ? " " : "") ~ unit ~ (e == 1 ? "" : "^" ~ e.text);
        }}
        return s.length ? s : "1";
    }
}

struct Quantity(Dimension dim, T = double)
if (isFloatingPoint!T)
{
    enum dimension = dim;
    private T raw = 0;

    private this(T value) pure nothrow @nogc @safe
    {
        raw = value;
    }

    Quantity opUnary(string op : "-")() const
    {
        return Quantity(-raw);
    }

    Quantity opBinary(string op, Dimension other)(Quantity!(other, T) b) const
    if (op == "+" || op == "-")
    {
        static assert(other == dim,
            "cannot compute [" ~ dim.toString ~ "] " ~ op ~ " [" ~ other.toString ~ "]");
        return Quantity(mixin("raw " ~ op ~ " b.raw"));
    }

    auto opBinary(string op, Dimension other)(Quantity!(other, T) b) const
    if (op == "*" || op == "/")
    {
        enum result = op == "*" ? dim + other : dim - other;
        const value = mixin("raw " ~ op ~ " b.raw");
        static if (result == Dimension.init)
            return value; // dimensionless: back to a plain number
        else
            return Quantity!(result, T)(value);
    }

    Quantity opBinary(string op)(T factor) const
    if (op == "*" || op == "/")
    {
        return Quantity(mixin("raw " ~ op ~ " factor"));
    }

    Quantity opBinaryRight(string op : "*")(T factor) const
    {
        return Quantity(factor * raw);
    }

    ref Quantity opOpAssign(string op)(Quantity b) return
    if (op == "+" || op == "-")
    {
        mixin("raw " ~ op ~ "= b.raw;");
        return this;
    }

    int opCmp(Quantity b) const
    {
        return (raw > b.raw) - (raw < b.raw);
    }

    string toString() const
    {
        return format!"%g %s"(raw, dim);
    }
}

alias Length = Quantity!(Dimension(1, 0, 0));
alias Mass = Quantity!(Dimension(0, 1, 0));
alias Time = Quantity!(Dimension(0, 0, 1));
alias Speed = typeof(Length.init / Time.init);
alias Force = typeof(Mass.init * Length.init / Time.init / Time.init);

enum metre = Length(1);
enum kilogram = Mass(1);
enum second = Time(1);
enum kilometre = 1000.0 * metre;
enum hour = 3600.0 * second;
enum newton = Force(1);

unittest // arithmetic follows the dimensions
{
    const v = 90.0 * kilometre / hour;
    static assert(is(typeof(v) == const Speed));
    assert(v.toString == "25 m s^-1");

    const braking = v * v / (2.0 * 7.0 * newton / kilogram);
    static assert(braking.dimension == Length.dimension);
    assert(braking > 44.0 * metre && braking < 45.0 * metre);
    assert(kilometre / metre == 1000.0);
}

unittest // what must not compile does not
{
    static assert(!__traits(compiles, metre + second));
    static assert(!__traits(compiles, metre < second));
    static assert(Length.sizeof == double.sizeof);
}

unittest // evaluation at compile time
{
    enum fall = 0.5 * 9.81 * metre / second / second * second * second;
    static assert(fall > 4.9 * metre);
    assert(Dimension(2, 1, -2).toString == "m^2 kg s^-2");
}
