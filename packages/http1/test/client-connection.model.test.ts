/** The client's machine against a naive twin: only a connection with nothing open and nothing strange behind it takes a request. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ClientConnection, MessageEvent } from '@ferrata/http1';
import fc from 'fast-check';
import { bytes, request } from './machines.ts';

/** What a naive reader would say about the connection. */
interface Twin {
  state: 'idle' | 'busy' | 'over';
  isRequestOpen: boolean;
  isLast: boolean;
  requests: number;
}

const MAX_REQUESTS = 4;
const HEAD_TIMEOUT_MS = 3_000;
const FIRST_BYTE_TIMEOUT_MS = 7_000;

type Command = fc.Command<Twin, ClientConnection>;

function check(twin: Twin, machine: ClientConnection): void {
  assert.equal(machine.isReusable, twin.state === 'idle');
  assert.equal(machine.isBusy, twin.state === 'busy');
  assert.equal(machine.requestCount, twin.requests);
  assert.equal(machine.nextTimeout() === Number.POSITIVE_INFINITY, twin.state !== 'busy' || twin.isRequestOpen);
}

/** Feeds bytes. @returns true if the machine threw */
function feeds(machine: ClientConnection, input: string): boolean {
  machine.receive(bytes(input), 0);
  try {
    while (machine.nextEvent()) assert.notEqual(machine.event, MessageEvent.none);
    return false;
  } catch {
    return true;
  }
}

class Send implements Command {
  readonly #length: number;
  readonly #close: boolean;
  constructor(length: number, close: boolean) {
    this.#length = length;
    this.#close = close;
  }
  check(): boolean {
    return true;
  }
  run(twin: Twin, machine: ClientConnection): void {
    const send = (): void =>
      machine.sendHead(request('POST', '/', this.#close ? { Host: 'a', Connection: 'close' } : { Host: 'a' }), this.#length, null, 0);
    if (twin.state !== 'idle') {
      assert.throws(send, TypeError);
      return;
    }
    send();
    twin.requests++;
    twin.state = 'busy';
    twin.isRequestOpen = this.#length > 0;
    if (this.#close || twin.requests === MAX_REQUESTS) twin.isLast = true;
    check(twin, machine);
  }
  toString(): string {
    return `send(${this.#length}, ${this.#close})`;
  }
}

class Finish implements Command {
  check(twin: Twin): boolean {
    return twin.state === 'busy' && twin.isRequestOpen;
  }
  run(twin: Twin, machine: ClientConnection): void {
    machine.sendData(bytes('abc'), 0);
    machine.sendEnd(null, 0);
    twin.isRequestOpen = false;
    check(twin, machine);
  }
  toString(): string {
    return 'finish';
  }
}

class Respond implements Command {
  readonly #keeps: boolean;
  readonly #extra: string;
  constructor(keeps: boolean, extra: string) {
    this.#keeps = keeps;
    this.#extra = extra;
  }
  check(twin: Twin): boolean {
    return twin.state === 'busy';
  }
  run(twin: Twin, machine: ClientConnection): void {
    const head = `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n${this.#keeps ? '' : 'Connection: close\r\n'}\r\nok`;
    const threw = feeds(machine, head + this.#extra);
    // What follows a last answer is not looked at; what follows another one makes the connection unusable.
    assert.equal(threw, this.#keeps && this.#extra !== '');
    const isClean = this.#keeps && this.#extra === '' && !twin.isLast && !twin.isRequestOpen;
    twin.state = isClean ? 'idle' : 'over';
    check(twin, machine);
  }
  toString(): string {
    return `respond(${this.#keeps}, ${JSON.stringify(this.#extra)})`;
  }
}

/** A head that begins and does not end: the clock of heads runs, whatever was to be sent. */
class Drip implements Command {
  check(twin: Twin): boolean {
    return twin.state === 'busy';
  }
  run(twin: Twin, machine: ClientConnection): void {
    machine.receive(bytes('HTTP/1.1 102 '), 5);
    assert.equal(machine.nextEvent(), false);
    assert.equal(machine.nextTimeout(), 5 + HEAD_TIMEOUT_MS);
    machine.receive(bytes('P'), 7);
    assert.equal(machine.nextEvent(), false);
    assert.equal(machine.nextTimeout(), 5 + HEAD_TIMEOUT_MS);
    machine.receive(bytes('\r\n\r\n'), 9);
    assert.equal(machine.nextEvent(), true);
    assert.equal(machine.nextEvent(), false);
    assert.equal(machine.nextTimeout(), twin.isRequestOpen ? Number.POSITIVE_INFINITY : 9 + FIRST_BYTE_TIMEOUT_MS);
  }
  toString(): string {
    return 'drip';
  }
}

/** Time that runs out: one error, and nothing after it. */
class RunOut implements Command {
  check(twin: Twin): boolean {
    return twin.state === 'busy' && !twin.isRequestOpen;
  }
  run(twin: Twin, machine: ClientConnection): void {
    const due = machine.nextTimeout();
    assert.equal(machine.handleTimeout(due - 1), null);
    assert.equal(machine.handleTimeout(due)?.reason, 'H1_FIRST_BYTE_TIMEOUT');
    machine.receive(bytes('HTTP/1.1 200 OK\r\n'), due);
    assert.equal(machine.bufferedBytes, 0);
    twin.state = 'over';
    check(twin, machine);
  }
  toString(): string {
    return 'run out';
  }
}

class Stray implements Command {
  check(twin: Twin): boolean {
    return twin.state === 'idle';
  }
  run(twin: Twin, machine: ClientConnection): void {
    assert.equal(feeds(machine, 'H'), true);
    twin.state = 'over';
    check(twin, machine);
  }
  toString(): string {
    return 'stray';
  }
}

class Retire implements Command {
  check(): boolean {
    return true;
  }
  run(twin: Twin, machine: ClientConnection): void {
    machine.retire();
    twin.isLast = true;
    if (twin.state === 'idle') twin.state = 'over';
    check(twin, machine);
  }
  toString(): string {
    return 'retire';
  }
}

it('takes a request exactly when its twin would', () => {
  const commands = fc.commands(
    [
      fc.tuple(fc.constantFrom(0, 0, 3), fc.nat({ max: 9 })).map(([length, dice]) => new Send(length, dice === 0)),
      fc.constant(new Finish()),
      fc.tuple(fc.nat({ max: 9 }), fc.nat({ max: 9 })).map(([keeps, extra]) => new Respond(keeps !== 0, extra === 0 ? '\r\n' : '')),
      fc.nat({ max: 9 }).map((dice) => (dice === 0 ? new Stray() : new Drip())),
      fc.nat({ max: 9 }).map((dice) => (dice === 0 ? new RunOut() : new Finish())),
      fc.nat({ max: 9 }).map((dice) => (dice === 0 ? new Retire() : new Finish())),
    ],
    { maxCommands: 30 },
  );
  fc.assert(
    fc.property(commands, (run) => {
      fc.modelRun(
        (): { model: Twin; real: ClientConnection } => ({
          model: { state: 'idle', isRequestOpen: false, isLast: false, requests: 0 },
          real: new ClientConnection(0, {
            maxRequests: MAX_REQUESTS,
            maxInterimResponses: 100,
            headTimeoutMs: HEAD_TIMEOUT_MS,
            firstByteTimeoutMs: FIRST_BYTE_TIMEOUT_MS,
          }),
        }),
        run,
      );
    }),
  );
});
