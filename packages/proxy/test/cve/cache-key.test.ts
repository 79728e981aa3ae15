/**
 * CVE-2026-2836 (Pingora before 0.8): the default cache key was path and query alone, so that hosts and schemes shared their entries.
 *
 * There is no default key here, and no cache yet. What a key is made of is `effectiveTarget`: scheme, authority and path. These tests show that it
 * tells all origins apart, that a cache in `requestFilter` keyed by it never hands out another host's entry, and that connections to upstreams,
 * the other thing that is shared by key, do not mix either.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HeaderMap, HttpVersion, type ReadonlyRequestHead, type RequestHead } from '@ferrata/headers';
import { effectiveTarget } from '@ferrata/http1';
import type { ProxySession } from '@ferrata/proxy';
import { peer } from '@ferrata/upstream';
import { Rig, settle, type Wire } from '../rig.ts';
import { fieldOf } from '../world/wire-reader.ts';
import { ReadingOrigin, responsesOf, tell } from './attack.ts';

function request(target: string, host: string, method = 'GET'): RequestHead {
  return { method, target, version: HttpVersion.http11, headers: HeaderMap.from({ Host: host }) };
}

/** The key as a program should make it: the scheme is the connection's if the target names none. */
function keyOf(head: ReadonlyRequestHead, connectionScheme: 'http' | 'https'): string {
  const { scheme, authority, path } = effectiveTarget(head);
  return JSON.stringify([head.method, scheme ?? connectionScheme, authority.toLowerCase(), path]);
}

describe('CVE-2026-2836: the key of a response', () => {
  test('differs for each method, scheme, host, port and path, and for nothing else', () => {
    const keys = [
      keyOf(request('/a', 'one'), 'http'),
      keyOf(request('/a', 'one'), 'https'),
      keyOf(request('/a', 'two'), 'http'),
      keyOf(request('/a', 'one:81'), 'http'),
      keyOf(request('/a', 'one:80'), 'http'),
      keyOf(request('/a?b', 'one'), 'http'),
      keyOf(request('/b', 'one'), 'http'),
      keyOf(request('/a', 'one', 'HEAD'), 'http'),
      // A host that looks like a path, and a path that looks like a host.
      keyOf(request('//one/a', 'two'), 'http'),
      keyOf(request('/one/a', 'two'), 'http'),
    ];
    assert.equal(new Set(keys).size, keys.length);
    assert.equal(keyOf(request('http://one/a', 'two'), 'http'), keys[0], 'the target’s host counts, not Host (RFC 9112 §3.2.2)');
    assert.equal(keyOf(request('https://one/a', 'two'), 'http'), keys[1]);
    assert.equal(keyOf(request('/a', 'ONE'), 'http'), keys[0], 'hosts are case-insensitive (RFC 9110 §4.2.3)');
  });

  test('keeps hosts apart in a cache, whichever way a client names them', async () => {
    const cache = new Map<string, string>();
    const key = (session: ProxySession): string => keyOf(session.request, session.client.tls === null ? 'http' : 'https');
    const hits: string[] = [];
    const origin = new ReadingOrigin((asked) => tell(`${fieldOf(asked, 'host')} ${asked.start[1]}`));
    const rig = new Rig({
      origin: origin.serve,
      hooks: {
        requestFilter: async (session) => {
          const found = cache.get(key(session));
          if (found === undefined) return false;
          hits.push(found);
          session.respond(200, { body: found });
          return true;
        },
        responseBodyFilter: (session, chunk) => {
          if (chunk !== null) cache.set(key(session), Buffer.from(chunk).toString('latin1'));
          return chunk;
        },
      },
    });
    const asks: readonly (readonly [target: string, host: string, wanted: string])[] = [
      ['/', 'one', 'one /'],
      ['/', 'two', 'two /'],
      ['/', 'one:81', 'one:81 /'],
      // The attack: the cache is to store one host's page under another's name.
      ['http://two/', 'one', 'two /'],
      ['http://one/', 'two', 'one /'],
      ['http://one:81/', 'one', 'one:81 /'],
      ['/two/', 'one', 'one /two/'],
      ['//two/', 'one', 'one //two/'],
      ['/', 'three', 'three /'],
    ];
    const client = rig.connect();
    for (let round = 0; round < 2; round++) {
      for (const [target, host] of asks) {
        client.send(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
        await settle();
      }
    }
    assert.deepEqual(
      responsesOf(client).map(({ body }) => body),
      [...asks, ...asks].map(([, , wanted]) => wanted),
    );
    assert.ok(hits.length >= asks.length, 'the second round came from the cache');
    await rig.finish(client);
  });

  test('does not let a client choose another host with two Host fields, an empty one, or one with a path', async () => {
    const rig = new Rig();
    const clients: Wire[] = [];
    for (const fields of [
      'Host: one\r\nHost: two',
      'Host: one\r\nHost: one',
      'Host: one/two',
      'Host: one, two',
      'Host:',
      'Host: a@one',
      'X: y',
    ]) {
      const client = await rig.ask(`GET / HTTP/1.1\r\n${fields}\r\n\r\n`);
      assert.match(client.text, /^HTTP\/1\.1 400 /, fields);
      assert.ok(client.hasEnded);
      clients.push(client);
    }
    assert.equal(rig.origins.length, 0);
    await rig.finish(...clients);
  });
});

test('connections to upstreams carry the requests of their own peer, however many clients ask at once', async () => {
  const names = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.1:81'];
  const peers = new Map(names.map((name) => [name, peer(name)]));
  const origin = new ReadingOrigin((asked) => tell(`${fieldOf(asked, 'host')}${asked.start[1]}`));
  const rig = new Rig({
    origin: origin.serve,
    hooks: {
      upstreamPeer: ({ request: { headers } }) => peers.get(headers.get('host') ?? '') as NonNullable<ReturnType<typeof peers.get>>,
    },
  });
  const clients = Array.from({ length: 6 }, () => rig.connect());
  for (let round = 0; round < 5; round++) {
    for (const [index, client] of clients.entries()) {
      client.send(`GET /${index}-${round} HTTP/1.1\r\nHost: ${names[(index + round) % names.length]}\r\n\r\n`);
    }
    await settle();
  }
  for (const [index, client] of clients.entries()) {
    assert.deepEqual(
      responsesOf(client).map(({ body }) => body),
      Array.from({ length: 5 }, (_, round) => `${names[(index + round) % names.length]}/${index}-${round}`),
    );
  }
  for (const wire of rig.origins) assert.equal(new Set(wire.text.match(/(?<=Host: )\S+/g)).size, 1);
  await rig.finish(...clients);
});
