/**
Pivots a CSV file: one row per group, one column per category, sums inside.

---
csv_pivot region product amount < sales.csv
---
*/
module csv_pivot;

import std.algorithm;
import std.array : array;
import std.conv : to;
import std.exception : enforce;
import std.format : format;
import std.range;
import std.stdio;
import std.string : strip;
import std.typecons : Tuple;

/// Splits one line into fields, honouring double quotes ("" is a quote).
struct Fields
{
    private string rest;
    private string current;
    private bool exhausted;

    this(string line)
    {
        rest = line;
        popFront();
    }

    @property bool empty() const { return exhausted; }
    @property string front() const { return current; }

    void popFront()
    {
        if (rest is null)
        {
            exhausted = true;
            return;
        }
        if (!rest.startsWith(`"`))
        {
            auto cut = rest.countUntil(',');
            current = cut < 0 ? rest : rest[0 .. cut];
            rest = cut < 0 ? null : rest[cut + 1 .. $];
            return;
        }
        string text;
        rest = rest[1 .. $];
        for (;;)
        {
            auto cut = rest.countUntil('"');
            enforce(cut >= 0, "a quoted field is not closed");
            text ~= rest[0 .. cut];
            rest = rest[cut + 1 .. $];
            if (!rest.startsWith(`"`))
                break;
            text ~= '"';
            rest = rest[1 .. $];
        }
        enforce(rest.empty || rest[0] == ',', "text after a closing quote");
        rest = rest.empty ? null : rest[1 .. $];
        current = text;
    }
}

static assert(isInputRange!Fields);

unittest
{
    assert(Fields(`a,"b ""c"", d",`).equal(["a", `b "c", d`, ""]));
}

alias Cell = Tuple!(string, "row", string, "column", double, "amount");

/// Reads cells from lines, whose first one names the columns.
auto cells(Lines)(Lines lines, string rowName, string columnName, string valueName)
if (isInputRange!Lines)
{
    auto names = Fields(lines.front.idup.strip).array;
    lines.popFront();

    auto indexOf(string name)
    {
        const i = names.countUntil(name);
        enforce(i >= 0, format!"no column %s among %-(%s, %)"(name, names));
        return i;
    }

    const r = indexOf(rowName), c = indexOf(columnName), v = indexOf(valueName);

    return lines
        .map!(l => l.idup.strip)
        .filter!(l => !l.empty)
        .enumerate(2)
        .map!((item) {
            auto f = Fields(item.value).array;
            enforce(f.length == names.length,
                format!"line %d has %d fields, not %d"(item.index, f.length, names.length));
            return Cell(f[r], f[c], f[v].to!double);
        });
}

struct Pivot
{
    double[string][string] sums;
    bool[string] columns;

    void put(Cell cell)
    {
        columns[cell.column] = true;
        sums.require(cell.row).update(cell.column,
            () => cell.amount, (ref double old) => old + cell.amount);
    }

    void toString(scope void delegate(const(char)[]) sink) const
    {
        auto order = columns.keys.sort.array;
        sink(format!"%-16s%-(%12s%)%12s\n"("", order, "total"));
        foreach (row; sums.keys.sort)
        {
            auto line = order.map!(c => sums[row].get(c, 0.0)).array;
            sink(format!"%-16s%(%12.2f%)%12.2f\n"(row, line, line.sum));
        }
    }
}

int main(string[] args)
{
    if (args.length != 4)
    {
        stderr.writeln("usage: csv_pivot ROW COLUMN VALUE < FILE");
        return 2;
    }
    try
    {
        Pivot pivot;
        stdin.byLine.cells(args[1], args[2], args[3]).copy(&pivot);
        write(pivot);
        return 0;
    }
    catch (Exception e)
    {
        stderr.writeln("csv_pivot: ", e.msg);
        return 1;
    }
}
