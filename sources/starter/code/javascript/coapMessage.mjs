/**
 * Encoding and decoding of CoAP messages (the binary header of RFC 7252).
 *
 *   0                   1                   2                   3
 *   |Ver| T |  TKL  |      Code     |          Message ID           |
 *   | Token (0-8 bytes) ... | Options ... | 0xFF | Payload ...      |
 */

export const Type = Object.freeze({ CON: 0, NON: 1, ACK: 2, RST: 3 });

export const Option = Object.freeze({
  ETAG: 4,
  OBSERVE: 6,
  URI_PATH: 11,
  CONTENT_FORMAT: 12,
  MAX_AGE: 14,
  URI_QUERY: 15,
  BLOCK2: 23,
});

const UINT_OPTIONS = new Set([Option.OBSERVE, Option.CONTENT_FORMAT, Option.MAX_AGE, Option.BLOCK2]);
const STRING_OPTIONS = new Set([Option.URI_PATH, Option.URI_QUERY]);

const utf8 = { encoder: new TextEncoder(), decoder: new TextDecoder('utf-8', { fatal: true }) };

/** "2.05" <-> 0x45: three bits of class, five of detail. */
export const packCode = (text) => {
  const [major, minor] = text.split('.').map(Number);
  return (major << 5) | minor;
};
export const unpackCode = (byte) => `${byte >> 5}.${String(byte & 0x1f).padStart(2, '0')}`;

function uintToBytes(value) {
  const bytes = [];
  for (let rest = value >>> 0; rest > 0; rest >>>= 8) bytes.unshift(rest & 0xff);
  return Uint8Array.from(bytes); // zero is the empty string, per the specification
}

function encodeValue(number, value) {
  if (value instanceof Uint8Array) return value;
  if (UINT_OPTIONS.has(number)) return uintToBytes(value);
  return utf8.encoder.encode(value);
}

function decodeValue(number, bytes) {
  if (UINT_OPTIONS.has(number)) return bytes.reduce((acc, byte) => acc * 256 + byte, 0);
  return STRING_OPTIONS.has(number) ? utf8.decoder.decode(bytes) : bytes.slice();
}

/** Deltas and lengths share one variable-length scheme: nibble plus 0, 1 or 2 bytes. */
function splitNibble(value) {
  if (value < 13) return { nibble: value, extra: [] };
  if (value < 269) return { nibble: 13, extra: [value - 13] };
  const rest = value - 269;
  return { nibble: 14, extra: [rest >> 8, rest & 0xff] };
}

export function encode({ type, code, messageId, token = new Uint8Array(), options = [], payload }) {
  if (token.length > 8) throw new RangeError('token is longer than 8 bytes');
  const bytes = [
    (1 << 6) | (type << 4) | token.length,
    packCode(code),
    messageId >> 8,
    messageId & 0xff,
    ...token,
  ];

  let previous = 0;
  // Array.prototype.sort is stable, so repeated options (path segments) keep their order.
  for (const [number, value] of [...options].sort(([a], [b]) => a - b)) {
    const data = encodeValue(number, value);
    const delta = splitNibble(number - previous);
    const length = splitNibble(data.length);
    bytes.push((delta.nibble << 4) | length.nibble, ...delta.extra, ...length.extra, ...data);
    previous = number;
  }
  if (payload?.length > 0) bytes.push(0xff, ...payload);
  return Uint8Array.from(bytes);
}

export class CoapFormatError extends Error {
  name = 'CoapFormatError';
}

export function decode(datagram) {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  let offset = 0;

  const need = (count) => {
    if (offset + count > datagram.length) {
      throw new CoapFormatError(`truncated at byte ${offset}, ${count} more expected`);
    }
    const start = offset;
    offset += count;
    return start;
  };
  const joinNibble = (nibble) => {
    switch (nibble) {
      case 13: return view.getUint8(need(1)) + 13;
      case 14: return view.getUint16(need(2)) + 269;
      case 15: throw new CoapFormatError('reserved option nibble 15');
      default: return nibble;
    }
  };

  need(4);
  const first = view.getUint8(0);
  if (first >> 6 !== 1) throw new CoapFormatError(`unknown version ${first >> 6}`);
  const tokenLength = first & 0x0f;
  if (tokenLength > 8) throw new CoapFormatError(`token length ${tokenLength} is reserved`);

  const message = {
    type: (first >> 4) & 0b11,
    code: unpackCode(view.getUint8(1)),
    messageId: view.getUint16(2),
    token: datagram.slice(need(tokenLength), offset),
    options: [],
    payload: null,
  };

  let number = 0;
  while (offset < datagram.length) {
    const head = view.getUint8(need(1));
    if (head === 0xff) {
      if (offset === datagram.length) throw new CoapFormatError('payload marker without payload');
      message.payload = datagram.slice(offset);
      break;
    }
    number += joinNibble(head >> 4);
    const length = joinNibble(head & 0x0f);
    const start = need(length);
    message.options.push([number, decodeValue(number, datagram.subarray(start, start + length))]);
  }
  return message;
}

export function uriPath({ options }) {
  return `/${options.filter(([n]) => n === Option.URI_PATH).map(([, v]) => v).join('/')}`;
}
