/**
 * SETTINGS of both sides (RFC 9113 §6.5): what we say and when it holds, what the peer has said.
 *
 * Ranges of single values are the frame decoder's; here are the rules of role and history. Ours never change after the first frame, so there is
 * one acknowledgement to wait for. Until it comes the peer may not know them: limits that are below the defaults of the RFC hold from then on.
 *
 * @see RFC 9113 §6.5.2, §6.5.3 · RFC 8441 §3 · RFC 9218 §2.1
 */
import type { WireError } from '@ferrata/error';
import { Http2ErrorCode, SettingId } from '@ferrata/http2-framing';
import { violation } from './errors.ts';
import type { ResolvedHttp2Options } from './options.ts';
import { Role } from './role.ts';

/** What the peer has said; the defaults of the RFC until then. */
export class PeerSettings {
  /** For the header table of our encoder. */
  headerTableSize = 4_096;
  /** A client's wish for pushes; nothing is ever pushed. */
  isPushEnabled = true;
  /** `Infinity` if nothing was said. */
  maxConcurrentStreams = Number.POSITIVE_INFINITY;
  initialWindowSize = 65_535;
  maxFrameSize = 16_384;
  /** `Infinity` if nothing was said. Advice only (RFC 9113 §6.5.2). */
  maxHeaderListSize = Number.POSITIVE_INFINITY;
  /** A server's offer of extended CONNECT (RFC 8441 §3). */
  isExtendedConnectEnabled = false;
  /** The peer reads no priorities of RFC 7540; -1 before its first SETTINGS. */
  noRfc7540Priorities: -1 | 0 | 1 = -1;

  /**
   * Applies one setting of the peer; whoever calls does what follows from a change.
   *
   * @returns an error of the connection, or null
   */
  apply(id: number, value: number, ofRole: Role): WireError | null {
    switch (id) {
      case SettingId.headerTableSize:
        this.headerTableSize = value;
        break;
      case SettingId.enablePush:
        // RFC 9113 §6.5.2: a server never says more than 0.
        if (ofRole === Role.server && value !== 0) {
          return violation('H2_SETTING_PUSH', Http2ErrorCode.protocolError, 'a server enables push');
        }
        this.isPushEnabled = value === 1;
        break;
      case SettingId.maxConcurrentStreams:
        this.maxConcurrentStreams = value;
        break;
      case SettingId.initialWindowSize:
        this.initialWindowSize = value;
        break;
      case SettingId.maxFrameSize:
        this.maxFrameSize = value;
        break;
      case SettingId.maxHeaderListSize:
        this.maxHeaderListSize = value;
        break;
      case SettingId.enableConnectProtocol:
        // RFC 8441 §3: not taken back once given.
        if (value === 0 && this.isExtendedConnectEnabled) {
          return violation('H2_SETTING_CONNECT', Http2ErrorCode.protocolError, 'extended CONNECT is taken back');
        }
        this.isExtendedConnectEnabled = value === 1;
        break;
      case SettingId.noRfc7540Priorities:
        // RFC 9218 §2.1: it does not change after the first frame.
        if (this.noRfc7540Priorities >= 0 && this.noRfc7540Priorities !== value) {
          return violation('H2_SETTING_PRIORITIES', Http2ErrorCode.protocolError, 'NO_RFC7540_PRIORITIES changes');
        }
        this.noRfc7540Priorities = value === 1 ? 1 : 0;
        break;
      default:
      // RFC 9113 §6.5.2: unknown settings are ignored.
    }
    return null;
  }

  /** The first frame is over: what it did not say is as if it had said the default (RFC 9218 §2.1). */
  endFirst(): void {
    if (this.noRfc7540Priorities < 0) this.noRfc7540Priorities = 0;
  }
}

/** The settings that we send: those that differ from the defaults of the RFC, and those that a peer should not have to guess. */
export function localSettings(options: ResolvedHttp2Options): (readonly [id: number, value: number])[] {
  const isServer = options.role === Role.server;
  const settings: (readonly [number, number])[] = [];
  if (options.headerTableBytes !== 4_096) settings.push([SettingId.headerTableSize, options.headerTableBytes]);
  if (!isServer) settings.push([SettingId.enablePush, 0]);
  else settings.push([SettingId.maxConcurrentStreams, options.maxConcurrentStreams]);
  if (options.initialWindowBytes !== 65_535) settings.push([SettingId.initialWindowSize, options.initialWindowBytes]);
  if (options.maxFrameBytes !== 16_384) settings.push([SettingId.maxFrameSize, options.maxFrameBytes]);
  settings.push([SettingId.maxHeaderListSize, options.maxHeaderListBytes]);
  if (isServer && options.isExtendedConnectEnabled) settings.push([SettingId.enableConnectProtocol, 1]);
  settings.push([SettingId.noRfc7540Priorities, 1]);
  return settings;
}
