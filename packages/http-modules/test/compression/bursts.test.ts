/** When compressed bytes go out: behind a burst, not within it; and what came in one go is compressed in one go. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { brotliDecompressSync, gunzipSync, type InputType, zstdDecompressSync } from 'node:zlib';
import { concatBytes } from '@ferrata/bytes';
import { HeaderMap, requestHead, responseHead } from '@ferrata/headers';
import { compression, type HttpModule, type HttpModuleKind, type ModuleServerExchange } from '@ferrata/http-modules';
import fc from 'fast-check';
import { bodyEncoder } from '../../src/compression/body-encoder.ts';
import { bytes, FakeExchange, Follower, kind, serve, settle, text } from '../rig.ts';
import { jsonOf } from './texts.ts';

const DECODERS: Readonly<Record<string, (body: InputType) => Buffer>> = {
  gzip: gunzipSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};

/** An exchange whose response has no length, behind modules, at its head. */
async function begin(
  kinds: readonly HttpModuleKind[],
  { coding = 'gzip', type = 'text/html', bodyLength = -1 } = {},
): Promise<[FakeExchange, ModuleServerExchange, Follower]> {
  const exchange = new FakeExchange(requestHead('GET', '/', { headers: { 'Accept-Encoding': coding } }));
  const modular = serve(exchange, kinds);
  const follower = new Follower();
  modular.follow(follower);
  await modular.filterRequest();
  modular.sendHead(responseHead(200, { headers: HeaderMap.from({ 'Content-Type': type }) }), bodyLength);
  return [exchange, modular, follower];
}

/** Waits, bounded, for what comes out of the thread pool. */
async function until(isDone: () => boolean): Promise<void> {
  for (let turn = 0; turn < 2000 && !isDone(); turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(isDone());
}

describe('a burst', () => {
  for (const coding of ['gzip', 'br', 'zstd'] as const) {
    it(`goes out as one piece, though its end has not come: ${coding}`, async () => {
      const [exchange, modular] = await begin([compression()], { coding });
      const page = jsonOf(8_000);
      for (let at = 0; at < page.length; at += 1000) assert.equal(modular.sendData(page.slice(at, at + 1000)), true);
      await until(() => exchange.sent.length > 0);
      assert.equal(exchange.sent.length, 1);
      const early = concatBytes(exchange.sent).length;
      modular.sendEnd();
      await until(() => exchange.isClosed);
      assert.equal(Buffer.compare(DECODERS[coding]?.(concatBytes(exchange.sent)) as Buffer, page), 0);
      assert.ok(concatBytes(exchange.sent).length - early < 32);
    });
    it(`that is the whole body is compressed by one call, when it ends: ${coding}`, async () => {
      const [exchange, modular] = await begin([compression()], { coding });
      const page = jsonOf(8_000);
      modular.sendData(page.slice(0, 3000));
      modular.sendData(page.slice(3000));
      modular.sendEnd();
      // Nothing is awaited: no thread pool has seen it.
      assert.deepEqual([exchange.isClosed, exchange.sent.length], [true, 1]);
      assert.equal(Buffer.compare(DECODERS[coding]?.(concatBytes(exchange.sent)) as Buffer, page), 0);
    });
  }
  it('of more than 64 KiB stops its sender, and the drain follows', async () => {
    const [exchange, modular, follower] = await begin([compression()]);
    const page = jsonOf(70_000);
    assert.equal(modular.sendData(page.slice(0, 60_000)), true);
    assert.equal(modular.sendData(page.slice(60_000)), false);
    await until(() => follower.heard.length > 0);
    modular.sendEnd();
    await until(() => exchange.isClosed);
    assert.deepEqual(gunzipSync(concatBytes(exchange.sent)), Buffer.from(page));
  });
  it('is not held back where a module in front keeps the rest of it', async () => {
    const halving = kind('halving', { responseBodyFilter: (chunk) => (chunk?.[0] === 0x21 ? null : chunk) }, 1);
    const [exchange, modular] = await begin([halving, compression()]);
    modular.sendData(bytes('<p>hello</p>'));
    modular.sendData(bytes('!'));
    await until(() => exchange.sent.length > 0);
    modular.sendEnd();
    await until(() => exchange.isClosed);
    assert.equal(gunzipSync(concatBytes(exchange.sent)).toString(), '<p>hello</p>');
  });
  it('is gathered by copies: a small piece of a large buffer keeps none of it alive', () => {
    const encoder = bodyEncoder({ encoding: { coding: 'gzip', level: 4, dictionary: null }, bodyLength: 20, flushes: false });
    const piece = bytes('0123456789');
    encoder.write(piece);
    piece.fill(0x78);
    encoder.write(bytes('abcdefghij'));
    assert.equal(gunzipSync(encoder.end() as Uint8Array).toString(), '0123456789abcdefghij');
  });
  it('of pieces of one byte, of a long body of known length, is a call of the thread pool in 16 KiB and not a piece', async () => {
    const page = jsonOf(70_000);
    const encoder = bodyEncoder({ encoding: { coding: 'gzip', level: 4, dictionary: null }, bodyLength: page.length, flushes: false });
    const given: (Uint8Array | null)[] = [];
    let waits = 0;
    for (const byte of page) {
      const piece: unknown = encoder.write(Uint8Array.of(byte));
      if (piece instanceof Promise) waits++;
      given.push((await piece) as Uint8Array | null);
    }
    given.push(await encoder.end());
    assert.ok(waits <= 5, `${waits} calls`);
    assert.deepEqual(gunzipSync(concatBytes(given.filter((piece) => piece !== null))), Buffer.from(page));
    encoder.close();
  });
});

/** Holds back all that it gets, of both bodies, until it is asked for it, and marks that. */
function holding(mark: string, log: string[] = []): HttpModule {
  let held = '';
  const take = (): Uint8Array | null => {
    const taken = held;
    held = '';
    return taken === '' ? null : bytes(taken + mark);
  };
  const filter = (chunk: Uint8Array | null): Uint8Array | null => {
    if (chunk === null) return take();
    held += text(chunk);
    return null;
  };
  const flush = (): Uint8Array | null => {
    log.push(mark);
    return take();
  };
  return { requestBodyFilter: filter, requestBodyFlush: flush, responseBodyFilter: filter, responseBodyFlush: flush };
}

describe('what modules hold back', () => {
  it('is asked for behind a burst, in the order of the modules, once', async () => {
    const log: string[] = [];
    const [exchange, modular] = await begin([kind('a', holding('1', log)), kind('b', holding('2', log))]);
    modular.sendData(bytes('ab'));
    modular.sendData(bytes('cd'));
    assert.equal(exchange.body, '');
    await settle();
    assert.deepEqual([exchange.body, log], ['abcd12', ['1', '2']]);
    modular.sendData(bytes('ef'));
    modular.sendEnd();
    assert.deepEqual([exchange.body, log], ['abcd12ef12', ['1', '2']]);
  });
  it('is asked for by promise, too; what comes meanwhile waits', async () => {
    const work = Promise.withResolvers<Uint8Array>();
    const slow = kind('slow', { responseBodyFilter: (chunk) => chunk, responseBodyFlush: () => work.promise });
    const [exchange, modular, follower] = await begin([slow]);
    modular.sendData(bytes('ab'));
    await settle();
    assert.equal(modular.sendData(bytes('cd')), false);
    work.resolve(bytes('!'));
    await settle();
    assert.deepEqual([exchange.body.slice(0, 5), follower.heard.length > 0], ['ab!cd', true]);
    modular.abort(Object.assign(new Error('over')) as never);
  });
  it('is not asked for when the exchange is over, nor while the head is worked on', async () => {
    const log: string[] = [];
    const [exchange, modular] = await begin([kind('a', holding('1', log))]);
    modular.sendData(bytes('ab'));
    exchange.close(null);
    await settle();
    assert.deepEqual(log, []);
  });
  it('is asked for in requests as well, by a handler that has paused when it goes on', async () => {
    const log: string[] = [];
    const exchange = new FakeExchange(requestHead('POST', '/'), -1);
    const modular = serve(exchange, [kind('a', holding('1', log)), kind('b', holding('2', log))]);
    const follower = new Follower();
    modular.follow(follower);
    await modular.filterRequest();
    modular.onRequestData(bytes('ab'));
    modular.onRequestData(bytes('cd'));
    assert.deepEqual(follower.heard, []);
    await settle();
    assert.deepEqual([follower.heard, log], [['data abcd12'], ['1', '2']]);
    modular.onRequestData(bytes('ef'));
    modular.pauseRequest();
    await settle();
    assert.equal(follower.heard.length, 1);
    modular.resumeRequest();
    await settle();
    assert.equal(follower.heard.at(-1), 'data ef12');
    modular.onRequestData(bytes('gh'));
    modular.onRequestEnd(null);
    assert.deepEqual([follower.heard.slice(2), log.length], [['data gh12', 'end'], 4]);
  });
  it('ends the exchange where asking fails', async () => {
    const failing = kind('failing', {
      responseBodyFilter: (chunk) => chunk,
      responseBodyFlush: () => {
        throw new Error('broken');
      },
    });
    const [exchange, modular] = await begin([failing]);
    modular.sendData(bytes('ab'));
    await settle();
    assert.equal(exchange.error?.reason, 'MODULE_THREW');
  });
  it('comes out whole and in order, however bursts fall', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.string({ minLength: 1, unit: 'grapheme-ascii' }), fc.boolean()), { maxLength: 12 }),
        async (pieces) => {
          const [exchange, modular] = await begin([
            kind('a', holding('')),
            kind('slow', { responseBodyFilter: async (chunk) => chunk }),
            kind('b', holding('')),
          ]);
          let sent = '';
          for (const [piece, pauses] of pieces) {
            modular.sendData(bytes(piece));
            sent += piece;
            if (!pauses) continue;
            await settle();
            assert.equal(exchange.body, sent);
          }
          modular.sendEnd();
          await settle();
          assert.deepEqual([exchange.body, exchange.isClosed], [sent, true]);
        },
      ),
      { numRuns: 100 },
    );
  });
});
