/**
 * Holds what answers say of their configuration together (I21): a version has one message in one process, and on one connection versions only go up.
 */
import type { AnswerWatcher } from './load.ts';
import { LoadFailure } from './tally.ts';

/** Watches the answers of a load. */
export class ConfigurationsSeen {
  /** By process and version: the message. */
  readonly #messages = new Map<string, string>();
  /** The highest version that was seen, of any process. */
  highest = 0;
  answers = 0;

  /** To be given to `startLoad`. */
  readonly watch: AnswerWatcher = ({ servedBy, config }, connection) => {
    if (servedBy === null || config === null) throw new LoadFailure('an answer does not say who made it');
    const [pid = ''] = servedBy.split('.');
    const space = config.indexOf(' ');
    const version = Number(config.slice(0, space));
    const message = config.slice(space + 1);
    this.answers++;
    if (version > this.highest) this.highest = version;
    const key = `${pid} ${version}`;
    const before = this.#messages.get(key);
    if (before === undefined) this.#messages.set(key, message);
    else if (before !== message) throw new LoadFailure('a mix: one version has two messages');
    if (version < connection.version) throw new LoadFailure('an older configuration than before on one connection');
    connection.version = version;
  };

  /** How many versions were seen. */
  get versions(): number {
    return this.#messages.size;
  }
}
