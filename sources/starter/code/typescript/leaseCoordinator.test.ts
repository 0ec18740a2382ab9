import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";

/**
 * Leases with fencing tokens. A worker that stalls past its deadline may still
 * believe it holds the lease; the ever-growing token lets the storage refuse it.
 */

type Clock = { now(): number };

interface LeaseRecord {
  readonly holder: string;
  readonly token: bigint;
  readonly expiresAt: number;
}

/** Compare-and-set on one key: the only primitive the coordinator needs. */
interface LeaseStore {
  read(resource: string): Promise<LeaseRecord | undefined>;
  swap(resource: string, expected: bigint | undefined, next: LeaseRecord): Promise<boolean>;
}

class Lease implements AsyncDisposable {
  constructor(private readonly coordinator: LeaseCoordinator, readonly resource: string, readonly token: bigint) {}

  renew(): Promise<boolean> {
    return this.coordinator.extend(this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.coordinator.release(this);
  }
}

class LeaseCoordinator {
  constructor(
    private readonly store: LeaseStore,
    private readonly clock: Clock,
    private readonly holder: string,
    private readonly ttlMs: number,
  ) {}

  async tryAcquire(resource: string): Promise<Lease | null> {
    const current = await this.store.read(resource);
    if (current && current.expiresAt > this.clock.now()) return null;
    const token = (current?.token ?? 0n) + 1n;
    const won = await this.store.swap(resource, current?.token, this.record(token, this.ttlMs));
    return won ? new Lease(this, resource, token) : null;
  }

  /** A lapsed lease is not revived, even if nobody has taken it meanwhile. */
  async extend({ resource, token }: Lease): Promise<boolean> {
    const current = await this.store.read(resource);
    if (current?.token !== token || current.expiresAt <= this.clock.now()) return false;
    return this.store.swap(resource, token, this.record(token, this.ttlMs));
  }

  async release({ resource, token }: Lease): Promise<void> {
    // Expire rather than delete, so that the token keeps growing.
    await this.store.swap(resource, token, this.record(token, 0));
  }

  private record(token: bigint, ttlMs: number): LeaseRecord {
    return { holder: this.holder, token, expiresAt: this.clock.now() + ttlMs };
  }
}

class InMemoryStore implements LeaseStore {
  readonly records = new Map<string, LeaseRecord>();
  beforeSwap: () => Promise<unknown> = () => Promise.resolve();

  async read(resource: string) {
    return this.records.get(resource);
  }

  async swap(resource: string, expected: bigint | undefined, next: LeaseRecord) {
    await this.beforeSwap();
    if (this.records.get(resource)?.token !== expected) return false;
    this.records.set(resource, next);
    return true;
  }
}

class FencedLedger {
  readonly entries: string[] = [];
  #highest = 0n;

  append(entry: string, { token }: Lease): void {
    if (token < this.#highest) throw new Error(`stale token ${token}, ${this.#highest} was seen`);
    this.#highest = token;
    this.entries.push(entry);
  }
}

describe("LeaseCoordinator", () => {
  let time: number;
  let store: InMemoryStore;
  const clock: Clock = { now: () => time };
  const coordinatorFor = (holder: string) => new LeaseCoordinator(store, clock, holder, 10_000);

  beforeEach(() => {
    time = 1_000_000;
    store = new InMemoryStore();
  });

  it("grants a free resource and refuses it to others until it expires", async () => {
    const first = await coordinatorFor("blue").tryAcquire("invoices");
    assert.equal(first?.token, 1n);
    assert.equal(await coordinatorFor("green").tryAcquire("invoices"), null);

    time += 10_000;
    const second = await coordinatorFor("green").tryAcquire("invoices");
    assert.equal(second?.token, 2n);
    assert.equal(await first!.renew(), false);
  });

  it("lets exactly one of two racing workers win", async () => {
    let arrived = 0;
    const bothArrived = Promise.withResolvers<void>();
    store.beforeSwap = () => {
      if (++arrived === 2) bothArrived.resolve();
      return bothArrived.promise;
    };
    const outcomes = await Promise.all(
      ["blue", "green"].map((name) => coordinatorFor(name).tryAcquire("invoices")),
    );
    assert.equal(outcomes.filter((lease) => lease !== null).length, 1);
  });

  it("frees the resource at the end of an `await using` block", async () => {
    {
      await using lease = await coordinatorFor("blue").tryAcquire("reports");
      assert.ok(lease);
    }
    assert.equal((await coordinatorFor("green").tryAcquire("reports"))?.token, 2n);
  });

  it("protects storage against a holder that woke up late", async () => {
    const ledger = new FencedLedger();
    const sleeper = await coordinatorFor("blue").tryAcquire("ledger");
    time += 60_000;
    const successor = await coordinatorFor("green").tryAcquire("ledger");

    ledger.append("closing balance", successor!);
    assert.throws(() => ledger.append("duplicate close", sleeper!), /stale token 1/);
    assert.deepEqual(ledger.entries, ["closing balance"]);
  });
});
