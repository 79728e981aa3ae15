/**
 * Bodies that are rewritten on their way: pages piece by piece, JSON as a whole: `node examples/rewrite-bodies.ts 127.0.0.1:3000 127.0.0.1:8080`.
 */
import { once } from 'node:events';
import { utf8Encode } from '@ferrata/bytes';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { compression, replaceBytes, rewriteBody, wholeBody } from '@ferrata/http-modules';
import { listen } from '@ferrata/net';
import { HttpProxy } from '@ferrata/proxy';
import { formatAddress } from '@ferrata/stream';
import { peer } from '@ferrata/upstream';

const [to = '127.0.0.1:3000', at = '127.0.0.1:8080'] = process.argv.slice(2);

/** Finds matches across the borders of pieces, and holds back no more than the beginning of one: a page of any size may come. */
const links = rewriteBody({
  name: 'links',
  direction: 'response',
  when: ({ headers }) => /^text\/html\b/i.test(headers.get('Content-Type') ?? ''),
  transform: replaceBytes('http://old.example/', 'https://new.example/'),
});

/** Collects up to 256 KiB. A password must not slip through: what is longer, compressed or a part is a 502, and what is no JSON is cut. */
const passwords = rewriteBody({
  name: 'passwords',
  direction: 'response',
  when: ({ headers }) => /^application\/(?:[\w.-]+\+)?json\b/i.test(headers.get('Content-Type') ?? ''),
  onUnreadable: 'fail',
  transform: wholeBody((body) => utf8Encode(JSON.stringify(JSON.parse(new TextDecoder().decode(body)), hidden)), { maxBytes: 262_144 }),
});

function hidden(name: string, value: unknown): unknown {
  return name === 'password' ? '***' : value;
}

const environment = new HttpEnvironment();
const origin = peer(to);
const proxy = new HttpProxy(
  { upstreamPeer: () => origin },
  // What is compressed cannot be rewritten, so the origin is asked for plain bodies; `compression` does it behind the rewriting, by what the client has said.
  { environment, modules: [links, passwords, compression()] },
);

const server = new HttpServer(proxy, { environment });
const listener = await listen(at, (stream) => server.accept(stream));
const where = formatAddress(listener.address);
console.log(`ready ${where}`);
console.log(`behind it: node examples/http-server.ts ${to}   which sends back what it gets`);
console.log(`try: curl -i --compressed --json '{ "password": "1234" }' http://${where}/`);

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await listener.close();
await server.drain(10_000);
proxy.close();
