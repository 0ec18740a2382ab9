/// Message passing with std.concurrency: a supervisor hands images to workers,
/// replaces workers that crash and gives up on images that keep crashing them.
module thumbnail_farm;

import core.time : seconds;
import std.concurrency;
import std.exception : enforce;
import std.stdio : writefln;

// Messages are plain values. `immutable` data may cross threads uncopied.
struct Job
{
    int id;
    immutable(ubyte)[] pixels; // greyscale, side * side
    int side;
}

struct Thumbnail
{
    int id;
    immutable(ubyte)[] pixels;
}

struct Ready
{
    Tid worker;
}

struct Shutdown {}

/// Halves an image by averaging blocks of two by two pixels.
immutable(ubyte)[] halve(immutable(ubyte)[] src, int side) pure
in (src.length == side * side, "the buffer does not fit the side length")
in (side % 2 == 0)
out (result; result.length == src.length / 4)
{
    const half = side / 2;
    auto dst = new ubyte[half * half];
    foreach (y; 0 .. half)
        foreach (x; 0 .. half)
        {
            const at = 2 * y * side + 2 * x;
            const total = src[at] + src[at + 1] + src[at + side] + src[at + side + 1];
            dst[y * half + x] = cast(ubyte)((total + 2) / 4);
        }
    return dst.idup;
}

void worker(Tid supervisor)
{
    bool running = true;
    while (running)
    {
        supervisor.send(Ready(thisTid));
        receive(
            (Job job) {
                enforce(job.pixels.length == job.side * job.side, "damaged image");
                supervisor.send(Thumbnail(job.id, halve(job.pixels, job.side)));
            },
            (Shutdown _) { running = false; },
            (OwnerTerminated _) { running = false; });
    }
}

struct Supervisor
{
    enum maxAttempts = 2;

    Job[] queue;
    int[int] attempts;
    Job[Tid] assigned;
    bool[Tid] idle;
    int[] failed;
    Thumbnail[int] finished;

    void spawnWorker()
    {
        // spawnLinked delivers LinkTerminated when the thread ends.
        spawnLinked(&worker, thisTid);
    }

    void dispatch()
    {
        foreach (tid; idle.keys)
        {
            if (!queue.length)
                return;
            auto job = queue[0];
            queue = queue[1 .. $];
            attempts[job.id]++;
            assigned[tid] = job;
            idle.remove(tid);
            tid.send(job);
        }
    }

    void crashed(Tid tid)
    {
        if (auto job = tid in assigned)
        {
            if (attempts[job.id] < maxAttempts)
                queue ~= *job;
            else
                failed ~= job.id;
            assigned.remove(tid);
        }
        idle.remove(tid);
        spawnWorker();
    }

    void run(int workers)
    {
        foreach (_; 0 .. workers)
            spawnWorker();
        while (queue.length || assigned.length)
        {
            const alive = receiveTimeout(5.seconds,
                (Ready r) { assigned.remove(r.worker); idle[r.worker] = true; },
                (Thumbnail t) { finished[t.id] = t; },
                (LinkTerminated e) { crashed(e.tid); });
            enforce(alive, "the workers have gone quiet");
            dispatch();
        }
        foreach (tid; idle.keys)
            tid.send(Shutdown());
    }
}

void main()
{
    Supervisor s;
    foreach (id; 0 .. 20)
    {
        const side = 8;
        // image 13 is cut short and will bring its worker down, twice
        const size = id == 13 ? 7 : side * side;
        auto pixels = new ubyte[size];
        pixels[] = cast(ubyte)(id * 10);
        s.queue ~= Job(id, pixels.idup, side);
    }
    s.run(3);

    writefln("%d thumbnails, failed: %s", s.finished.length, s.failed);
    foreach (id, t; s.finished)
        enforce(t.pixels.length == 16 && t.pixels[0] == id * 10);
}
