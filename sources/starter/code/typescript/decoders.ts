/** Decoders: parse `unknown` into a typed value, with every problem reported by path. */

export type Path = readonly (string | number)[];

export interface Issue {
  readonly path: Path;
  readonly message: string;
}

export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly issues: readonly Issue[] };

export interface Decoder<T> {
  decode(input: unknown, path?: Path): Result<T>;
  map<U>(transform: (value: T) => U): Decoder<U>;
  refine<U extends T>(test: (value: T) => value is U, message: string): Decoder<U>;
  refine(test: (value: T) => boolean, message: string): Decoder<T>;
  optional(): OptionalDecoder<T>;
}

export interface OptionalDecoder<T> extends Decoder<T | undefined> {
  readonly isOptional: true;
}

export type Infer<D> = D extends Decoder<infer T> ? T : never;

type Shape = Record<string, Decoder<unknown>>;

type OptionalKeys<S extends Shape> = {
  [K in keyof S]: S[K] extends { isOptional: true } ? K : never;
}[keyof S];

type Flatten<T> = { [K in keyof T]: T[K] } & {};

type ObjectOf<S extends Shape> = Flatten<
  { [K in Exclude<keyof S, OptionalKeys<S>>]: Infer<S[K]> } &
  { [K in OptionalKeys<S>]?: Infer<S[K]> }
>;

const success = <T>(value: T): Result<T> => ({ ok: true, value });
const failure = (path: Path, message: string): Result<never> => ({
  ok: false,
  issues: [{ path, message }],
});

function describe(input: unknown): string {
  if (input === null) return "null";
  return Array.isArray(input) ? "array" : typeof input;
}

function make<T>(run: (input: unknown, path: Path) => Result<T>): Decoder<T> {
  return {
    decode: (input, path = []) => run(input, path),
    map: (transform) =>
      make((input, path) => {
        const result = run(input, path);
        return result.ok ? success(transform(result.value)) : result;
      }),
    refine: (test: (value: T) => boolean, message: string) =>
      make<any>((input, path) => {
        const result = run(input, path);
        return !result.ok || test(result.value) ? result : failure(path, message);
      }),
    optional: () => ({
      ...make<T | undefined>((input, path) => (input === undefined ? success(undefined) : run(input, path))),
      isOptional: true as const,
    }),
  };
}

const primitive = <T>(name: string, is: (input: unknown) => input is T): Decoder<T> =>
  make((input, path) =>
    is(input) ? success(input) : failure(path, `expected ${name}, found ${describe(input)}`));

export const string = primitive("string", (x): x is string => typeof x === "string");
export const number = primitive("number", (x): x is number => Number.isFinite(x));
export const boolean = primitive("boolean", (x): x is boolean => typeof x === "boolean");

export function literal<const V extends readonly (string | number | boolean | null)[]>(
  ...allowed: V
): Decoder<V[number]> {
  return make((input, path) => {
    const found = allowed.find((candidate) => candidate === input);
    return found === undefined
      ? failure(path, `expected one of ${allowed.map((a) => JSON.stringify(a)).join(", ")}`)
      : success<V[number]>(found);
  });
}

export function array<T>(element: Decoder<T>): Decoder<T[]> {
  return make((input, path) => {
    if (!Array.isArray(input)) return failure(path, `expected array, found ${describe(input)}`);
    const results = input.map((item, index) => element.decode(item, [...path, index]));
    const issues = results.flatMap((r) => (r.ok ? [] : r.issues));
    return issues.length > 0
      ? { ok: false, issues }
      : success(results.flatMap((r) => (r.ok ? [r.value] : [])));
  });
}

export function object<S extends Shape>(shape: S): Decoder<ObjectOf<S>> {
  return make((input, path) => {
    if (typeof input !== "object" || input === null || Array.isArray(input)) {
      return failure(path, `expected object, found ${describe(input)}`);
    }
    const source = new Map<string, unknown>(Object.entries(input));
    const output: Record<string, unknown> = {};
    const issues: Issue[] = [];
    for (const [key, decoder] of Object.entries(shape)) {
      const result = decoder.decode(source.get(key), [...path, key]);
      if (!result.ok) issues.push(...result.issues);
      else if (result.value !== undefined) output[key] = result.value;
    }
    return issues.length > 0 ? { ok: false, issues } : success(output as ObjectOf<S>);
  });
}

/** Picks the variant by its tag first, so that errors speak of one variant only. */
export function taggedUnion<
  const Tag extends string,
  V extends Record<string, Decoder<object>>,
>(tag: Tag, variants: V): Decoder<{ [K in keyof V & string]: Flatten<{ [T in Tag]: K } & Infer<V[K]>> }[keyof V & string]> {
  return make<any>((input, path) => {
    const kind = (input as Record<string, unknown> | null | undefined)?.[tag];
    const variant = typeof kind === "string" && Object.hasOwn(variants, kind) ? variants[kind] : undefined;
    if (!variant) return failure([...path, tag], `expected one of ${Object.keys(variants).join(", ")}`);
    const result = variant.decode(input, path);
    return result.ok ? success({ [tag]: kind, ...result.value }) : result;
  });
}

export function renderIssue({ path, message }: Issue): string {
  const place = path.map((step) => (typeof step === "number" ? `[${step}]` : `.${step}`)).join("");
  return `$${place}: ${message}`;
}
