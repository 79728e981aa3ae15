/** Modules for the proxy of a world, and the book of their lives (I13, I15). */
import type { HttpModule, HttpModuleKind, ModuleExchange } from '@ferrata/http-modules';
import type { TellBreach } from '../world/edge.ts';
import { tokenFrom } from '../world/messages.ts';
import type { ModuleManner } from './behaviour-plan.ts';

/** All modules that were made in a world. */
export class ModuleBook {
  readonly #tell: TellBreach;
  readonly #modules: BookedModule[] = [];

  constructor(tell: TellBreach) {
    this.#tell = tell;
  }

  get count(): number {
    return this.#modules.length;
  }

  /** Two of a kind: what the first does to a body, the second undoes. */
  kinds(manner: ModuleManner, side: string): readonly HttpModuleKind[] {
    if (manner === 'none') return [];
    return [1, 2].map((number) => ({
      name: `${side} ${number}`,
      create: (exchange) => {
        const name = `${side} ${number} of ${exchange.request.headers.get('x-token')}`;
        const module = manner === 'edits' ? new EditingModule(name, this.#tell) : new BookedModule(name, this.#tell);
        if (number === 1) module.conduct(manner, exchange);
        this.#modules.push(module);
        return module;
      },
    }));
  }

  /** I13: each was closed. */
  settle(): void {
    for (const { name, closeCount } of this.#modules)
      if (closeCount !== 1) this.#tell('I13', `the module ${name} was closed ${closeCount} times`);
  }
}

class BookedModule implements HttpModule {
  readonly name: string;
  closeCount = 0;
  readonly #tell: TellBreach;
  #manner: ModuleManner = 'idle';
  #token = 0;
  #requestFilters = 0;
  #responseFilters = 0;

  constructor(name: string, tell: TellBreach) {
    this.name = name;
    this.#tell = tell;
  }

  conduct(manner: ModuleManner, { request }: ModuleExchange): void {
    this.#manner = manner;
    this.#token = tokenFrom(request.headers.get('x-token'));
  }

  /** I15: no callback after `close`. */
  protected alive(phase: string): void {
    if (this.closeCount > 0) this.#tell('I15', `${phase} of the module ${this.name} after its end`);
  }

  requestFilter(_request: unknown, exchange: ModuleExchange): void {
    this.alive('requestFilter');
    if (++this.#requestFilters > 1) this.#tell('I15', `requestFilter of the module ${this.name} twice`);
    if (this.#token % 4 !== 1) return;
    if (this.#manner === 'answers') exchange.respond(429);
    if (this.#manner === 'throws') throw new Error('planned');
  }

  responseFilter(): void {
    this.alive('responseFilter');
    if (++this.#responseFilters > 1) this.#tell('I15', `responseFilter of the module ${this.name} twice`);
    if (this.#token % 4 === 2 && this.#manner === 'throws') throw new Error('planned');
  }

  close(): void {
    this.closeCount++;
  }
}

/** Turns every byte of a body around: two of them change nothing. */
class EditingModule extends BookedModule {
  #hasEnded = false;

  requestBodyFilter(chunk: Uint8Array | null): Uint8Array | null {
    this.alive('requestBodyFilter');
    return chunk === null ? null : turned(chunk);
  }

  responseBodyFilter(chunk: Uint8Array | null): Uint8Array | null {
    this.alive(this.#hasEnded ? 'responseBodyFilter behind its end' : 'responseBodyFilter');
    this.#hasEnded ||= chunk === null;
    return chunk === null ? null : turned(chunk);
  }
}

function turned(chunk: Uint8Array): Uint8Array {
  return chunk.map((byte) => byte ^ 0x5a);
}
