/** What the tests of published attacks share: an origin and a client that frame what they get by code of their own, and ways to cut bytes. */
import assert from 'node:assert/strict';
import { latin1Encode } from '@ferrata/bytes';
import { type Rig, settle, type Wire } from '../rig.ts';
import { statusOf, type WireMessage, WireReader } from '../world/wire-reader.ts';

/** What an attacker wants an origin to take for a request of its own. */
export const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: victim\r\nX-Pad: x\r\n\r\n';

/** The ways in which an attack arrives. */
export const cuts: Readonly<Record<string, (input: string) => string[]>> = {
  whole: (input) => [input],
  'head and rest': (input) => [input.slice(0, input.indexOf('\r\n\r\n') + 4), input.slice(input.indexOf('\r\n\r\n') + 4)],
  'byte by byte': (input) => input.split(''),
};

/** Sends the pieces on a new connection, each of them after all that the one before it led to. */
export async function attack(rig: Rig, pieces: readonly string[]): Promise<Wire> {
  const client = rig.connect();
  for (const piece of pieces) {
    client.send(piece);
    // One turn of the event loop delivers a piece of a memory pair; a long attack byte by byte needs no more than that.
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }
  await settle();
  return client;
}

/** An origin that answers each whole request, and remembers it. */
export class ReadingOrigin {
  /** Whole requests, of all connections. */
  readonly requests: WireMessage[] = [];
  readonly #answer: (request: WireMessage, wire: Wire) => string;
  readonly #readers: WireReader[] = [];

  constructor(answer: (request: WireMessage, wire: Wire) => string = (request) => tell(request.start[1])) {
    this.#answer = answer;
  }

  readonly serve = (wire: Wire): void => {
    const reader = new WireReader('request');
    this.#readers.push(reader);
    let readLength = 0;
    let answered = 0;
    wire.onText = () => {
      reader.feed(latin1Encode(wire.text.slice(readLength)));
      readLength = wire.text.length;
      for (; answered < reader.completeCount; answered++) {
        const request = reader.messages[answered] as WireMessage;
        this.requests.push(request);
        wire.send(this.#answer(request, wire));
      }
    };
  };

  /** Targets of the requests that were whole. */
  get targets(): readonly string[] {
    return this.requests.map((request) => request.start[1]);
  }
  /** Targets of all requests of which a head came. */
  get begunTargets(): readonly string[] {
    return this.#readers.flatMap((reader) => reader.messages.map((message) => message.start[1]));
  }
  /** What was no HTTP at all. */
  get problems(): readonly string[] {
    return this.#readers.flatMap((reader) => (reader.problem === null ? [] : [reader.problem]));
  }
}

/** A response that holds a text. */
export function tell(text: string): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`;
}

/** The final responses that a client got, in order, as it would read them; interim ones are left out. */
export function responsesOf(client: Wire, methods: readonly string[] = []): readonly WireMessage[] {
  const reader = new WireReader('response', (index) => methods[index] ?? 'GET');
  reader.feed(latin1Encode(client.text));
  if (client.hasEnded) reader.end();
  assert.equal(reader.problem, null, 'the client is sent well-framed responses');
  return reader.messages;
}

export function statusesOf(client: Wire, methods: readonly string[] = []): readonly number[] {
  return responsesOf(client, methods).map(statusOf);
}
