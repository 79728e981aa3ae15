/** Tunnels whose two sides speak different versions of HTTP: WebSocket (RFC 6455, RFC 8441) and CONNECT (RFC 9110 §9.3.6). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SettingId } from '@ferrata/http2-framing';
import { memoryPair } from '@ferrata/stream';
import { acceptKey } from '@ferrata/tunnel';
import { peer } from '@ferrata/upstream';
import { type Field, type H2Wire, requestFields, valueOf } from './h2-wire.ts';
import { get, Rig, type RigOptions, readResponse, settle, type Wire, when } from './rig.ts';

const key = 'dGhlIHNhbXBsZSBub25jZQ==';
const offer = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n';
const upgrade = `GET /chat HTTP/1.1\r\nHost: example.org\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ${key}\r\n${offer}\r\n`;
const extended: readonly Field[] = [
  ...requestFields('CONNECT', '/chat'),
  [':protocol', 'websocket'],
  ['sec-websocket-version', '13'],
  ['sec-websocket-protocol', 'chat'],
];
/** Pseudo-header fields come first (RFC 9113 §8.3). */
const ordered = (fields: readonly Field[]): Field[] => [
  ...fields.filter(([name]) => name.startsWith(':')),
  ...fields.filter(([name]) => !name.startsWith(':')),
];

const server = { http2: { extendedConnect: true } } as const;
const takesIt = { settings: [[SettingId.enableConnectProtocol, 1]] } as const;

/** Answers 101 with the right key. */
function accepting(wire: Wire): void {
  when(wire, '\r\n\r\n', () => {
    const asked = /Sec-WebSocket-Key: (.*)\r\n/i.exec(wire.text)?.[1] ?? '';
    wire.send(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${acceptKey(asked)}\r\n` +
        'Sec-WebSocket-Protocol: chat\r\n\r\ndown;',
    );
  });
}

/** Answers 200 to extended CONNECT. */
const accepting2 = (wire: H2Wire): void => {
  wire.onHead = ({ id }) => {
    const fields: Field[] = [
      [':status', '200'],
      ['sec-websocket-protocol', 'chat'],
    ];
    wire.headers(id, fields, { isEnd: false });
    wire.data(id, 'down;');
  };
};

/** A connection whose other end says nothing. */
const silent = async (): Promise<ReturnType<typeof memoryPair>['a']> => {
  const { a, b } = memoryPair();
  b.attach({ onData() {}, onDrain() {}, onEnd() {}, onClose() {} });
  return a;
};

describe('a WebSocket over HTTP/2 to an upstream of HTTP/1 (RFC 8441 §5)', () => {
  test('is an Upgrade there, with a key of ours, on a connection of its own', async () => {
    const rig = new Rig({ server, origin: accepting });
    const client = rig.connectH2();
    const id = client.request(ordered(extended), { isEnd: false });
    await settle();
    client.data(id, 'up;');
    await settle();
    const asked = (rig.origins[0] as Wire).text;
    assert.match(asked, /^GET \/chat HTTP\/1\.1\r\n/);
    assert.match(asked, /\r\nUpgrade: websocket\r\n/i);
    assert.match(asked, /\r\nConnection: upgrade\r\n/i);
    assert.match(asked, /\r\nsec-websocket-protocol: chat\r\n/i);
    assert.match(asked, /\r\nSec-WebSocket-Key: [A-Za-z0-9+/]{22}==\r\n/);
    assert.doesNotMatch(asked, /:protocol|content-length|transfer-encoding/i);
    assert.ok(asked.endsWith('\r\n\r\nup;'));
    const message = client.message(id);
    assert.equal(valueOf(message?.fields ?? [], ':status'), '200');
    assert.equal(valueOf(message?.fields ?? [], 'sec-websocket-protocol'), 'chat');
    for (const name of ['upgrade', 'connection', 'sec-websocket-accept'])
      assert.equal(valueOf(message?.fields ?? [], name), undefined, name);
    assert.equal(message?.body, 'down;');
    assert.equal(rig.proxy.connector.connectionCount, 0, 'never pooled');
    rig.origins[0]?.send('last').end();
    client.data(id, '', true);
    await settle();
    assert.equal(client.message(id)?.body, 'down;last');
    assert.equal(client.message(id)?.isEnded, true);
    assert.equal(rig.last.outcome, 'completed');
    await rig.finish(client);
  });

  test('a 101 that has not read the key is none: 502, and the upstream is cut', async () => {
    const rig = new Rig({
      server,
      origin: (wire) =>
        when(wire, '\r\n\r\n', () =>
          wire.send(
            'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\nsecret',
          ),
        ),
    });
    const client = rig.connectH2();
    const id = client.request(ordered(extended), { isEnd: false });
    await settle();
    assert.equal(valueOf(client.message(id)?.fields ?? [], ':status'), '502');
    assert.doesNotMatch(client.message(id)?.body ?? '', /secret/);
    assert.ok(rig.origins[0]?.isOver);
    assert.equal(rig.last.error?.reason, 'WEBSOCKET_ACCEPT_WRONG');
    await rig.finish(client);
  });

  for (const [status, told] of [
    [403, 403],
    [200, 502],
  ] as const) {
    test(`an answer of ${status} is ${told} to the client`, async () => {
      const rig = new Rig({
        server,
        origin: (wire) => when(wire, '\r\n\r\n', () => wire.send(`HTTP/1.1 ${status} X\r\nContent-Length: 2\r\n\r\nno`)),
      });
      const client = rig.connectH2();
      const id = client.request(ordered(extended), { isEnd: false });
      await settle();
      assert.equal(valueOf(client.message(id)?.fields ?? [], ':status'), String(told));
      await rig.finish(client);
    });
  }
});

describe('a WebSocket over HTTP/2 to an upstream of HTTP/2', () => {
  test('is the same there, if its SETTINGS say so; they are waited for', async () => {
    const rig = new Rig({ server, h2Origin: accepting2, h2OriginWire: takesIt });
    const client = rig.connectH2();
    const id = client.request(ordered(extended), { isEnd: false });
    await settle();
    client.data(id, 'up;');
    await settle();
    const asked = rig.h2Origins[0]?.messages[0];
    assert.deepEqual(
      ['method', 'protocol', 'path', 'scheme'].map((name) => valueOf(asked?.fields ?? [], `:${name}`)),
      ['CONNECT', 'websocket', '/chat', 'http'],
    );
    assert.equal(asked?.body, 'up;');
    assert.equal(client.message(id)?.body, 'down;');
    client.resetStream(id);
    await settle();
    assert.notEqual(rig.h2Origins[0]?.messages[0]?.resetCode, null, 'a reset passes');
    await rig.finish(client);
  });

  test('is 502 if they do not', async () => {
    const rig = new Rig({ server, h2Origin: accepting2 });
    const client = rig.connectH2();
    const id = client.request(ordered(extended), { isEnd: false });
    await settle();
    assert.equal(valueOf(client.message(id)?.fields ?? [], ':status'), '502');
    assert.equal(rig.last.error?.reason, 'UPSTREAM_NO_WEBSOCKET');
    assert.equal(rig.h2Origins[0]?.messages.length, 0);
    await rig.finish(client);
  });

  test('is 504 if they never come', async () => {
    const rig = new Rig({ server, peer: peer('10.0.0.1:80', { protocol: 'http2' }), upstream: { connect: silent } });
    const client = rig.connectH2();
    const id = client.request(ordered(extended), { isEnd: false });
    await rig.pass(4_000);
    assert.equal(rig.last.error?.reason, 'UPSTREAM_NO_SETTINGS');
    assert.equal(valueOf(client.message(id)?.fields ?? [], ':status'), '504');
    await rig.finish(client);
  });
});

describe('a WebSocket over HTTP/1 to an upstream of HTTP/2', () => {
  test('is extended CONNECT there, and 101 with the answer to its key here', async () => {
    const rig = new Rig({ h2Origin: accepting2, h2OriginWire: takesIt });
    const client = await rig.ask(`${upgrade}up;`);
    const asked = rig.h2Origins[0]?.messages[0];
    assert.equal(valueOf(asked?.fields ?? [], ':protocol'), 'websocket');
    assert.equal(valueOf(asked?.fields ?? [], ':method'), 'CONNECT');
    assert.equal(valueOf(asked?.fields ?? [], 'sec-websocket-key'), undefined);
    assert.equal(valueOf(asked?.fields ?? [], 'sec-websocket-version'), '13');
    assert.equal(asked?.body, 'up;');
    assert.match(client.text, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
    assert.match(client.text, /\r\nUpgrade: websocket\r\n/);
    assert.match(client.text, /\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/);
    assert.match(client.text, /\r\nsec-websocket-protocol: chat\r\n/i);
    assert.ok(client.text.endsWith('\r\n\r\ndown;'));
    client.end();
    await settle();
    assert.equal(rig.h2Origins[0]?.messages[0]?.isEnded, true);
    await rig.finish(client);
  });

  for (const [what, changed] of Object.entries({
    'no key': upgrade.replace(/Sec-WebSocket-Key.*\r\n/, ''),
    'a key that is none': upgrade.replace(key, 'short'),
    'another method': upgrade.replace('GET', 'HEAD'),
    'another protocol': upgrade.replace('Upgrade: websocket', 'Upgrade: chat'),
  })) {
    test(`${what}: it goes as an ordinary request (RFC 9110 §7.8)`, async () => {
      const rig = new Rig({
        h2Origin: (wire) => {
          wire.onMessage = ({ id }) => void wire.respond(id, 200);
        },
        h2OriginWire: takesIt,
      });
      const client = await rig.ask(changed);
      assert.equal(readResponse(client.text, { method: what === 'another method' ? 'HEAD' : 'GET' }).status, 200);
      assert.equal(valueOf(rig.h2Origins[0]?.messages[0]?.fields ?? [], ':protocol'), undefined);
      await rig.finish(client);
    });
  }

  test('an upstream that takes none is asked as if nothing had been wished', async () => {
    const rig = new Rig({
      h2Origin: (wire) => {
        wire.onMessage = ({ id }) => void wire.respond(id, 426);
      },
    });
    const client = await rig.ask(upgrade);
    assert.equal(readResponse(client.text).status, 426);
    await rig.finish(client);
  });
});

describe('CONNECT, where it is allowed (RFC 9110 §9.3.6)', () => {
  const allowed: Pick<RigOptions, 'proxy'> = { proxy: { allowConnect: true } };
  const connect = 'CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n';
  const granting = (wire: Wire): void => when(wire, '\r\n\r\n', () => wire.send('HTTP/1.1 200 OK\r\n\r\ndown;'));
  const connect2: Field[] = [
    [':method', 'CONNECT'],
    [':authority', 'example.org:443'],
  ];

  test('HTTP/1 to HTTP/1: the peer makes the tunnel, on a connection that is never pooled', async () => {
    const rig = new Rig({ ...allowed, origin: granting });
    const client = await rig.ask(`${connect}up;`);
    assert.match(rig.origins[0]?.text ?? '', /^CONNECT example\.org:443 HTTP\/1\.1\r\n/);
    assert.match(client.text, /^HTTP\/1\.1 200 /);
    assert.doesNotMatch(client.text, /content-length|transfer-encoding/i);
    assert.ok(client.text.endsWith('\r\n\r\ndown;'));
    assert.ok(rig.origins[0]?.text.endsWith('\r\n\r\nup;'));
    assert.equal(rig.proxy.connector.connectionCount, 0);
    client.reset();
    await settle();
    assert.ok(rig.origins[0]?.isOver);
    await rig.finish(client);
  });

  test('HTTP/2 to HTTP/1, and back', async () => {
    const rig = new Rig({ ...allowed, origin: granting });
    const client = rig.connectH2();
    const id = client.request(connect2, { isEnd: false });
    await settle();
    client.data(id, 'up;');
    await settle();
    assert.ok(rig.origins[0]?.text.endsWith('\r\n\r\nup;'));
    assert.equal(client.message(id)?.body, 'down;');
    await rig.finish(client);

    const other = new Rig({ ...allowed, h2Origin: accepting2 });
    const plain = await other.ask(`${connect}up;`);
    assert.match(plain.text, /^HTTP\/1\.1 200 /);
    assert.ok(plain.text.endsWith('\r\n\r\ndown;'));
    assert.equal(valueOf(other.h2Origins[0]?.messages[0]?.fields ?? [], ':authority'), 'example.org:443');
    assert.equal(other.h2Origins[0]?.messages[0]?.body, 'up;');
    await other.finish(plain);
  });

  for (const [what, head] of [
    ['without a Host', 'CONNECT example.org:443 HTTP/1.0\r\n\r\n'],
    ['whose Host is another', 'CONNECT example.org:443 HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n'],
  ] as const) {
    test(`one ${what} has the Host that it is for, before the hooks and behind them (RFC 9110 §7.2)`, async () => {
      const hosts: (string | undefined)[] = [];
      const rig = new Rig({
        ...allowed,
        origin: granting,
        hooks: { earlyRequestFilter: (session) => void hosts.push(session.request.headers.get('Host')) },
      });
      const client = await rig.ask(head);
      assert.match(rig.origins[0]?.text ?? '', /^CONNECT example\.org:443 HTTP\/1\.1\r\nHost: example\.org:443\r\n/);
      assert.deepEqual(hosts, ['example.org:443']);
      await rig.finish(client);
    });
  }

  test('a refusal of the peer is an answer like others', async () => {
    const rig = new Rig({
      ...allowed,
      origin: (wire) => when(wire, '\r\n\r\n', () => wire.send('HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno')),
    });
    const client = await rig.ask(connect);
    assert.equal(readResponse(client.text, { method: 'GET' }).status, 403);
    assert.equal(readResponse(client.text, { method: 'GET' }).body, 'no');
    await rig.finish(client);
  });

  test('it goes through the filters, which may refuse it', async () => {
    const rig = new Rig({
      ...allowed,
      origin: granting,
      hooks: {
        requestFilter: (session) => {
          if (session.request.target === 'example.org:443') return false;
          session.respond(403);
          return true;
        },
      },
    });
    const client = await rig.ask('CONNECT evil.example:25 HTTP/1.1\r\nHost: evil.example:25\r\n\r\n');
    assert.equal(readResponse(client.text, { method: 'GET' }).status, 403);
    assert.equal(rig.origins.length, 0);
    await rig.finish(client);
  });
});

describe('tunnels for what nobody here speaks', () => {
  test('CONNECT-UDP is 501, over HTTP/2 and as an upgrade (RFC 9298)', async () => {
    const rig = new Rig({ server });
    const client = rig.connectH2();
    const id = client.request([...requestFields('CONNECT', '/.well-known/masque/udp/h/53/'), [':protocol', 'connect-udp']], {
      isEnd: false,
    });
    await settle();
    assert.equal(valueOf(client.message(id)?.fields ?? [], ':status'), '501');
    const plain = await rig.ask(get.replace('\r\n\r\n', '\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\n\r\n'));
    assert.equal(readResponse(plain.text).status, 501);
    assert.equal(rig.origins.length, 0);
    await rig.finish(client, plain);
  });
});
