/** The connections of one application: accepting, shedding, draining, closing. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HeaderMap } from '@ferrata/headers';
import { HttpEnvironment, HttpServer, resolveHttp1ClientOptions, resolveHttp1ServerOptions, respond } from '@ferrata/http';
import { echoTarget, get, ServerRig, settle } from './rig.ts';

describe('a server at its limit of connections', () => {
  it('closes the longest-standing idle one for a new one', async () => {
    const rig = new ServerRig({ maxConnections: 2 });
    const busy = rig.connect();
    await busy.send(get());
    const idle = rig.connect();
    const fresh = rig.connect();
    await settle();
    assert.equal(idle.sink.isClosed, true);
    assert.equal(busy.sink.isClosed, false);
    assert.equal(rig.server.connectionCount, 2);
    rig.onRequest = echoTarget;
    assert.match(await fresh.send(get()), /200 OK/);
  });

  it('refuses the new one if none is idle', async () => {
    const rig = new ServerRig({ maxConnections: 1 });
    const busy = rig.connect();
    await busy.send(get());
    const refused = rig.connect();
    await settle();
    assert.equal(refused.sink.isClosed, true);
    assert.equal(rig.server.connectionCount, 1);
  });

  it('closes none of whose last answer a part has not gone out', async () => {
    const rig = new ServerRig({ maxConnections: 1 });
    rig.onRequest = (exchange) => respond(exchange, 200, { body: 'whole' });
    const slow = rig.connect();
    slow.stream.pause();
    await slow.send(get());
    const second = rig.connect();
    await settle();
    assert.deepEqual([second.sink.isClosed, rig.server.shedCount], [true, 1]);
    slow.stream.resume();
    await settle();
    assert.match(slow.received, /whole$/);
    rig.connect();
    await settle();
    assert.equal(slow.sink.isClosed, true);
  });

  it('finds an idle one behind a crowd of busy ones', async () => {
    const rig = new ServerRig({ maxConnections: 1_500 });
    for (let at = 0; at < 1_499; at++) rig.connect().stream.write(new TextEncoder().encode(get()));
    const idle = rig.connect();
    await settle();
    rig.connect();
    const second = rig.connect();
    await settle();
    assert.equal(idle.sink.isClosed, true);
    assert.equal(second.sink.isClosed, false);
    assert.equal(rig.server.connectionCount, 1_500);
    rig.server.close();
  });
});

describe('a draining server', () => {
  it('keeps idle connections for requests on their way, answers these with Connection: close, then closes', async () => {
    const rig = new ServerRig();
    rig.onRequest = echoTarget;
    const asking = rig.connect();
    const idle = rig.connect();
    await idle.send(get());
    let cut = -1;
    const drained = rig.server.drain(10_000).then((count) => (cut = count));
    await rig.advance(2_900);
    assert.equal(idle.sink.hasEnded, false);
    assert.match(await asking.send(get()), /Connection: close/);
    assert.equal(asking.sink.hasEnded, true);
    await asking.end();
    await rig.advance(110);
    assert.equal(idle.sink.hasEnded, true);
    await idle.end();
    await drained;
    assert.equal(cut, 0);
    assert.equal(rig.armed, 0);
  });

  it('finishes running exchanges, and after one whose head had promised to go on waits for the request on its way', async () => {
    for (const asksAgain of [true, false]) {
      const rig = new ServerRig({ drainIdleMs: 100 });
      const before = rig.connect();
      await before.send(get());
      rig.last.exchange.sendHead({ status: 200, reason: 'OK', version: 11, headers: new HeaderMap() }, 0);
      const drained = rig.server.drain(10_000);
      await rig.advance(5_000);
      rig.last.exchange.sendEnd();
      await rig.advance(90);
      assert.equal(before.sink.hasEnded, false);
      rig.onRequest = echoTarget;
      if (asksAgain) assert.match(await before.send(get('/next')), /Connection: close\r\n[^]*\/next$/);
      else await rig.advance(20);
      assert.equal(before.sink.hasEnded, true);
      await before.end();
      assert.equal(await drained, 0);
    }
  });

  it('does not count those as cut that are idle when the grace is over: nothing of them is lost', async () => {
    const rig = new ServerRig();
    const download = rig.connect();
    await download.send(get());
    const { exchange } = rig.last;
    exchange.sendHead({ status: 200, reason: 'OK', version: 11, headers: new HeaderMap() }, 0);
    const drained = rig.server.drain(10_000);
    await rig.advance(9_000);
    exchange.sendEnd();
    await rig.advance(1_010);
    assert.equal(await drained, 0);
    assert.equal(download.sink.isClosed, true);
    rig.assertEmpty();
  });

  it('counts those as cut of whose last answer a part has not gone out by then', async () => {
    const rig = new ServerRig();
    const slow = rig.connect();
    await slow.send(get());
    const { exchange } = rig.last;
    exchange.sendHead({ status: 200, reason: 'OK', version: 11, headers: new HeaderMap() }, 1_000);
    await settle();
    slow.stream.pause();
    const drained = rig.server.drain(10_000);
    await rig.advance(9_000);
    exchange.sendData(new Uint8Array(1_000));
    exchange.sendEnd();
    await rig.advance(1_010);
    assert.equal(await drained, 1);
  });

  it('bounds the time of idle connections by the grace for those accepted meanwhile, too, and never prolongs it', async () => {
    const rig = new ServerRig();
    rig.onRequest = echoTarget;
    const idle = rig.connect();
    await idle.send(get());
    const drained = rig.server.drain(1_000);
    const late = rig.connect();
    void rig.server.drain(60_000);
    await rig.advance(510);
    assert.deepEqual([idle.sink.hasEnded, late.sink.hasEnded], [true, true]);
    await Promise.all([idle.end(), late.end()]);
    assert.equal(await drained, 0);
  });

  it('wakes up no more often than needed while a head comes slowly', async () => {
    const rig = new ServerRig({ drainIdleMs: 0 });
    const client = rig.connect();
    await client.send('GET');
    const drained = rig.server.drain(60_000);
    let wakes = 0;
    const { clock } = rig;
    while (clock.now() < 10_000 && wakes < 50) {
      const before = clock.now();
      await rig.advance(500);
      wakes++;
      assert.ok(clock.now() > before);
    }
    assert.match(client.received, /^HTTP\/1\.1 408/);
    await client.end();
    assert.equal(await drained, 0);
  });

  it('serves what is accepted meanwhile, and cuts what is left after the grace', async () => {
    const rig = new ServerRig();
    await rig.connect().send(get());
    const drained = rig.server.drain(5_000);
    const late = rig.connect();
    await late.send(get());
    respond(rig.last.exchange, 200);
    await settle();
    assert.match(late.received, /Connection: close/);
    await late.end();
    await rig.advance(5_010);
    assert.equal(await drained, 1);
    assert.equal(rig.followers[0]?.closes[0]?.reason, 'SERVER_CLOSED');
    rig.assertEmpty();
  });

  it('ends idle connections halfway through a short grace, so that none of them has to be cut', async () => {
    const rig = new ServerRig();
    rig.onRequest = echoTarget;
    const idle = rig.connect();
    await idle.send(get());
    const drained = rig.server.drain(1_000);
    await rig.advance(510);
    assert.equal(idle.sink.hasEnded, true);
    await idle.end();
    assert.equal(await drained, 0);
  });

  it('leaves a lingering connection its own time', async () => {
    const rig = new ServerRig();
    rig.onRequest = (exchange) => respond(exchange, 200, { headers: { Connection: 'close' } });
    await rig.connect().send(get());
    const drained = rig.server.drain(10_000);
    await rig.advance(2_010);
    assert.equal(rig.server.connectionCount, 0);
    assert.equal(await drained, 0);
  });

  it('ends at once without connections, and both drains end with the shorter grace', async () => {
    assert.equal(await new ServerRig().server.drain(1_000), 0);
    const rig = new ServerRig();
    await rig.connect().send(get());
    const long = rig.server.drain(60_000);
    const short = rig.server.drain(1_000);
    await rig.advance(1_010);
    assert.equal(await short, 1);
    assert.equal(await long, 0);
    assert.equal(rig.armed, 0);
    await assert.rejects(rig.server.drain(-1), RangeError);
  });
});

describe('a closed server', () => {
  it('has cut everything, and takes no stream any more', async () => {
    const rig = new ServerRig();
    const busy = rig.connect();
    await busy.send(get());
    await rig.server[Symbol.asyncDispose]();
    await settle();
    assert.equal(busy.sink.isClosed, true);
    assert.equal(rig.last.closes.length, 1);
    const late = rig.connect();
    await settle();
    assert.equal(late.sink.isClosed, true);
    rig.assertEmpty();
  });
});

describe('options and answers', () => {
  it('refuse nonsense', () => {
    const application = { onRequest: () => assert.fail() };
    assert.throws(() => new HttpServer(application, { maxConnections: 0 }), /maxConnections/);
    assert.throws(() => new HttpServer(application, { drainIdleMs: Number.NaN }), /drainIdleMs/);
    assert.throws(() => resolveHttp1ServerOptions({ lingerTimeoutMs: 0 }), /lingerTimeoutMs/);
    assert.throws(() => resolveHttp1ClientOptions({ writeTimeoutMs: -1 }), /writeTimeoutMs/);
    const environment = new HttpEnvironment();
    assert.equal(new HttpEnvironment({ deadlines: environment.deadlines }).clock, environment.clock);
    assert.equal(new HttpServer(application).connectionCount, 0);
  });

  it("of a whole body leave the caller's fields as they were", async () => {
    const rig = new ServerRig();
    const shared = HeaderMap.from({ 'X-A': '1' });
    const typed = HeaderMap.from({ 'content-type': 'text/html' });
    rig.onRequest = (exchange) => respond(exchange, 200, { headers: exchange.request.target === '/' ? shared : typed, body: 'x' });
    const received = await rig.connect().send(get() + get('/typed'));
    assert.match(received, /X-A: 1\r\nContent-Type: text\/plain; charset=utf-8\r\n[^]*content-type: text\/html\r\n/);
    assert.equal(shared.size, 1);
    rig.onRequest = (exchange) => respond(exchange, 204);
    assert.match(await rig.connect().send(get()), /^HTTP\/1\.1 204 No Content\r\nDate: [^\r]*\r\n\r\n$/);
  });
});
