/**
 * Whether what came over the channel is a message of a generation.
 *
 * The program that serves has the channel, too (`process.send`), and may be of another version than the keeper: what is not of the right shape is dropped.
 */
import type { GenerationMessage } from './generation-messages.ts';

type Fields = Readonly<Record<string, unknown>>;

const checks: Readonly<Record<GenerationMessage['kind'], (message: Fields) => boolean>> = {
  hello: ({ protocol }) => isWhole(protocol),
  need: ({ sockets, threads }) => areSpecs(sockets) && (threads === undefined || isWhole(threads)),
  ready: ({ threads, sockets, config, fileOptions }) =>
    isWhole(threads) && areSpecs(sockets) && isPacked(config) && (fileOptions === undefined || fileOptions === null || isText(fileOptions)),
  failed: ({ why, exitCode }) => isText(why) && isWhole(exitCode),
  reloaded: ({ id, outcome, config }) => isWhole(id) && isOutcome(outcome) && isPacked(config),
  pong: ({ id }) => isWhole(id),
  phase: ({ phase }) => isText(phase),
  notice: ({ notice }) => isFields(notice) && isText(notice['text']) && ['info', 'warning', 'error'].includes(notice['severity'] as string),
  ask: ({ what, id }) => isWhole(id) && ['reload', 'upgrade', 'drain', 'descriptors'].includes(what as string),
  stopped: ({ cut }) => isWhole(cut),
};

/** Total: never throws, whatever it is given. */
export function isGenerationMessage(message: unknown): message is GenerationMessage {
  if (!isFields(message) || !isText(message['kind']) || !Object.hasOwn(checks, message['kind'])) return false;
  return checks[message['kind'] as GenerationMessage['kind']](message);
}

function isOutcome(outcome: unknown): boolean {
  if (!isFields(outcome)) return false;
  const { kind, version, changes, sockets, why } = outcome;
  switch (kind) {
    case 'reloaded':
      return isWhole(version) && areTexts(changes);
    case 'unchanged':
      return isWhole(version);
    case 'needsGeneration':
      return areSpecs(sockets) && areTexts(changes);
    case 'refused':
      return isText(why);
    default:
      return false;
  }
}

/** What is wrong with the rest of a spec is found when the socket is opened. */
function areSpecs(specs: unknown): boolean {
  return (
    Array.isArray(specs) &&
    specs.every((spec) => isFields(spec) && isText(spec['key']) && ['tcp', 'unix', 'udp'].includes(spec['transport'] as string))
  );
}

/** More than are kept are none. */
function isPacked(config: unknown): boolean {
  return config === undefined || config === null || config instanceof Uint8Array;
}

function areTexts(texts: unknown): boolean {
  return Array.isArray(texts) && texts.every(isText);
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null;
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value);
}
