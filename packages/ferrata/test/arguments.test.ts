import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { help, parseCommand } from '../src/arguments.ts';
import { formatUrl } from '../src/urls.ts';
import { UsageError } from '../src/usage-error.ts';

function reverse(...rest: string[]) {
  const command = parseCommand(['reverse', '--listen', 'http://127.0.0.1:8080', '--to', 'http://127.0.0.1:3000', ...rest]);
  assert.equal(command.kind, 'reverse');
  return command.kind === 'reverse' ? command.arguments : assert.fail();
}

test('the defaults are those of the table of limits', () => {
  const { connectTimeoutMs, readTimeoutMs, idleTimeoutMs, maxHeaderBytes, hasAccessLog, isTest, configFile, server } = reverse();
  assert.deepEqual(
    { connectTimeoutMs, readTimeoutMs, idleTimeoutMs, maxHeaderBytes, hasAccessLog, isTest, configFile, server },
    {
      connectTimeoutMs: 3_000,
      readTimeoutMs: 60_000,
      idleTimeoutMs: 60_000,
      maxHeaderBytes: 32_768,
      hasAccessLog: false,
      isTest: false,
      configFile: null,
      // What is not written stands in a file, or has the default of the command.
      server: {},
    },
  );
});

test('addresses are IPv4, IPv6, names and Unix sockets, any number of each', () => {
  const command = parseCommand([
    'reverse',
    '--listen',
    'http://127.0.0.1:8080',
    '--listen',
    'http://[::1]:0',
    '--listen',
    'http://unix:/run/a.sock',
    '--to',
    'http://localhost',
    '--to',
    'http://[::1]:9000/',
    '--to',
    'HTTP://origin.example:81',
  ]);
  assert.ok(command.kind === 'reverse');
  assert.deepEqual(command.arguments.listen.map(formatUrl), ['http://127.0.0.1:8080', 'http://[::1]:0', 'http://unix:/run/a.sock']);
  assert.equal(formatUrl({ kind: 'unset' }), 'http://-');
  assert.deepEqual(command.arguments.to.map(formatUrl), ['http://localhost:80', 'http://[::1]:9000', 'http://origin.example:81']);
});

test('https:// has port 443, certificates come in pairs, origins are verified', () => {
  const command = parseCommand([
    'reverse',
    '--listen',
    'https://[::1]',
    '--listen',
    'HTTPS://unix:/run/a.sock',
    '--to',
    'https://origin.example',
    '--to',
    'https://a:8443/',
    '--cert',
    'a.pem',
    '--key',
    'a-key.pem',
    '--key',
    'b-key.pem',
    '--cert',
    'b.pem',
  ]);
  assert.ok(command.kind === 'reverse');
  const { listen, to, certificates, isVerifying, caFiles } = command.arguments;
  assert.deepEqual(listen.map(formatUrl), ['https://[::1]:443', 'https://unix:/run/a.sock']);
  assert.deepEqual(to.map(formatUrl), ['https://origin.example:443', 'https://a:8443']);
  assert.deepEqual(
    to.map(({ protocol }) => protocol),
    ['auto', 'auto'],
  );
  assert.deepEqual(certificates, [
    { certificateFile: 'a.pem', keyFile: 'a-key.pem' },
    { certificateFile: 'b.pem', keyFile: 'b-key.pem' },
  ]);
  assert.deepEqual([isVerifying, caFiles], [true, []]);
  const off = parseCommand(['reverse', '--listen', 'http://a:1', '--to', 'https://a:2', '--no-verify']);
  assert.equal(off.kind === 'reverse' && off.arguments.isVerifying, false);
  const own = parseCommand(['reverse', '--listen', 'http://a:1', '--to', 'https://a:2', '--ca', 'ca.pem', '--ca', 'b.pem']);
  assert.deepEqual(own.kind === 'reverse' && own.arguments.caFiles, ['ca.pem', 'b.pem']);
});

test('an option with one value is written once; a switch may be written again', () => {
  const both = ['reverse', '--listen', 'http://a:1', '--to', 'http://a:2'];
  for (const [option, value] of [
    ['--threads', '1'],
    ['--grace', '1s'],
    ['--connect-timeout', '1s'],
  ] as const)
    assert.throws(() => parseCommand([...both, option, value, option, value]), {
      name: 'UsageError',
      message: new RegExp(`^${option} is written twice`),
    });
  assert.equal(parseCommand([...both, '--access-log', '--access-log']).kind, 'reverse');
  assert.throws(() => parseCommand(['cert', 'dev', 'a.test', '--days', '1', '--days', '2']), /UsageError: --days is written twice/);
});

test('ferrata cert: its own arguments, and its own help', () => {
  assert.equal(parseCommand(['cert', '--help']).kind, 'certHelp');
  assert.equal(parseCommand(['cert', 'dev', '-h']).kind, 'certHelp');
  const command = parseCommand(['cert', 'dev', 'localhost']);
  assert.deepEqual(command.kind === 'cert' && command.arguments.names, ['localhost']);
  assert.throws(() => parseCommand(['cert']), UsageError);
});

test('times take a unit, and are seconds without one', () => {
  assert.equal(reverse('--connect-timeout', '250ms').connectTimeoutMs, 250);
  assert.equal(reverse('--read-timeout', '1.5s').readTimeoutMs, 1_500);
  assert.equal(reverse('--idle-timeout', '2m').idleTimeoutMs, 120_000);
  assert.equal(reverse('--grace', '5').server.graceMs, 5_000);
});

test('what is for the server, whatever it serves: a number of a user is a number, names are names, and nothing is empty', () => {
  const { server, isTest, configFile } = reverse(
    '--threads',
    '2',
    '--pid-file',
    '/run/a.pid',
    '--admin',
    '127.0.0.1:9000',
    '--user',
    '33',
    '--group',
    'www-data',
    '--conf',
    'a.yaml',
    '--test',
  );
  assert.deepEqual(
    [server, isTest, configFile],
    [{ threads: 2, pidFile: '/run/a.pid', admin: '127.0.0.1:9000', user: 33, group: 'www-data' }, true, 'a.yaml'],
  );
  for (const option of ['--pid-file', '--admin', '--user', '--group', '--conf'])
    assert.throws(() => reverse(`${option}=`), new RegExp(`UsageError: ${option} needs a value`));
});

test('origins may speak HTTP/2, each for itself', () => {
  const { to, upstreamStreams, upstreamConnections } = reverse('--to', 'h2c://10.0.0.1:9000/', '--to', 'H2C://unix:/run/app.sock');
  assert.deepEqual(to.map(formatUrl), ['http://127.0.0.1:3000', 'h2c://10.0.0.1:9000', 'h2c://unix:/run/app.sock']);
  assert.deepEqual([upstreamStreams, upstreamConnections], [100, undefined]);
  assert.equal(reverse('--upstream-streams', '7').upstreamStreams, 7);
  assert.equal(reverse('--upstream-connections', '2').upstreamConnections, 2);
});

test('each --to belongs to the --route before it, and to / before any', () => {
  const { to, routes } = reverse(
    '--to',
    'http://a:1',
    '--route',
    '/api',
    '--to',
    'h2c://b:1',
    '--to',
    'https://c',
    '--route',
    '/x',
    '--to',
    'http://d:1',
  );
  assert.deepEqual(to.map(formatUrl), ['http://127.0.0.1:3000', 'http://a:1']);
  assert.deepEqual(
    routes.map(({ prefix, to: origins }) => [prefix, ...origins.map(formatUrl)]),
    [
      ['/api', 'h2c://b:1', 'https://c:443'],
      ['/x', 'http://d:1'],
    ],
  );
  const last = parseCommand([
    'reverse',
    '--listen',
    'http://a:1',
    '--route',
    '/api',
    '--to',
    'http://b:1',
    '--route',
    '/',
    '--to',
    'http://c:1',
  ]);
  assert.ok(last.kind === 'reverse');
  assert.deepEqual(last.arguments.to.map(formatUrl), ['http://c:1'], 'a route for / is the same as --to in front');
  assert.deepEqual(
    last.arguments.routes.map(({ prefix }) => prefix),
    ['/api'],
  );
  const only = parseCommand(['reverse', '--route', '/api', '--to', 'http://b:1', '--listen', 'http://a:1']);
  assert.ok(only.kind === 'reverse');
  assert.deepEqual([only.arguments.to, only.arguments.routes.length], [[], 1]);
});

test('with a file of routes there need be no --to', () => {
  const command = parseCommand(['reverse', '--listen', 'http://a:1', '--route-file', 'routes.yaml', '--no-verify']);
  assert.ok(command.kind === 'reverse');
  assert.deepEqual([command.arguments.routeFile, command.arguments.to], ['routes.yaml', []]);
});

test('changes of fields are kept in their order', () => {
  const { headerUp, headerDown } = reverse('--header-up', 'A: 1', '--header-down', '-Server', '--header-up=-B', '--header-up', '+C: x: y');
  assert.deepEqual([headerUp, headerDown], [['A: 1', '-B', '+C: x: y'], ['-Server']]);
  assert.deepEqual([reverse().headerUp, reverse().headerDown], [[], []]);
});

test('--compress stands alone, or with a list in which the favourite is first', () => {
  assert.equal(reverse().compress, null);
  assert.deepEqual(reverse('--compress').compress, ['zstd', 'br', 'gzip']);
  assert.deepEqual(reverse('--compress', '--access-log').compress, ['zstd', 'br', 'gzip']);
  assert.deepEqual(reverse('--compress', 'gzip').compress, ['gzip']);
  assert.deepEqual(reverse('--compress=gzip, BR').compress, ['gzip', 'br']);
  assert.equal(parseCommand(['--compress', 'reverse', '--listen', 'http://a:1', '--to', 'http://b:1']).kind, 'reverse');
});

test('streams to an origin have two names, retries one', () => {
  assert.equal(reverse('--h2-upstream-streams', '9').upstreamStreams, 9);
  assert.deepEqual([reverse().retries, reverse('--retries', '0').retries, reverse('--retries', '7').retries], [1, 0, 7]);
});

test('PROXY headers are read from those who are trusted, and written for all', () => {
  const of = (...rest: string[]) => {
    const { proxyProtocol, proxyProtocolFrom } = reverse(...rest);
    return [proxyProtocol, ...proxyProtocolFrom];
  };
  assert.deepEqual(of(), [null]);
  assert.deepEqual(of('--proxy-protocol', 'out'), ['out']);
  const from = ['--proxy-protocol-from', '10.0.0.0/8,::1', '--proxy-protocol-from', '192.0.2.1'];
  assert.deepEqual(of('--proxy-protocol', 'both', ...from), ['both', '10.0.0.0/8', '::1', '192.0.2.1']);
  assert.deepEqual(of('--proxy-protocol', 'in', '--proxy-protocol-from', 'all'), ['in', 'all']);
});

const both = ['reverse', '--listen', 'http://a:1', '--to', 'http://a:2'] as const;

const wrong: readonly (readonly [name: string, argv: readonly string[], says: RegExp])[] = [
  ['no command', [], /say what to do: ferrata reverse --listen/],
  ['an unknown command', ['forward'], /there is no command 'forward'; write: ferrata reverse/],
  ['no listener', ['reverse', '--to', 'http://a:1'], /--listen http:\/\/127\.0\.0\.1:8080/],
  ['no origin', ['reverse', '--listen', 'http://127.0.0.1:1'], /--to http:\/\/127\.0\.0\.1:3000/],
  ['a stray word', ['reverse', 'http://a:1'], /'http:\/\/a:1' belongs to no option/],
  ['an unknown option', ['reverse', '--lisen', 'x'], /--lisen.*ferrata --help/],
  ['an option without its value', ['reverse', '--listen'], /--listen.*ferrata --help/],
  [
    'an option before another in place of its value',
    [...both, '--retries', '-1'],
    /^--retries needs a value; one that begins with a minus sign is written --retries=VALUE; ferrata --help/,
  ],
  [
    'TLS without a certificate',
    ['reverse', '--listen', 'https://127.0.0.1:1', '--to', 'http://a:1'],
    /--listen https:\/\/127\.0\.0\.1:1: .*--cert FILE --key FILE/,
  ],
  [
    'a certificate without its key',
    ['reverse', '--listen', 'https://a:1', '--cert', 'a.pem', '--cert', 'b.pem', '--key', 'a-key.pem', '--to', 'http://a:2'],
    /2 of the one and 1 of the other; write --cert FILE --key FILE/,
  ],
  [
    'a certificate without a name',
    ['reverse', '--listen', 'https://a:1', '--cert', '', '--key', 'k', '--to', 'http://a:2'],
    /need the name of a file/,
  ],
  [
    'a certificate without a listener',
    ['reverse', '--listen', 'http://a:1', '--cert', 'c', '--key', 'k', '--to', 'http://a:2'],
    /are for https:\/\/ listeners.*write --listen https:/,
  ],
  [
    '--ca without an https origin',
    ['reverse', '--listen', 'http://a:1', '--to', 'http://a:2', '--ca', 'x'],
    /--ca is for https:\/\/ origins/,
  ],
  ['an empty --ca', ['reverse', '--listen', 'http://a:1', '--to', 'https://a:2', '--ca', ''], /--ca needs the name of a file/],
  [
    '--no-verify without an https origin',
    ['reverse', '--listen', 'http://a:1', '--to', 'h2c://a:2', '--no-verify'],
    /--no-verify is for https:\/\/ origins/,
  ],
  [
    '--no-verify with --ca',
    ['reverse', '--listen', 'http://a:1', '--to', 'https://a:2', '--no-verify', '--ca', 'x'],
    /--no-verify and --ca contradict each other/,
  ],
  [
    'two listeners of one place',
    ['reverse', '--listen', 'http://a:1', '--listen', 'https://a:1', '--cert', 'c', '--key', 'k', '--to', 'http://a:2'],
    /--listen https:\/\/a:1: http:\/\/a:1 listens there already/,
  ],
  [
    'an https origin that is the proxy itself',
    ['reverse', '--listen', 'http://127.0.0.1:8080', '--to', 'https://127.0.0.1:8080'],
    /that is where the proxy itself listens/,
  ],
  ['a path behind https', ['reverse', '--listen', 'http://a:1', '--to', 'https://a/x'], /without '\/x'; write https:\/\/a/],
  [
    'a listener for HTTP/2',
    ['reverse', '--listen', 'h2c://a:1', '--to', 'http://a:2'],
    /write http:\/\/a:1; an http:\/\/ listener speaks both/,
  ],
  ['a path behind h2c', ['reverse', '--listen', 'http://a:1', '--to', 'h2c://a:2/x'], /without '\/x'; write h2c:\/\/a:2/],
  [
    'an HTTP/2 origin that is the proxy itself',
    ['reverse', '--listen', 'http://127.0.0.1:8080', '--to', 'h2c://127.0.0.1:8080'],
    /that is where the proxy itself listens/,
  ],
  [
    'an origin of HTTP/3',
    ['reverse', '--listen', 'http://a:1', '--to', 'h3://a'],
    /^--to h3:\/\/a: write the address as a URL of http, https or h2c, such as http/,
  ],
  [
    'a listener of another scheme',
    ['reverse', '--listen', 'ws://a:1', '--to', 'http://a'],
    /^--listen ws:\/\/a:1: .* URL of http or https, such as/,
  ],
  ['no scheme', ['reverse', '--listen', '127.0.0.1:1', '--to', 'http://a:1'], /write the address as a URL/],
  [
    'a path',
    ['reverse', '--listen', 'http://127.0.0.1:1/x', '--to', 'http://a:1'],
    /only an address, without '\/x'; write http:\/\/127\.0\.0\.1:1/,
  ],
  ['a port too high', ['reverse', '--listen', 'http://127.0.0.1:70000', '--to', 'http://a:1'], /70000/],
  [
    'the same listener twice',
    ['reverse', '--listen', 'http://127.0.0.1:1', '--listen', 'http://127.0.0.1:1', '--to', 'http://a:1'],
    /written twice/,
  ],
  ['an origin on port 0', ['reverse', '--listen', 'http://127.0.0.1:0', '--to', 'http://127.0.0.1:0'], /port 0 is only for --listen/],
  [
    'an origin that is the proxy itself',
    ['reverse', '--listen', 'http://127.0.0.1:8080', '--to', 'http://127.0.0.1:8080'],
    /that is where the proxy itself listens/,
  ],
  ['a route without an origin', [...both, '--route', '/api'], /--route \/api: say where its requests go, behind it/],
  [
    'a route without an origin before another',
    [...both, '--route', '/api', '--route', '/b', '--to', 'http://c:1'],
    /--route \/api: say where its requests go/,
  ],
  [
    'the same route twice',
    [...both, '--route', '/b', '--to', 'http://c:1', '--route', '/b', '--to', 'http://d:1'],
    /--route \/b is written twice; write it once, with all its --to/,
  ],
  ['a route for / beside --to', [...both, '--route', '/', '--to', 'http://c:1'], /a --to before any --route is for \/ already/],
  ['a prefix without a slash', [...both, '--route', 'api', '--to', 'http://c:1'], /--route api: a prefix begins with a slash/],
  ['a prefix with a slash behind', [...both, '--route', '/api/', '--to', 'http://c:1'], /--route \/api\/: .*write \/api$/],
  ['a prefix with a star', [...both, '--route', '/api/*', '--to', 'http://c:1'], /all that lies below; write \/api$/],
  ['a prefix with dots', [...both, '--route', '/a/..', '--to', 'http://c:1'], /none that are \. or \.\./],
  ['an origin of a route on port 0', [...both, '--route', '/b', '--to', 'http://c:0'], /--to http:\/\/c:0: port 0 is only for --listen/],
  [
    'an origin of a route that is the proxy itself',
    [...both, '--route', '/b', '--to', 'http://a:1'],
    /that is where the proxy itself listens/,
  ],
  ['an empty --route-file', [...both, '--route-file='], /--route-file needs a value/],
  [
    'a field without a colon',
    [...both, '--header-up', 'X-A'],
    /--header-up "X-A": there is no colon in it; write 'Name: value', or '-X-A'/,
  ],
  ['a field that is removed with a value', [...both, '--header-down=-X-A: 1'], /a field is removed by its name alone; write '-X-A'/],
  ['a pseudo-field that is removed', [...both, '--header-up=-:path'], /"" is no name of a field/],
  [
    'a field without a colon that may be a secret',
    [...both, '--header-up', 'Authorization s3cret'],
    /^--header-up "Authorization": [^3]*$/,
  ],
  ['a name that is none', [...both, '--header-up', 'X A: 1'], /"X A" is no name of a field/],
  ['a pseudo-field', [...both, '--header-up', ':path: /'], /"" is no name of a field/],
  ['a field of the connection', [...both, '--header-up', 'connection: close'], /connection belongs to one connection/],
  ['a field of the framing', [...both, '--header-down', 'Content-Length: 1'], /Content-Length says how a message is framed/],
  ['the end of a line in a value', [...both, '--header-up', 'X-A: a\r\nX-B: b'], /has a character that no field may have.*U\+000D/],
  ['NUL in a value', [...both, '--header-down', 'X-A: \0'], /U\+0000/],
  ['a value beyond ASCII', [...both, '--header-up', 'X-A: é'], /U\+00E9/],
  ['a Host that is removed', [...both, '--header-up=-Host'], /a request has one Host/],
  ['a Host that is none', [...both, '--header-up', 'Host: a/b'], /"a\/b" is no host/],
  ['an empty Host', [...both, '--header-up', 'Host:'], /"" is no host/],
  ['a coding that is none', [...both, '--compress', 'gzip,lzma'], /--compress gzip,lzma: write a list of gzip, br and zstd, or nothing/],
  ['a coding twice', [...both, '--compress=br,br'], /a coding is in it twice/],
  ['a stray word behind --compress', [...both, '--compress', 'http://a:1'], /--compress http:\/\/a:1: write a list/],
  [
    'the streams by both names',
    [...both, '--h2-upstream-streams', '1', '--upstream-streams', '1'],
    /are the same option; write one of them/,
  ],
  ['PROXY headers on no side', [...both, '--proxy-protocol', 'yes'], /--proxy-protocol yes: write in .*, out .* or both/],
  [
    'PROXY headers from nobody',
    [...both, '--proxy-protocol', 'in'],
    /say whose headers are believed.*--proxy-protocol-from 10\.0\.0\.0\/8/,
  ],
  [
    'PROXY headers from somebody to origins',
    [...both, '--proxy-protocol', 'out', '--proxy-protocol-from', '::1'],
    /write --proxy-protocol in with it/,
  ],
  [
    'a range that is none',
    [...both, '--proxy-protocol', 'in', '--proxy-protocol-from', '10.1.2.3/8'],
    /--proxy-protocol-from 10\.1\.2\.3\/8: bits behind its prefix.*write a range such as/,
  ],
  [
    'PROXY headers by a Unix socket from a range',
    ['reverse', '--listen', 'http://unix:/a', '--to', 'http://b', '--proxy-protocol', 'in', '--proxy-protocol-from', '::1'],
    /^--listen http:\/\/unix:\/a: .*write --proxy-protocol-from all$/,
  ],
  ['everybody and somebody', [...both, '--proxy-protocol', 'in', '--proxy-protocol-from', 'all,::1'], /everybody is believed then/],
  ['a bare IPv6 address', ['reverse', '--listen', 'http://::1:80', '--to', 'http://a:1'], /brackets/],
];

for (const [name, argv, says] of wrong) {
  test(`${name} gets a sentence that says what to write`, () => {
    assert.throws(
      () => parseCommand(argv),
      (error) => error instanceof UsageError && says.test(error.message),
    );
  });
}

for (const [option, value] of [
  ['--grace', 'soon'],
  ['--grace', '0'],
  ['--grace', '-1s'],
  ['--connect-timeout', '3 s'],
  ['--read-timeout', '25h'],
  ['--max-header-bytes', '1'],
  ['--max-header-bytes', '1e9'],
  ['--upstream-streams', '0'],
  ['--h2-upstream-streams', '10001'],
  ['--upstream-connections', 'many'],
  ['--retries', '-1'],
  ['--retries', '101'],
  ['--threads', '0'],
  ['--threads', '1.5'],
  ['--threads', '257'],
] as const) {
  test(`${option}=${value} is refused with an example or a range`, () => {
    assert.throws(
      () => reverse(`${option}=${value}`),
      (error) => error instanceof UsageError && /write a (time|whole number)/.test(error.message),
    );
  });
}

test('every option of the help stands in the table of the README, and the other way round', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const table = readme.slice(readme.indexOf('| option |'), readme.indexOf('A URL is'));
  const namesIn = (text: string): string[] => [...new Set(text.match(/--[a-z][a-z0-9-]*/g))].toSorted();
  const told = help.slice(help.indexOf('--listen URL  '), help.indexOf('TIME is a number'));
  const rows = table.split('\n').map((row) => row.split('|')[1] ?? '');
  assert.deepEqual(namesIn(rows.slice(2).join('\n')), namesIn(told));
});

test('--help and --version win over everything else that is right', () => {
  assert.equal(parseCommand(['reverse', '--help']).kind, 'help');
  assert.equal(parseCommand(['-v']).kind, 'version');
});
