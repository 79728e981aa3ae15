/**
 * Coverage without a build step: a module hook that strips the types of a source as Node itself would, finds its branches with acorn and
 * writes a counter into each.
 *
 * Counted: function bodies, both ways of `if`, `?:`, `&&`, `||`, `??`, loop bodies, switch cases, catch clauses. What is inserted never
 * starts a new line, so stack traces keep their lines. V8's own precise coverage would need no instrumentation, but reading it costs
 * milliseconds a run; these counters cost about a nanosecond each.
 */
import { registerHooks, stripTypeScriptTypes } from 'node:module';
import { fileURLToPath } from 'node:url';
import { type Node, parse } from 'acorn';
import { newBranch } from './coverage.ts';

/** Piece of text to put at an offset of the source; pieces at one offset stand in the order in which they were added. */
interface Insertion {
  readonly at: number;
  readonly text: string;
}

/**
 * Instruments each module that is loaded from now on and for which `isWanted` is true.
 *
 * @param isWanted called with the module's URL
 */
export function installInstrumentation(isWanted: (url: string) => boolean): void {
  registerHooks({
    load(url, context, nextLoad) {
      if (!url.startsWith('file:') || !isWanted(url)) return nextLoad(url, context);
      const loaded = nextLoad(url, context);
      if (loaded.format !== 'module' && loaded.format !== 'module-typescript') return loaded;
      const source = sourceText(loaded.source);
      const plain = loaded.format === 'module-typescript' ? stripTypes(source) : source;
      return { ...loaded, format: 'module', source: instrumentSource(plain, fileURLToPath(url)), shortCircuit: true };
    },
  });
}

/**
 * Writes counters into the branches of a module.
 *
 * @param source JavaScript, without types
 * @param fileName for the message of a syntax error
 */
export function instrumentSource(source: string, fileName: string): string {
  const program = parse(source, { ecmaVersion: 'latest', sourceType: 'module', sourceFile: fileName });
  const firstLine = source.startsWith('#!') ? source.indexOf('\n') + 1 : 0;
  const insertions: Insertion[] = [{ at: firstLine, text: `const ${COUNTERS} = globalThis.ferrataCoverageCounters; ` }];
  new BranchFinder(insertions).visit(program);
  // A stable sort keeps the order of insertion at one offset: outer before inner where wraps open, inner before outer where they close.
  insertions.sort((a, b) => a.at - b.at);
  let text = '';
  let from = 0;
  for (const { at, text: piece } of insertions) {
    text += source.slice(from, at) + piece;
    from = at;
  }
  return text + source.slice(from);
}

const COUNTERS = '$ferrataCounters';

type Child = Node & Record<string, unknown>;

/** Walks a syntax tree and notes where the counters go. */
class BranchFinder {
  readonly #insertions: Insertion[];

  constructor(insertions: Insertion[]) {
    this.#insertions = insertions;
  }

  visit(node: Node): void {
    const child = node as Child;
    switch (child.type) {
      case 'FunctionDeclaration':
      case 'FunctionExpression':
      case 'ArrowFunctionExpression':
        this.#visitParts(child, 'body');
        if (nodeAt(child, 'body').type === 'BlockStatement') this.#countBlock(nodeAt(child, 'body'));
        else this.#countExpression(nodeAt(child, 'body'));
        return;
      case 'ForStatement':
      case 'ForInStatement':
      case 'ForOfStatement':
      case 'WhileStatement':
      case 'DoWhileStatement':
        this.#visitParts(child, 'body');
        this.#countStatement(nodeAt(child, 'body'));
        return;
      case 'IfStatement':
        this.visit(nodeAt(child, 'test'));
        this.#countStatement(nodeAt(child, 'consequent'));
        if (isNode(child['alternate'])) this.#countStatement(child['alternate']);
        else this.#insert(child.end, ` else {${counter()}}`);
        return;
      case 'ConditionalExpression':
        this.visit(nodeAt(child, 'test'));
        this.#countExpression(nodeAt(child, 'consequent'));
        this.#countExpression(nodeAt(child, 'alternate'));
        return;
      case 'LogicalExpression':
        this.visit(nodeAt(child, 'left'));
        this.#countExpression(nodeAt(child, 'right'));
        return;
      case 'CatchClause':
        this.#visitParts(child, 'body');
        this.#countBlock(nodeAt(child, 'body'));
        return;
      case 'SwitchCase': {
        const first = (child['consequent'] as Node[])[0];
        if (isNode(child['test'])) this.visit(child['test']);
        this.#insert(first?.start ?? child.end, `${counter()};`);
        for (const statement of child['consequent'] as Node[]) this.visit(statement);
        return;
      }
      default:
        this.#visitParts(child, null);
    }
  }

  /** Visits the parts of a node in the order in which they stand, but for one that the caller handles. */
  #visitParts(node: Child, except: string | null): void {
    for (const key of Object.keys(node)) {
      if (key === except) continue;
      const part = node[key];
      if (isNode(part)) this.visit(part);
      else if (Array.isArray(part)) {
        for (const item of part) if (isNode(item)) this.visit(item);
      }
    }
  }

  #countBlock(block: Node): void {
    this.#insert(block.start + 1, `${counter()};`);
    this.visit(block);
  }

  #countStatement(statement: Node): void {
    if (statement.type === 'BlockStatement') return this.#countBlock(statement);
    this.#insert(statement.start, `{${counter()};`);
    this.visit(statement);
    this.#insert(statement.end, '}');
  }

  #countExpression(expression: Node): void {
    this.#insert(expression.start, `(${counter()},`);
    this.visit(expression);
    this.#insert(expression.end, ')');
  }

  #insert(at: number, text: string): void {
    this.#insertions.push({ at, text });
  }
}

function counter(): string {
  return `${COUNTERS}[${newBranch()}]++`;
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

function nodeAt(parent: Child, key: string): Node {
  const part = parent[key];
  if (!isNode(part)) throw new TypeError(`no ${key} in ${parent.type}`);
  return part;
}

function sourceText(source: string | ArrayBuffer | NodeJS.TypedArray | null | undefined): string {
  if (typeof source === 'string') return source;
  if (source === null || source === undefined) throw new TypeError('a module without a source');
  return new TextDecoder().decode(source);
}

/** Node warns that its own function is experimental; the warning would stand in front of every report, and tells its reader nothing. */
function stripTypes(source: string): string {
  const { emitWarning } = process;
  process.emitWarning = (): void => undefined;
  try {
    return stripTypeScriptTypes(source);
  } finally {
    process.emitWarning = emitWarning;
  }
}
