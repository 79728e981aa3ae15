/** Each program of this folder, run as a reader would run it. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { request } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { createAuthority } from '@ferrata/dev-certificates';
import { ask, DEADLINE_MS, start } from './programs.ts';

test('http-server.ts answers, and sends uploads back', async () => {
  const server = await start('http-server.ts', '127.0.0.1:0');
  assert.equal(await (await ask(server.address, '/')).text(), 'hello\n');
  assert.equal((await ask(server.address, '/no')).status, 404);
  const body = 'x'.repeat(1_000_000);
  assert.equal(await (await ask(server.address, '/', { method: 'POST', body })).text(), body);
  assert.equal(await server.interrupt(), 0);
});

test('reverse-proxy.ts passes requests on and logs them', async () => {
  const server = await start('http-server.ts', '127.0.0.1:0');
  const proxy = await start('reverse-proxy.ts', server.address, '127.0.0.1:0');
  assert.equal(await (await ask(proxy.address, '/')).text(), 'hello\n');
  await proxy.printed(/^200 GET \/ \d+\.\d ms/m);
  assert.equal(await proxy.interrupt(), 0);
});

test('edit-responses.ts answers some requests itself and edits the rest', async () => {
  const server = await start('http-server.ts', '127.0.0.1:0');
  const proxy = await start('edit-responses.ts', server.address, '127.0.0.1:0');
  const edited = await ask(proxy.address, '/');
  assert.equal(await edited.text(), 'HELLO\n');
  assert.equal(edited.headers.get('x-served-by'), 'ferrata');
  assert.equal(edited.headers.get('server'), null);
  const forbidden = await ask(proxy.address, '/private/x');
  assert.equal(forbidden.status, 403);
  assert.equal(await forbidden.text(), 'not from here\n');
  const bytes = await ask(proxy.address, '/reports', { method: 'POST', body: 'kept', headers: { 'Content-Type': 'application/json' } });
  assert.equal(await bytes.text(), 'kept');
  assert.equal(await proxy.interrupt(), 0);
});

test('line-protocol.ts keeps and gives back, up to so many names, and drops a peer whose line does not end', async () => {
  const store = await start('line-protocol.ts', '127.0.0.1:0');
  assert.equal(
    await talk(store.address, 'SET a one two\nGET a\nGET b\nNONSENSE\nQUIT\n'),
    'OK\none two\nNONE\nERROR write SET name value, GET name or QUIT\n',
  );
  // One name is there already; a full store still takes new values for the names that it has.
  const sets = Array.from({ length: 10_000 }, (_, index) => `SET name-${index} x\n`).join('');
  assert.match(await talk(store.address, `${sets}SET a three\nGET a\nQUIT\n`), /^(?:OK\n){9999}ERROR full\nOK\nthree\n$/);
  assert.equal(await talk(store.address, 'x'.repeat(5_000)), '');
  await store.printed(/^dropped: /m);
  assert.equal(await store.interrupt(), 0);
});

/** Sends `text` and collects what comes until the other side ends the connection. */
async function talk(address: string, text: string): Promise<string> {
  const [host = '', port = ''] = address.split(':');
  const socket = connect({ host, port: Number(port) });
  socket.on('error', () => {});
  socket.write(text);
  let received = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => (received += chunk));
  await once(socket, 'close', { signal: AbortSignal.timeout(DEADLINE_MS) });
  return received;
}

test('client-cert-echo.ts answers with the organisation and serial number of the client, over both versions, and refuses who has no certificate', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ferrata-client-cert-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const authority = await createAuthority();
  const ours = await authority.issue({ names: ['localhost'] });
  const client = await authority.issue({ names: [], commonName: 'c', organisation: 'Example, "Ltd"', use: 'client', serialNumber: '7b' });
  const files = Object.entries({ 'server.pem': ours.chain, 'key.pem': ours.key, 'ca.pem': authority.certificate }).map(([name, text]) => {
    const file = join(folder, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  });
  const server = await start('client-cert-echo.ts', '127.0.0.1:0', ...files);
  const [, port = ''] = server.address.split(':');
  const options = { host: '127.0.0.1', port: Number(port), ca: authority.certificate, servername: 'localhost' };
  const known = { ...options, cert: client.chain, key: client.key };

  const http1 = await new Promise<string>((resolve, reject) => {
    request({ ...known, agent: false }, (response) => response.setEncoding('utf8').once('data', resolve))
      .on('error', reject)
      .end();
  });
  assert.equal(http1, 'Example, "Ltd" 7b\n');
  const session = connectHttp2(`https://localhost:${port}`, known);
  const stream = session.request({ ':path': '/' }).setEncoding('utf8');
  const [http2] = (await once(stream, 'data', { signal: AbortSignal.timeout(DEADLINE_MS) })) as [string];
  assert.equal(http2, 'Example, "Ltd" 7b\n');
  session.close();
  await once(session, 'close');

  const stranger = new Promise<string>((resolve) => {
    request({ ...options, agent: false }, () => resolve('answered'))
      .on('error', (error) => resolve(error.message))
      .end();
  });
  assert.notEqual(await stranger, 'answered');
  await server.printed(/^refused: /m);
  assert.equal(await server.interrupt(), 0);
});

test('http-in-datagrams.ts answers a request by datagram with a response by datagram', async () => {
  const server = await start('http-in-datagrams.ts', '127.0.0.1:0');
  const [host = '', port = ''] = server.address.split(':');
  const socket = createSocket('udp4');
  after(() => socket.close());
  const ask = async (message: string): Promise<string> => {
    socket.send(message, Number(port), host);
    const [answer] = (await once(socket, 'message', { signal: AbortSignal.timeout(DEADLINE_MS) })) as [Buffer];
    return answer.toString();
  };
  const padding = `X-Padding: ${'x'.repeat(60)}\r\n`;
  assert.match(await ask(`GET /a HTTP/1.1\r\nHost: a\r\n${padding}\r\n`), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nGET \/a by datagram\n$/);
  assert.match(await ask(`nonsense ${padding}\r\n`), /^HTTP\/1\.1 400 /);
  // Too short for an answer, as its source may be forged.
  const stranger = createSocket('udp4');
  after(() => stranger.close());
  stranger.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n', Number(port), host);
  await server.printed(/^no answer: its \d+ bytes are too many for a question of 27/m);
  // One answer a datagram, whatever it holds; none to what is no request, nor one that would not fit.
  const one = await ask(`GET /b HTTP/1.1\r\nHost: a\r\n${padding}\r\n`.repeat(20));
  assert.equal(one.match(/by datagram/g)?.length, 1);
  socket.send(`GET /${'c'.repeat(1_200)} HTTP/1.1\r\nHost: a\r\n\r\n`, Number(port), host);
  await server.printed(/^no answer: .*RESPONSE_TOO_LONG/m);
  socket.send('', Number(port), host);
  await server.printed(/^no answer: .*NO_REQUEST/m);
  assert.equal(await server.interrupt(), 0);
});

test('custom-protocol/server.ts serves TCP, TLS and a Unix socket at once', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ferrata-custom-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const authority = await createAuthority();
  const { chain, key } = await authority.issue({ names: ['localhost'] });
  const [CERT, KEY] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  writeFileSync(CERT, chain);
  writeFileSync(KEY, key, { mode: 0o600 });
  process.env['CERT'] = CERT;
  process.env['KEY'] = KEY;
  const server = await start('custom-protocol/server.ts', '127.0.0.1:0', 'tls:127.0.0.1:0', `unix:${join(folder, 's.sock')}`);
  await server.printed(/^ready unix:/m);
  const [, port = ''] = server.address.split(':');
  const tlsPort = /^ready tls:127\.0\.0\.1:(\d+)$/m.exec(server.output())?.[1];
  const sockets = [
    connect({ host: '127.0.0.1', port: Number(port) }),
    connectTls({ host: '127.0.0.1', port: Number(tlsPort), ca: authority.certificate, servername: 'localhost' }),
    connect({ path: join(folder, 's.sock') }),
  ];
  for (const socket of sockets) {
    socket.write('*1\r\n$4\r\nPING\r\n');
    const [answer] = (await once(socket, 'data', { signal: AbortSignal.timeout(DEADLINE_MS) })) as [Buffer];
    assert.equal(answer.toString(), '+PONG\r\n');
    socket.destroy();
  }
  assert.equal(await server.interrupt(), 0);
});
