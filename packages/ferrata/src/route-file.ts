/**
 * Routes and changes of fields from a file in YAML, which a reload reads again.
 *
 * ```yaml
 * version: 1
 * routes:
 *   - prefix: /api
 *     to: [http://10.0.0.1:3000, h2c://10.0.0.2:50051]
 *   - prefix: /
 *     to: http://unix:/run/site.sock
 * header_up: ['X-Stage: live', '-Cookie']
 * header_down: ['-Server']
 * ```
 * The first thing that is wrong is told, with line and column. The tree of the parser is walked as it is written, so aliases are refused and nothing can grow; a file that does not end with a
 * line end was not written whole.
 */
import { createRequire } from 'node:module';
import { readPlainFile } from '@ferrata/net';
import type * as yaml from 'yaml';
import { discoveryFor } from './discover.ts';
import { type HeaderDirection, labelOf, parseHeaderEdit } from './header-edits.ts';
import { type LoadBalancing, parseLoadBalancing } from './load-balance.ts';
import { prefixProblem, type Route } from './routes.ts';
import { type OriginAddress, parseOrigin } from './urls.ts';
import { UsageError } from './usage-error.ts';

/** What such a file says. */
export interface RouteFile {
  readonly routes: readonly Route[];
  readonly headerUp: readonly string[];
  readonly headerDown: readonly string[];
}

/** A thousand routes. What makes the parser slowest, nothing but brackets, is refused within a second. */
const MAX_BYTES = 65_536;

type Node = yaml.ParsedNode | null;

const balancingKeys: readonly string[] = [
  'lb',
  'lb-key',
  'sticky',
  'health',
  'health-interval',
  'health-timeout',
  'health-status',
  'outliers',
  'slow-start',
];

/** Reads a file. @throws {UsageError} that names it, the place, and what is wrong */
export function readRouteFile(file: string): RouteFile {
  let text: string;
  try {
    const bytes = readPlainFile(file);
    if (bytes.length > MAX_BYTES) throw new Error(`it has ${bytes.length} bytes, and at most ${MAX_BYTES} are read`);
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new UsageError(`--route-file ${file}: it cannot be read: ${(error as Error).message}`, { cause: error });
  }
  if (!text.endsWith('\n')) throw new UsageError(`--route-file ${file}: it does not end with a line end; was it written whole?`);
  return new Reading(file, text).read();
}

class Reading {
  readonly #file: string;
  readonly #text: string;
  // Loaded when there is a file: it takes 40 ms and 10 MiB.
  readonly #yaml = createRequire(import.meta.url)('yaml') as typeof yaml;
  readonly #lines = new this.#yaml.LineCounter();

  constructor(file: string, text: string) {
    this.#file = file;
    this.#text = text;
  }

  read(): RouteFile {
    const { contents } = this.#parse();
    let routes: readonly Route[] = [];
    let headerUp: readonly string[] = [];
    let headerDown: readonly string[] = [];
    for (const [key, { at, node }] of this.#entries(contents, 'the file')) {
      if (key === 'version') this.#check(this.#scalar(node) === 1, at, 'version must be 1');
      else if (key === 'routes') routes = this.#routes(node, at);
      else if (key === 'header_up') headerUp = this.#edits(key, node, at, 'up');
      else if (key === 'header_down') headerDown = this.#edits(key, node, at, 'down');
      else this.#fail(at, `there is no key ${key}; the keys are version, routes, header_up and header_down`);
    }
    return { routes, headerUp, headerDown };
  }

  #parse(): yaml.Document.Parsed {
    let document: yaml.Document.Parsed;
    try {
      document = this.#yaml.parseDocument(this.#text, {
        lineCounter: this.#lines,
        prettyErrors: false,
        uniqueKeys: false,
        logLevel: 'error',
      });
    } catch (error) {
      throw new UsageError(`--route-file ${this.#file}: it cannot be read as YAML: ${(error as Error).message}`, { cause: error });
    }
    const [problem] = [...document.errors, ...document.warnings];
    if (problem?.code === 'MULTIPLE_DOCS') this.#fail(problem.pos[0], 'the file is one document; write all keys above the line of dashes');
    if (problem !== undefined) this.#fail(problem.pos[0], problem.message.slice(0, 200));
    return document;
  }

  #routes(node: Node, at: number): readonly Route[] {
    const routes: Route[] = [];
    for (const item of this.#list('routes', node, at)) {
      const route = this.#route(item);
      if (routes.some(({ prefix }) => prefix === route.prefix))
        this.#fail(item.range[0], `the prefix ${route.prefix} is there twice; write all its origins in one place`);
      routes.push(route);
    }
    return routes;
  }

  #route(item: yaml.ParsedNode): Route {
    let prefix: string | null = null;
    let to: readonly OriginAddress[] = [];
    let discover: readonly string[] | undefined;
    let balancing: LoadBalancing | undefined;
    for (const [key, { at, node }] of this.#entries(item, 'a route')) {
      if (key === 'prefix') prefix = this.#prefix(node, at);
      else if (key === 'to') to = this.#origins(node, at);
      else if (key === 'discover') discover = this.#discover(node, at);
      else if (key === 'load-balance') balancing = this.#balancing(node, at);
      else this.#fail(at, `there is no key ${key} in a route; the keys are prefix, to, discover and load-balance`);
    }
    if (prefix === null) return this.#fail(item.range[0], 'a route needs a prefix, such as prefix: /api');
    if (to.length > 0 && discover !== undefined)
      return this.#fail(item.range[0], `the route ${prefix} has to and discover; write one of them`);
    if (to.length === 0 && discover === undefined)
      return this.#fail(item.range[0], `the route ${prefix} needs origins: to: [http://127.0.0.1:3000]`);
    return { prefix, to, ...(discover === undefined ? {} : { discover }), ...(balancing === undefined ? {} : { balancing }) };
  }

  #discover(node: Node, at: number): readonly string[] {
    const items = this.#yaml.isSeq(node) ? this.#list('discover', node, at) : [node];
    if (items.length === 0) this.#fail(at, 'discover needs a URL, such as dns://app.internal:8080');
    return items.map((item) => {
      const place = item?.range[0] ?? at;
      const url = this.#textOf('discover', item, place);
      return this.#checked(place, () => {
        discoveryFor(url);
        return url;
      });
    });
  }

  /** The keys are those of the command line, and so are their values. */
  #balancing(node: Node, at: number): LoadBalancing | undefined {
    const written: Record<string, string | boolean> = {};
    for (const [key, entry] of this.#entries(node, 'load-balance')) {
      if (!balancingKeys.includes(key))
        this.#fail(entry.at, `there is no key ${key} in load-balance; the keys are ${balancingKeys.join(', ')}`);
      const value = this.#scalar(entry.node);
      if (key === 'outliers' ? typeof value !== 'boolean' : typeof value !== 'string' && typeof value !== 'number')
        this.#fail(entry.at, `${key} must be ${key === 'outliers' ? 'true or false' : 'a text'}`);
      written[key] = typeof value === 'boolean' ? value : String(value);
    }
    return this.#checked(at, () => parseLoadBalancing(written));
  }

  #checked<T>(at: number, make: () => T): T {
    try {
      return make();
    } catch (error) {
      return this.#fail(at, (error as Error).message.replace(/^--/, ''));
    }
  }

  #prefix(node: Node, at: number): string {
    const text = this.#textOf('prefix', node, at);
    const problem = prefixProblem(text);
    return problem === null ? text : this.#fail(at, `prefix ${text}: ${problem}`);
  }

  #origins(node: Node, at: number): readonly OriginAddress[] {
    const items = this.#yaml.isSeq(node) ? this.#list('to', node, at) : [node];
    return items.map((item) => {
      const place = item?.range[0] ?? at;
      const text = this.#textOf('to', item, place);
      try {
        return parseOrigin(text);
      } catch (error) {
        return this.#fail(place, (error as Error).message.replace(/^--to /, 'to '));
      }
    });
  }

  #edits(key: string, node: Node, at: number, direction: HeaderDirection): readonly string[] {
    return this.#list(key, node, at).map((item) => {
      // `X-Name: value` without quotes is a map to YAML.
      if (!this.#yaml.isScalar(item)) this.#fail(item.range[0], `${key}: write each change in quotes, such as 'X-Name: value'`);
      const text = this.#textOf(key, item, item.range[0]);
      try {
        parseHeaderEdit(text, direction);
      } catch (error) {
        this.#fail(item.range[0], `${key} ${labelOf(text)}: ${(error as Error).message}`);
      }
      return text;
    });
  }

  /** The keys of a map, each once. */
  *#entries(node: Node, what: string): Generator<readonly [key: string, entry: { readonly at: number; readonly node: Node }]> {
    if (!this.#yaml.isMap(node))
      return this.#fail(node?.range[0] ?? 0, `${what} must have keys, such as ${what === 'the file' ? 'routes' : 'prefix'}`);
    const seen = new Set<string>();
    for (const { key: keyNode, value } of node.items as readonly yaml.Pair<yaml.ParsedNode, Node>[]) {
      const at = keyNode.range[0];
      const key = this.#textOf('a key', keyNode, at);
      if (seen.has(key)) this.#fail(at, `${key} is written twice`);
      seen.add(key);
      yield [key, { at, node: value }];
    }
  }

  #list(key: string, node: Node, at: number): readonly yaml.ParsedNode[] {
    if (!this.#yaml.isSeq(node)) return this.#fail(at, `${key} must be a list`);
    return node.items;
  }

  #textOf(key: string, node: Node, at: number): string {
    const value = this.#scalar(node);
    return typeof value === 'string' ? value : this.#fail(at, `${key} must be a text (in quotes, if it looks like something else)`);
  }

  /** What is no plain value, an alias among it, is none. */
  #scalar(node: Node): unknown {
    return this.#yaml.isScalar(node) ? node.value : undefined;
  }

  #check(isRight: boolean, at: number, text: string): void {
    if (!isRight) this.#fail(at, text);
  }

  #fail(at: number, text: string): never {
    const { line, col } = this.#lines.linePos(at);
    throw new UsageError(`--route-file ${this.#file}:${Math.max(line, 1)}:${Math.max(col, 1)}: ${text}`);
  }
}
