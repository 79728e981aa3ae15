/** CONNECT from the client's side (RFC 9110 §9.3.6; behaviours 240 to 242 of Pingora's list). */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, it } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { applicationError, WireError } from '@ferrata/error';
import { HeaderMap, responseHead } from '@ferrata/headers';
import { type ClientExchangeHandler, type ClientSession, HttpEnvironment } from '@ferrata/http';
import { RecordingSink } from '@ferrata/testkit';
import { ConnectRefusal, connectRequestOf, connectThrough } from '@ferrata/tunnel';
import { AUTHORITY, bytes, HttpRig, ProxyRig, reasonOf, scriptedProxy, settle, VERSIONS } from './rig.ts';

describe('the request of connectThrough (RFC 9112 §3.2.3)', () => {
  it('has the authority as its target, Host equal to it, and the fields given, whose Host does not count', async () => {
    const { session, proxy, heard, environment } = scriptedProxy();
    const headers = new HeaderMap();
    headers.append('Proxy-Authorization', 'Basic Zm9v');
    headers.append('X-Twice', '1');
    headers.append('Host', 'elsewhere');
    headers.append('X-Twice', '2');
    const stream = connectThrough(session, AUTHORITY, { environment, headers });
    await settle();
    assert.equal(
      heard.text(),
      `CONNECT ${AUTHORITY} HTTP/1.1\r\nHost: ${AUTHORITY}\r\nProxy-Authorization: Basic Zm9v\r\nX-Twice: 1\r\nX-Twice: 2\r\n\r\n`,
    );
    proxy.write(bytes('HTTP/1.1 200 OK\r\n\r\n'));
    await stream;
  });

  it('puts an IPv6 address in brackets', async () => {
    for (const authority of ['[2001:db8::1]:443', { host: '2001:db8::1', port: 443 }]) {
      const { session, heard, environment, proxy } = scriptedProxy();
      const stream = connectThrough(session, authority, { environment });
      await settle();
      assert.match(heard.text(), /^CONNECT \[2001:db8::1\]:443 HTTP\/1\.1\r\nHost: \[2001:db8::1\]:443\r\n/);
      proxy.write(bytes('HTTP/1.1 200 OK\r\n\r\n'));
      await stream;
    }
  });

  for (const version of VERSIONS) {
    it(`says the same over ${version}`, async () => {
      const rig = new ProxyRig(version);
      await rig.open('[2001:db8::1]:8443', { headers: { 'Proxy-Authorization': 'Basic Zm9v' } });
      const asked = connectRequestOf(rig.accepted[0]?.info as never);
      assert.deepEqual(asked?.authority, { host: '2001:db8::1', port: 8443 });
      assert.equal(asked?.head.target, '[2001:db8::1]:8443');
      assert.equal(asked?.head.headers.combined('host'), '[2001:db8::1]:8443');
      assert.equal(asked?.head.headers.combined('proxy-authorization'), 'Basic Zm9v');
      rig.close();
    });
  }

  it('refuses what is no host and port, and options that make no sense, before anything is sent', async () => {
    const { session, heard, environment } = scriptedProxy();
    for (const authority of [
      'example.org',
      'example.org:0',
      'example.org:',
      ':443',
      '2001:db8::1:443',
      'a@b:1',
      'a b:1',
      { host: 'a', port: null },
    ])
      await assert.rejects(connectThrough(session, authority, { environment }), TypeError, JSON.stringify(authority));
    for (const timeoutMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
      await assert.rejects(connectThrough(session, AUTHORITY, { environment, timeoutMs }), RangeError);
    await assert.rejects(connectThrough(session, AUTHORITY, { environment, headers: { 'bad name': 'x' } }), TypeError);
    await settle();
    assert.equal(heard.byteLength, 0);
  });
});

describe('the answer to connectThrough (RFC 9110 §9.3.6)', () => {
  for (const status of [200, 201, 204, 299]) {
    it(`${status} makes a tunnel over HTTP/1, whatever length it claims, and what comes behind it is the tunnel’s`, async () => {
      const { session, proxy, environment, told } = scriptedProxy();
      const heads: number[] = [];
      const promise = connectThrough(session, AUTHORITY, { environment, onResponse: (head) => heads.push(head.status) });
      await settle();
      proxy.write(bytes(`HTTP/1.1 ${status} OK\r\nContent-Length: 3\r\n\r\nthe server speaks first`));
      const stream = await promise;
      await settle();
      const sink = new RecordingSink();
      stream.attach(sink);
      await sink.untilBytes(23);
      assert.equal(sink.text(), 'the server speaks first');
      assert.deepEqual(heads, [status]);
      assert.deepEqual(told, ['close null']);
      assert.equal(environment.deadlines.size, 0);
    });
  }

  for (const status of [200, 201, 204, 299]) {
    it(`${status} makes a tunnel over HTTP/2, and what comes behind it is the tunnel’s`, async () => {
      const rig = new ProxyRig('http2', { decide: () => responseHead(status), onTunnel: (stream) => void stream.write(bytes('first')) });
      const stream = await rig.open();
      await settle();
      const sink = new RecordingSink();
      stream.resume();
      await settle();
      stream.attach(sink);
      await sink.untilBytes(5);
      assert.equal(sink.text(), 'first');
      rig.close();
    });
  }

  for (const version of VERSIONS) {
    it(`another status over ${version} is TUNNEL_REFUSED, with the proxy’s response`, async () => {
      const headers = { 'Proxy-Authenticate': 'Basic', 'Proxy-Status': 'p; error=http_request_denied' };
      const rig = new ProxyRig(version, { decide: () => responseHead(407, { headers: HeaderMap.from(headers) }) });
      const error = await rig.open().then(
        () => assert.fail('a tunnel'),
        (thrown: unknown) => thrown,
      );
      assert.ok(error instanceof WireError);
      assert.equal(error.reason, 'TUNNEL_REFUSED');
      assert.equal(error.type, 'connect');
      assert.equal(error.status, 502);
      assert.equal(error.retry, 'never');
      assert.match(error.message, /407.*Proxy-Status: p; error=http_request_denied/);
      assert.ok(error.cause instanceof ConnectRefusal);
      assert.equal(error.cause.response.status, 407);
      assert.equal(error.cause.response.headers.combined('proxy-authenticate'), 'Basic');
      await settle();
      if (version === 'http1') assert.equal(rig.environment.deadlines.size, 0);
      // One stream was refused, the connection is as good as before.
      assert.equal(rig.session.isReusable, version === 'http2');
      rig.close();
    });
  }

  it('another status with a body that never ends takes no more of it', async () => {
    const { session, proxy, environment } = scriptedProxy();
    const promise = connectThrough(session, AUTHORITY, { environment });
    await settle();
    proxy.write(bytes('HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'));
    assert.equal(await reasonOf(promise), 'TUNNEL_REFUSED');
    await settle();
    assert.equal(proxy.state, 'closed');
  });

  it('a 2xx with a Transfer-Encoding is no tunnel', async () => {
    const { session, proxy, environment } = scriptedProxy();
    const promise = connectThrough(session, AUTHORITY, { environment });
    await settle();
    proxy.write(bytes('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'));
    await assert.rejects(promise, { reason: 'TUNNEL_TRANSFER_ENCODING', type: 'protocol', status: 502, retry: 'never' });
    await settle();
    assert.equal(proxy.state, 'closed');
  });

  it('interim responses are passed over', async () => {
    const { session, proxy, environment } = scriptedProxy();
    const promise = connectThrough(session, AUTHORITY, { environment });
    await settle();
    proxy.write(bytes('HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n\r\n'));
    assert.equal((await promise).state, 'open');
  });

  it('no answer, but an end or a reset, is an error that nobody may retry', async () => {
    for (const hangUp of ['end', 'abort'] as const) {
      const { session, proxy, environment } = scriptedProxy();
      const promise = connectThrough(session, AUTHORITY, { environment });
      await settle();
      proxy[hangUp]();
      await assert.rejects(promise, { reason: 'TUNNEL_CLOSED', type: 'connect', retry: 'never' });
      assert.equal(environment.deadlines.size, 0);
    }
  });

  it('garbage is an error that nobody may retry', async () => {
    const { session, proxy, environment } = scriptedProxy();
    const promise = connectThrough(session, AUTHORITY, { environment });
    await settle();
    proxy.write(bytes('SSH-2.0-OpenSSH_9.2\r\n'));
    await assert.rejects(promise, { reason: 'TUNNEL_CLOSED', retry: 'never' });
  });

  for (const version of VERSIONS) {
    it(`none in time over ${version} is TUNNEL_TIMEOUT, and the request is taken back`, async () => {
      const clock = new ManualClock();
      const environment = new HttpEnvironment({ clock });
      let closed = 0;
      const follower = { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose: () => void closed++ };
      const rig = new HttpRig(version, { onRequest: () => follower }, environment);
      const promise = rig.open(AUTHORITY, { timeoutMs: 1_000 });
      await settle();
      clock.advance(900);
      await settle();
      assert.equal(closed, 0);
      clock.advance(200);
      await assert.rejects(promise, { reason: 'TUNNEL_TIMEOUT', type: 'timeout', status: 504, retry: 'never' });
      await settle();
      assert.equal(closed, 1);
    });
  }

  it('is not waited for by a session that can take no request, and that may be retried', async () => {
    const { session, environment, heard } = scriptedProxy();
    session.close();
    await assert.rejects(connectThrough(session, AUTHORITY, { environment }), { reason: 'TUNNEL_NO_SESSION', retry: 'always' });
    assert.equal(heard.byteLength, 0);
  });

  it('may be waited for no longer than a signal allows', async () => {
    const early = scriptedProxy();
    const { environment } = early;
    assert.equal(await reasonOf(connectThrough(early.session, AUTHORITY, { environment, signal: AbortSignal.abort() })), 'TUNNEL_ABORTED');
    assert.equal(early.session.isReusable, true);
    const late = scriptedProxy(environment);
    const controller = new AbortController();
    const promise = connectThrough(late.session, AUTHORITY, { environment, signal: controller.signal });
    await settle();
    controller.abort();
    await assert.rejects(promise, { reason: 'TUNNEL_ABORTED', fault: 'local' });
    await settle();
    assert.equal(late.proxy.state, 'closed');
    assert.equal(environment.deadlines.size, 0);
  });

  it('leaves no listener on the signal, whatever came of it', async () => {
    const { signal } = new AbortController();
    const made = scriptedProxy();
    const stream = connectThrough(made.session, AUTHORITY, { environment: made.environment, signal });
    await settle();
    assert.equal(getEventListeners(signal, 'abort').length, 1);
    made.proxy.write(bytes('HTTP/1.1 200 OK\r\n\r\n'));
    await stream;
    assert.equal(getEventListeners(signal, 'abort').length, 0);
    const refused = scriptedProxy();
    const refusal = reasonOf(connectThrough(refused.session, AUTHORITY, { environment: refused.environment, signal }));
    await settle();
    refused.proxy.write(bytes('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'));
    assert.equal(await refusal, 'TUNNEL_REFUSED');
    assert.equal(getEventListeners(signal, 'abort').length, 0);
  });

  it('a session that breaks while it sends leaves neither listener nor deadline behind', async () => {
    const environment = new HttpEnvironment();
    const { signal } = new AbortController();
    const breaks = {
      isReusable: true,
      isShared: false,
      request: (_head: unknown, _framing: unknown, handler: ClientExchangeHandler) => {
        handler.onClientClose(null);
        return { cancel() {} };
      },
    } as unknown as ClientSession;
    assert.equal(await reasonOf(connectThrough(breaks, AUTHORITY, { environment, signal })), 'TUNNEL_CLOSED');
    assert.deepEqual([environment.deadlines.size, getEventListeners(signal, 'abort').length], [0, 0]);
  });

  it('may be rejected by the caller, who then gets no stream and the proxy a close', async () => {
    const { session, proxy, environment } = scriptedProxy();
    const onResponse = (): never => {
      throw new Error('not this one');
    };
    const promise = connectThrough(session, AUTHORITY, { environment, onResponse });
    await settle();
    proxy.write(bytes('HTTP/1.1 200 OK\r\n\r\n'));
    assert.equal(await reasonOf(promise), 'TUNNEL_RESPONSE_REJECTED');
    await settle();
    assert.equal(proxy.state, 'closed');
  });
});

describe('what the caller does meanwhile', () => {
  for (const version of VERSIONS) {
    it(`a WireError of onResponse over ${version} is told as it is; an async one that rejects has the tunnel reset`, async () => {
      const own = applicationError('NOT_THIS_ONE');
      const rejecting = new ProxyRig(version);
      const throwing = rejecting.open(AUTHORITY, {
        onResponse: () => {
          throw own;
        },
      });
      await assert.rejects(throwing, (error) => error === own);
      const rig = new ProxyRig(version);
      const onResponse = (() => Promise.reject(new Error('thought again'))) as () => void;
      const stream = await rig.open(AUTHORITY, { onResponse });
      const sink = new RecordingSink();
      stream.attach(sink);
      await sink.untilClose();
      assert.equal(sink.closeError?.reason, 'TUNNEL_RESPONSE_REJECTED');
      await settle();
      assert.equal(rig.accepted[0]?.state, 'closed');
      rig.close();
    });

    it(`a signal given in onResponse over ${version} leaves no tunnel behind`, async () => {
      const rig = new ProxyRig(version);
      const controller = new AbortController();
      const promise = rig.open(AUTHORITY, { signal: controller.signal, onResponse: () => controller.abort() });
      assert.equal(await reasonOf(promise), 'TUNNEL_ABORTED');
      await settle();
      assert.equal(rig.accepted[0]?.state, 'closed');
      assert.equal(rig.session.isReusable, version === 'http2');
      rig.close();
    });
  }
});

describe('a refusal', () => {
  it('has a message of bounded length, whatever the reason phrase', async () => {
    const { session, proxy, environment } = scriptedProxy();
    const promise = connectThrough(session, AUTHORITY, { environment });
    await settle();
    proxy.write(bytes(`HTTP/1.1 403 ${'x'.repeat(7_000)}\r\nContent-Length: 0\r\n\r\n`));
    await assert.rejects(promise, (error: Error) => error.message.length < 300);
  });

  it('over HTTP/2 ends by itself: thousands of them at once are no offence to the server, and harm no neighbour', async () => {
    const clock = new ManualClock();
    const environment = new HttpEnvironment({ clock });
    const rig = new ProxyRig('http2', { decide: ({ authority }) => authority.port === 443 }, environment);
    const { a, b } = await rig.pair();
    const sink = new RecordingSink();
    a.attach(sink);
    for (let count = 0; count < 2_500; count += 50) {
      const refused = Array.from({ length: 50 }, () => reasonOf(rig.open('example.org:25')));
      assert.deepEqual(new Set(await Promise.all(refused)), new Set(['TUNNEL_REFUSED']));
    }
    b.write(bytes('still here'));
    await sink.untilBytes(10);
    assert.equal(sink.text(), 'still here');
    rig.close();
  });

  it('over HTTP/2 is cut off when it is long, said or unsaid', async () => {
    for (const bodyLength of [1_000_000, -1]) {
      const closes: (string | undefined)[] = [];
      const rig = new HttpRig('http2', {
        onRequest: (exchange) => {
          exchange.sendHead(responseHead(403), bodyLength);
          exchange.sendData(new Uint8Array(100_000));
          return {
            onRequestData() {},
            onRequestEnd() {},
            onResponseDrain: () => void exchange.sendData(new Uint8Array(100_000)),
            onExchangeClose: (error) => closes.push(error?.reason),
          };
        },
      });
      assert.equal(await reasonOf(rig.open()), 'TUNNEL_REFUSED');
      await settle();
      assert.deepEqual(closes, ['CLIENT_RESET']);
      assert.equal(rig.session.isReusable, true);
      rig.close();
    }
  });

  it('that says that nobody has looked at the request may be retried, as its cause', async () => {
    const rig = new ProxyRig('http2');
    await settle();
    const promise = rig.open();
    // In the same turn: nothing of the request has left.
    rig.clientEnd.abort();
    await assert.rejects(promise, { reason: 'TUNNEL_CLOSED', retry: 'always' });
  });
});

describe('a stream of connectThrough', () => {
  for (const version of VERSIONS) {
    it(`waits for its first sink over ${version}, even if somebody resumes it before, and tells it of an end that came meanwhile`, async () => {
      const rig = new ProxyRig(version);
      const { a, b } = await rig.pair();
      b.write(bytes('early, '));
      await settle();
      a.resume();
      await settle();
      b.write(bytes('and late'));
      b.end();
      await settle();
      a.resume();
      await settle();
      const sink = new RecordingSink();
      a.attach(sink);
      await sink.untilEnd();
      assert.equal(sink.text(), 'early, and late');
      rig.close();
    });
  }

  it('shares its connection with others over HTTP/2: one that is not read stops no other', async () => {
    const rig = new ProxyRig('http2');
    const stuck = await rig.pair();
    const free = await rig.pair();
    stuck.a.attach(new RecordingSink());
    stuck.a.pause();
    const writer = new RecordingSink();
    stuck.b.attach(writer);
    for (let i = 0; i < 64 && stuck.b.write(new Uint8Array(16_384)); i++) await settle();
    await settle();
    assert.ok(stuck.b.bufferedBytes > 0, 'the one is full');
    const sink = new RecordingSink();
    free.a.attach(sink);
    free.b.attach(new RecordingSink());
    free.b.write(new Uint8Array(300_000));
    await sink.untilBytes(300_000);
    stuck.a.abort();
    await writer.untilClose();
    free.b.write(bytes('x'));
    await sink.untilBytes(300_001);
    rig.close();
  });
});
