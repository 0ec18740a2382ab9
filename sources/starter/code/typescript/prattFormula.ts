/**
 * Spreadsheet formulas: a tokenizer and a Pratt parser, with the list of cells that
 * a formula reads. `SUM(A1:A3) * (1 + B1%)` is typical input; the "=" is cut off before.
 */

type Token =
  | { type: "number"; value: number }
  | { type: "cell"; column: number; row: number }
  | { type: "name"; text: string }
  | { type: "op"; text: string }
  | { type: "end" };

export type Expr =
  | { kind: "number"; value: number }
  | { kind: "cell"; column: number; row: number }
  | { kind: "range"; from: Cell; to: Cell }
  | { kind: "unary"; op: "-" | "%"; operand: Expr }
  | { kind: "binary"; op: BinaryOp; left: Expr; right: Expr }
  | { kind: "call"; name: string; args: Expr[] };

type Cell = Extract<Expr, { kind: "cell" }>;
type BinaryOp = "+" | "-" | "*" | "/" | "^";

/** [left, right] binding power; right below left makes an operator right-associative. */
const BINDING: Record<BinaryOp, readonly [number, number]> = {
  "+": [10, 11],
  "-": [10, 11],
  "*": [20, 21],
  "/": [20, 21],
  "^": [31, 30],
};
const PREFIX_POWER = 40; // spreadsheets read -2^2 as 4
const PERCENT_POWER = 50;

const isBinary = (text: string): text is BinaryOp => Object.hasOwn(BINDING, text);

function* tokenize(source: string): Generator<Token, void, undefined> {
  const pattern = /\s*(?:(\d+\.?\d*|\.\d+)|([A-Z]{1,2})([1-9]\d*)\b|([A-Z][A-Z]*)|([-+*\/^%():,]))/iy;
  while (pattern.lastIndex < source.trimEnd().length) {
    const at = pattern.lastIndex;
    const match = pattern.exec(source);
    if (!match) throw new SyntaxError(`unexpected "${source.slice(at).trim()[0]}" at ${at + 1}`);
    const [, digits, letters, row, name, op] = match;
    if (digits !== undefined) yield { type: "number", value: Number(digits) };
    else if (letters !== undefined) yield { type: "cell", column: columnIndex(letters), row: Number(row) };
    else if (name !== undefined) yield { type: "name", text: name.toUpperCase() };
    else yield { type: "op", text: op! };
  }
  yield { type: "end" };
}

const columnIndex = (letters: string): number =>
  [...letters.toUpperCase()].reduce((n, letter) => n * 26 + letter.charCodeAt(0) - 64, 0);

export function parse(source: string): Expr {
  const tokens = [...tokenize(source)];
  let position = 0;
  const peek = (): Token => tokens[position]!;
  const isOp = (text: string): boolean => {
    const token = peek();
    return token.type === "op" && token.text === text;
  };
  const expect = (text: string): void => {
    if (!isOp(text)) throw new SyntaxError(`expected "${text}"`);
    position++;
  };

  function prefix(): Expr {
    const token = peek();
    position++;
    switch (token.type) {
      case "number":
        return { kind: "number", value: token.value };
      case "cell": {
        const from: Cell = { kind: "cell", column: token.column, row: token.row };
        if (!isOp(":")) return from;
        position++;
        const end = peek();
        if (end.type !== "cell") throw new SyntaxError("a range must end in a cell");
        position++;
        return { kind: "range", from, to: { kind: "cell", column: end.column, row: end.row } };
      }
      case "name": {
        expect("(");
        const args: Expr[] = [];
        while (!isOp(")")) {
          args.push(expression(0));
          if (!isOp(")")) expect(",");
        }
        expect(")");
        return { kind: "call", name: token.text, args };
      }
      case "op":
        if (token.text === "-") return { kind: "unary", op: "-", operand: expression(PREFIX_POWER) };
        if (token.text === "(") {
          const inner = expression(0);
          expect(")");
          return inner;
        }
        throw new SyntaxError(`"${token.text}" cannot start an expression`);
      case "end":
        throw new SyntaxError("the formula ends too early");
    }
  }

  function expression(minimum: number): Expr {
    let left = prefix();
    for (;;) {
      const token = peek();
      if (token.type !== "op") return left;
      if (token.text === "%" && PERCENT_POWER >= minimum) {
        position++;
        left = { kind: "unary", op: "%", operand: left };
        continue;
      }
      if (!isBinary(token.text)) return left;
      const [leftPower, rightPower] = BINDING[token.text];
      if (leftPower < minimum) return left;
      position++;
      left = { kind: "binary", op: token.text, left, right: expression(rightPower) };
    }
  }

  const result = expression(0);
  if (peek().type !== "end") throw new SyntaxError("trailing input after the formula");
  return result;
}

/** Every cell that a formula reads, ranges expanded; the edges of the recalculation graph. */
export function* references(expr: Expr): Generator<string> {
  switch (expr.kind) {
    case "number": return;
    case "cell": yield `${expr.column}:${expr.row}`; return;
    case "range":
      for (let c = expr.from.column; c <= expr.to.column; c++)
        for (let r = expr.from.row; r <= expr.to.row; r++) yield `${c}:${r}`;
      return;
    case "unary": yield* references(expr.operand); return;
    case "binary": yield* references(expr.left); yield* references(expr.right); return;
    case "call": for (const arg of expr.args) yield* references(arg);
  }
}
