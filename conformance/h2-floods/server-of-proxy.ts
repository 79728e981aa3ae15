/**
 * `HttpProxy` between a good origin and evil ones, as a process of its own: a request for `/evil/PORT/…` goes to that port by HTTP/2, all others
 * to the good origin. Arguments: the port of the good origin, and a JSON object of options for the evil ones.
 */
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { HttpProxy } from '@ferrata/proxy';
import { type Peer, type PeerOptions, peer } from '@ferrata/upstream';
import { serve } from '../rig/serve.ts';
import { reportTo } from './behaviour.ts';

const [goodPort, json = '{}'] = process.argv.slice(2);
const options = JSON.parse(json) as PeerOptions;
const good = peer(`127.0.0.1:${goodPort ?? ''}`);
const evil = new Map<string, Peer>();
let begun = 0;
let closed = 0;

const environment = new HttpEnvironment();
const proxy = new HttpProxy(
  {
    newContext: () => {
      begun++;
      return null;
    },
    upstreamPeer: (session) => peerOf(session.request.target),
    logging: () => {
      closed++;
    },
  },
  { environment },
);
const server = new HttpServer(proxy, { environment });
const { port } = await serve(server);
reportTo(process, port, () => ({ begun, closed, connections: server.connectionCount }));

function peerOf(target: string): Peer {
  const evilPort = /^\/evil\/(\d+)\//.exec(target)?.[1];
  if (evilPort === undefined) return good;
  let found = evil.get(evilPort);
  if (found === undefined) {
    found = peer(`127.0.0.1:${evilPort}`, { protocol: 'http2', ...options });
    evil.set(evilPort, found);
  }
  return found;
}
