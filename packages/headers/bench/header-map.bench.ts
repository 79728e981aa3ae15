/**
 * What one request costs: recognising names, filling a map, asking it, removing hop-by-hop fields.
 *
 * Prints nanoseconds an operation, the median of fifteen rounds, and the ratio to a baseline of the same round: a `Map` from lower-case name to
 * values, or the web's `Headers`. The request is an ordinary one of a browser, with ten fields.
 */
import {
  HeaderMap,
  idOfNameCode,
  isValidHost,
  KnownHeader,
  nameCodeIn,
  nameOfNameCode,
  removeHopByHop,
  wellKnownIdOfBytes,
} from '../src/index.ts';

const lines: readonly (readonly [string, string])[] = [
  ['Host', 'www.example.com'],
  ['Connection', 'keep-alive'],
  ['Cache-Control', 'max-age=0'],
  ['Upgrade-Insecure-Requests', '1'],
  ['User-Agent', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36'],
  ['Accept', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'],
  ['Sec-Fetch-Site', 'none'],
  ['Accept-Encoding', 'gzip, deflate, br'],
  ['Accept-Language', 'en-GB,en;q=0.9'],
  ['Cookie', 'session=0123456789abcdef0123456789abcdef; theme=dark'],
];
const wire: Uint8Array = Uint8Array.from(new TextEncoder().encode(lines.map(([name]) => name).join(':')));
const view = new DataView(wire.buffer);
const starts: number[] = [];
const ends: number[] = [];
for (let at = 0; at < wire.length; at = (ends.at(-1) as number) + 1) {
  starts.push(at);
  const colon = wire.indexOf(0x3a, at);
  ends.push(colon < 0 ? wire.length : colon);
}
const names: readonly string[] = lines.map(([name]) => name);
const values: readonly string[] = lines.map(([, value]) => value);
const ids: readonly (KnownHeader | 0)[] = starts.map((start, i) => wellKnownIdOfBytes(wire, start, ends[i] as number));

const FILL_ONLY = 'fill only';

/** Results go here, so that no work can be left out; by exclusive or, as a sum would leave the small integers and cost an allocation each time. */
let sink = 0;
let kept: unknown;

function filled(): HeaderMap {
  const headers = new HeaderMap();
  for (let i = 0; i < names.length; i++) headers.appendTrusted(names[i] as string, ids[i] as KnownHeader | 0, values[i] as string);
  return headers;
}

function filledMap(): Map<string, string[]> {
  const map = new Map<string, string[]>();
  for (let i = 0; i < names.length; i++) {
    const name = (names[i] as string).toLowerCase();
    const already = map.get(name);
    if (already === undefined) map.set(name, [values[i] as string]);
    else already.push(values[i] as string);
  }
  return map;
}

const headers = filled();
const map = filledMap();
const web = new Headers(lines.map(([name, value]): [string, string] => [name, value]));
const latin1 = new TextDecoder('latin1');
const numberByName = new Map(names.map((name, i) => [name.toLowerCase(), ids[i] as number]));

interface Case {
  readonly name: string;
  /** Operations in one call of `run`. */
  readonly operations: number;
  readonly run: () => void;
  readonly baseline: { readonly name: string; readonly run: () => void };
}

const cases: readonly Case[] = [
  {
    name: 'recognise a name from bytes',
    operations: names.length,
    run() {
      for (let i = 0; i < starts.length; i++) sink ^= wellKnownIdOfBytes(wire, starts[i] as number, ends[i] as number);
    },
    baseline: {
      name: 'decode, lower-case, Map.get',
      run() {
        for (let i = 0; i < starts.length; i++)
          sink ^= numberByName.get(latin1.decode(wire.subarray(starts[i], ends[i])).toLowerCase()) ?? 0;
      },
    },
  },
  {
    name: 'recognise and name',
    operations: names.length,
    run() {
      for (let i = 0; i < starts.length; i++) {
        const code = nameCodeIn(view, starts[i] as number, ends[i] as number);
        sink ^= idOfNameCode(code) + nameOfNameCode(code).length;
      }
    },
    baseline: {
      name: 'decode, lower-case, Map.get',
      run() {
        for (let i = 0; i < starts.length; i++)
          sink ^= numberByName.get(latin1.decode(wire.subarray(starts[i], ends[i])).toLowerCase()) ?? 0;
      },
    },
  },
  {
    name: 'append a line (new map of ten)',
    operations: names.length,
    run() {
      kept = filled();
    },
    baseline: {
      name: 'Map<string, string[]>',
      run() {
        kept = filledMap();
      },
    },
  },
  {
    name: 'append a line (same map)',
    operations: names.length,
    run() {
      reused.clear();
      for (let i = 0; i < names.length; i++) reused.appendTrusted(names[i] as string, ids[i] as KnownHeader | 0, values[i] as string);
    },
    baseline: {
      name: 'Map<string, string[]>',
      run() {
        kept = filledMap();
      },
    },
  },
  {
    name: 'append a line, validated',
    operations: names.length,
    run() {
      const fresh = new HeaderMap();
      for (let i = 0; i < names.length; i++) fresh.append(names[i] as string, values[i] as string);
      kept = fresh;
    },
    baseline: {
      name: "the web's Headers",
      run() {
        const fresh = new Headers();
        for (let i = 0; i < names.length; i++) fresh.append(names[i] as string, values[i] as string);
        kept = fresh;
      },
    },
  },
  {
    name: 'getKnown, present',
    operations: 2,
    run() {
      sink ^= (headers.getKnown(KnownHeader.host) as string).length + (headers.getKnown(KnownHeader.cookie) as string).length;
    },
    baseline: {
      name: 'Map.get of lower-case literal',
      run() {
        sink ^= ((map.get('host') as string[])[0] as string).length + ((map.get('cookie') as string[])[0] as string).length;
      },
    },
  },
  {
    name: 'getKnown, absent',
    operations: 2,
    run() {
      if (headers.getKnown(KnownHeader.contentLength) !== undefined) sink++;
      if (headers.getKnown(KnownHeader.ifRange) !== undefined) sink++;
    },
    baseline: {
      name: 'Map.get of lower-case literal',
      run() {
        if (map.get('content-length') !== undefined) sink++;
        if (map.get('if-range') !== undefined) sink++;
      },
    },
  },
  {
    name: 'get by name',
    operations: 3,
    run() {
      sink ^= (headers.get('host') as string).length + (headers.get('Cookie') as string).length;
      if (headers.get('x-none') !== undefined) sink++;
    },
    baseline: {
      name: "the web's Headers",
      run() {
        sink ^= (web.get('host') as string).length + (web.get('Cookie') as string).length;
        if (web.get('x-none') !== null) sink++;
      },
    },
  },
  {
    name: 'fill, deleteKnown(cookie, accept)',
    operations: 1,
    run() {
      const fresh = filled();
      sink ^= fresh.deleteKnown(KnownHeader.cookie) + fresh.deleteKnown(KnownHeader.accept);
      kept = fresh;
    },
    baseline: {
      name: FILL_ONLY,
      run() {
        kept = filled();
      },
    },
  },
  {
    name: 'fill, removeHopByHop(keep-alive)',
    operations: 1,
    run() {
      const fresh = filled();
      removeHopByHop(fresh);
      kept = fresh;
    },
    baseline: {
      name: FILL_ONLY,
      run() {
        kept = filled();
      },
    },
  },
  {
    name: 'removeHopByHop, nothing to remove',
    operations: 1,
    run() {
      removeHopByHop(clean);
    },
    baseline: {
      name: 'seven deletes on a Map',
      run() {
        for (const name of hopByHopNames) map.delete(name);
      },
    },
  },
  {
    name: 'clone',
    operations: 1,
    run() {
      kept = headers.clone();
    },
    baseline: {
      name: 'new Map(map)',
      run() {
        kept = new Map(map);
      },
    },
  },
  {
    name: 'isValidHost',
    operations: 1,
    run() {
      if (isValidHost('www.example.com:8080')) sink++;
    },
    baseline: {
      name: 'a regular expression',
      run() {
        if (/^(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+(?::\d*)?$/.test('www.example.com:8080')) sink++;
      },
    },
  },
];

const reused = new HeaderMap();
const clean = filled();
removeHopByHop(clean);
const hopByHopNames: readonly string[] = [
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'proxy-authenticate',
];

function nanoseconds(run: () => void, calls: number): number {
  const start = performance.now();
  for (let i = 0; i < calls; i++) run();
  return ((performance.now() - start) * 1e6) / calls;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] as number;
}

/** Rounds are short and alternate, so that a busy machine slows both sides alike. */
const ROUNDS = 15;
const CALLS = 20_000;

for (const { name, operations, run, baseline } of cases) {
  nanoseconds(run, CALLS);
  nanoseconds(baseline.run, CALLS);
  const own: number[] = [];
  const base: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    own.push(nanoseconds(run, CALLS) / operations);
    base.push(nanoseconds(baseline.run, CALLS) / operations);
  }
  const [ns, baseNs] = [median(own), median(base)];
  const net = baseline.name === FILL_ONLY ? `, ${(ns - baseNs).toFixed(1)} ns more` : '';
  console.log(
    `${name.padEnd(36)} ${ns.toFixed(1).padStart(7)} ns   ${(ns / baseNs).toFixed(2).padStart(5)} × ${baseline.name} (${baseNs.toFixed(1)} ns)${net}`,
  );
}
console.log(`checksum ${sink % 997} ${String(kept).length}`);
