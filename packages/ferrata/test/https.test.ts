/** TLS through the command: listeners with certificates, origins by https://, the version by ALPN on both sides. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { createSecureServer, connect as h2Connect } from 'node:http2';
import { request } from 'node:https';
import { type AddressInfo, type Socket, connect as tcpConnect } from 'node:net';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { createAuthority } from '@ferrata/dev-certificates';
import { runFerrata, startFerrata, within } from './support/command.ts';
import { exchange, httpOrigin, type Mirrored, mirror, rawOrigin, statusOf } from './support/peers.ts';
import {
  ask,
  authority,
  caFile,
  type FiledCertificate,
  file,
  folder,
  httpsOrigin,
  replace,
  type Seen,
  seen,
  tlsClient,
} from './support/tls.ts';

const execute = promisify(execFile);

const here = await file('here', ['localhost', '127.0.0.1']);
const one = await file('one', ['one.example.test']);
const wild = await file('wild', ['*.example.test']);
/** `/slow` is answered when it is told to be. */
const slow = { asked: Promise.withResolvers<void>(), mayAnswer: Promise.withResolvers<void>() };
const plain = await httpOrigin((incoming, response) => {
  if (incoming.url !== '/slow') return mirror(incoming, response);
  slow.asked.resolve();
  void slow.mayAnswer.promise.then(() => response.end('late'));
});
const secure = await httpsOrigin(here.issued);
const old = await httpsOrigin(here.issued, { isHttp1Only: true });

const listen = ['--listen', 'https://127.0.0.1:0', ...here.args];
const socketPath = join(folder, 'in.sock');

/** The command with everything that listeners have; in front of an origin without TLS, and in front of one with it. */
const [front, both] = await Promise.all([
  startFerrata(
    [plain.port],
    [...listen, ...one.args, ...wild.args, '--listen', 'http://127.0.0.1:0', '--listen', `https://unix:${socketPath}`, '--access-log'],
  ),
  startFerrata([`https://127.0.0.1:${secure.port}`], [...listen, '--ca', caFile]),
]);

/** A skip with its reason, where a program is not installed. */
function needs(program: string): { readonly skip?: string } {
  return spawnSync(program, ['--version']).error === undefined ? {} : { skip: `${program} is not installed` };
}

/** Not in the way of this process: it is the client's server at the same time. */
async function run(program: string, args: readonly string[], timeout = 60_000): Promise<string> {
  const { stdout } = await execute(program, [...args], { timeout, maxBuffer: 8 * 1_048_576 });
  return stdout;
}

/** A signal was taken: the port refuses connections. */
async function untilRefused(port: number): Promise<void> {
  for (let tries = 0; tries < 10_000; tries++) {
    const socket = tcpConnect(port, '127.0.0.1');
    const isOpen = await new Promise<boolean>((resolve) => socket.once('connect', () => resolve(true)).once('error', () => resolve(false)));
    socket.destroy();
    if (!isOpen) return;
  }
  assert.fail('it still listens');
}

describe('https:// listeners', () => {
  test('HTTP/2 and HTTP/1.1 as ALPN has it, and X-Forwarded-Proto says https', async () => {
    const ferrata = front;
    assert.match(ferrata.url, /^https:\/\/127\.0\.0\.1:[1-9]\d*$/);
    const one = JSON.parse((await ask(`${ferrata.url}/one`)).body) as Mirrored;
    assert.deepEqual([one.url, one.headers['x-forwarded-proto'], one.headers['x-forwarded-for']], ['/one', 'https', '127.0.0.1']);
    assert.equal((await ferrata.logged(({ target }) => target === '/one')).protocol, 'HTTP/1.1');

    const client = h2Connect(ferrata.url, { ca: authority.certificate });
    after(() => client.destroy());
    const stream = client.request({ ':path': '/two' });
    let text = '';
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    await within('an answer', once(stream, 'end'));
    assert.equal((JSON.parse(text) as Mirrored).headers['x-forwarded-proto'], 'https');
    const line = await ferrata.logged(({ target }) => target === '/two');
    assert.deepEqual([line.protocol, line.upstreamProtocol], ['HTTP/2', 'HTTP/1.1']);
  });

  test('beside http:// listeners, and on Unix sockets', async () => {
    const [first = '', second = '', third] = front.urls;
    assert.deepEqual([first.slice(0, 8), second.slice(0, 7), third], ['https://', 'http://', `https://unix:${socketPath}`]);
    assert.equal((await ask(first)).status, 200);
    const open = JSON.parse(await (await fetch(second, { headers: { Connection: 'close' } })).text()) as Mirrored;
    assert.equal(open.headers['x-forwarded-proto'], 'http');
    const overUnix = JSON.parse((await ask('https://localhost/', { socketPath })).body) as Mirrored;
    assert.deepEqual([overUnix.headers['x-forwarded-proto'], overUnix.headers['x-forwarded-for']], ['https', 'unknown']);
  });

  test('the certificate is chosen by the name that the client asks for: exactly, by wildcard, else the first', async () => {
    for (const [servername, certificate] of [
      ['one.example.test', one],
      ['two.example.test', wild],
      ['localhost', here],
      ['three.two.example.test', here],
      ['unknown.test', here],
      ['', here],
    ] as const) {
      const socket = await tlsClient(front.port, { servername, checkServerIdentity: () => undefined });
      assert.equal(socket.getPeerX509Certificate()?.serialNumber.toLowerCase(), certificate.issued.serialNumber, servername);
      socket.destroy();
    }
  });

  test('files that change are read again: new connections get the new certificate, open ones go on; what cannot be used changes nothing', async () => {
    const before = await file('changing', ['127.0.0.1']);
    const ferrata = await startFerrata([plain.port], ['--listen', 'https://127.0.0.1:0', ...before.args]);
    const client = h2Connect(ferrata.url, { ca: authority.certificate });
    after(() => client.destroy());
    const get = async (): Promise<number> => {
      const stream = client.request({ ':path': '/' });
      const [headers] = (await within('a response', once(stream, 'response'))) as [Record<string, number>];
      stream.resume();
      await within('its end', once(stream, 'end'));
      return headers[':status'] ?? 0;
    };
    assert.equal(await get(), 200);

    replace(before.certFile, 'nonsense');
    const told = /^ferrata: \S*changing\.pem: the new [^\n]* cannot be used, the old ones serve on: tls TLS_\w+: (?!\S*changing)[^\n]*\n/;
    await ferrata.until('a sentence about it', () => told.test(ferrata.stderr));
    assert.equal((await ask(ferrata.url)).serial, before.issued.serialNumber);

    const next = await file('changing', ['127.0.0.1']);
    await ferrata.until('the change', () => /changing\.pem.*: new connections get the new certificate\n/.test(ferrata.stderr));
    assert.equal((await ask(ferrata.url)).serial, next.issued.serialNumber);
    assert.equal(await get(), 200, 'the connection that was open goes on');
    ferrata.child.kill('SIGTERM');
    assert.equal((await within('the end of the command', ferrata.ended)).code, 0, 'no watch keeps it');
  });

  test('a handshake that fails is in the access log, with the address of the client, and harms nobody', async () => {
    const ferrata = front;
    const socket = tcpConnect(ferrata.port, '127.0.0.1').on('error', () => {});
    await once(socket, 'connect');
    const client = `127.0.0.1:${socket.localPort}`;
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const line = await ferrata.logged((logged) => logged.client === client);
    assert.deepEqual([line.protocol, line.method, line.status, line.outcome, line.attempts], [null, null, 0, 'rejected', 0]);
    assert.match(line.error ?? '', /^TLS_/);

    const gone = tcpConnect(ferrata.port, '127.0.0.1').on('error', () => {});
    await once(gone, 'connect');
    const from = `127.0.0.1:${gone.localPort}`;
    gone.write(Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc));
    // Whoever came later was served: so this one was accepted, while its address could still be asked for.
    assert.equal((await ask(ferrata.url)).status, 200);
    gone.resetAndDestroy();
    assert.match((await ferrata.logged((logged) => logged.client === from)).error ?? '', /./);
    assert.equal((await ask(ferrata.url)).status, 200);
  });
});

describe('https:// origins', () => {
  test('HTTP/2 where the origin has it, HTTP/1.1 where it has not; :scheme is https', async () => {
    const ferrata = await startFerrata(
      [`https://127.0.0.1:${secure.port}`, `https://localhost:${old.port}`],
      ['--ca', caFile, '--access-log'],
    );
    const both: Seen[] = [];
    for (const path of ['/a', '/b', '/c', '/d']) {
      const response = await fetch(`${ferrata.url}${path}`, { headers: { Connection: 'close' } });
      both.push((await response.json()) as Seen);
    }
    assert.deepEqual(
      both.map(({ version, url }) => [version, url]),
      [
        ['2.0', '/a'],
        ['1.1', '/b'],
        ['2.0', '/c'],
        ['1.1', '/d'],
      ],
    );
    assert.equal(both[0]?.headers[':scheme'], 'https');
    assert.equal(both[0]?.headers['x-forwarded-proto'], 'http');
    const lines = await Promise.all(['/a', '/b', '/c', '/d'].map((path) => ferrata.logged(({ target }) => target === path)));
    assert.deepEqual(
      lines.map(({ upstreamProtocol, reused }) => [upstreamProtocol, reused]),
      [
        ['HTTP/2', false],
        ['HTTP/1.1', false],
        ['HTTP/2', true],
        ['HTTP/1.1', true],
      ],
    );
  });

  test('who cannot prove who it is gets no request: 502, and the log says why; with --no-verify anybody will do', async () => {
    const strict = await startFerrata([`https://127.0.0.1:${secure.port}`], ['--access-log']);
    assert.equal((await fetch(`${strict.url}/strict`)).status, 502);
    const line = await strict.logged(({ target }) => target === '/strict');
    assert.deepEqual([line.error, line.outcome, line.attempts], ['TLS_CERT_UNTRUSTED', 'upstream_error', 1]);
    const elsewhere = await httpsOrigin((await file('elsewhere', ['elsewhere.test'])).issued);
    const misnamed = await startFerrata([`https://127.0.0.1:${elsewhere.port}`], ['--ca', caFile, '--access-log']);
    assert.equal((await fetch(`${misnamed.url}/named`)).status, 502);
    assert.equal((await misnamed.logged(({ target }) => target === '/named')).error, 'TLS_HOSTNAME_MISMATCH');
    const trusting = await startFerrata([`https://127.0.0.1:${elsewhere.port}`], ['--no-verify']);
    assert.equal((await fetch(trusting.url)).status, 200);
    assert.match(trusting.stderr, /^ferrata: --no-verify: [^\n]*\n$/);
  });

  test('one that cannot prove who it is costs no request while there is another, and is passed over; standard error tells of it once', async () => {
    const stranger = await httpsOrigin((await file('stranger', ['stranger.test'])).issued);
    const ferrata = await startFerrata(
      [`https://127.0.0.1:${stranger.port}`, `https://127.0.0.1:${secure.port}`],
      ['--ca', caFile, '--access-log'],
    );
    for (let round = 0; round < 6; round++)
      assert.equal((await fetch(`${ferrata.url}/${round}`, { headers: { Connection: 'close' } })).status, 200);
    await ferrata.until('all lines', () => ferrata.log.length === 6);
    const tried = ferrata.log.filter(({ attempts }) => attempts > 1).length;
    assert.ok(tried >= 1 && tried < 3, `${tried} of 6 met it`);
    assert.match(
      ferrata.stderr,
      new RegExp(`^ferrata: --to https://127\\.0\\.0\\.1:${stranger.port}: no connection: tls TLS_HOSTNAME_MISMATCH: [^\\n]*\\n$`),
    );
  });

  test('an encrypted key is told to be one, with what to do about it', async () => {
    const encrypted = join(folder, 'encrypted-key.pem');
    const key = createPrivateKey(here.issued.key);
    writeFileSync(encrypted, key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' }));
    const { code, stderr } = await runFerrata(
      'reverse',
      '--listen',
      'https://127.0.0.1:0',
      '--to',
      'http://127.0.0.1:1',
      '--cert',
      here.certFile,
      '--key',
      encrypted,
    );
    assert.equal(code, 2);
    assert.match(
      stderr,
      /--key \S+encrypted-key\.pem is encrypted, and the command asks for no passphrase: decrypt it by openssl pkey -in \S+ -out FILE\n$/,
    );
  });

  test('several --ca: each of them is trusted, an indented one, too; over Unix sockets the certificate is for localhost', async () => {
    const other = await createAuthority();
    const theirs = await httpsOrigin(await other.issue({ names: ['127.0.0.1'] }));
    const path = join(folder, 'out.sock');
    await httpsOrigin(here.issued, { path });
    const otherFile = join(folder, 'other-ca.pem');
    writeFileSync(otherFile, other.certificate.replaceAll(/^/gm, '  '));
    const ferrata = await startFerrata(
      [`https://127.0.0.1:${secure.port}`, `https://127.0.0.1:${theirs.port}`, `https://unix:${path}`],
      ['--ca', caFile, '--ca', otherFile, '--access-log'],
    );
    for (let round = 0; round < 6; round++) {
      const answer = await fetch(`${ferrata.url}/${round}`, { headers: { Connection: 'close' } });
      assert.equal(((await answer.json()) as Seen).version, '2.0');
    }
    const lines = await Promise.all([0, 1, 2].map((round) => ferrata.logged(({ target }) => target === `/${round}`)));
    assert.deepEqual(
      lines.map(({ upstream, attempts }) => [upstream, attempts]),
      [
        [`127.0.0.1:${secure.port}`, 1],
        [`127.0.0.1:${theirs.port}`, 1],
        [`unix:${path}`, 1],
      ],
    );
    assert.equal(ferrata.stderr, '');
  });

  test('--ca with a broken certificate behind a good one is told in a sentence', async () => {
    const blocks = [
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
      '-----BEGIN CERTIFICATE-----\nMIIB',
      '-----BEGIN CERTIFICATE-----\n-\n-----END CERTIFICATE-----\n',
    ];
    const ends = blocks.map((block, index) => {
      const broken = join(folder, `${index}-broken-ca.pem`);
      writeFileSync(broken, `${authority.certificate}\n${block}`);
      return runFerrata('reverse', '--listen', 'http://127.0.0.1:0', '--to', 'https://127.0.0.1:1', '--ca', broken);
    });
    for (const { code, stderr } of await Promise.all(ends)) {
      assert.equal(code, 2, stderr);
      assert.match(
        stderr,
        /^ferrata: the server could not start: --ca \S+broken-ca\.pem: there is something in it that is no certificate: [^\n]*\n$/,
      );
    }
  });

  test('an upgrade that an origin of HTTP/2 alone cannot grant is not granted, and the request is answered (RFC 9110 §7.8)', async () => {
    const { chain: cert, key } = here.issued;
    const only = createSecureServer({ allowHTTP1: false, cert, key }, (_request, response) => response.end('over HTTP/2'));
    only.on('unknownProtocol', (socket) => socket.destroy());
    await new Promise<void>((resolve) => only.listen(0, '127.0.0.1', resolve));
    let count = 0;
    const sockets = new Set<Socket>();
    only.on('connection', (socket: Socket) => {
      count++;
      sockets.add(socket.on('error', () => {}));
    });
    after(() => {
      only.close();
      for (const socket of sockets) socket.destroy();
    });
    const ferrata = await startFerrata([`https://127.0.0.1:${(only.address() as AddressInfo).port}`], ['--ca', caFile]);
    for (let round = 0; round < 4; round++) {
      const answered = await exchange(ferrata.port, 'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, close\r\nUpgrade: foo\r\n\r\n');
      assert.equal(statusOf(answered), 200);
    }
    assert.equal(count, 2, 'one that was refused, and one for all');
    assert.equal(ferrata.stderr, '');
  });

  test('U15: an origin that speaks first and without TLS, one that cuts, one that stalls: 502 or 504 with a reason, and not a byte of theirs', async () => {
    let behaves: (socket: Socket) => void = () => {};
    const origin = await rawOrigin((socket) => behaves(socket));
    const ferrata = await startFerrata([`https://127.0.0.1:${origin.port}`], ['--no-verify', '--access-log', '--connect-timeout', '500ms']);
    for (const [path, behaviour, status, reason, outcome] of [
      ['/talks', (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\ninjected'), 502, /^TLS_NOT_TLS$/, 'upstream_error'],
      ['/cuts', (socket) => socket.once('data', () => socket.destroy()), 502, /^TLS_HANDSHAKE_CUT$|^CONNECTION_/, 'upstream_error'],
      ['/stalls', (socket) => socket.resume(), 504, /^CONNECT_TOTAL_TIMEOUT$/, 'timeout'],
    ] as const satisfies readonly (readonly [string, (socket: Socket) => void, number, RegExp, string])[]) {
      behaves = behaviour;
      const response = await fetch(`${ferrata.url}${path}`, { headers: { Connection: 'close' } });
      assert.equal(response.status, status);
      assert.doesNotMatch(await response.text(), /injected/);
      const line = await ferrata.logged(({ target }) => target === path);
      assert.match(line.error ?? '', reason);
      assert.equal(line.outcome, outcome);
    }
  });

  test('TLS on both sides: an upgrade goes to an origin that would choose HTTP/2 by HTTP/1.1, and becomes a tunnel', async () => {
    secure.server.on('upgrade', (incoming: IncomingMessage, socket: TLSSocket) => {
      socket.on('error', () => {});
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${incoming.headers.upgrade}\r\n\r\n`);
      socket.pipe(socket);
    });
    assert.equal((await seen(both.url)).version, '2.0');
    const sent = request(both.url, {
      ca: authority.certificate,
      agent: false,
      headers: { Connection: 'Upgrade', Upgrade: 'echo' },
    }).end();
    const [response, socket] = (await within('a switch', once(sent, 'upgrade'))) as [{ statusCode: number }, TLSSocket];
    assert.equal(response.statusCode, 101);
    socket.write('through two layers of TLS');
    const [echoed] = (await within('the echo', once(socket, 'data'))) as [Buffer];
    assert.equal(echoed.toString(), 'through two layers of TLS');
    socket.end();
    await within('the end of the tunnel', once(socket, 'close'));
  });
});

describe('other people’s clients', () => {
  test('curl: HTTP/2, HTTP/1.1, TLS 1.2 and 1.3', needs('curl'), async () => {
    const args = ['-sS', '--cacert', caFile, '-w', '\n%{http_version}', `${both.url}/curl`];
    for (const [options, version] of [
      [['--http2'], '2'],
      [['--http1.1'], '1.1'],
      [['--tls-max', '1.2'], '2'],
      [['--tlsv1.3', '--http1.1'], '1.1'],
    ] as const) {
      const [body = '', spoken] = (await run('curl', [...options, ...args])).split('\n');
      assert.deepEqual([(JSON.parse(body) as Seen).url, spoken], ['/curl', version], options.join(' '));
    }
  });

  test('openssl s_client: verified, resumed, ALPN', needs('openssl'), async () => {
    const session = join(folder, 'session.pem');
    const args = [
      's_client',
      '-connect',
      `127.0.0.1:${front.port}`,
      '-CAfile',
      caFile,
      '-verify_return_error',
      '-verify_ip',
      '127.0.0.1',
      '-tls1_2',
    ];
    const first = await run('/bin/sh', ['-c', 'exec openssl "$@" </dev/null', 'sh', ...args, '-alpn', 'h2,http/1.1', '-sess_out', session]);
    assert.match(first, /Verify return code: 0 \(ok\)/);
    assert.match(first, /ALPN protocol: h2/);
    const again = await run('/bin/sh', ['-c', 'exec openssl "$@" </dev/null', 'sh', ...args, '-sess_in', session]);
    assert.match(again, /Reused, TLSv1\.2/);
    const refused = execute('/bin/sh', ['-c', 'exec openssl s_client -connect "$0" -tls1_1 </dev/null', `127.0.0.1:${front.port}`]);
    await assert.rejects(refused, /alert protocol version|no protocols available/);
  });

  test('Chromium loads a page over HTTP/2', needs('chromium'), async () => {
    const origin = await httpOrigin((incoming, response) => {
      response.setHeader('Content-Type', 'text/html');
      const script = '<script src="/app.js"></script>';
      if (incoming.url === '/app.js')
        response.end('document.body.append(" and a script by " + performance.getEntriesByType("navigation")[0].nextHopProtocol)');
      else response.end(`<!doctype html><title>t</title><body>a page over ${incoming.headers['x-forwarded-proto']}${script}`);
    });
    const ferrata = await startFerrata([origin.port], listen);
    const { publicKey } = new X509Certificate(here.issued.certificate);
    const pin = createHash('sha256')
      .update(publicKey.export({ type: 'spki', format: 'der' }))
      .digest('base64');
    const dom = await run('chromium', [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--disable-background-networking',
      `--user-data-dir=${join(folder, 'chromium')}`,
      `--ignore-certificate-errors-spki-list=${pin}`,
      '--dump-dom',
      `${ferrata.url}/`,
    ]);
    assert.match(dom, /a page over https.* and a script by h2/s);
  });
});

describe('what cannot work is told at the start', () => {
  const to = ['--to', 'http://127.0.0.1:1'];
  const start = (cert: string, key: string) =>
    runFerrata('reverse', '--listen', 'https://127.0.0.1:0', '--cert', cert, '--key', key, ...to);

  test('certificates that are not there, are none, or do not fit their key: exit code 2, and the file is named', async () => {
    const nonsense = join(folder, 'nonsense.pem');
    writeFileSync(nonsense, 'nonsense');
    const other: FiledCertificate = await file('other', ['localhost']);
    const tries: readonly (readonly [string, string, RegExp])[] = [
      [join(folder, 'none.pem'), here.keyFile, /none\.pem/],
      [here.certFile, join(folder, 'none-key.pem'), /none-key\.pem/],
      [nonsense, here.keyFile, /nonsense\.pem/],
      [here.certFile, other.keyFile, /here\.pem.*/],
    ];
    const ends = await Promise.all(tries.map(async ([cert, key, says]) => ({ says, ended: await start(cert, key) })));
    for (const { says, ended } of ends) {
      assert.equal(ended.code, 2, ended.stderr);
      assert.equal(ended.stdout, '');
      assert.match(ended.stderr, /^ferrata: the server could not start: tls TLS_[^\n]*\n$/);
      assert.match(ended.stderr, says);
    }
  });

  test('authorities that cannot be read, or are none: exit code 2', async () => {
    const empty = join(folder, 'empty.pem');
    const broken = join(folder, 'broken.pem');
    writeFileSync(empty, '');
    writeFileSync(broken, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
    const tries = [
      [join(folder, 'none.pem'), /--ca .*none\.pem: it cannot be read: ENOENT/],
      [empty, /--ca .*empty\.pem: there is no certificate/],
      [broken, /--ca .*broken\.pem/],
    ] as const;
    const ends = tries.map(async ([ca, says]) => ({
      says,
      ended: await runFerrata('reverse', '--listen', 'http://127.0.0.1:0', '--to', 'https://127.0.0.1:1', '--ca', ca),
    }));
    for (const { says, ended } of await Promise.all(ends)) {
      assert.deepEqual([ended.code, ended.stdout], [2, ''], ended.stderr);
      assert.match(ended.stderr, says);
    }
  });

  test('ferrata cert dev makes what reverse and curl take', async () => {
    const directory = join(folder, 'made');
    const ended = await runFerrata('cert', 'dev', 'localhost', '127.0.0.1', '--dir', directory);
    assert.equal(ended.code, 0, ended.stderr);
    assert.match(ended.stdout, /authority +.*ca\.crt \(new\)\ncertificate +.*localhost\.crt\nkey +.*localhost\.key\n/);
    assert.match(
      ended.stdout,
      /ferrata reverse --listen https:\S+ --cert \S+ --key \S+ --to \S+\ncurl --cacert \S+ https:\/\/localhost:8443\/\n$/,
    );
    const again = await runFerrata('cert', 'dev', '*.example.test', '--dir', directory);
    assert.match(again.stdout, /curl --cacert \S+ --connect-to ::127\.0\.0\.1:8443 https:\/\/www\.example\.test:8443\/\n$/);
    const client = await runFerrata('cert', 'dev', 'someone', '--client', '--dir', directory);
    assert.match(client.stdout, /curl --cacert \S+ --cert \S+someone\.crt --key \S+someone\.key https:\/\/HOST:PORT\/\n$/);
    assert.match((await runFerrata('cert', '--help')).stdout, /^ferrata cert dev: /);
    const wrong = await runFerrata('cert', 'prod', 'a');
    assert.deepEqual([wrong.code, wrong.stdout], [2, '']);
  });
});

/** Last, as it ends what the others share. */
describe('the end, over TLS', () => {
  test('SIGTERM: a running request is finished, a client that had connected before the signal may still shake hands and ask, and the command ends with 0', async () => {
    const { url, port } = front;
    const early = tcpConnect(port, '127.0.0.1').on('error', () => {});
    after(() => early.destroy());
    await once(early, 'connect');
    const running = ask(`${url}/slow`);
    await within('the request', slow.asked.promise);
    assert.equal((await ask(url)).status, 200, 'it was accepted');
    front.child.kill('SIGTERM');
    await untilRefused(port);
    const socket = await tlsClient(port, { socket: early, servername: 'localhost', ALPNProtocols: ['http/1.1'] });
    socket.setEncoding('latin1').write('GET /late HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const [text] = (await within('an answer', once(socket, 'data'))) as [string];
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
    socket.end();
    slow.mayAnswer.resolve();
    const { status, body } = await running;
    assert.deepEqual([status, body], [200, 'late']);
    assert.equal((await within('the end of the command', front.ended)).code, 0);
  });

  test('one that never shakes hands holds nothing up for long', async () => {
    const ferrata = await startFerrata([plain.port], [...listen, '--grace', '100ms']);
    const silent = tcpConnect(ferrata.port, '127.0.0.1').on('error', () => {});
    after(() => silent.destroy());
    await once(silent, 'connect');
    assert.equal((await ask(ferrata.url)).status, 200);
    ferrata.child.kill('SIGTERM');
    const { code, stderr } = await within('the end of the command', ferrata.ended);
    assert.deepEqual([code, stderr], [0, '']);
  });
});
