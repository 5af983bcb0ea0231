// Bytes to frames and back (spec.md §2). Knows lengths and limits; refuses to know what a payload means.
import { CloseCode, type Frame, HEADER_BYTES, MAX_MESSAGE_BYTES, WireViolation } from "./frames.ts";

export const EMPTY: Uint8Array<ArrayBuffer> = new Uint8Array(0);

/** Size on the wire of a frame with a payload of `payloadBytes`. */
export function frameBytes(payloadBytes: number): number {
  return HEADER_BYTES + payloadBytes;
}

/** Encodes whole frames into one message. The caller keeps the sum within {@link MAX_MESSAGE_BYTES}. */
export function encode(frames: readonly Frame[]): Uint8Array<ArrayBuffer> {
  let size = 0;
  for (const frame of frames) size += frameBytes(frame.payload.byteLength);
  if (size > MAX_MESSAGE_BYTES) throw new RangeError(`a message of ${size} bytes exceeds ${MAX_MESSAGE_BYTES}`);
  const message = new Uint8Array(size);
  const view = new DataView(message.buffer);
  let at = 0;
  for (const { type, channel, payload } of frames) {
    view.setUint32(at, (type << 24) | payload.byteLength);
    view.setUint32(at + 4, channel);
    message.set(payload, at + HEADER_BYTES);
    at += frameBytes(payload.byteLength);
  }
  return message;
}

/**
 * Decodes one message. Payloads are views into `message`, not copies.
 * @throws WireViolation 4400 for an empty message, one over the limit, or a frame that does not end inside it.
 */
export function decode(message: Uint8Array): Frame[] {
  if (message.byteLength === 0) throw new WireViolation(CloseCode.MALFORMED, "an empty message");
  if (message.byteLength > MAX_MESSAGE_BYTES) throw new WireViolation(CloseCode.MALFORMED, "a message over the limit");
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const frames: Frame[] = [];
  let at = 0;
  while (at < message.byteLength) {
    if (at + HEADER_BYTES > message.byteLength)
      throw new WireViolation(CloseCode.MALFORMED, "a frame header cut short");
    const word = view.getUint32(at);
    const end = at + HEADER_BYTES + (word & 0xffffff);
    if (end > message.byteLength) throw new WireViolation(CloseCode.MALFORMED, "a frame cut short");
    frames.push({
      type: word >>> 24,
      channel: view.getUint32(at + 4),
      payload: message.subarray(at + HEADER_BYTES, end),
    });
    at = end;
  }
  return frames;
}
