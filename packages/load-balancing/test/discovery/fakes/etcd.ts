/**
 * etcd's JSON gateway: range, watch and authenticate, in the shapes that an etcd of version 3.4 sends: 64-bit numbers as text, members with their default value left out,
 * a line a message, and a stream that stays open after a watch was cancelled.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { FakeServer, readJson, sendJson } from './recorder.ts';

interface Pair {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
}

interface Watcher {
  readonly response: ServerResponse;
  readonly from: string;
  readonly end: string;
}

/** One event of the history; a null value is a deletion. */
interface Change {
  readonly revision: number;
  readonly key: string;
  readonly pair: Pair | null;
}

/** A member of a cluster of one. */
export class FakeEtcd extends FakeServer {
  clusterId = '14841639068965178418';
  revision = 1;
  /** What the questions were, by path. */
  readonly questions: [path: string, question: Record<string, unknown>][] = [];
  /** Answers in place of what is so. */
  answer: ((request: IncomingMessage, response: ServerResponse) => boolean) | null = null;
  /** User, password, and the tokens that are good. */
  login: { readonly name: string; readonly password: string } | null = null;
  tokens: string[] = [];
  #pairs = new Map<string, Pair>();
  #history: Change[] = [];
  #compacted = 0;
  readonly #watchers = new Set<Watcher>();

  constructor() {
    super((request, response) => void this.#handle(request, response));
  }

  get watcherCount(): number {
    return this.#watchers.size;
  }

  put(key: string, value: string | object): void {
    const before = this.#pairs.get(key);
    this.revision++;
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    const pair = { key, value: text, createRevision: before?.createRevision ?? this.revision, modRevision: this.revision };
    this.#pairs.set(key, pair);
    this.#changed({ revision: this.revision, key, pair });
  }

  delete(key: string): void {
    this.revision++;
    this.#pairs.delete(key);
    this.#changed({ revision: this.revision, key, pair: null });
  }

  compact(revision: number = this.revision): void {
    this.#compacted = revision;
    this.#history = this.#history.filter((change) => change.revision >= revision);
  }

  /** As if it had been started with an empty folder. */
  loseEverything(): void {
    this.#pairs = new Map();
    this.#history = [];
    this.revision = 1;
  }

  /** Writes to all watchers. */
  say(text: string): void {
    for (const { response } of this.#watchers) response.write(text);
  }

  /** Tells the progress, as it does each ten minutes. */
  tellProgress(): void {
    this.say(`${JSON.stringify({ result: { header: this.#header() } })}\n`);
  }

  /** Ends the streams as one that is stopped does. */
  endStreams(): void {
    for (const { response } of this.#watchers) {
      response.end('{"error":{"grpc_code":14,"http_code":503,"message":"transport is closing","http_status":"Service Unavailable"}}\n');
    }
    this.#watchers.clear();
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const question = await readJson(request);
    const path = request.url ?? '';
    this.questions.push([path, question]);
    if (this.answer?.(request, response) === true) return;
    if (path === '/v3/auth/authenticate') return this.#authenticate(question, response);
    const token = request.headers.authorization;
    const isRefused = this.login !== null && !this.tokens.includes(token ?? '');
    if (path === '/v3/kv/range') {
      if (isRefused) return sendError(response, token === undefined ? [400, 3, 'user name is empty'] : [401, 16, 'invalid auth token']);
      return this.#range(question, response);
    }
    return this.#watch(question['create_request'] as Record<string, unknown>, { response, isRefused });
  }

  #authenticate(question: Record<string, unknown>, response: ServerResponse): void {
    const { login } = this;
    if (login === null || question['name'] !== login.name || question['password'] !== login.password) {
      return sendError(response, [400, 3, 'authentication failed, invalid user ID or password']);
    }
    const token = `jMjRXsRkKMvlciXy.${this.tokens.length + 13}`;
    this.tokens.push(token);
    return sendJson(response, { header: this.#header(), token });
  }

  #range(question: Record<string, unknown>, response: ServerResponse): void {
    const at = Number(question['revision'] ?? this.revision);
    if (at < this.#compacted) return sendError(response, [400, 11, 'mvcc: required revision has been compacted']);
    const from = textOf(question['key']);
    const end = textOf(question['range_end']);
    const all = [...this.#pairs.values()]
      .filter(({ key, createRevision }) => key >= from && key < end && createRevision <= at)
      .toSorted((a, b) => (a.key < b.key ? -1 : 1));
    const limit = Number(question['limit'] ?? 0) || all.length;
    const page = all.slice(0, limit);
    return sendJson(response, {
      header: this.#header(),
      ...(page.length === 0 ? {} : { kvs: page.map(wirePair) }),
      ...(all.length > limit ? { more: true } : {}),
      ...(all.length === 0 ? {} : { count: String(all.length) }),
    });
  }

  #watch(create: Record<string, unknown>, { response, isRefused }: { response: ServerResponse; isRefused: boolean }): void {
    response.writeHead(200, { 'Content-Type': 'application/json' });
    const say = (result: object): void => void response.write(`${JSON.stringify({ result })}\n`);
    const header = this.#header();
    if (isRefused) {
      const reason = 'rpc error: code = Unauthenticated desc = etcdserver: invalid auth token';
      return say({ header, watch_id: '-1', created: true, canceled: true, cancel_reason: reason });
    }
    say({ header, created: true });
    const start = Number(create['start_revision'] ?? 0);
    if (start > 0 && start < this.#compacted) {
      const { revision: _, ...rest } = header;
      return say({ header: rest, canceled: true, compact_revision: String(this.#compacted) });
    }
    const watcher = { response, from: textOf(create['key']), end: textOf(create['range_end']) };
    for (const change of this.#history) if (change.revision >= start) this.#tell(watcher, change);
    this.#watchers.add(watcher);
    response.on('close', () => this.#watchers.delete(watcher));
  }

  #changed(change: Change): void {
    this.#history.push(change);
    for (const watcher of this.#watchers) this.#tell(watcher, change);
  }

  #tell({ response, from, end }: Watcher, { key, pair, revision }: Change): void {
    if (key < from || key >= end) return;
    const event = pair === null ? { type: 'DELETE', kv: { key: base64(key), mod_revision: String(revision) } } : { kv: wirePair(pair) };
    response.write(`${JSON.stringify({ result: { header: this.#header(), events: [event] } })}\n`);
  }

  #header(): { readonly cluster_id: string; readonly member_id: string; readonly revision: string; readonly raft_term: string } {
    return { cluster_id: this.clusterId, member_id: '10276657743932975437', revision: String(this.revision), raft_term: '2' };
  }
}

function wirePair({ key, value, createRevision, modRevision }: Pair): object {
  const revisions = { create_revision: String(createRevision), mod_revision: String(modRevision), version: '1' };
  return { key: base64(key), ...revisions, ...(value === '' ? {} : { value: base64(value) }) };
}

function sendError(response: ServerResponse, [status, code, text]: [status: number, code: number, text: string]): void {
  const message = `etcdserver: ${text}`;
  sendJson(response, { error: message, message, code }, { status });
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function textOf(value: unknown): string {
  return Buffer.from(String(value), 'base64').toString();
}
