package org.example.turnstile;

import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.openjdk.jmh.annotations.*;
import org.openjdk.jmh.infra.Blackhole;

/**
 * Compares three ways of admitting at most {@code permits} requests per millisecond:
 * a monitor, a lock-free generic cell rate algorithm (GCRA), and a semaphore that a
 * background thread refills.
 *
 * <p>The question was what a refusal costs, because under attack almost every call is
 * one. Run with {@code java -jar benchmarks.jar TurnstileBenchmark -prof gc}.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 4, time = 500, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 8, time = 500, timeUnit = TimeUnit.MILLISECONDS)
@Fork(value = 3, jvmArgsAppend = {"-Xms512m", "-Xmx512m"})
public class TurnstileBenchmark {

    interface Turnstile extends AutoCloseable {
        boolean admit();

        @Override
        default void close() {}
    }

    /** The obvious version: a counter per window, behind a lock. */
    static final class Monitored implements Turnstile {
        private final int permits;
        private long window;
        private int used;

        Monitored(int permits) {
            this.permits = permits;
        }

        @Override
        public synchronized boolean admit() {
            long current = System.nanoTime() / 1_000_000;
            if (current != window) used = 0;
            window = current;
            return used++ < permits;
        }
    }

    /**
     * Keeps one number: the instant at which the next request would be exactly on
     * schedule. A refusal is a single read, hence no contention among the refused.
     */
    static final class Gcra implements Turnstile {
        private final long interval;
        private final long burst;
        private final AtomicLong schedule = new AtomicLong(System.nanoTime());

        Gcra(int permits) {
            interval = 1_000_000L / permits;
            burst = interval * (permits - 1);
        }

        @Override
        public boolean admit() {
            long now = System.nanoTime();
            while (true) {
                long expected = schedule.get();
                if (expected - now > burst) return false;
                long next = Math.max(expected, now) + interval;
                if (schedule.compareAndSet(expected, next)) return true;
                Thread.onSpinWait();
            }
        }
    }

    static final class Refilled implements Turnstile {
        private final Semaphore semaphore;
        private final Thread refiller;

        Refilled(int permits) {
            semaphore = new Semaphore(permits);
            refiller = new Thread(() -> {
                while (!Thread.interrupted()) {
                    LockSupport.parkNanos(1_000_000);
                    semaphore.drainPermits();
                    semaphore.release(permits);
                }
            });
            refiller.setDaemon(true);
            refiller.start();
        }

        @Override
        public boolean admit() {
            return semaphore.tryAcquire();
        }

        @Override
        public void close() {
            refiller.interrupt();
        }
    }

    @Param({"monitored", "gcra", "refilled"})
    String kind;

    @Param({"10", "100000"})
    int permits;

    private Turnstile turnstile;

    @Setup(Level.Iteration)
    public void open() {
        turnstile = switch (kind) {
            case "monitored" -> new Monitored(permits);
            case "gcra" -> new Gcra(permits);
            case "refilled" -> new Refilled(permits);
            default -> throw new IllegalArgumentException(kind);
        };
    }

    @TearDown(Level.Iteration)
    public void close() {
        turnstile.close();
    }

    @Benchmark
    public boolean alone() {
        return turnstile.admit();
    }

    /** Seven callers that hammer the turnstile while one does useful work in between. */
    @Benchmark
    @Group("crowd")
    @GroupThreads(7)
    public boolean impatient() {
        return turnstile.admit();
    }

    @Benchmark
    @Group("crowd")
    @GroupThreads(1)
    public void wellBehaved(Blackhole sink) {
        if (turnstile.admit()) Blackhole.consumeCPU(200);
        sink.consume(turnstile);
    }
}
