/** HTTP/2 through the command: clients by preface on the same listeners, origins by `h2c://`. Peers are those of node:http2 and node:http. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Agent } from 'node:http';
import { get, request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { type Ferrata, runFerrata, startFerrata, within } from './support/command.ts';
import { constants, H2Client, h2Mirror, h2Origin } from './support/http2.ts';
import { httpOrigin, mirror } from './support/peers.ts';

const { NGHTTP2_CANCEL, NGHTTP2_NO_ERROR } = constants;

/** One HTTP/1 request, to its end. */
async function ask1(ferrata: Ferrata, path: string, agent?: Agent): Promise<{ readonly status: number; readonly body: string }> {
  const answered = new Promise<{ status: number; body: string }>((resolve, reject) => {
    get({ port: ferrata.port, path, ...(agent === undefined ? {} : { agent }) }, (response) => {
      let body = '';
      response.setEncoding('latin1').on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body })).on('error', reject);
    }).on('error', reject);
  });
  return await within('an answer', answered);
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Resolves when the request for `/slow` has been given up at the origin. */
const isGivenUp = { one: Promise.withResolvers<void>(), two: Promise.withResolvers<void>() };

/** An origin of HTTP/1, and one of HTTP/2, that do the same: by the path of the request. */
const origins = {
  one: await httpOrigin((request, response) => {
    const { url, headers } = request;
    if (url === '/token') {
      setTimeout(() => {
        response.setHeader('x-token', String(headers['x-token']));
        response.end(`body ${String(headers['x-token'])}`);
      }, Number(headers['x-delay']));
    } else if (url === '/echo') {
      request.pipe(response);
    } else if (url === '/slow') {
      response.on('close', () => isGivenUp.one.resolve());
      response.write('some');
    } else if (url === '/broken') {
      response.setHeader('Content-Length', '100');
      response.write('hello', () => void response.socket?.resetAndDestroy());
    } else {
      mirror(request, response);
    }
  }),
  two: await h2Origin((stream, headers, session) => {
    const path = headers[':path'];
    if (path === '/token') {
      setTimeout(() => {
        stream.respond({ ':status': 200, 'x-token': headers['x-token'] });
        stream.end(`body ${String(headers['x-token'])}`);
      }, Number(headers['x-delay']));
    } else if (path === '/echo') {
      stream.respond({ ':status': 200 });
      stream.pipe(stream);
    } else if (path === '/slow') {
      stream.on('close', () => {
        if (stream.rstCode === NGHTTP2_CANCEL) isGivenUp.two.resolve();
        else isGivenUp.two.reject(new Error(`code ${stream.rstCode}`));
      });
      stream.respond({ ':status': 200 });
      stream.write('some');
    } else if (path === '/broken') {
      stream.respond({ ':status': 200 });
      stream.write('hello', () => void stream.destroy(new Error('broken off')));
    } else if (path === '/trailers') {
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.end('message');
    } else {
      h2Mirror(stream, headers, session);
    }
  }),
};
const [inFrontOfOne, inFrontOfTwo] = await Promise.all([
  startFerrata([origins.one.port], ['--access-log']),
  startFerrata([`h2c://127.0.0.1:${origins.two.port}`], ['--access-log']),
]);

describe('one listener, both versions, both kinds of origins', () => {
  test('h2c → HTTP/1', async () => {
    const ferrata = inFrontOfOne;
    const client = new H2Client(ferrata.port);
    const { status, body, headers } = await client.ask({ ':method': 'POST', ':path': '/a?b', 'x-one': '1' }, 'hello');
    assert.equal(status, 200);
    const got = JSON.parse(body.toString()) as {
      method: string;
      url: string;
      httpVersion: string;
      headers: Record<string, string>;
      body: string;
    };
    assert.deepEqual([got.method, got.url, got.httpVersion, got.body], ['POST', '/a?b', '1.1', 'hello']);
    assert.equal(got.headers['host'], `127.0.0.1:${ferrata.port}`);
    assert.equal(got.headers['x-one'], '1');
    assert.equal(got.headers['x-forwarded-for'], '127.0.0.1');
    assert.equal(headers['content-type'], 'application/json');
    const line = await ferrata.logged(({ target }) => target === '/a?b');
    assert.deepEqual([line.protocol, line.upstreamProtocol, line.outcome], ['HTTP/2', 'HTTP/1.1', 'completed']);
    assert.equal((await ask1(ferrata, '/old')).status, 200);
    assert.equal((await ferrata.logged(({ target }) => target === '/old')).protocol, 'HTTP/1.1');
  });

  test('h2c → h2c, and HTTP/1 → h2c', async () => {
    const ferrata = inFrontOfTwo;
    const client = new H2Client(ferrata.port);
    const { status, body } = await client.ask({ ':method': 'PUT', ':path': '/two' }, 'hello');
    assert.equal(status, 200);
    const got = JSON.parse(body.toString()) as { headers: Record<string, string>; body: string };
    assert.equal(got.body, 'hello');
    assert.equal(got.headers[':path'], '/two');
    assert.equal(got.headers[':authority'], `127.0.0.1:${ferrata.port}`);
    const old = await ask1(ferrata, '/one');
    assert.equal(old.status, 200);
    assert.equal((JSON.parse(old.body) as typeof got).headers[':path'], '/one');
    const two = await ferrata.logged(({ target }) => target === '/two');
    assert.deepEqual([two.protocol, two.upstreamProtocol, two.reused], ['HTTP/2', 'HTTP/2', false]);
    const one = await ferrata.logged(({ target }) => target === '/one');
    assert.deepEqual([one.protocol, one.upstreamProtocol, one.reused], ['HTTP/1.1', 'HTTP/2', true]);
    assert.equal(origins.two.sessions.length, 1);
  });

  test('Unix sockets on both sides, and a list of origins of both kinds', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ferrata-'));
    after(() => rmSync(folder, { recursive: true, force: true }));
    const path = join(folder, 'origin.sock');
    await h2Origin(
      (stream) => {
        stream.respond({ ':status': 200 });
        stream.end('two');
      },
      { path },
    );
    const origin = await httpOrigin((_request, response) => response.end('one'));
    const ferrata = await startFerrata([`h2c://unix:${path}`, origin.port], ['--listen', `http://unix:${join(folder, 'in.sock')}`]);
    const client = new H2Client({ path: join(folder, 'in.sock') });
    const bodies: string[] = [];
    for (let i = 0; i < 4; i++) bodies.push((await client.ask()).body.toString());
    assert.deepEqual(bodies, ['two', 'one', 'two', 'one']);
    assert.equal(ferrata.urls.length, 1);
  });
});

for (const [name, ferrata, givenUp] of [
  ['h2c → h2c', inFrontOfTwo, isGivenUp.two],
  ['h2c → HTTP/1', inFrontOfOne, isGivenUp.one],
] as const) {
  describe(name, () => {
    test('100 requests at once: each answer belongs to its request', async () => {
      const client = new H2Client(ferrata.port);
      const tokens = Array.from({ length: 100 }, (_, index) => `${index}-${randomBytes(6).toString('hex')}`);
      // They are answered in another order than they came.
      const answers = await Promise.all(
        tokens.map((token, index) => client.ask({ ':path': '/token', 'x-token': token, 'x-delay': String((index * 7) % 20) })),
      );
      for (const [index, answer] of answers.entries()) {
        assert.equal(answer.status, 200);
        assert.equal(answer.headers['x-token'], tokens[index]);
        assert.equal(answer.body.toString(), `body ${tokens[index]}`);
      }
    });

    test('bodies of a mebibyte, both ways and several at once', async () => {
      const client = new H2Client(ferrata.port);
      const bodies = Array.from({ length: 4 }, () => randomBytes(1_048_576));
      const answers = await Promise.all(bodies.map((body) => client.ask({ ':method': 'POST', ':path': '/echo' }, body)));
      for (const [index, answer] of answers.entries()) {
        assert.equal(answer.error, null);
        assert.equal(digest(answer.body), digest(bodies[index] as Buffer));
      }
    });

    test('a client that resets its stream ends it at the origin, and nothing else', async () => {
      const client = new H2Client(ferrata.port);
      const stream = client.session.request({ ':path': '/slow' });
      stream.on('error', () => {});
      await within('a piece of the response', once(stream, 'data'));
      stream.close(NGHTTP2_CANCEL);
      await within('the reset at the origin', givenUp.promise);
      assert.equal((await client.ask({ ':path': '/fine' })).status, 200);
      assert.equal((await ferrata.logged(({ target }) => target === '/slow')).outcome, 'client_abort');
    });

    test('an origin that breaks off: the client has what came, and a reset', async () => {
      const client = new H2Client(ferrata.port);
      const answer = await client.ask({ ':path': '/broken' });
      assert.equal(answer.status, 200);
      assert.notEqual(answer.resetCode, NGHTTP2_NO_ERROR);
      assert.equal(client.session.destroyed, false);
    });
  });
}

test('trailers pass from an h2c origin to clients of both versions', async () => {
  const { port } = inFrontOfTwo;
  const { body, trailers } = await new H2Client(port).ask({ ':method': 'POST', ':path': '/trailers', te: 'trailers' }, 'x');
  assert.equal(body.toString(), 'message');
  assert.equal(trailers?.['grpc-status'], '0');
  const old = new Promise<string | undefined>((resolve, reject) => {
    const asked = httpRequest({ port, path: '/trailers' }, (response) => {
      response.resume().on('end', () => resolve(response.trailers['grpc-status']));
    });
    asked.on('error', reject).end();
  });
  assert.equal(await within('trailers', old), '0');
});

describe('an origin that comes and goes', () => {
  test('GOAWAY again and again under traffic: no request fails, whatever its method; while it is away there is 502, and all is well when it is back', async () => {
    const origin = await h2Origin((stream, _headers, session) => {
      counts[session] = (counts[session] ?? 0) + 1;
      stream.respond({ ':status': 200 });
      stream.end('ok');
      // In order: what was begun is finished, what comes later belongs elsewhere.
      if (counts[session] === 40) origin.sessions[session]?.close();
    });
    const counts: number[] = [];
    const ferrata = await startFerrata([`h2c://127.0.0.1:${origin.port}`], ['--access-log']);
    const client = new H2Client(ferrata.port);
    let done = 0;
    const asker = async (): Promise<void> => {
      for (let i = 0; i < 40; i++) {
        const { status } = await client.ask({ ':method': i % 2 === 0 ? 'GET' : 'POST' });
        assert.equal(status, 200);
        done++;
      }
    };
    await Promise.all(Array.from({ length: 10 }, asker));
    assert.equal(done, 400);
    assert.ok(origin.sessions.length >= 5, `${origin.sessions.length} connections`);

    await origin.close();
    assert.equal((await client.ask()).status, 502);
    await h2Origin(h2Mirror, { port: origin.port });
    assert.equal((await client.ask()).status, 200);
  });

  test('an origin of few streams: a burst before its SETTINGS are known fails no request (RFC 9113 §5.1.2)', async () => {
    const origin = await h2Origin(
      (stream) => {
        setTimeout(() => {
          stream.respond({ ':status': 200 });
          stream.end('ok');
        }, 2);
      },
      { settings: { maxConcurrentStreams: 10 } },
    );
    const ferrata = await startFerrata([`h2c://127.0.0.1:${origin.port}`], ['--access-log', '--upstream-connections', '4']);
    const client = new H2Client(ferrata.port);
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) => client.ask({ ':method': index % 2 === 0 ? 'GET' : 'POST' })),
    );
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    assert.equal(origin.sessions.length, 4);
  });

  test('streams and connections are bounded by --upstream-streams and --upstream-connections', async () => {
    let open = 0;
    const most: number[] = [];
    const origin = await h2Origin((stream, _headers, session) => {
      open++;
      stream.once('close', () => open--);
      most.push(open);
      assert.ok(session < 2, 'no third connection');
      setTimeout(() => {
        stream.respond({ ':status': 200 });
        stream.end('ok');
      }, 5);
    });
    const ferrata = await startFerrata([`h2c://127.0.0.1:${origin.port}`], ['--upstream-streams', '5', '--upstream-connections', '2']);
    const client = new H2Client(ferrata.port);
    const answers = await Promise.all(Array.from({ length: 60 }, () => client.ask()));
    assert.ok(answers.every(({ status }) => status === 200));
    assert.ok(Math.max(...most) <= 10, `${Math.max(...most)} at once`);
    assert.equal(origin.sessions.length, 2);
  });
});

describe('ends in order', () => {
  test('SIGTERM: GOAWAY without an error, what runs is finished, exit code 0 (RFC 9113 §6.8)', async () => {
    const release = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const origin = await h2Origin((stream) => {
      stream.respond({ ':status': 200 });
      stream.write('begun ');
      arrived.resolve();
      void release.promise.then(() => stream.end('and ended'));
    });
    const ferrata = await startFerrata([`h2c://127.0.0.1:${origin.port}`]);
    const client = new H2Client(ferrata.port);
    const answer = client.ask();
    await within('the request', arrived.promise);
    const goaway = once(client.session, 'goaway');
    ferrata.child.kill('SIGTERM');
    await within('GOAWAY', goaway);
    release.resolve();
    assert.equal((await answer).body.toString(), 'begun and ended');
    const { code } = await within('the end', ferrata.ended);
    assert.equal(code, 0);
    assert.ok(client.goaways.every((goawayCode) => goawayCode === NGHTTP2_NO_ERROR));
  });

  test('SIGTERM with idle connections on both sides ends within the grace', async () => {
    for (const ferrata of [inFrontOfTwo, inFrontOfOne]) {
      const client = new H2Client(ferrata.port);
      assert.equal((await client.ask()).status, 200);
      ferrata.child.kill('SIGTERM');
    }
    for (const ferrata of [inFrontOfTwo, inFrontOfOne]) {
      const { code, stderr } = await within('the end', ferrata.ended);
      assert.deepEqual([code, stderr], [0, ''], 'nothing had to be cut');
    }
  });
});

test('a request head over --max-header-bytes is 431, and a response head too large is 502: their neighbours go on', async () => {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const origin = await h2Origin((stream, headers) => {
    if (headers[':path'] === '/large') stream.respond({ ':status': 200, 'x-big': 'y'.repeat(40_000) }, { endStream: true });
    else
      void held.then(() => {
        stream.respond({ ':status': 200 });
        stream.end('ok');
      });
  });
  const ferrata = await startFerrata([`h2c://127.0.0.1:${origin.port}`], ['--access-log', '--max-header-bytes', '1000']);
  const client = new H2Client(ferrata.port);
  const neighbour = client.ask({ ':path': '/neighbour' });
  assert.equal((await client.ask({ ':path': '/', 'x-big': 'x'.repeat(3_000) })).status, 431);
  assert.equal((await client.ask({ ':path': '/large' })).status, 502);
  release();
  assert.equal((await neighbour).status, 200);
  assert.equal(origin.sessions.length, 1);
});

test('--listen h2c:// says that http:// listeners speak both', async () => {
  const { code, stderr } = await runFerrata('reverse', '--listen', 'h2c://127.0.0.1:8080', '--to', 'http://127.0.0.1:1');
  assert.equal(code, 2);
  assert.match(stderr, /write http:\/\/127\.0\.0\.1:8080; an http:\/\/ listener speaks both/);
});
