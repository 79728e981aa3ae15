/** Docker's Engine on a Unix socket: ping, the list of containers and the stream of events, in the shapes of its API. */
import { mkdtempSync, rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { FakeServer, sendJson } from './recorder.ts';

/** A container as a test says it. */
export interface FakeContainer {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** By name: the address in it. */
  readonly networks?: Readonly<Record<string, { readonly ip?: string; readonly ip6?: string }>>;
  readonly ports?: readonly object[];
  readonly status?: string;
  readonly state?: string;
}

/** An Engine. */
export class FakeDocker extends FakeServer {
  containers: readonly FakeContainer[] = [];
  apiVersion: string | null = '1.47';
  answer: ((request: IncomingMessage, response: ServerResponse) => boolean) | null = null;
  readonly #followers = new Set<ServerResponse>();

  constructor() {
    super((request, response) => this.#handle(request, response));
  }

  /** @returns the path of its socket */
  async start(path = join(temporaryFolder(), 'docker.sock')): Promise<string> {
    return await this.listen(path);
  }

  get followerCount(): number {
    return this.#followers.size;
  }

  /** Lists asked for so far. */
  get listCount(): number {
    return this.requests.filter((line) => line.includes('/containers/json')).length;
  }

  /** Changes what there is, and tells that something has happened. */
  change(containers: readonly FakeContainer[], action = 'start'): void {
    this.containers = containers;
    this.happened(action);
  }

  happened(action: string): void {
    const attributes = { 'com.docker.compose.project': 'x', image: 'app', name: 'app-1', 'ferrata.enable': 'true' };
    const event = {
      status: action,
      id: 'ede54ee1afda366ab42f824e8a5ffd195155d853ceaec74a927f249ea270c743',
      from: 'app',
      Type: 'container',
      Action: action,
      Actor: { ID: 'ede54ee1afda366ab42f824e8a5ffd195155d853ceaec74a927f249ea270c743', Attributes: attributes },
      scope: 'local',
      time: 1461943101,
      timeNano: 1_461_943_101_301_854_000,
    };
    this.say(`${JSON.stringify(event)}\n`);
  }

  say(text: string): void {
    for (const response of this.#followers) response.write(text);
  }

  endStreams(): void {
    for (const response of this.#followers) response.end();
    this.#followers.clear();
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    if (this.answer?.(request, response) === true) return;
    const url = new URL(request.url ?? '', 'http://docker.example');
    if (url.pathname === '/_ping') {
      response.writeHead(200, { ...(this.apiVersion === null ? {} : { 'Api-Version': this.apiVersion }), Ostype: 'linux' });
      response.end('OK');
      return;
    }
    const [, version, path] = /^\/v([\d.]+)(\/.*)$/.exec(url.pathname) ?? [];
    if (version !== (this.apiVersion ?? '1.41')) {
      return sendJson(response, { message: `client version ${version} is too old` }, { status: 400 });
    }
    if (path === '/events') {
      response.writeHead(200, { 'Content-Type': 'application/json' });
      response.flushHeaders();
      this.#followers.add(response);
      response.on('close', () => this.#followers.delete(response));
      return;
    }
    sendJson(
      response,
      this.containers.map((one) => summaryOf(one)),
    );
  }
}

/** A folder that is there until the test is over. */
export function temporaryFolder(): string {
  const path = mkdtempSync(join(tmpdir(), 'ferrata-docker-'));
  after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function summaryOf(container: FakeContainer): object {
  const { name, labels = {}, networks = { bridge: { ip: '172.17.0.2' } } } = container;
  const { ports = [{ PrivatePort: 8080, Type: 'tcp' }], status = 'Up 5 minutes', state = 'running' } = container;
  const settings = Object.entries(networks).map(([network, { ip = '', ip6 = '' }]) => [
    network,
    {
      IPAMConfig: null,
      Links: null,
      Aliases: null,
      NetworkID: '7ea29fc1412292a2d7bba362f9253545fecdfa8ce9a6e37dd10ba8bee7129812',
      EndpointID: '2cdc4edb1ded3631c81f57966563e5c8525b81121bb3706a9a9a3ae102711f3f',
      Gateway: '172.17.0.1',
      IPAddress: ip,
      IPPrefixLen: 16,
      IPv6Gateway: '',
      GlobalIPv6Address: ip6,
      GlobalIPv6PrefixLen: 0,
      MacAddress: '02:42:ac:11:00:02',
      DriverOpts: null,
    },
  ]);
  return {
    Id: `8dfafdbc3a40${name}`,
    Names: [`/${name}`],
    Image: 'app:latest',
    ImageID: 'd74508fb6632491cea586a1fd7d748dfc5274cd6fdfedee309ecdcbc2bf5cb82',
    Command: 'run',
    Created: 1367854155,
    State: state,
    Status: status,
    Ports: ports,
    Labels: { 'ferrata.enable': 'true', ...labels },
    HostConfig: { NetworkMode: 'default' },
    NetworkSettings: { Networks: Object.fromEntries(settings) as unknown },
    Mounts: [],
  };
}
