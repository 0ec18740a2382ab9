// Run with: node --test backpressure-queue.test.mjs
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it, mock } from 'node:test';

/**
 * A bounded single-consumer queue. `push` resolves once the item is accepted,
 * so a producer that awaits it can never run more than `capacity` items ahead.
 */
class BoundedQueue {
  #items = [];
  #blockedPushes = [];
  #pendingTake = null;
  #closed = false;

  constructor(capacity) {
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw new RangeError('capacity must be a positive integer');
    }
    this.capacity = capacity;
  }

  get size() {
    return this.#items.length;
  }

  push(item) {
    if (this.#closed) return Promise.reject(new Error('queue is closed'));
    if (this.#pendingTake) {
      const deliver = this.#pendingTake;
      this.#pendingTake = null;
      deliver({ value: item, done: false });
      return Promise.resolve();
    }
    if (this.#items.length < this.capacity) {
      this.#items.push(item);
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => this.#blockedPushes.push({ item, resolve, reject }));
  }

  close() {
    this.#closed = true;
    for (const { reject } of this.#blockedPushes.splice(0)) reject(new Error('queue is closed'));
    this.#pendingTake?.({ value: undefined, done: true });
    this.#pendingTake = null;
  }

  next() {
    if (this.#pendingTake) return Promise.reject(new Error('only one consumer may wait'));
    if (this.#items.length > 0) {
      const value = this.#items.shift();
      const waiting = this.#blockedPushes.shift();
      if (waiting) {
        this.#items.push(waiting.item);
        waiting.resolve();
      }
      return Promise.resolve({ value, done: false });
    }
    if (this.#closed) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => { this.#pendingTake = resolve; });
  }

  async return() {
    this.close();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}

describe('BoundedQueue', () => {
  it('hands an item straight to a waiting consumer', async () => {
    const queue = new BoundedQueue(1);
    const taken = queue.next();
    await queue.push('frame-1');
    assert.deepEqual(await taken, { value: 'frame-1', done: false });
    assert.equal(queue.size, 0);
  });

  it('holds the producer back once capacity is reached', async () => {
    const queue = new BoundedQueue(2);
    const accepted = mock.fn();
    await queue.push(1);
    await queue.push(2);
    const third = queue.push(3).then(accepted);

    await sleep(5);
    assert.equal(accepted.mock.callCount(), 0);

    assert.equal((await queue.next()).value, 1);
    await third;
    assert.equal(accepted.mock.callCount(), 1);
    assert.equal(queue.size, 2);
  });

  it('preserves order across blocked pushes', async () => {
    const queue = new BoundedQueue(1);
    const producer = (async () => {
      for (const letter of 'abcdef') await queue.push(letter);
      queue.close();
    })();

    let seen = '';
    for await (const letter of queue) seen += letter;
    await producer;
    // close() comes only after "f" was accepted, so it is still drained.
    assert.equal(seen, 'abcdef');
  });

  it('rejects pushes that were blocked when the queue closes', async () => {
    const queue = new BoundedQueue(1);
    await queue.push('kept');
    const refused = assert.rejects(queue.push('lost'), /queue is closed/);
    queue.close();
    await refused;
    assert.deepEqual(await queue.next(), { value: 'kept', done: false });
    assert.deepEqual(await queue.next(), { value: undefined, done: true });
  });

  it('closes itself when a for-await loop is left early', async () => {
    const queue = new BoundedQueue(4);
    for (const n of [10, 20, 30]) await queue.push(n);
    for await (const n of queue) {
      if (n === 20) break;
    }
    await assert.rejects(queue.push(40), { message: 'queue is closed' });
  });

  for (const capacity of [0, -3, 1.5, NaN, '8']) {
    it(`refuses a capacity of ${JSON.stringify(capacity)}`, () => {
      assert.throws(() => new BoundedQueue(capacity), RangeError);
    });
  }
});
