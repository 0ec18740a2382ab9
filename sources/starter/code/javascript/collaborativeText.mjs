/**
 * A replicated text buffer. Every character carries a unique id and remembers
 * the id of the character to its left at the time of typing; replicas that have
 * seen the same operations show the same text, in whatever order they arrived.
 *
 * Ordering rule for characters typed after the same neighbour: higher id first.
 */

const ROOT = Object.freeze({ counter: 0, site: '' });

const keyOf = ({ counter, site }) => `${counter}@${site}`;

function compareIds(a, b) {
  if (a.counter !== b.counter) return a.counter - b.counter;
  return a.site < b.site ? -1 : Number(a.site > b.site);
}

class Replica {
  #site;
  #counter = 0;
  #head = { id: ROOT, char: '', deleted: true, next: null };
  #index = new Map([[keyOf(ROOT), this.#head]]);
  #waiting = new Map(); // missing id -> operations that depend on it
  #listeners = new Set();

  constructor(site) {
    this.#site = site;
  }

  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  *#visible() {
    for (let node = this.#head.next; node; node = node.next) {
      if (!node.deleted) yield node;
    }
  }

  toString() {
    return Array.from(this.#visible(), (node) => node.char).join('');
  }

  #nodeAt(position) {
    if (position < 0) return this.#head;
    let remaining = position;
    for (const node of this.#visible()) {
      if (remaining-- === 0) return node;
    }
    throw new RangeError(`position ${position} is past the end of the text`);
  }

  insert(position, text) {
    let left = this.#nodeAt(position - 1).id;
    for (const char of text) {
      const id = { counter: ++this.#counter, site: this.#site };
      this.#publish({ kind: 'insert', id, left, char });
      left = id;
    }
  }

  delete(position, length = 1) {
    const targets = Array.from({ length }, (_, i) => this.#nodeAt(position + i).id);
    for (const id of targets) this.#publish({ kind: 'delete', id });
  }

  #publish(operation) {
    this.receive(operation);
    for (const listener of this.#listeners) listener(operation);
  }

  /** Apply an operation, or park it until the character it refers to is known. */
  receive(operation) {
    const dependency = operation.kind === 'insert' ? operation.left : operation.id;
    const node = this.#index.get(keyOf(dependency));
    if (!node) {
      const parked = this.#waiting.get(keyOf(dependency)) ?? [];
      this.#waiting.set(keyOf(dependency), [...parked, operation]);
      return;
    }
    if (operation.kind === 'delete') {
      node.deleted = true; // a tombstone: later inserts may still refer to it
      return;
    }
    if (this.#index.has(keyOf(operation.id))) return; // delivered twice

    this.#counter = Math.max(this.#counter, operation.id.counter);
    let left = node;
    while (left.next && compareIds(left.next.id, operation.id) > 0) left = left.next;
    const inserted = { id: operation.id, char: operation.char, deleted: false, next: left.next };
    left.next = inserted;
    this.#index.set(keyOf(operation.id), inserted);

    const released = this.#waiting.get(keyOf(operation.id)) ?? [];
    this.#waiting.delete(keyOf(operation.id));
    for (const parked of released) this.receive(parked);
  }
}

/** A network that loses nothing but delivers late, twice and out of order. */
function unreliableLink(replicas, random) {
  const inFlight = [];
  for (const sender of replicas) {
    sender.subscribe((operation) => {
      for (const receiver of replicas) {
        if (receiver === sender) continue;
        inFlight.push({ receiver, operation });
        if (random() < 0.2) inFlight.push({ receiver, operation });
      }
    });
  }
  return {
    deliverSome(share) {
      for (let n = Math.ceil(inFlight.length * share); n > 0; n--) {
        const pick = Math.floor(random() * inFlight.length);
        const [{ receiver, operation }] = inFlight.splice(pick, 1);
        receiver.receive(operation);
      }
    },
  };
}

let seed = 20_311;
const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;

const replicas = ['kitchen', 'office', 'train'].map((site) => new Replica(site));
const link = unreliableLink(replicas, random);

replicas[0].insert(0, 'Meet at noon');
link.deliverSome(1);
replicas[1].insert(8, 'the harbour at ');
replicas[2].delete(8, 4);
replicas[2].insert(8, '13:00');
replicas[0].insert(12, ', bring the charts');
link.deliverSome(0.4);
replicas[1].delete(0, 4);
replicas[1].insert(0, 'Lunch');
link.deliverSome(1);

const texts = new Set(replicas.map(String));
console.log([...texts].join('\n'));
if (texts.size !== 1) throw new Error('replicas diverged');
