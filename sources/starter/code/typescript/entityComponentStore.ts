/**
 * An archetype-based entity store. Entities with the same set of components live
 * in one table, column by column, so a system walks densely packed arrays and the
 * type of every column is inferred from the component tokens in the query.
 */

export type Entity = number & { readonly __brand: "Entity" };

export class Component<T> {
  private static nextId = 0;
  readonly id = Component.nextId++;
  readonly bit = 1n << BigInt(this.id);

  /** `name` is for diagnostics only; identity is the object itself. */
  constructor(readonly name: string, readonly initial: () => T) {}
}

type ValueOf<C> = C extends Component<infer T> ? T : never;
type ColumnsOf<Q extends readonly Component<any>[]> = { [I in keyof Q]: ValueOf<Q[I]>[] };

class Archetype {
  readonly entities: Entity[] = [];
  readonly columns = new Map<number, unknown[]>();

  constructor(readonly mask: bigint, readonly components: readonly Component<any>[]) {
    for (const component of components) this.columns.set(component.id, []);
  }

  append(entity: Entity): number {
    return this.entities.push(entity) - 1;
  }

  /** Swap-remove; returns the entity that now occupies `row`, if any. */
  remove(row: number): Entity | undefined {
    const last = this.entities.length - 1;
    for (const column of this.columns.values()) {
      column[row] = column[last];
      column.length = last;
    }
    const moved = this.entities[last];
    this.entities[row] = moved!;
    this.entities.length = last;
    return row === last ? undefined : moved;
  }
}

type Location = { archetype: Archetype; row: number };

export class World {
  #nextEntity = 1;
  #archetypes = new Map<bigint, Archetype>();
  #locations = new Map<Entity, Location>();
  #deferred: (() => void)[] = [];
  #iterating = 0;

  constructor() {
    this.#archetypes.set(0n, new Archetype(0n, []));
  }

  spawn(...parts: readonly (readonly [Component<any>, unknown])[]): Entity {
    const entity = this.#nextEntity++ as Entity;
    this.#structural(() => {
      const empty = this.#archetypes.get(0n)!;
      this.#locations.set(entity, { archetype: empty, row: empty.append(entity) });
      for (const [component, value] of parts) this.#attach(entity, component, value);
    });
    return entity;
  }

  despawn(entity: Entity): void {
    this.#structural(() => {
      const location = this.#locations.get(entity);
      if (location) this.#vacate(location);
      this.#locations.delete(entity);
    });
  }

  add<T>(entity: Entity, component: Component<T>, value: T = component.initial()): void {
    this.#structural(() => this.#attach(entity, component, value));
  }

  remove(entity: Entity, component: Component<any>): void {
    this.#structural(() => {
      const location = this.#locations.get(entity);
      if (!location || !(location.archetype.mask & component.bit)) return;
      const kept = location.archetype.components.filter((c) => c !== component);
      this.#move(entity, location, this.#archetypeFor(kept));
    });
  }

  get<T>(entity: Entity, component: Component<T>): T | undefined {
    const location = this.#locations.get(entity);
    return location?.archetype.columns.get(component.id)?.[location.row] as T | undefined;
  }

  /** Calls `visit` once per matching table, with its columns in the order of `query`. */
  each<const Q extends readonly Component<any>[]>(
    query: Q,
    visit: (entities: readonly Entity[], ...columns: ColumnsOf<Q>) => void,
  ): void {
    const wanted = query.reduce((mask, component) => mask | component.bit, 0n);
    this.#iterating++;
    try {
      for (const archetype of this.#archetypes.values()) {
        if ((archetype.mask & wanted) !== wanted || archetype.entities.length === 0) continue;
        const columns = query.map((c) => archetype.columns.get(c.id)!) as ColumnsOf<Q>;
        visit(archetype.entities, ...columns);
      }
    } finally {
      if (--this.#iterating === 0) for (const change of this.#deferred.splice(0)) change();
    }
  }

  /** Rows may not move while a system walks them, so changes wait for the walk to end. */
  #structural(change: () => void): void {
    this.#iterating > 0 ? this.#deferred.push(change) : change();
  }

  #attach(entity: Entity, component: Component<any>, value: unknown): void {
    const location = this.#locations.get(entity);
    if (!location) return;
    if (!(location.archetype.mask & component.bit)) {
      this.#move(entity, location, this.#archetypeFor([...location.archetype.components, component]));
    }
    location.archetype.columns.get(component.id)![location.row] = value;
  }

  #archetypeFor(components: readonly Component<any>[]): Archetype {
    const mask = components.reduce((bits, c) => bits | c.bit, 0n);
    const archetype = this.#archetypes.get(mask) ?? new Archetype(mask, components);
    this.#archetypes.set(mask, archetype);
    return archetype;
  }

  #move(entity: Entity, location: Location, target: Archetype): void {
    const row = target.append(entity);
    for (const [id, column] of target.columns) {
      column[row] = location.archetype.columns.get(id)?.[location.row];
    }
    this.#vacate(location);
    Object.assign(location, { archetype: target, row });
  }

  #vacate({ archetype, row }: Location): void {
    const moved = archetype.remove(row);
    if (moved !== undefined) this.#locations.get(moved)!.row = row;
  }
}
