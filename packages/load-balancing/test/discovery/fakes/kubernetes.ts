/** The API of Kubernetes for slices of endpoints: lists in pages, and watches with bookmarks and errors, in the shapes of its reference. */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { FakeServer, sendJson } from './recorder.ts';

/** An endpoint as a test says it. */
export interface FakeEndpoint {
  readonly address: string;
  readonly conditions?: { readonly ready?: boolean | null; readonly serving?: boolean; readonly terminating?: boolean };
  readonly zone?: string;
  readonly pod?: string;
  readonly node?: string;
}

/** A slice as a test says it. */
export interface FakeSlice {
  readonly addressType?: string;
  readonly ports?: readonly { readonly name?: string; readonly port?: number | null; readonly protocol?: string }[] | null;
  readonly endpoints?: readonly FakeEndpoint[] | null;
}

/** An API server. */
export class FakeKubernetes extends FakeServer {
  version = 100;
  slices = new Map<string, object>();
  /** Answers in place of what is so. */
  answer: ((request: IncomingMessage, response: ServerResponse) => boolean) | null = null;
  /** Tokens that are good; null: any, and none. */
  tokens: readonly string[] | null = null;
  /** What is older than this is gone. */
  oldest = 0;
  readonly #watchers = new Set<ServerResponse>();
  readonly #history: { readonly version: number; readonly line: string }[] = [];

  constructor() {
    super((request, response) => this.handle(request, response));
  }

  get watcherCount(): number {
    return this.#watchers.size;
  }

  /** Adds a slice, or changes it. */
  put(name: string, slice: FakeSlice): void {
    this.version++;
    const type = this.slices.has(name) ? 'MODIFIED' : 'ADDED';
    const object = sliceOf(name, slice, this.version);
    this.slices.set(name, object);
    this.#changed(type, object);
  }

  delete(name: string): void {
    this.version++;
    this.slices.delete(name);
    this.#changed('DELETED', sliceOf(name, {}, this.version));
  }

  /** Tells the version without a change. */
  bookmark(): void {
    this.version++;
    const metadata = { resourceVersion: String(this.version), creationTimestamp: null };
    const object = { kind: 'EndpointSlice', apiVersion: 'discovery.k8s.io/v1', metadata, addressType: '', endpoints: null, ports: null };
    this.say(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
  }

  /** Ends all watches with an ERROR. */
  fail(code: number, reason: string): void {
    this.say(`${JSON.stringify({ type: 'ERROR', object: statusOf(code, reason) })}\n`);
    this.endWatches();
  }

  /** Ends all watches in order, as after `timeoutSeconds`. */
  endWatches(): void {
    for (const response of this.#watchers) response.end();
    this.#watchers.clear();
  }

  /** Writes to all watchers. */
  say(text: string): void {
    for (const response of this.#watchers) response.write(text);
  }

  readonly handle: RequestListener = (request, response) => {
    if (this.answer?.(request, response) === true) return;
    const [, token] = /^Bearer (.*)$/.exec(request.headers.authorization ?? '') ?? [];
    if (this.tokens !== null && !this.tokens.includes(token ?? '')) {
      return sendJson(response, statusOf(401, 'Unauthorized'), { status: 401 });
    }
    const { searchParams } = new URL(request.url ?? '', 'http://kubernetes.example');
    if (searchParams.get('watch') === '1') return this.#watch(Number(searchParams.get('resourceVersion')), response);
    return this.#list(searchParams, response);
  };

  #list(query: URLSearchParams, response: ServerResponse): void {
    const limit = Number(query.get('limit'));
    const from = query.get('continue') ?? '';
    const [version = String(this.version), start = '0'] = from === '' ? [] : Buffer.from(from, 'base64').toString().split('/');
    if (Number(version) < this.oldest) return sendJson(response, statusOf(410, 'Expired'), { status: 410 });
    const end = Number(start) + limit;
    const hasMore = end < this.slices.size;
    const next = hasMore
      ? { continue: Buffer.from(`${version}/${end}`).toString('base64'), remainingItemCount: this.slices.size - end }
      : {};
    sendJson(response, {
      kind: 'EndpointSliceList',
      apiVersion: 'discovery.k8s.io/v1',
      metadata: { resourceVersion: version, ...next },
      items: [...this.slices.values()].slice(Number(start), end),
    });
  }

  #watch(version: number, response: ServerResponse): void {
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.flushHeaders();
    if (version < this.oldest) {
      response.end(`${JSON.stringify({ type: 'ERROR', object: statusOf(410, 'Expired') })}\n`);
      return;
    }
    for (const change of this.#history) if (change.version > version) response.write(change.line);
    this.#watchers.add(response);
    response.on('close', () => this.#watchers.delete(response));
  }

  #changed(type: string, object: object): void {
    const line = `${JSON.stringify({ type, object })}\n`;
    this.#history.push({ version: this.version, line });
    this.say(line);
  }
}

function sliceOf(
  name: string,
  { addressType = 'IPv4', ports = [{ name: 'http', port: 8080 }], endpoints = [] }: FakeSlice,
  version: number,
): object {
  return {
    kind: 'EndpointSlice',
    apiVersion: 'discovery.k8s.io/v1',
    metadata: {
      name,
      generateName: 'app-',
      namespace: 'default',
      uid: '5d0ee0f4-e2a5-4a0f-9d3e-3b1f0f6f4b0e',
      resourceVersion: String(version),
      generation: 3,
      labels: { 'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io', 'kubernetes.io/service-name': 'app' },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Service', name: 'app', uid: 'x', controller: true, blockOwnerDeletion: true }],
    },
    addressType,
    endpoints:
      endpoints?.map(({ address, conditions = { ready: true, serving: true, terminating: false }, zone, pod, node }) => ({
        addresses: [address],
        conditions,
        ...(pod === undefined ? {} : { targetRef: { kind: 'Pod', namespace: 'default', name: pod, uid: 'y' } }),
        ...(node === undefined ? {} : { nodeName: node }),
        ...(zone === undefined ? {} : { zone, hints: { forZones: [{ name: zone }] } }),
      })) ?? null,
    ports: ports?.map((port) => ({ protocol: 'TCP', ...port })) ?? null,
  };
}

function statusOf(code: number, reason: string): object {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: `too old resource version: ${reason}`,
    reason,
    code,
  };
}
