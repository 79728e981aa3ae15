/** Consul's `/v1/health/service/NAME` with its blocking queries, in the shapes of its documentation. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { FakeServer, sendJson } from './recorder.ts';

/** An instance as a test says it. */
export interface FakeInstance {
  readonly id: string;
  readonly address?: string;
  readonly port?: number;
  readonly status?: 'passing' | 'warning' | 'critical' | 'maintenance';
  readonly tags?: readonly string[];
  readonly meta?: Readonly<Record<string, string>> | null;
  readonly weights?: { readonly Passing: number; readonly Warning: number };
  readonly nodeMeta?: Readonly<Record<string, string>>;
}

/** A Consul agent. */
export class FakeConsul extends FakeServer {
  index = 10;
  instances: readonly FakeInstance[] = [];
  /** Answers in place of what is so; taken anew for each request. */
  answer: ((request: IncomingMessage, response: ServerResponse) => boolean) | null = null;
  readonly #blocked = new Set<() => void>();

  constructor() {
    super((request, response) => this.#handle(request, response));
  }

  /** Changes what there is, and wakes whoever waits. */
  change(instances: readonly FakeInstance[], index = this.index + 1): void {
    this.instances = instances;
    this.index = index;
    this.wake();
  }

  /** Answers all that wait, as when their time is over. */
  wake(): void {
    const blocked = [...this.#blocked];
    this.#blocked.clear();
    for (const answer of blocked) answer();
  }

  /** Questions that wait. */
  get blockedCount(): number {
    return this.#blocked.size;
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    if (this.answer?.(request, response) === true) return;
    const url = new URL(request.url ?? '', 'http://consul.example');
    const asked = Number(url.searchParams.get('index') ?? 0);
    const answer = (): void =>
      sendJson(
        response,
        this.instances.filter((one) => matches(one, url.searchParams)).map((one) => entryOf(one)),
        { headers: { 'X-Consul-Index': String(this.index), 'X-Consul-Knownleader': 'true', 'X-Consul-Lastcontact': '0' } },
      );
    // A question behind an index that is still the newest waits.
    if (asked >= this.index && asked > 0) {
      this.#blocked.add(answer);
      response.on('close', () => this.#blocked.delete(answer));
    } else answer();
  }
}

function matches({ tags = [], status = 'passing' }: FakeInstance, query: URLSearchParams): boolean {
  return query.getAll('tag').every((tag) => tags.includes(tag)) && (!query.has('passing') || status === 'passing');
}

function entryOf({ id, address = '', port = 80, status = 'passing', tags = [], meta = {}, weights, nodeMeta }: FakeInstance): unknown {
  return {
    Node: {
      ID: '40e4a748-2192-161a-0510-9bf59fe950b5',
      Node: 'foobar',
      Address: '10.1.10.12',
      Datacenter: 'dc1',
      TaggedAddresses: { lan: '10.1.10.12', wan: '10.1.10.12' },
      Meta: nodeMeta ?? { instance_type: 't2.medium' },
      CreateIndex: 5,
      ModifyIndex: 6,
    },
    Service: {
      ID: id,
      Service: 'app',
      Tags: tags,
      Address: address,
      TaggedAddresses: {},
      Meta: meta,
      Port: port,
      Weights: weights ?? { Passing: 1, Warning: 1 },
      EnableTagOverride: false,
      Namespace: 'default',
      CreateIndex: 7,
      ModifyIndex: 7,
    },
    Checks: [
      {
        Node: 'foobar',
        CheckID: 'serfHealth',
        Name: 'Serf Health Status',
        Status: 'passing',
        Notes: '',
        Output: '',
        ServiceID: '',
        ServiceTags: [],
      },
      {
        Node: 'foobar',
        CheckID: status === 'maintenance' ? `_service_maintenance:${id}` : `service:${id}`,
        Name: `Service '${id}' check`,
        Status: status === 'maintenance' ? 'critical' : status,
        Notes: '',
        Output: '',
        ServiceID: id,
        ServiceName: 'app',
        ServiceTags: tags,
        Namespace: 'default',
      },
    ],
  };
}
