import assert from 'node:assert/strict';
import { connect as connectHttp2 } from 'node:http2';
import { test } from 'node:test';
import { HeaderMap, responseHead } from '@ferrata/headers';
import { type HttpApplication, respond, type ServerExchange, type ServerExchangeHandler } from '@ferrata/http';
import { HttpService, type HttpServiceOptions } from '../../src/services/http-service.ts';
import { Gate, RawClient, until } from './raw-client.ts';
import { loopback, TestHost } from './service-harness.ts';

interface Words {
  readonly word: string;
}

const ignore: ServerExchangeHandler = { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };
const GET = 'GET / HTTP/1.1\r\nHost: test\r\n\r\n';

/** Answers `/wait` when it is told to, and everything else at once, with the word of its snapshot. */
class Waiting implements HttpApplication {
  readonly word: string;
  readonly waiting: ServerExchange[] = [];

  constructor(word: string) {
    this.word = word;
  }

  onRequest(exchange: ServerExchange): ServerExchangeHandler {
    if (exchange.request.target === '/wait') this.waiting.push(exchange);
    else respond(exchange, 200, { body: this.word });
    return ignore;
  }

  answerAll(): void {
    for (const exchange of this.waiting.splice(0)) respond(exchange, 200, { body: this.word });
  }
}

function waitingService(options: Partial<HttpServiceOptions<Words>> = {}): {
  service: HttpService<Words>;
  made: Waiting[];
  retired: string[];
} {
  const made: Waiting[] = [];
  const retired: string[] = [];
  const service = new HttpService<Words>({
    name: 'web',
    listen: loopback,
    application: (_context, { config }) => {
      const application = new Waiting(config.word);
      made.push(application);
      return application;
    },
    retire: (application) => void retired.push((application as Waiting).word),
    ...options,
  });
  return { service, made, retired };
}

function answering(onRequest: HttpApplication['onRequest'], options: Partial<HttpServiceOptions<undefined>> = {}): HttpService {
  return new HttpService({ name: 'web', listen: loopback, application: () => ({ onRequest }), ...options });
}

test('a request that has begun keeps its configuration over a reload, and the next one on the connection sees the new one (I13)', async () => {
  const { service, made, retired } = waitingService();
  await using host = await TestHost.start([service], { word: 'old' });
  using client = await RawClient.connect(host.port('web'));
  client.write('GET /wait HTTP/1.1\r\nHost: test\r\n\r\n');
  await until(() => made[0]?.waiting.length === 1);
  await host.reload({ word: 'new' });
  assert.deepEqual(retired, []);
  made[0]?.answerAll();
  await client.read('\r\n\r\nold');
  await until(() => retired.length === 1);
  client.write(GET);
  await client.read('\r\n\r\nnew');
  assert.deepEqual(retired, ['old']);
});

test('streams of one HTTP/2 connection each keep the configuration that they began with', async () => {
  const { service, made, retired } = waitingService();
  await using host = await TestHost.start([service], { word: 'old' });
  const session = connectHttp2(`http://127.0.0.1:${host.port('web')}`);
  const get = (path: string): Promise<string> =>
    new Promise((resolve, reject) => {
      let text = '';
      const stream = session.request({ ':path': path });
      stream.setEncoding('utf8');
      stream.on('data', (chunk: string) => (text += chunk));
      stream.on('error', reject);
      stream.on('end', () => resolve(text));
    });
  try {
    const [first, second] = [get('/wait'), get('/wait')];
    await until(() => made[0]?.waiting.length === 2);
    await host.reload({ word: 'new' });
    assert.equal(await get('/'), 'new');
    const third = get('/wait');
    await until(() => made[1]?.waiting.length === 1);
    await host.reload({ word: 'newest' });
    assert.equal(await get('/'), 'newest');
    assert.deepEqual(retired, []);
    made[1]?.answerAll();
    assert.equal(await third, 'new');
    await until(() => retired.length === 1);
    made[0]?.answerAll();
    assert.deepEqual(await Promise.all([first, second]), ['old', 'old']);
    await until(() => retired.length === 2);
    assert.deepEqual(retired, ['new', 'old']);
  } finally {
    session.close();
  }
  await host.host.drain(5_000);
  assert.deepEqual(retired, ['new', 'old', 'newest']);
});

test('an application is retired once each: replaced, given up, or at the end', async () => {
  const { service, retired } = waitingService();
  const host = await TestHost.start([service], { word: 'one' });
  await host.reload({ word: 'two' });
  assert.deepEqual(retired, ['one']);
  const given = host.snapshot({ word: 'given up' });
  await host.host.prepare(given);
  host.host.discard(given.version);
  host.host.discard(given.version);
  host.host.commit(given.version);
  assert.deepEqual(retired, ['one', 'given up']);
  assert.equal((host.host.snapshot.config as Words).word, 'two');
  await host.host.close();
  await host.host.close();
  assert.deepEqual(retired, ['one', 'given up', 'two']);
});

test('an application that several snapshots have is retired when none of them, and no exchange, uses it any more', async () => {
  const shared = new Waiting('shared');
  const { service, retired } = waitingService({
    application: (_context, { config }) => (config.word === 'other' ? new Waiting('other') : shared),
  });
  await using host = await TestHost.start([service], { word: 'one' });
  await host.reload({ word: 'two' });
  const given = host.snapshot({ word: 'given up' });
  await host.host.prepare(given);
  host.host.discard(given.version);
  using client = await RawClient.connect(host.port('web'));
  client.write('GET /wait HTTP/1.1\r\nHost: test\r\n\r\n');
  await until(() => shared.waiting.length === 1);
  await host.reload({ word: 'other' });
  await host.reload({ word: 'three' });
  assert.deepEqual(retired, ['other']);
  shared.answerAll();
  await client.read('shared');
  assert.deepEqual(retired, ['other']);
  await host.host.close();
  assert.deepEqual(retired, ['other', 'shared']);
});

test('an application that a reload has made again, and gives up when it was retired already, is not retired twice', async () => {
  const shared = new Waiting('shared');
  const [asked, gate] = [new Gate(), new Gate()];
  const { service, retired } = waitingService({
    application: async (_context, { config }) => {
      if (config.word === 'one') return shared;
      asked.open();
      await gate.promise;
      return shared;
    },
  });
  await using host = await TestHost.start([service], { word: 'one' });
  const prepared = assert.rejects(host.host.prepare(host.snapshot({ word: 'slow' })), /given up/);
  await asked.promise;
  await host.host.close();
  assert.deepEqual(retired, ['shared']);
  gate.open();
  await prepared;
  assert.deepEqual(retired, ['shared']);
});

test('a configuration of which no application can be made changes nothing, and says why', async () => {
  const retired: string[] = [];
  const made = (name: string, fails: 'throw' | 'reject' | 'nonsense'): HttpService<Words> =>
    new HttpService<Words>({
      name,
      listen: loopback,
      application: (_context, { config }) => {
        if (config.word === 'bad' && name === 'second') {
          if (fails === 'throw') throw new Error('no such word');
          if (fails === 'reject') return Promise.reject(new Error('no such word'));
          return 7 as never;
        }
        return new Waiting(config.word);
      },
      retire: (application) => void retired.push(`${name} ${(application as Waiting).word}`),
    });
  for (const fails of ['throw', 'reject', 'nonsense'] as const) {
    retired.length = 0;
    await using host = await TestHost.start([made('first', fails), made('second', fails)], { word: 'good' });
    const why = fails === 'nonsense' ? /application of second must give an object with a method onRequest/ : /no such word/;
    await assert.rejects(host.host.prepare(host.snapshot({ word: 'bad' })), why);
    assert.deepEqual(retired, ['first bad']);
    using client = await RawClient.connect(host.port('second'));
    client.write(GET);
    await client.read('\r\n\r\ngood');
    await host.reload({ word: 'better' });
    client.write(GET);
    await client.read('\r\n\r\nbetter');
  }
});

test('a throw in onRequest is a 500 for that request alone', async () => {
  const service = answering((exchange) => {
    if (exchange.request.target === '/bad') throw new Error('a bug');
    respond(exchange, 200, { body: 'fine' });
    return ignore;
  });
  await using host = await TestHost.start([service], undefined);
  using other = await RawClient.connect(host.port('web'));
  using client = await RawClient.connect(host.port('web'));
  client.write('GET /bad HTTP/1.1\r\nHost: test\r\n\r\n');
  assert.match(await client.read('\r\n'), /^HTTP\/1\.1 500 /);
  other.write(GET);
  await other.read('\r\n\r\nfine');
});

test('whatever callbacks of an exchange throw, and retiring counts it all the same', async () => {
  let retired = 0;
  const bug = (): never => {
    throw new Error('a bug');
  };
  const service = new HttpService<number>({
    name: 'web',
    listen: loopback,
    application: () => ({
      onRequest(exchange) {
        switch (exchange.request.target) {
          case '/data':
            return { ...ignore, onRequestData: bug };
          case '/end':
            return { ...ignore, onRequestEnd: bug };
          case '/close':
            respond(exchange, 200, { body: 'x' });
            return { ...ignore, onExchangeClose: bug };
          case '/nothing':
            return undefined as never;
          case '/promise':
            return Promise.reject(new Error('a bug')) as never;
          default:
            throw new Error('a bug');
        }
      },
      onRefused: bug,
    }),
    retire: () => {
      retired++;
      throw new Error('a bug, too');
    },
  });
  await using host = await TestHost.start([service], 1);
  for (const path of ['/data', '/end', '/close', '/nothing', '/promise', '/throw']) {
    using client = await RawClient.connect(host.port('web'));
    client.write(`POST ${path} HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\nx`);
    await client.ended();
  }
  await until(() => host.host.counts()['web']?.connections === 0);
  await host.reload(2);
  assert.equal(retired, 1);
  assert.match(host.notices.map(({ text }) => text).join('\n'), /retire failed: a bug, too/);
});

test('drain ends as soon as the last exchange has, and says Connection: close', async () => {
  const { service, made } = waitingService({ http: { drainIdleMs: 0, lingerTimeoutMs: 50 } });
  await using host = await TestHost.start([service], { word: 'last' });
  const port = host.port('web');
  using idle = await RawClient.connect(port);
  idle.write(GET);
  await idle.read('\r\n\r\nlast');
  using busy = await RawClient.connect(port);
  busy.write('GET /wait HTTP/1.1\r\nHost: test\r\n\r\n');
  await until(() => made[0]?.waiting.length === 1);
  const drained = host.host.drain(600_000);
  await assert.rejects(RawClient.connect(port), /ECONNREFUSED/);
  await idle.ended();
  idle.end();
  made[0]?.answerAll();
  assert.match(await busy.read('last'), /\r\nConnection: close\r\n/i);
  busy.end();
  assert.equal(await drained, 0);
});

test('a client that is too slow is cut at the deadline and counted', async () => {
  const { service, made, retired } = waitingService();
  await using host = await TestHost.start([service], { word: 'late' });
  using client = await RawClient.connect(host.port('web'));
  client.write('GET /wait HTTP/1.1\r\nHost: test\r\n\r\n');
  await until(() => made[0]?.waiting.length === 1);
  assert.equal(await host.host.drain(50), 1);
  await client.closed();
  assert.deepEqual(retired, ['late']);
});

test('a second drain brings the end forward, and both tell how many were cut', async () => {
  const { service, made } = waitingService();
  await using host = await TestHost.start([service], { word: 'late' });
  using client = await RawClient.connect(host.port('web'));
  client.write('GET /wait HTTP/1.1\r\nHost: test\r\n\r\n');
  await until(() => made[0]?.waiting.length === 1);
  const first = host.host.drain(600_000);
  const second = host.host.drain(0);
  assert.deepEqual(await Promise.all([first, second]), [1, 1]);
  await client.closed();
});

test('a second drain with less time ends idle connections in order as well, also one that came through its admission meanwhile', async () => {
  const service = answering(() => ignore, { accept: () => ({ proxyProtocol: { trusted: ['127.0.0.1'] } }) });
  for (const isLate of [false, true]) {
    await using host = await TestHost.start([service], undefined);
    using client = await RawClient.connect(host.port('web'));
    await until(() => host.host.counts()['web']?.connections === 1);
    const admit = async (): Promise<void> => {
      client.write('PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n');
      await until(() => host.host.counts()['web']?.accepted === 1);
    };
    if (!isLate) await admit();
    const drained = host.host.drain(600_000);
    // The server has no connection yet, and is done.
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    if (isLate) await admit();
    void host.host.drain(2_000);
    await client.ended();
    assert.equal(client.isClosed, false);
    client.end();
    await client.closed();
    assert.equal(client.error, null);
    assert.equal(await drained, 0);
  }
});

test('a tunnel counts as a connection until the deadline, and its end ends the drain', async () => {
  const service = answering((exchange) => {
    const { stream, remaining } = exchange.openTunnel(responseHead(101, { headers: HeaderMap.from({ Upgrade: 'echo' }) }));
    stream.attach(
      {
        onData: (chunk) => void stream.write(chunk),
        onDrain() {},
        onEnd: () => stream.end(),
        onClose: (error) => exchange.closeTunnel(error),
      },
      remaining,
    );
    return ignore;
  });
  const open = async (port: number): Promise<RawClient> => {
    const client = await RawClient.connect(port);
    client.write('GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    assert.match(await client.read('\r\n\r\n'), /^HTTP\/1\.1 101 /);
    return client;
  };
  for (const ends of [true, false]) {
    await using host = await TestHost.start([service], undefined);
    using client = await open(host.port('web'));
    const drained = host.host.drain(600_000);
    client.write('still here');
    await client.read('still here');
    assert.equal(host.host.counts()['web']?.connections, 1);
    if (ends) client.end();
    else void host.host.drain(10);
    assert.equal(await drained, ends ? 0 : 1);
    await client.ended();
  }
});

test('a connection that was accepted before the drain and is still being admitted is served', async () => {
  const service = answering(
    (exchange) => {
      respond(exchange, 200, { body: 'served' });
      return ignore;
    },
    { accept: () => ({ proxyProtocol: { trusted: ['127.0.0.1'] } }), http: { drainIdleMs: 0, lingerTimeoutMs: 50 } },
  );
  await using host = await TestHost.start([service], undefined);
  using client = await RawClient.connect(host.port('web'));
  await until(() => host.host.counts()['web']?.connections === 1);
  const drained = host.host.drain(600_000);
  // The server itself has no connection yet, and is done.
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  client.write(`PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n${GET}`);
  assert.match(await client.read('served'), /\r\nConnection: close\r\n/i);
  client.end();
  assert.equal(await drained, 0);
});

test('one that is still being admitted at the end is not counted as cut, and is not served after it', async () => {
  const seen: string[] = [];
  const service = answering(
    (exchange) => {
      seen.push(exchange.request.target);
      respond(exchange, 200, { body: 'served' });
      return ignore;
    },
    { accept: () => ({ proxyProtocol: { trusted: ['127.0.0.1'], timeoutMs: 600_000 } }) },
  );
  await using host = await TestHost.start([service], undefined);
  using client = await RawClient.connect(host.port('web'));
  await until(() => host.host.counts()['web']?.connections === 1);
  assert.equal(await host.host.drain(30), 0);
  client.write(`PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n${GET}`);
  await client.closed();
  assert.deepEqual([client.text, seen], ['', []]);
});

test('memory that is running out is told to the server, which in the last stage cuts the connection that holds most', async () => {
  const held: ServerExchange[] = [];
  const closed: (string | null)[] = [];
  const service = answering((exchange) => {
    if (exchange.request.target !== '/much') {
      respond(exchange, 200, { body: 'served' });
      return ignore;
    }
    held.push(exchange);
    exchange.sendHead(responseHead(200), 1_000_000_000);
    // Until neither the client's kernel takes more, nor ours.
    const fill = (): void => {
      while (exchange.sendData(new Uint8Array(100_000)));
    };
    fill();
    return { ...ignore, onResponseDrain: fill, onExchangeClose: (error) => void closed.push(error?.reason ?? null) };
  });
  await using host = await TestHost.start([service], undefined);
  const port = host.port('web');
  using heavy = await RawClient.connect(port);
  heavy.socket.pause();
  heavy.write('GET /much HTTP/1.1\r\nHost: test\r\n\r\n');
  await until(() => held.length === 1);
  for (const [pressure, answer] of [
    ['tight', /^HTTP\/1\.1 200 [^]*\r\nConnection: close\r\n[^]*served$/],
    ['critical', /^HTTP\/1\.1 503 [^]*\r\n\r\n$/],
    ['last', /^HTTP\/1\.1 503 [^]*\r\n\r\n$/],
    ['none', /^HTTP\/1\.1 200 (?![^]*Connection)[^]*served$/],
  ] as const) {
    assert.deepEqual(closed, []);
    host.host.onMemoryPressure(pressure);
    if (pressure === 'last') {
      await until(() => {
        if (closed.length === 0) host.host.onMemoryPressure(pressure);
        return closed.length === 1;
      });
      assert.deepEqual(closed.splice(0), ['MEMORY_PRESSURE']);
    }
    using client = await RawClient.connect(port);
    client.write(GET);
    await client.read(answer);
  }
  assert.deepEqual(host.notices, []);
});

test('above the cap of a listener connections are shed, and counted', async () => {
  const service = answering(
    (exchange) => {
      respond(exchange, 200, { body: 'served' });
      return ignore;
    },
    { accept: () => ({ maxConnections: 1 }) },
  );
  await using host = await TestHost.start([service], undefined);
  using first = await RawClient.connect(host.port('web'));
  first.write(GET);
  await first.read('served');
  await RawClient.refused(host.port('web'));
  assert.deepEqual(host.host.counts(), { web: { connections: 1, accepted: 1, shed: 1 } });
  first.write(GET);
  await first.read('served');
});

test('at the limit of connections the idle one goes first', async () => {
  const { service, made } = waitingService({ http: { maxConnections: 2 } });
  await using host = await TestHost.start([service], { word: 'served' });
  using busy = await RawClient.connect(host.port('web'));
  busy.write('GET /wait HTTP/1.1\r\nHost: test\r\n\r\n');
  await until(() => made[0]?.waiting.length === 1);
  using idle = await RawClient.connect(host.port('web'));
  idle.write(GET);
  await idle.read('served');
  using third = await RawClient.connect(host.port('web'));
  third.write(GET);
  await third.read('served');
  await idle.ended();
  made[0]?.answerAll();
  await busy.read('served');
});

test('what cannot be started leaves nothing behind', async () => {
  const opened: string[] = [];
  const retired: string[] = [];
  const service = new HttpService<Words>({
    name: 'web',
    listen: [
      { address: '127.0.0.1:0', label: 'plain' },
      { address: '127.0.0.1:0', label: 'tls' },
    ],
    application: (_context, { config }) => new Waiting(config.word),
    accept: ({ label }) => {
      opened.push(label ?? '');
      return label === 'tls' ? { tls: { certificates: [] } } : {};
    },
    retire: (application) => void retired.push((application as Waiting).word),
  });
  await using host = TestHost.idle([service], { word: 'one' });
  await assert.rejects(host.host.start('web', 0), /a TLS server needs certificates/);
  assert.deepEqual(opened, ['plain', 'tls']);
  assert.deepEqual(retired, ['one']);
  assert.deepEqual(host.host.counts(), {});
});

test('a configuration sees its own type, and wrong options are refused with the right word', () => {
  const application = (): HttpApplication => new Waiting('');
  assert.throws(
    () => new HttpService({ name: 'web', listen: loopback, application, aplication: 1 } as never),
    /did you mean application\?/,
  );
  assert.throws(() => new HttpService({ name: 'a b', listen: loopback, application }), RangeError);
  assert.throws(() => new HttpService({ name: 'web', listen: [{ address: 'nowhere' }], application }), TypeError);
  assert.throws(
    () => new HttpService({ name: 'web', listen: [{ address: '127.0.0.1:1', transport: 'udp' }], application }),
    /cannot listen on UDP/,
  );
  assert.throws(() => new HttpService({ name: 'web', listen: 7 as never, application }), TypeError);
  assert.throws(() => new HttpService({ name: 'web', listen: loopback, application: {} as never }), TypeError);
  const byConfig = new HttpService<{ port: number }>({
    name: 'web',
    listen: ({ port }) => [{ address: `127.0.0.1:${port}` }],
    application,
  });
  assert.deepEqual(byConfig.listeners({ port: 81 }), [{ address: '127.0.0.1:81' }]);
  assert.throws(() => byConfig.listeners({ port: 810_000 }), TypeError);
});

test('a promise of options is refused, and its rejection ends nothing', async () => {
  const late = (): never => Promise.reject(new Error('a bug')) as never;
  for (const options of [{ http: late }, { accept: late }]) {
    await using host = TestHost.idle([answering(() => ignore, options)], undefined);
    await assert.rejects(host.host.start('web', 0), /^TypeError: (http|accept) of web must give options, and no promise of them/);
  }
});
