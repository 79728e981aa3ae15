/** What a frame is: RFC 6455 §5.2. */

/** Opcodes of frames; all others are reserved. @see RFC 6455 §5.2, §11.8 */
export const Opcode = { continuation: 0x0, text: 0x1, binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa } as const;

/** One of the values of the constant of the same name. */
export type Opcode = (typeof Opcode)[keyof typeof Opcode];

/** What a message is: UTF-8 text or any bytes. The values are those of the opcodes. */
export const MessageKind = { text: Opcode.text, binary: Opcode.binary } as const;

/** One of the values of the constant of the same name. */
export type MessageKind = (typeof MessageKind)[keyof typeof MessageKind];

/** Control frames have the highest bit of the opcode set. @see RFC 6455 §5.5 */
export const FIRST_CONTROL_OPCODE = 0x8;

/** Payload of a control frame. @see RFC 6455 §5.5 */
export const MAX_CONTROL_BYTES = 125;

/** Whether an opcode has a meaning. */
export function isOpcode(value: number): value is Opcode {
  return value <= Opcode.binary || (value >= Opcode.close && value <= Opcode.pong);
}
